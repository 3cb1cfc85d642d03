"""JSON as bytes that any client can read: ASCII, so that lone surrogates in a text cannot break a response."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import JSONResponse

#: Made once: making an encoder takes as long as a short value.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def to_json(value: Any) -> bytes:
    """The value as compact JSON in ASCII. NaN is an error, never a token that is no JSON."""
    return _ENCODER.encode(value).encode("ascii")


class SafeJSON(JSONResponse):
    """A response in that form."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return to_json(content)
