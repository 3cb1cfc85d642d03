"""Near-duplicates among generated queries: those that ask with the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_WORD: Final = re.compile(r"\w+")
#: Words that make no difference between two queries.
_IDLE: Final = frozenset(
    """
    a an and are as at be been being by can could did do does for from had has have how in into is it its may might
    of on or s should than that the their them there these they this those to was were what when where which who
    whom whose why will with would
    """.split()  # noqa: SIM905 - words are easier to read so
)


def wording(query: str) -> frozenset[str]:
    """What two near-duplicates share: the words, without case, order, plural s and words that say nothing.

    A query of nothing but idle words keeps them.
    """
    words = _WORD.findall(query.casefold())
    telling = [word for word in words if word not in _IDLE] or words
    return frozenset(word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word for word in telling)


def distinct(queries: Iterable[str]) -> list[str]:
    """The queries without near-duplicates of earlier ones, and without blank ones; order kept."""
    seen: set[frozenset[str]] = set()
    kept: list[str] = []
    for query in queries:
        key = wording(query)
        if key and key not in seen:
            seen.add(key)
            kept.append(query)
    return kept
