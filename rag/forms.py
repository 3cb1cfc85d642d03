"""What a draft must look like, said once and given to each runtime in its own tongue.

An endpoint gets a JSON schema, llama.cpp a grammar (GBNF), torch an automaton over tokens
(:mod:`twindex.rag.generators.torch_sampling`). Whatever the runtime sends, :func:`read_lines` reads.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from twindex.indexing.errors import ConfigError

_BULLET: Final = re.compile(
    r"^\s*(?:[-*\u2022\u2013]\s+|\(?\d{1,2}[.):]\s+|(?:query|question|keyword)\s*\d*:\s*)", re.IGNORECASE
)
_QUOTES: Final = "\"'\u201c\u201d\u2018\u2019`"


@dataclass(frozen=True, slots=True)
class Lines:
    """A text of ``least`` to ``most`` lines, none blank, each of at most ``tokens`` tokens."""

    least: int
    most: int
    tokens: int = 40

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ConfigError(f"{self.least} to {self.most} lines", expected="1 or more, least first")
        if self.tokens < 1:
            raise ConfigError(f"lines of {self.tokens} tokens", expected="1 or more")

    @property
    def room(self) -> int:
        """Tokens that the longest such text can have."""
        return self.most * (self.tokens + 1)

    def schema(self) -> dict[str, Any]:
        """A JSON schema: an object whose ``lines`` are the lines."""
        lines = {"type": "array", "items": {"type": "string"}, "minItems": self.least, "maxItems": self.most}
        return {"type": "object", "properties": {"lines": lines}, "required": ["lines"], "additionalProperties": False}

    def grammar(self) -> str:
        """A grammar for llama.cpp: lines with a line feed between them."""
        more = f'("\\n" line){{{self.least - 1},{self.most - 1}}}' if self.most > 1 else ""
        return f"root ::= line {more}\nline ::= [^\\n\\r \\t*-] [^\\n\\r]{{1,{self.tokens * 6}}}\n"


def read_lines(text: str, form: Lines) -> tuple[str, ...]:
    """The lines of a draft: of its JSON, or of its text; without bullets, numbers, quotes, and blank ones.

    Never more than ``form.most``; fewer than ``form.least`` (or none) if the draft has no more.
    """
    found = _from_json(text)
    lines = text.splitlines() if found is None else found
    cleaned = [" ".join(_BULLET.sub("", line).split()).strip(_QUOTES).strip() for line in lines]
    return tuple(line for line in cleaned if any(char.isalnum() for char in line))[: form.most]


def _from_json(text: str) -> list[str] | None:
    """The strings of a JSON draft, None if it is not JSON."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0 or text[:start].strip(" \n`jsonJSON"):
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except ValueError:
        return None
    if isinstance(value, dict):
        value = next((item for item in value.values() if isinstance(item, list)), None)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None
