"""Searches within a budget: how much of a query's work may be done, and the memory that it is done in."""

from __future__ import annotations

import importlib
import math
import threading
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from twindex.indexing.errors import QueryError
from twindex.indexing.types import Int64Array
from twindex.retrieval.fast_plan import Float64Array
from twindex.retrieval.fast_room import ROOMS, kernels
from twindex.retrieval.heads import MOST_TERMS, Heads, lay_out
from twindex.retrieval.image import Lists

#: Documents that are scored at most, for up to a quarter as many hits; for more hits, four times as many.
CANDIDATES: Final = 4096


@dataclass(frozen=True, slots=True)
class Budget:
    """How many postings a query may touch: in lists, and as terms of the documents that are scored.

    ``share``: of the postings of the query's terms; 1 = all, so that the answer is exact. ``postings``: so many; None
    = as many as there are. Both hold. Under a filter more of the lists are read, as many as let the same number pass.

    Raises:
        QueryError: If a value is out of range.
    """

    share: float = 1.0
    postings: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.share) and 0 < self.share <= 1):
            raise QueryError(f"a budget of {self.share!r}", expected="a share above 0, up to 1 (exact)")
        if self.postings is not None and self.postings < 1:
            raise QueryError(f"a budget of {self.postings} postings", expected="1 or more")

    @property
    def whole(self) -> bool:
        """Whether it allows everything."""
        return self.share == 1 and self.postings is None


WHOLE: Final = Budget()
#: What the compiled code is told of a budget, and the table of the heads.
Facts: TypeAlias = tuple[Float64Array, Int64Array]


class Space(NamedTuple):
    """Memory for one thread, enough for so many candidates; ``table`` has the addresses of ``arrays``."""

    candidates: int
    arrays: Any
    table: Int64Array


class WithinBudget:
    """What an index needs besides its lists to be searched within a budget; laid out at the first use.

    Args:
        lists: The lists.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._heads: tuple[Heads, Int64Array] | None = None
        self._free: list[Space] = []
        self._lock = threading.Lock()
        self.able = len(lists.ptr) <= MOST_TERMS

    def facts(self, budget: Budget) -> Facts:
        """What the compiled code is told of a budget, and the table of the heads."""
        heads, table = self._laid_out()
        postings = math.inf if budget.postings is None else float(budget.postings)
        return np.array([budget.share, postings, heads.mean]), table

    def take(self, k: int) -> Space:
        """Memory for queries with k hits: free, or new."""
        candidates = max(CANDIDATES, 4 * k)
        try:
            free = self._free.pop()
        except IndexError:
            return self._make(candidates)
        return free if free.candidates >= candidates else self._make(candidates)

    def leave(self, used: Space) -> None:
        """Keeps it for the next query. Not after an error: sums must be zeros again."""
        if len(self._free) < ROOMS:
            self._free.append(used)

    def _laid_out(self) -> tuple[Heads, Int64Array]:
        with self._lock:
            if self._heads is None:
                heads = lay_out(self._lists, importlib.import_module("twindex.retrieval.kernels_heads"))
                kinds = (np.int64, np.uint32, np.uint8, np.uint32, np.int64, np.uint32)
                self._heads = heads, kernels().table.table_of(heads, kinds)
            return self._heads

    def _make(self, candidates: int) -> Space:
        heads, _ = self._laid_out()
        arrays = kernels().table.make_space(self._lists.size, len(heads.begins) - 1, heads.longest, candidates)
        return Space(candidates, arrays, kernels().table.table_of(arrays, [one.dtype.type for one in arrays]))
