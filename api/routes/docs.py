"""``GET /`` and ``/docs``: pages that need nothing from another host."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from twindex.api.web import APIRouter, HTMLResponse

router = APIRouter(include_in_schema=False)
#: Where a page takes in another file of its folder: there is no build step, and nothing to fetch later.
_PART = re.compile(r"/\*> ([a-z]+\.(?:css|js)) \*/")
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@router.get("/", response_class=HTMLResponse)
async def search_page() -> HTMLResponse:
    """Search in all modes side by side, and ask."""
    return page("search.html")


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> HTMLResponse:
    """The OpenAPI document, with each operation to be tried."""
    return page("docs.html")


def page(name: str) -> HTMLResponse:
    """A page, with a policy under which nothing runs but what stands in it."""
    text, policy = _read(name)
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"})


@cache
def _read(name: str) -> tuple[str, str]:
    text = _PART.sub(lambda found: _file(found.group(1)), _file(name))
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
        hashes[kind].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; style-src {' '.join(hashes['style'])}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def _file(name: str) -> str:
    return files("twindex.api").joinpath(f"pages/{name}").read_text(encoding="utf-8")
