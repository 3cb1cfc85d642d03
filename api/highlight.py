"""Where a text has the query's words, by the index's own analyzer: a stemmed match is marked as well."""

from __future__ import annotations

import re
from typing import Final

from twindex.indexing.analysis.base import Analyzer

#: Spans that are given, at most.
MAX_SPANS: Final = 200
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def highlights(analyzer: Analyzer, query: str, text: str) -> list[tuple[int, int]]:
    """Spans ``(start, end)`` of the text, in characters, in order and apart from one another."""
    terms = set(analyzer.terms(query))
    if not terms:
        return []
    spans: list[tuple[int, int]] = []
    for word in _WORD.finditer(text):
        for start, end in _matches(analyzer, terms, word.group()):
            start, end = start + word.start(), end + word.start()
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
            if len(spans) == MAX_SPANS:
                return spans
    return spans


def _matches(analyzer: Analyzer, terms: set[str], word: str) -> list[tuple[int, int]]:
    found = analyzer.terms(word)
    if not terms.intersection(found):
        return []
    if len(found) <= 1:
        return [(0, len(word))]
    # Unspaced writing: one run of letters is several terms, of two characters each.
    pairs = [(i, i + 2) for i in range(len(word) - 1)]
    matching = [(a, b) for a, b in pairs if terms.intersection(analyzer.terms(word[a:b]))]
    return matching or [(0, len(word))]
