"""The compiled sparse engine: lists in memory, queries as numbers, many at a time. Needs the extra ``fast``.

There is no text here and no Python per query: a batch is a few arrays. :class:`FastIndex` serves BM25 and
learned-sparse impacts; ``lexical.py`` and ``impact.py`` bring snapshots, analyzers and encoders to it.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError, QueryError
from twindex.indexing.types import BoolArray, Float32Array, Int64Array, UInt8Array, UInt32Array
from twindex.retrieval.bm25 import BM25, factors_of
from twindex.retrieval.fast_arrays import Hits, Job, Masks, check_sizes, unsigned
from twindex.retrieval.fast_order import arranged, frequencies_of
from twindex.retrieval.fast_plan import COSTS, GIVEN, Choice, Float64Array, Strategy, check_strategy
from twindex.retrieval.fast_room import Workplace, Workplaces, kernels
from twindex.retrieval.fast_share import GRAIN, share_out, shares_of
from twindex.retrieval.image import AS_THEY_ARE, Frequencies, Image, Plan, bm25_image, impact_image, rank_of
from twindex.retrieval.types import check_k
from twindex.retrieval.within import WHOLE, Budget, Facts, WithinBudget

NO_WEIGHTS: Final = np.empty(0, np.float32)
NO_MASKS: Final = np.zeros((1, 0), np.bool_)
NO_SHARES: Final = np.ones(1)


class FastIndex:
    """Lists in memory, ready to search from any number of threads at once.

    Made by :meth:`bm25` or :meth:`impacts`. Answers are exact, in the house order, and do not depend on the
    strategy, the number of threads or the company of other queries.
    """

    def __init__(self, image: Image, config: BM25 | None) -> None:
        self.image = image
        self.config = config
        self._lists = kernels().table.lists_table(image.lists)
        factor, bonus = factors_of(config or BM25())
        sizes = np.array([image.size, int(image.lists.impact)])
        self._facts = (sizes, np.array([image.lists.first, image.norm, factor, bonus]), COSTS)
        self._plans: dict[int, tuple[Plan, Int64Array]] = {}
        self._places = Workplaces(image.size)
        self._within = WithinBudget(image.lists)
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    @classmethod
    def bm25(
        cls,
        ptr: NDArray[Any],
        docs: NDArray[Any],
        tfs: NDArray[Any],
        *,
        lengths: NDArray[Any],
        config: BM25 = BM25(),  # noqa: B008 - frozen
        original: UInt32Array = AS_THEY_ARE,
    ) -> FastIndex:
        """BM25 over plain arrays, all documents live.

        Args:
            ptr: First posting of each term, and the end.
            docs: Documents, ascending within a term.
            tfs: Frequencies, 1 or more.
            lengths: Tokens of each document.
            config: Formula.
            original: Ordinals in the order in which documents stand in memory, all of them; nothing: as they are.

        Shapes: ``ptr`` integer[T + 1]; ``docs`` and ``tfs`` integer[P]; ``lengths`` integer[documents]; ``original``
        uint32[documents] or uint32[0].

        Raises:
            ConfigError: If the arrays do not fit each other.
            MissingExtraError: If numba is not installed.
        """
        check_sizes(ptr, docs, tfs)
        large = np.flatnonzero(np.asarray(tfs) >= 255)
        frequencies = Frequencies(
            np.minimum(tfs, 255).astype(np.uint8), large.astype(np.uint64), np.asarray(tfs)[large].astype(np.uint64)
        )
        count = len(lengths)
        average = float(np.sum(lengths, dtype=np.int64)) / count if count else 0.0
        return cls.from_frequencies(
            np.asarray(ptr, np.int64),
            unsigned(docs),
            frequencies,
            lengths=np.asarray(lengths).astype(np.uint32),
            config=config,
            average=average,
            count=count,
            original=original,
        )

    @classmethod
    def from_frequencies(
        cls,
        ptr: Int64Array,
        docs: UInt32Array,
        frequencies: Frequencies,
        *,
        lengths: UInt32Array,
        config: BM25,
        average: float,
        count: int,
        original: UInt32Array = AS_THEY_ARE,
    ) -> FastIndex:
        """BM25 over lists of live documents whose statistics are known; arguments as in ``image.bm25_image``.

        Args:
            ptr: First posting of each term.
            docs: Ordinals, ascending within a term.
            frequencies: Of each posting.
            lengths: Tokens of every document, deleted ones included.
            config: Formula.
            average: Mean length of the live documents.
            count: Live documents.
            original: Ordinals in the order in which documents stand in memory, all of them; nothing: as they are.

        Raises:
            MissingExtraError: If numba is not installed.
        """
        if len(original):
            docs, sources = arranged(ptr, docs, original)
            frequencies, lengths = frequencies_of(frequencies, sources), lengths[original]
        image = bm25_image(
            ptr,
            docs,
            frequencies,
            lengths=lengths,
            config=config,
            average=average,
            count=count,
            kernels=kernels().image,
            original=original,
        )
        return cls(image, config)

    @classmethod
    def impacts(
        cls,
        ptr: NDArray[Any],
        docs: NDArray[Any],
        values: NDArray[Any],
        *,
        size: int,
        original: UInt32Array = AS_THEY_ARE,
    ) -> FastIndex:
        """Learned-sparse impacts over plain arrays.

        Args:
            ptr: First posting of each term, and the end.
            docs: Documents, ascending within a term.
            values: Impacts, 1 to 255.
            size: Number of documents.
            original: Ordinals in the order in which documents stand in memory, all of them; nothing: as they are.

        Shapes: ``ptr`` integer[T + 1]; ``docs`` and ``values`` integer[P]; ``original`` uint32[size] or uint32[0].

        Raises:
            ConfigError: If the arrays do not fit each other, or an impact is outside its range.
            MissingExtraError: If numba is not installed.
        """
        check_sizes(ptr, docs, values)
        if len(values) and not (int(np.min(values)) >= 1 and int(np.max(values)) <= 255):
            raise ConfigError(f"impacts of {int(np.min(values))} to {int(np.max(values))}", expected="1 to 255")
        bytes_: UInt8Array = np.ascontiguousarray(values, np.uint8)
        pointers, places = np.asarray(ptr, np.int64), unsigned(docs)
        if len(original):
            places, sources = arranged(pointers, places, original)
            bytes_ = bytes_[sources]
        image = impact_image(pointers, places, bytes_, size=size, kernels=kernels().image, original=original)
        return cls(image, None)

    @property
    def size(self) -> int:
        """Documents, deleted ones included."""
        return self.image.size

    def search(
        self,
        ids: NDArray[Any],
        ends: NDArray[Any],
        k: int,
        *,
        weights: NDArray[Any] | None = None,
        threads: int = 1,
        strategy: Strategy = "auto",
        budget: Budget = WHOLE,
        masks: Masks | None = None,
    ) -> Hits:
        """The k best documents of each query; within a budget, most of them, with their exact scores.

        Args:
            ids: Term numbers of all queries, one query after the other, in any order; negative ones are ignored.
                BM25: repeated as often as the query repeats them. Impacts: distinct within a query.
            ends: First term of each query, and the end.
            k: Hits a query.
            weights: Impacts only: weight of each term times the scale of the impacts, 0 or more.
            threads: Threads to use; 0 = one a core.
            strategy: "auto", or one strategy for all.
            budget: How much of the work may be done. Queries that are answered exactly as quickly are; ``Hits.proven``
                says which answers are exact for sure. With "auto" only.
            masks: Filters.

        Shapes: ``ids`` integer[n]; ``ends`` integer[queries + 1]; ``weights`` float32[n].

        Raises:
            QueryError: If k is negative, a term number, weight or the strategy is outside its range.
        """
        check_k(k)
        check_strategy(strategy)
        if not budget.whole and strategy != "auto":
            raise QueryError(f"a budget for the strategy {strategy}, which is exact", expected="the strategy auto")
        terms: Int64Array = np.ascontiguousarray(ids, np.int64)
        edges: Int64Array = np.ascontiguousarray(ends, np.int64)
        hits = Hits.empty(len(edges) - 1, k)
        if k and len(edges) > 1 and self.size:
            job = Job(
                terms,
                edges,
                self._weights(terms, weights),
                GIVEN[strategy],
                *self._masks(masks, len(edges) - 1),
                hits,
            )
            within = None if budget.whole or not self._within.able else self._within.facts(budget)
            self._run(job, within, threads or os.cpu_count() or 1)
        return hits

    def plan(self, ids: NDArray[Any], k: int, *, weights: NDArray[Any] | None = None) -> Choice:
        """The strategy that :meth:`search` takes for one query, and why.

        Args:
            ids: Term numbers of the query.
            k: Hits.
            weights: As in :meth:`search`.

        Raises:
            QueryError: As :meth:`search`.
        """
        terms: Int64Array = np.ascontiguousarray(ids, np.int64)
        place = self._places.take(check_k(k), len(terms))
        tables = (self._lists, self._plan(k), place.table)
        numbers, refused = kernels().batch.estimate(terms, self._weights(terms, weights), k, *tables, *self._facts)
        self._places.leave(place)
        self._check(refused, terms)
        return Choice.between(*numbers)

    def warm(self, budget: Budget = WHOLE) -> None:
        """One search, so that no other waits for what is compiled or loaded at the first call."""
        if self.size and len(self.image.greatest):
            weights = None if self.config is not None else np.ones(1, np.float32)
            self.search(np.zeros(1, np.int64), np.array([0, 1], np.int64), 1, weights=weights, budget=budget)

    def close(self) -> None:
        """Ends the threads; the next search with several starts new ones."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown()

    def _weights(self, ids: Int64Array, weights: NDArray[Any] | None) -> Float32Array:
        if self.config is not None:
            if weights is not None:
                raise QueryError("weights for BM25", expected="terms repeated as often as they count")
            return NO_WEIGHTS
        if weights is None or len(weights) != len(ids):
            raise QueryError("no weight for each term", expected="as many weights as term numbers")
        return np.ascontiguousarray(weights, np.float32)

    def _masks(self, masks: Masks | None, queries: int) -> tuple[BoolArray, Int64Array, Float64Array]:
        """Filters, the filter of each query, and the share of the documents that each lets through."""
        if masks is None or not masks.masks.size:
            return NO_MASKS, np.full(queries, -1, np.int64), NO_SHARES
        given, of = np.ascontiguousarray(masks.masks, np.bool_), np.ascontiguousarray(masks.of, np.int64)
        if given.shape[1] != self.size or int(of.max(initial=-1)) >= len(given):
            raise QueryError(
                f"filters of {given.shape[1]} documents, numbered up to {int(of.max(initial=-1))}",
                expected=f"{self.size} documents, numbers below {len(given)}",
            )
        original = self.image.lists.original
        return given[:, original] if len(original) else given, of, given.mean(axis=1)

    def _run(self, job: Job, within: Facts | None, threads: int) -> None:
        queries = len(job.ends) - 1
        part = partial(self._part, job) if within is None else partial(self._part_within, job, within)
        if threads == 1 or queries == 1:
            part(0, queries)
        else:
            shares = shares_of(queries, threads, int(GRAIN / self._mean_cost(job)))
            share_out(part, shares, self._pool(threads), threads)

    def _mean_cost(self, job: Job) -> float:
        """Nanoseconds that a query of the batch takes at most, more or less."""
        ptr = self.image.lists.ptr
        df = ptr.take(job.ids + 1, mode="clip") - ptr.take(job.ids, mode="clip")
        return float(COSTS[0]) * int(df.sum()) / (len(job.ends) - 1) + float(COSTS[1]) * self.size + 1

    def _part(self, job: Job, first: int, last: int) -> None:
        """Answers some consecutive queries on this thread."""
        place = self._place(job, first, last)
        tables = (self._lists, self._plan(job.k), place.table)
        refused = kernels().batch.answer(*job[:3], first, last, *job[3:7], *tables, *self._facts, *job.hits.arrays)
        self._places.leave(place)
        self._check(refused, job.ids)

    def _part_within(self, job: Job, within: Facts, first: int, last: int) -> None:
        """The same within a budget; queries that are answered exactly as quickly are, in runs."""
        place, space = self._place(job, first, last), self._within.take(job.k)
        budget, heads = within
        tables = (heads, space.table, self._lists, self._plan(job.k), place.table)
        asked = (*job[:3], first, last, budget, *job[4:7])
        refused = kernels().within.answer_within(*asked, *tables, *self._facts, *job.hits.arrays)
        self._places.leave(place)
        self._within.leave(space)
        self._check(refused, job.ids)
        left = first + np.flatnonzero(job.hits.counts[first:last] == kernels().within.LEFT)
        for run in np.split(left, np.flatnonzero(np.diff(left) > 1) + 1) if len(left) else ():
            self._part(job, int(run[0]), int(run[-1]) + 1)

    def _place(self, job: Job, first: int, last: int) -> Workplace:
        """Memory for some consecutive queries."""
        longest = len(job.ids) if last - first == 1 else int(np.diff(job.ends[first : last + 1]).max())
        return self._places.take(job.k, longest)

    def _check(self, refused: int, ids: Int64Array) -> None:
        """Nothing, if the compiled code did not refuse a query."""
        if not refused:
            return
        batch = kernels().batch
        if refused == batch.UNKNOWN_TERM:
            raise QueryError(f"term number {int(ids.max())}", expected=f"below {len(self.image.greatest)}")
        if refused == batch.BAD_WEIGHT:
            raise QueryError("a weight that is negative or not finite", expected="finite numbers of 0 or more")
        if refused == batch.TERM_TWICE:
            raise QueryError("a term twice in a query", expected="distinct terms")
        raise QueryError("ends that do not ascend within the terms", expected=f"0 to {len(ids)}, ascending")

    def _plan(self, k: int) -> Int64Array:
        """The table of the plan for k hits; it and its arrays are kept."""
        rank = rank_of(k)
        if rank not in self._plans:
            plan = self.image.plan(k)
            self._plans[rank] = plan, kernels().table.plan_table(plan, self.image.idf)
        return self._plans[rank][1]

    def _pool(self, threads: int) -> ThreadPoolExecutor:
        with self._lock:
            if threads not in self._pools:
                self._pools[threads] = ThreadPoolExecutor(threads - 1, "twindex-sparse")
            return self._pools[threads]
