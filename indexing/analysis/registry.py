"""Analyzers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.analysis.english import EnglishAnalyzer
from twindex.indexing.analysis.unicode import UnicodeAnalyzer
from twindex.indexing.analysis.whitespace import WhitespaceAnalyzer
from twindex.indexing.errors import ConfigError

_ANALYZERS: Final[dict[str, Callable[[], Analyzer]]] = {
    "english": EnglishAnalyzer,
    "unicode": UnicodeAnalyzer,
    "whitespace": WhitespaceAnalyzer,
}


def get_analyzer(name: str) -> Analyzer:
    """A new analyzer of that name.

    Raises:
        ConfigError: If there is none; the message lists the names.
    """
    if name not in _ANALYZERS:
        raise ConfigError(f"analyzer {name!r}", expected=" or ".join(analyzer_names()))
    return _ANALYZERS[name]()


def analyzer_names() -> tuple[str, ...]:
    """All names, sorted."""
    return tuple(sorted(_ANALYZERS))
