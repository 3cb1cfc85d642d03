"""When a leg answers with the compiled engine, and how a batch with filters is put to it.

The rule of "auto": queries are answered by numpy until WARM of them were asked, all calls together; from the call
on that reaches it they are answered by compiled kernels, if numba is installed. So one query on the command line never
waits for a compiler, and a server or a batch gets the fast engine. Both give the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence, Sized
from itertools import accumulate
from typing import Final, Literal, get_args

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.filters import Filter
from twindex.indexing.optional import available
from twindex.indexing.types import BoolArray, Int64Array
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.fast_arrays import Hits, Masks
from twindex.retrieval.types import Query, Ranking

Engine = Literal["auto", "numpy", "compiled"]
#: Queries after which "auto" lays the lists out in memory: about when that has paid for itself on small indexes.
WARM: Final = 64
#: Filters whose bitmaps are in memory at a time.
FILTERS: Final = 32


class Accelerator:
    """The compiled engine of one leg of one snapshot: made once, when the rule says so, by one thread.

    Args:
        engine: "auto", or one engine for all queries.

    Raises:
        ConfigError: If there is no such engine.
    """

    def __init__(self, engine: Engine) -> None:
        if engine not in get_args(Engine):
            raise ConfigError(f"engine = {engine!r}", expected=f"one of {', '.join(get_args(Engine))}")
        self.engine = engine
        self._index: FastIndex | None = None
        self._asked = 0
        self._lock = threading.Lock()

    @property
    def ready(self) -> FastIndex | None:
        """The engine, if it was made already."""
        return self._index

    def index(self, queries: int, build: Callable[[], FastIndex]) -> FastIndex | None:
        """The engine for a call with so many queries; None = numpy.

        ``build`` lays the lists out in memory. It is not kept: a leg that owns this object and is held by it would be
        freed late, with the lists of its snapshot.

        While another thread makes it, "auto" goes on with numpy; "compiled" waits.

        Raises:
            MissingExtraError: If the engine is "compiled" and numba is not installed.
        """
        if self.engine == "numpy" or self._index is not None:
            return self._index
        self._asked += queries
        if self.engine == "auto" and (self._asked < WARM or not available("numba")):
            return None
        if not self._lock.acquire(blocking=self.engine == "compiled"):
            return None
        self._lock.release()
        return self.force(build)

    def force(self, build: Callable[[], FastIndex]) -> FastIndex:
        """The engine, made now if it was not yet; one thread makes it, others wait.

        Raises:
            MissingExtraError: If numba is not installed.
        """
        with self._lock:
            if self._index is None:
                index = build()
                index.warm()  # before others see it: a call must not wait for a compiler
                self._index = index
            return self._index


def answers(
    queries: Sequence[Query],
    allowed: Callable[[Filter], BoolArray | None],
    search: Callable[[Sequence[str], Masks | None], Hits],
) -> tuple[Ranking, ...]:
    """One ranking a query, each group of filters put to the compiled engine in one call.

    Args:
        queries: With or without filters.
        allowed: Which documents may be returned under a filter; None = all.
        search: The engine, from texts and their filters.
    """
    rankings = [Ranking.empty()] * len(queries)
    for which, masks in by_filters(queries, allowed):
        hits = search([queries[i].text for i in which], masks)
        for row, i in enumerate(which):
            rankings[i] = hits.ranking(row)
    return tuple(rankings)


def edges(parts: Sequence[Sized]) -> Int64Array:
    """Where each part begins in all of them together, and the end: int64[len(parts) + 1]."""
    return np.fromiter(accumulate(map(len, parts), initial=0), np.int64, len(parts) + 1)


def by_filters(
    queries: Sequence[Query], allowed: Callable[[Filter], BoolArray | None]
) -> Iterator[tuple[list[int], Masks | None]]:
    """Positions of the queries in groups of at most FILTERS distinct filters, with each group's bitmaps.

    Args:
        queries: With or without filters.
        allowed: Which documents may be returned under a filter; None = all.
    """
    groups: dict[Filter, list[int]] = {}
    for i, query in enumerate(queries):
        if query.filter is not None:
            groups.setdefault(query.filter, []).append(i)
    plain = [i for i, query in enumerate(queries) if query.filter is None]
    if plain:
        yield plain, None
    filters = list(groups)
    for at in range(0, len(filters), FILTERS):
        some = filters[at : at + FILTERS]
        masks = [allowed(one) for one in some]
        real = [mask for mask in masks if mask is not None]
        rows = np.cumsum([mask is not None for mask in masks]) - 1
        which = [i for one in some for i in groups[one]]
        of: Int64Array = np.concatenate(
            [
                np.full(len(groups[one]), -1 if mask is None else row, np.int64)
                for one, mask, row in zip(some, masks, rows, strict=True)
            ]
        )
        yield which, Masks(np.stack(real), of) if real else None
