"""Content words: what questions, claims and sentences are compared by."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from twindex.indexing.analysis import get_analyzer
from twindex.indexing.analysis.base import Analyzer

#: English words that carry a sentence but not its topic. Search engines stop few words, because rare ones may
#: be asked for; comparing single sentences needs more.
FUNCTION_WORDS: Final = """
a about above after again against all also although am among an and any are aren't as at be because been
before being below between both but by can can't cannot could couldn't did didn't do does doesn't doing
don't down during each either else ever few for from further had has have having he her here hers herself
him himself his how however i if in into is isn't it its itself just let like many may me might more most
much must my myself name neither no nor not of off on once one only onto or other our ours ourselves out
over own per please rather same shall she should since so some still such tell than that the their theirs
them themselves then there these they this those though through thus to too under until up upon us very via
was wasn't we were weren't what whatever when where whether which while who whom whose why will with within
without would you your yours yourself
"""
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_CACHE: Final = 4096


class Terms:
    """Texts as lists of content terms, by the rule of one analyzer.

    Args:
        analyzer: What makes terms; the English analyzer if None.
    """

    def __init__(self, analyzer: Analyzer | None = None) -> None:
        self.analyzer = analyzer if analyzer is not None else get_analyzer("english")
        self._stop = frozenset(self.analyzer.terms(FUNCTION_WORDS))
        self._content = lru_cache(maxsize=_CACHE)(self._compute)

    def content(self, text: str) -> tuple[str, ...]:
        """The terms of the text without function words; with them if nothing else is there.

        Digit groups are joined first, so that "1,200" equals "1200".
        """
        return self._content(text)

    def _compute(self, text: str) -> tuple[str, ...]:
        terms = self.analyzer.terms(_GROUPED.sub(lambda m: m.group().replace(",", ""), text))
        content = tuple(term for term in terms if term not in self._stop)
        return content if content else tuple(terms)


def is_number(term: str) -> bool:
    """Whether a term holds a digit: years, amounts, versions."""
    return any(char.isdigit() for char in term)
