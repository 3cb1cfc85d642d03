"""Search of impacts within a budget, or with a recall: most of the exact list, sooner.

A recall needs a budget that reaches it in this index, with queries like those to come: it is found at the first search,
with questions made of the passages themselves, or was found before, with queries that somebody had, and is given.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from twindex.indexing.errors import QueryError
from twindex.retrieval.calibration import ENOUGH, Asked, Calibration, calibrate, check_recall
from twindex.retrieval.fast_arrays import Masks
from twindex.retrieval.fast_choice import edges
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.types import Explanation, Query, Run, check_k
from twindex.retrieval.within import Budget

#: Questions that are made of passages, and the words of each.
QUESTIONS: Final = 200
WORDS: Final = 8


class BudgetedRetriever:
    """The answers of an :class:`ImpactRetriever` within a budget. While few queries were asked, they are exact.

    Args:
        inner: The leg.
        share: Of the postings of a query's terms, how many it may touch.
        recall: Share of the exact list that is to be found on average; then the share is not used.
        calibrations: Found before; those that fit are used.

    Raises:
        QueryError: If the share or the recall is out of range.
    """

    def __init__(
        self,
        inner: ImpactRetriever,
        *,
        share: float = 1.0,
        recall: float | None = None,
        calibrations: Sequence[Calibration] = (),
    ) -> None:
        self.inner = inner
        self.recall = None if recall is None else check_recall(recall)
        self._given = Budget(share)
        fitting = [one for one in calibrations if one.recall == recall and one.fits(inner.snapshot.size, self._encoder)]
        self._found: dict[int, Calibration] = {one.k: one for one in fitting}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """That of the leg."""
        return self.inner.name

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """Up to k of the best documents of each query, with their exact scores.

        Raises:
            QueryError: If k is negative.
        """
        return self.inner.retrieve(queries, k, self.budget)

    def proven(self, query: Query, k: int) -> bool:
        """Whether the answer within the budget is the exact one for sure: no bound of what was not read reaches it.

        Raises:
            QueryError: If k is negative.
        """
        ids, weights = self.inner.terms(query.text)
        allowed = self.inner.snapshot.allowed(query.filter)
        masks = None if allowed is None else Masks(allowed[None, :], np.zeros(1, np.int64))
        kept = min(check_k(k), self.inner.snapshot.size)
        hits = self.inner.fast.search(ids, edges([ids]), kept, weights=weights, budget=self.budget(kept), masks=masks)
        return bool(hits.proven[0])

    def budget(self, k: int) -> Budget:
        """What queries for k hits may touch."""
        return self._given if self.recall is None else self.calibration(k).budget

    def calibration(self, k: int, texts: Sequence[str] | None = None) -> Calibration:
        """The budget for the recall at k hits, with its evidence; found once for each k.

        Args:
            k: Hits.
            texts: Queries to find it with; None = questions made of passages, and exact search if there are too few.

        Raises:
            QueryError: If no recall is wanted, or too few queries are given.
        """
        if self.recall is None:
            raise QueryError("a calibration without a recall", expected="a recall")
        with self._lock:
            if texts is not None or k not in self._found:
                asked = questions(self.inner) if texts is None else texts
                self._found[k] = self._calibrated(asked, k, self.recall, enough=texts is not None)
            return self._found[k]

    @property
    def _encoder(self) -> str:
        return self.inner.encoder.info.fingerprint

    def _calibrated(self, texts: Sequence[str], k: int, recall: float, *, enough: bool) -> Calibration:
        if len(texts) < ENOUGH and not enough:
            return Calibration.exact(recall, k)
        return replace(calibrate(self.inner.fast, self._asked(texts), k, recall), encoder=self._encoder)

    def explain(self, query: Query, ord_: int) -> Explanation:
        """As the leg explains it: the score is the same."""
        return self.inner.explain(query, ord_)

    def _asked(self, texts: Sequence[str]) -> Asked:
        terms = [self.inner.terms(text) for text in texts]
        none = (np.empty(0, np.int64), np.empty(0, np.float32))
        ids, weights = (np.concatenate(column) for column in zip(*terms, none, strict=True))
        return Asked(ids, edges([one for one, _ in terms]), weights)


def questions(leg: ImpactRetriever, number: int = QUESTIONS) -> list[str]:
    """Some words in a row of passages spread over the index, always the same; fewer if the index is small.

    Args:
        leg: Its snapshot has the passages.
        number: How many at most.
    """
    live = leg.snapshot.allowed(None)
    ords = np.arange(leg.snapshot.size) if live is None else np.flatnonzero(live)
    some = ords[np.unique(np.linspace(0, max(len(ords) - 1, 0), min(number, len(ords))).astype(np.int64))]
    texts = []
    for at, passage in enumerate(leg.snapshot.passages(some.astype(np.int32))):
        words = passage.contents.split()
        first = (at * 31) % max(len(words) - WORDS + 1, 1)
        texts.append(" ".join(words[first : first + WORDS]))
    return texts
