"""Texts that are tokens already."""

from __future__ import annotations

from twindex.indexing.analysis.cached import CachedAnalyzer


class WhitespaceAnalyzer(CachedAnalyzer):
    """Splits at Unicode white space (and the separators U+001C to U+001F, as ``str.split``) and changes nothing."""

    @property
    def name(self) -> str:
        """What the registry knows it by."""
        return "whitespace"

    @property
    def fingerprint(self) -> str:
        """Name and version."""
        return "whitespace/1"

    def terms(self, text: str) -> list[str]:
        """What stands between white space."""
        return text.split()
