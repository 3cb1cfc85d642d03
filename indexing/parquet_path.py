"""Paths as DuckDB's readers take them: for them a path is a pattern."""

from __future__ import annotations

import re
from pathlib import Path


def literal_path(path: Path) -> str:
    """The pattern that matches this path alone: ``*``, ``?`` and ``[`` stand for themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))
