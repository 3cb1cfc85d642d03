"""Output without tables and colours, so that a command which needs neither does not load them."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, Final

import typer

#: Control characters as their pictures, U+FFFD for those without one: texts of documents do not steer a terminal.
_PICTURES: Final = (
    {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
    | {0x7F: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)


def visible(text: str) -> str:
    """The text with control characters made visible; line feeds and tabs stay."""
    return text.translate(_PICTURES)


def take_any_text() -> None:
    """Let standard streams escape what their encoding does not have, instead of failing in the middle of an answer."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def emit_json(value: Any) -> None:
    """One JSON document on standard output. Lone surrogates are escaped, so any terminal can take it."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace").decode("utf-8"))
