"""``GET /``: the OpenAPI document as a page that needs nothing from another host."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
@router.get("/docs", response_class=HTMLResponse)
def docs() -> HTMLResponse:
    """The page; it reads /openapi.json and lets a person try each operation."""
    return HTMLResponse(files("twindex.api").joinpath("pages/docs.html").read_text(encoding="utf-8"))
