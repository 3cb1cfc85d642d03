"""What is asked and what comes back: queries, rankings, runs, explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from twindex.indexing.errors import QueryError
from twindex.indexing.filters import Filter
from twindex.indexing.types import Float32Array, Int32Array


@dataclass(frozen=True, slots=True)
class Query:
    """A text and, if wanted, a filter on metadata. The filter is data, never a callable."""

    text: str
    filter: Filter | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The result of one query: ordinals and scores, best first.

    Shapes: ``ords`` int32[n], ``scores`` float32[n], n <= k.
    Invariants, checked at construction: scores do not increase, equal scores have ascending
    ordinals, no ordinal is negative, no score is NaN.

    Raises:
        QueryError: If an invariant does not hold.
    """

    ords: Int32Array
    scores: Float32Array

    def __post_init__(self) -> None:
        ords, scores = self.ords, self.scores
        if ords.shape != scores.shape or ords.ndim != 1:
            raise QueryError(f"ords of shape {ords.shape} and scores of shape {scores.shape}", expected="one length")
        if not len(ords):
            return
        if int(ords.min()) < 0 or bool(np.isnan(scores).any()):
            raise QueryError("a negative ordinal or a NaN score in a ranking", expected="neither")
        fall = scores[:-1] > scores[1:]
        tie = (scores[:-1] == scores[1:]) & (ords[:-1] < ords[1:])
        if not bool((fall | tie).all()):
            raise QueryError("a ranking out of order", expected="scores descending, ties by ascending ordinal")

    def __len__(self) -> int:
        return len(self.ords)

    def cut(self, k: int) -> Ranking:
        """The first k."""
        return Ranking(self.ords[:k], self.scores[:k])

    @classmethod
    def unchecked(cls, ords: Int32Array, scores: Float32Array) -> Ranking:
        """For engines whose order is proven elsewhere: the checks of a new ranking cost more than a short search."""
        new = object.__new__(cls)
        object.__setattr__(new, "ords", ords)
        object.__setattr__(new, "scores", scores)
        return new

    @classmethod
    def empty(cls) -> Ranking:
        """No hits."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float32))


class IdTable(Protocol):
    """Where ordinals become external ids. A Snapshot is one; adapters of other engines bring their own."""

    def ids(self, ords: Int32Array) -> list[str]:
        """External ids, in the order of ``ords``: int32[n]."""


@dataclass(frozen=True, slots=True)
class Run:
    """One ranking a query, with the table that their ordinals refer to."""

    rankings: tuple[Ranking, ...]
    table: IdTable

    def __len__(self) -> int:
        return len(self.rankings)

    def __iter__(self) -> Iterator[Ranking]:
        return iter(self.rankings)

    def __getitem__(self, i: int) -> Ranking:
        return self.rankings[i]

    def ids(self, i: int) -> list[str]:
        """External ids of the hits of query i: the one place where ordinals become strings."""
        return self.table.ids(self.rankings[i].ords)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a score is what it is: a tree whose ``combine`` rule recomputes ``value`` from ``details``.

    ``combine`` is "sum", "product" or "max" of the details' values; "because" where the one detail is the reason
    for the numbers in ``data`` and text (a rank, a normalised score); or "leaf". ``data`` holds the numbers behind
    the text (tf, df, length, rank, weight, ...), for machines.
    """

    value: float
    text: str
    details: tuple[Explanation, ...] = ()
    combine: str = "leaf"
    data: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        out: dict[str, Any] = {"value": self.value, "text": self.text, "combine": self.combine}
        if self.data:
            out["data"] = self.data
        if self.details:
            out["details"] = [d.to_dict() for d in self.details]
        return out


def check_k(k: int) -> int:
    """The same k.

    Raises:
        QueryError: If k is negative. Zero is a fair question with an empty answer.
    """
    if k < 0:
        raise QueryError(f"k = {k}", expected="a number of hits of 0 or more")
    return k


def as_queries(queries: Sequence[Query | str]) -> list[Query]:
    """Plain strings wrapped as queries without a filter."""
    return [Query(q) if isinstance(q, str) else q for q in queries]
