"""Which strategy answers a query fastest. Every strategy gives the same answer, so only time is at stake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import QueryError
from twindex.indexing.types import BoolArray, Int64Array
from twindex.retrieval.image import Image, Terms

Float64Array: TypeAlias = NDArray[np.float64]
Strategy = Literal["auto", "exhaustive", "scan"]

#: Nanoseconds, fitted on one core of a server processor (AVX2, 512 KiB second-level cache); only their ratios matter.
POSTING: Final = 1.0  # adding one posting of a list
SUM_EXACT: Final = 0.20  # clearing, folding and comparing one float32 sum
SUM_BOUND: Final = 0.15  # the same of a 16-bit sum
ROW_BYTE: Final = 0.045  # adding one byte of a row
RESCORE: Final = 45.0  # one term of one document that is scored exactly
CANDIDATE: Final = 25.0  # completing one document's bound
#: Candidates of the scan over those that a perfect threshold would let through; measured, 2 to 6.
EXCESS: Final = 5.0
#: Lists longer than this many queries' worth of 16-bit sums cannot be scanned.
LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Choice:
    """How a query is answered, and why; times are estimates in microseconds."""

    strategy: str
    reason: str
    postings: int
    rows: int
    exhaustive_us: float
    scan_us: float


def check_strategy(strategy: str) -> None:
    """Nothing, if there is a strategy of that name.

    Raises:
        QueryError: If there is none.
    """
    if strategy not in get_args(Strategy):
        raise QueryError(f"strategy = {strategy!r}", expected=f"one of {', '.join(get_args(Strategy))}")


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Estimates for each query of a batch, in nanoseconds. Shapes: float64[queries] or int64[queries]."""

    exhaustive: Float64Array
    scan: Float64Array
    postings: Int64Array
    rows: Int64Array

    @property
    def scanned(self) -> BoolArray:
        """Which queries the scan answers faster."""
        return self.scan < self.exhaustive


def costs(image: Image, terms: Terms, ends: Int64Array, k: int, passing: NDArray[Any] | float = 1.0) -> Costs:
    """What each strategy would take.

    Args:
        image: Lists.
        terms: Of all queries.
        ends: First term of each query, and the end.
        k: Hits.
        passing: Share of the documents that pass the query's filter.

    Shapes: ``ends`` int64[queries + 1]; ``passing`` float64[queries].
    """
    df = np.diff(image.lists.ptr)[terms.ids]
    dense = image.row_of[terms.ids] >= 0
    number = np.diff(ends)
    postings, rows = _sums(df, ends), _sums(dense.astype(np.int64), ends)
    in_lists = _sums(np.where(dense, 0, df), ends)
    size = image.size
    wanted = np.minimum(k / np.maximum(np.asarray(passing, np.float64), 1e-9), size)
    candidates = EXCESS * wanted * (1 + np.log(size / np.maximum(wanted, 1.0)))
    scan = (
        POSTING * in_lists
        + ROW_BYTE * size * rows
        + SUM_BOUND * size
        + CANDIDATE * np.minimum(candidates, postings)
        + RESCORE * np.minimum(1.2 * k, postings) * number
    )
    scan = np.where(number > LONGEST, np.inf, scan)
    exhaustive: Float64Array = POSTING * postings.astype(np.float64) + SUM_EXACT * size
    return Costs(exhaustive, scan.astype(np.float64), postings, rows)


def choose(image: Image, terms: Terms, k: int, strategy: Strategy = "auto") -> Choice:
    """The choice for one query, in words.

    Args:
        image: Lists.
        terms: Of the query.
        k: Hits.
        strategy: "auto", or the one that was asked for.

    Raises:
        QueryError: If there is no such strategy.
    """
    check_strategy(strategy)
    cost = costs(image, terms, np.array([0, len(terms.ids)], np.int64), k)
    taken = strategy if strategy != "auto" else ("scan" if bool(cost.scanned[0]) else "exhaustive")
    times = (float(cost.exhaustive[0]) / 1000, float(cost.scan[0]) / 1000)
    why = "as asked" if strategy != "auto" else _reason(taken, *times)
    return Choice(taken, why, int(cost.postings[0]), int(cost.rows[0]), *times)


def numpy_choice(postings: int) -> Choice:
    """The choice of the numpy engine, which has one strategy.

    Args:
        postings: Of the query's terms.
    """
    why = "few queries so far: nothing is laid out in memory for one query"
    return Choice("numpy", why, postings, 0, 0.0, 0.0)


def _reason(taken: str, exhaustive: float, scan: float) -> str:
    if taken == "scan":
        return f"bounds leave so little to score that {scan:.0f} us are expected instead of {exhaustive:.0f}"
    return f"adding every posting takes {exhaustive:.0f} us, finding out which to skip would take {scan:.0f}"


def _sums(values: Int64Array, ends: Int64Array) -> Int64Array:
    """Sums of the values of each query."""
    total = np.concatenate([[0], np.cumsum(values)])
    out: Int64Array = (total[ends[1:]] - total[ends[:-1]]).astype(np.int64)
    return out
