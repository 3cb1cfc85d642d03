"""Which budget reaches a recall: chosen on some queries, told of others.

Recall is the share of the exact list that is found. Budgets are tried in ascending order; the first is taken whose mean
recall is surely high enough, not by the luck of the sample: its lower confidence bound reaches the target. What is
then told, and kept with the budget, was measured on queries on which nothing was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError, QueryError
from twindex.indexing.types import Int64Array
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.fast_arrays import Hits
from twindex.retrieval.fast_plan import Float64Array
from twindex.retrieval.within import WHOLE, Budget

#: The least budget that is tried, in postings, and by how much the next is larger.
LEAST: Final = 1_000
STEP: Final = 2**0.25
#: How far an index may grow or shrink until a calibration is made anew.
DRIFT: Final = 0.1
#: Queries that a calibration needs.
ENOUGH: Final = 20
#: Standard errors below the mean: one-sided 95 %.
SURE: Final = 1.645


class Asked(NamedTuple):
    """Queries as numbers; as in ``FastIndex.search``, ``weights`` None for BM25."""

    ids: NDArray[Any]
    ends: NDArray[Any]
    weights: NDArray[Any] | None

    def some(self, first: int) -> Asked:
        """Every second query, from ``first`` (0 or 1) on."""
        parts = [np.arange(self.ends[q], self.ends[q + 1]) for q in range(first, len(self.ends) - 1, 2)]
        at: Int64Array = np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)
        ends = np.cumsum([0, *map(len, parts)])
        return Asked(self.ids[at], ends, None if self.weights is None else self.weights[at])


@dataclass(frozen=True, slots=True)
class Calibration:
    """A budget for a recall, with its evidence.

    ``documents`` of the index and ``encoder`` of its queries; ``postings``: of the budget; None = only exact search
    reaches the recall. ``chosen_on`` queries had ``chosen`` mean
    recall; ``told_of`` others have ``reached``, of whose answers the share ``proven`` is exact for sure.
    """

    recall: float
    k: int
    postings: int | None
    chosen_on: int
    chosen: float
    told_of: int
    reached: float
    proven: float
    documents: int = 0
    encoder: str = ""

    @classmethod
    def exact(cls, recall: float, k: int) -> Calibration:
        """Exact search, which reaches any recall without evidence."""
        return cls(recall, k, None, 0, 1.0, 0, 1.0, 1.0)

    def fits(self, documents: int, encoder: str) -> bool:
        """Whether it was made for an index of about as many documents, and for the same queries."""
        return encoder == self.encoder and abs(documents - self.documents) <= DRIFT * self.documents

    @property
    def budget(self) -> Budget:
        """The budget to search with."""
        return WHOLE if self.postings is None else Budget(postings=self.postings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """The calibration that plain values stand for.

        Raises:
            ConfigError: If a key is missing or unknown.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"a calibration of {sorted(values)} ({error})", expected="what twindex wrote") from error


def calibrate(index: FastIndex, asked: Asked, k: int, recall: float) -> Calibration:
    """The least budget that reaches a recall.

    Args:
        index: The lists.
        asked: At least ENOUGH queries like those to come; every second one is kept to tell of.
        k: Hits a query.
        recall: Above 0, up to 1.

    Raises:
        QueryError: If the recall is out of range or there are too few queries.

    Cost: each query is answered about twenty times.
    """
    check_recall(recall)
    if len(asked.ends) - 1 < ENOUGH:
        raise QueryError(f"{len(asked.ends) - 1} queries to calibrate with", expected=f"{ENOUGH} or more")
    choosing, telling = asked.some(0), asked.some(1)
    exact = _answers(index, choosing, k, WHOLE)
    budget, found = WHOLE, np.ones(1)
    for candidate in _ladder(index, choosing, recall):
        found = recalls(_answers(index, choosing, k, candidate), exact)
        if _lower(found) >= recall:
            budget = candidate
            break
    told = _answers(index, telling, k, budget)
    reached = recalls(told, _answers(index, telling, k, WHOLE))
    return Calibration(
        recall=recall,
        k=k,
        postings=budget.postings,
        chosen_on=len(choosing.ends) - 1,
        chosen=1.0 if budget.whole else float(found.mean()),
        told_of=len(telling.ends) - 1,
        reached=float(reached.mean()),
        proven=float(told.proven.mean()),
        documents=index.size,
    )


def check_recall(recall: float) -> float:
    """The recall, if there can be such.

    Raises:
        QueryError: If it is not above 0 and up to 1.
    """
    if isinstance(recall, bool) or not (math.isfinite(recall) and 0 < recall <= 1):
        raise QueryError(f"recall = {recall!r}", expected="a share above 0, up to 1 (exact)")
    return recall


def recalls(found: Hits, exact: Hits) -> Float64Array:
    """The share of each exact list that was found, 1 where it is empty: float64[queries]."""
    out = np.ones(len(exact.counts))
    for q, count in enumerate(exact.counts.tolist()):
        if count:
            got = found.ords[q, : int(found.counts[q])]
            out[q] = np.isin(exact.ords[q, :count], got).mean()
    return out


def _answers(index: FastIndex, asked: Asked, k: int, budget: Budget) -> Hits:
    return index.search(asked.ids, asked.ends, k, weights=asked.weights, budget=budget)


def _ladder(index: FastIndex, asked: Asked, recall: float) -> Iterator[Budget]:
    """Budgets, ascending, as long as some query has more postings."""
    if recall >= 1:
        return
    lists = index.image.lists
    known = np.where(asked.ids >= 0, asked.ids, 0)
    df = np.where(asked.ids >= 0, lists.ptr[known + 1] - lists.ptr[known], 0)
    most = max((int(df[a:b].sum()) for a, b in zip(asked.ends[:-1], asked.ends[1:], strict=True)), default=0)
    postings = float(LEAST)
    while postings < most:
        yield Budget(postings=int(postings))
        postings *= STEP


def _lower(found: Float64Array) -> float:
    """A value that the mean exceeds for sure enough."""
    return float(found.mean() - SURE * found.std(ddof=1) / math.sqrt(len(found)))
