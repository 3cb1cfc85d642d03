"""Which strategy answers a query fastest. Every strategy gives the same answer, so only time is at stake."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import QueryError

Float64Array: TypeAlias = NDArray[np.float64]
Strategy = Literal["auto", "exhaustive", "scan"]

#: What each strategy costs in nanoseconds, fitted on one core of a server processor (AVX2, 512 KiB second-level
#: cache); only the ratios matter. ``kernels_batch`` and ``kernels_within`` take it in this order.
COSTS: Final = np.array(
    [
        1.0,  # adding one posting of a list
        0.20,  # exhaustive: clearing, folding and comparing one float32 sum
        0.07,  # scan: the same of a 16-bit sum
        0.025,  # adding one document's level of a row
        45.0,  # one term of one document that is scored exactly
        25.0,  # completing one document's bound
        5.0,  # candidates of the scan over those that a perfect threshold would let through; measured, 2 to 6
        1000.0,  # terms of the longest query that is scanned
        8.0,  # within a budget: adding one posting of a head, and clearing its sum
        5.0,  # within a budget: one term of one document that is scored exactly
    ]
)
#: What compiled code calls the strategies.
GIVEN: Final[dict[str, int]] = {"auto": -1, "exhaustive": 0, "scan": 1}


@dataclass(frozen=True, slots=True)
class Choice:
    """How a query is answered, and why; times are estimates in microseconds, None = out of the question."""

    strategy: str
    reason: str
    postings: int
    rows: int
    exhaustive_us: float
    scan_us: float | None

    @classmethod
    def between(cls, postings: int, rows: int, exhaustive_ns: float, scan_ns: float) -> Choice:
        """The cheaper one, in words."""
        exhaustive, scan = exhaustive_ns / 1000, scan_ns / 1000 if math.isfinite(scan_ns) else None
        taken = "scan" if scan_ns < exhaustive_ns else "exhaustive"
        return cls(taken, _reason(taken, exhaustive, scan), postings, rows, exhaustive, scan)


def check_strategy(strategy: str) -> None:
    """Nothing, if there is a strategy of that name.

    Raises:
        QueryError: If there is none.
    """
    if strategy not in get_args(Strategy):
        raise QueryError(f"strategy = {strategy!r}", expected=f"one of {', '.join(get_args(Strategy))}")


def numpy_choice(postings: int) -> Choice:
    """The choice of the numpy engine, which has one strategy.

    Args:
        postings: Of the query's terms.
    """
    why = "few queries so far: nothing is laid out in memory for one query"
    return Choice("numpy", why, postings, 0, 0.0, 0.0)


def _reason(taken: str, exhaustive: float, scan: float | None) -> str:
    if scan is None:
        return f"adding every posting takes {exhaustive:.0f} us; a scan is for larger sets and for shorter queries"
    if taken == "scan":
        return f"bounds leave so little to score that {scan:.0f} us are expected instead of {exhaustive:.0f}"
    return f"adding every posting takes {exhaustive:.0f} us, finding out which to skip would take {scan:.0f}"
