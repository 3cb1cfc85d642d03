"""The compiled sparse engine: lists in memory, queries as numbers, many at a time. Needs the extra ``fast``.

There is no text here and no Python per query: a batch is a few arrays. :class:`FastIndex` serves BM25 and
learned-sparse impacts; ``lexical.py`` and ``impact.py`` bring snapshots, analyzers and encoders to it.
"""

from __future__ import annotations

import importlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError, QueryError
from twindex.indexing.types import BoolArray, Float32Array, Int32Array, Int64Array, UInt8Array, UInt32Array
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.fast_arrays import check_sizes, unsigned, weighted_terms
from twindex.retrieval.fast_plan import Choice, Strategy, check_strategy, choose, costs
from twindex.retrieval.image import Frequencies, Image, Terms, bind, bm25_image, impact_image
from twindex.retrieval.types import Ranking, check_k

#: Documents of a window: their sums fill a quarter (16 bits, scan) or half (float32, exhaustive) of a usual
#: second-level cache. The scan takes up to twice as many at once if that is all there are.
WINDOW: Final = 66_048
#: Documents that are folded into one; see ``kernels.py``.
LANES: Final = 16
#: Keys hold this number less the ordinal in their lower half; see ``kernels.py``.
LAST: Final = (1 << 31) - 1
#: Parts of a batch per thread, so that a slow part does not keep the others waiting.
PARTS: Final = 4


class Kernels(NamedTuple):
    """The compiled modules."""

    shared: ModuleType
    scan: ModuleType
    image: ModuleType


@cache
def kernels() -> Kernels:
    """The compiled modules, loaded at the first call.

    Raises:
        MissingExtraError: If numba is not installed.
    """
    names = ("kernels", "kernels_scan", "kernels_image")
    return Kernels(*(importlib.import_module(f"twindex.retrieval.{name}") for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Answers to a batch. Beyond ``counts[i]`` a row has no meaning (ordinal 0, score 0).

    ``proven``: the answer is the exact one. ``scanned``: which strategy a query took.
    Shapes: ``ords`` int32[queries, k], ``scores`` float32[queries, k], ``counts`` int64[queries], ``proven``
    bool[queries], ``scanned`` bool[queries].
    """

    ords: Int32Array
    scores: Float32Array
    counts: Int64Array
    proven: BoolArray
    scanned: BoolArray

    def ranking(self, i: int) -> Ranking:
        """The hits of query i."""
        n = int(self.counts[i])
        return Ranking(self.ords[i, :n].copy(), self.scores[i, :n].copy())


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Filters of a batch: ``masks``, True = may be returned; ``of``: the row of each query, -1 = no filter.

    Shapes: ``masks`` bool[filters, documents]; ``of`` int64[queries].
    """

    masks: BoolArray
    of: Int64Array


class FastIndex:
    """Lists in memory, ready to search from any number of threads at once.

    Made by :meth:`bm25` or :meth:`impacts`. Answers are exact, in the house order, and do not depend on the
    strategy, the number of threads or the company of other queries.
    """

    def __init__(self, image: Image, config: BM25 | None) -> None:
        self.image = image
        self.config = config
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
    ) -> FastIndex:
        """BM25 over plain arrays, all documents live.

        Args:
            ptr: First posting of each term, and the end.
            docs: Documents, ascending within a term.
            tfs: Frequencies, 1 or more.
            lengths: Tokens of each document.
            config: Formula.

        Shapes: ``ptr`` integer[T + 1]; ``docs`` and ``tfs`` integer[P]; ``lengths`` integer[documents].

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

        Raises:
            MissingExtraError: If numba is not installed.
        """
        image = bm25_image(
            ptr,
            docs,
            frequencies,
            lengths=lengths,
            config=config,
            average=average,
            count=count,
            kernels=kernels().image,
        )
        return cls(image, config)

    @classmethod
    def impacts(cls, ptr: NDArray[Any], docs: NDArray[Any], values: NDArray[Any], *, size: int) -> FastIndex:
        """Learned-sparse impacts over plain arrays.

        Args:
            ptr: First posting of each term, and the end.
            docs: Documents, ascending within a term.
            values: Impacts, 1 to 255.
            size: Number of documents.

        Shapes: ``ptr`` integer[T + 1]; ``docs`` and ``values`` integer[P].

        Raises:
            ConfigError: If the arrays do not fit each other, or an impact is outside its range.
            MissingExtraError: If numba is not installed.
        """
        check_sizes(ptr, docs, values)
        if len(values) and not (int(np.min(values)) >= 1 and int(np.max(values)) <= 255):
            raise ConfigError(f"impacts of {int(np.min(values))} to {int(np.max(values))}", expected="1 to 255")
        bytes_: UInt8Array = np.ascontiguousarray(values, np.uint8)
        pointers = np.asarray(ptr, np.int64)
        return cls(impact_image(pointers, unsigned(docs), bytes_, size=size, kernels=kernels().image), None)

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
        relax: float = 1.0,
        masks: Masks | None = None,
    ) -> Hits:
        """The k best documents of each query.

        Args:
            ids: Term numbers of all queries, one query after the other, in any order; negative ones are ignored.
                BM25: repeated as often as the query repeats them. Impacts: distinct within a query.
            ends: First term of each query, and the end.
            k: Hits a query.
            weights: Impacts only: weight of each term times the scale of the impacts, 0 or more.
            threads: Threads to use; 0 = one a core.
            strategy: "auto", or one strategy for all.
            relax: 1 = exact. Above it the scan drops what cannot exceed the k-th score times ``relax``; no document
                that is missed scores more than that. Only "scan", so "auto" then scans too.
            masks: Filters.

        Shapes: ``ids`` integer[n]; ``ends`` integer[queries + 1]; ``weights`` float32[n].

        Raises:
            QueryError: If k is negative, a term number, weight, ``relax`` or the strategy is outside its range.
        """
        check_k(k)
        check_strategy(strategy)
        if not relax >= 1:
            raise QueryError(f"relax = {relax}", expected="1 (exact) or more")
        terms, edges = self._terms(np.asarray(ids), np.asarray(ends, np.int64), weights)
        hits = _empty(len(edges) - 1, k)
        if k and len(edges) > 1 and self.size:
            self._run(terms, edges, hits, threads or os.cpu_count() or 1, strategy, relax, masks)
        return hits

    def plan(self, ids: NDArray[Any], k: int, *, weights: NDArray[Any] | None = None) -> Choice:
        """The strategy that :meth:`search` takes for one query, and why.

        Args:
            ids: Term numbers of the query.
            k: Hits.
            weights: As in :meth:`search`.
        """
        return choose(self.image, self._terms(np.asarray(ids), np.array([0, len(ids)]), weights)[0], check_k(k))

    def close(self) -> None:
        """Ends the threads; the next search with several starts new ones."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown()

    def _terms(self, ids: NDArray[Any], ends: Int64Array, weights: NDArray[Any] | None) -> tuple[Terms, Int64Array]:
        if len(ids) and int(ids.max()) >= len(self.image.greatest):
            raise QueryError(f"term number {int(ids.max())}", expected=f"below {len(self.image.greatest)}")
        if self.config is None:
            return weighted_terms(ids, ends, weights)
        if weights is not None:
            raise QueryError("weights for BM25", expected="terms repeated as often as they count")
        out_ids, boosts = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
        edges = kernels().shared.prepare(np.asarray(ids, np.int64), ends, out_ids, boosts)
        n = int(edges[-1])
        return bind(self.image, out_ids[:n], boosts[:n], self.config), edges

    def _run(
        self,
        terms: Terms,
        ends: Int64Array,
        hits: Hits,
        threads: int,
        strategy: Strategy,
        relax: float,
        masks: Masks | None,
    ) -> None:
        queries = len(ends) - 1
        given = Masks(np.zeros((1, 0), np.bool_), np.full(queries, -1, np.int64))
        if masks is not None and masks.masks.size:
            given = Masks(np.ascontiguousarray(masks.masks, np.bool_), np.ascontiguousarray(masks.of, np.int64))
        scanned = np.full(queries, strategy == "scan" or relax > 1)
        if strategy == "auto" and relax == 1:
            share = np.append(given.masks.mean(axis=1) if given.masks.size else np.ones(len(given.masks)), 1.0)
            scanned = costs(self.image, terms, ends, hits.ords.shape[1], share[given.of]).scanned
        hits.scanned[:] = scanned
        jobs = [
            (taken, which)
            for taken, name in ((True, "scan"), (False, "exhaustive"))
            for which in _parts(np.flatnonzero(scanned == taken), threads)
        ]

        def work(job: tuple[bool, Int64Array]) -> None:
            self._part(job[0], job[1], terms, ends, hits, relax, given)

        if threads == 1 or len(jobs) < 2:
            for job in jobs:
                work(job)
        else:
            list(self._pool(threads).map(work, jobs))

    def _part(
        self, scan: bool, which: Int64Array, terms: Terms, ends: Int64Array, hits: Hits, relax: float, masks: Masks
    ) -> None:
        """Answers some queries by one strategy."""
        part, edges = _select(terms, ends, which)
        k = hits.ords.shape[1]
        keys, proven = np.zeros((len(which), k), np.int64), np.ones(len(which), np.bool_)
        image, plan, of = self.image.lists, self.image.plan(k), masks.of[which]
        if scan:
            work = np.zeros(4, np.int64)
            window = _rounded(self.size if self.size <= 2 * WINDOW else WINDOW)
            kernels().scan.scan(part, edges, image, plan, window, masks.masks, of, relax, keys, proven, work)
        else:
            sums = np.zeros(_rounded(min(self.size, WINDOW)), np.float32)
            kernels().shared.exhaustive(part, edges, image, plan, masks.masks, of, sums, sums.view(np.int32), keys)
        keys.sort(axis=1)
        keys = keys[:, ::-1]
        found = keys > 0
        hits.ords[which] = np.where(found, LAST - (keys & 0xFFFFFFFF), 0)
        hits.scores[which] = (keys >> 32).astype(np.int32).view(np.float32)
        hits.counts[which], hits.proven[which] = found.sum(axis=1), proven

    def _pool(self, threads: int) -> ThreadPoolExecutor:
        with self._lock:
            if threads not in self._pools:
                self._pools[threads] = ThreadPoolExecutor(threads, "twindex-sparse")
            return self._pools[threads]


def _rounded(window: int) -> int:
    """At least so many documents: whole lanes, whose distance is no multiple of a page of memory.

    Otherwise the documents that are folded together would compete for the same lines of the cache.
    """
    lane = -(-window // LANES)
    return LANES * (lane + 24 if lane % 256 == 0 else lane)


def _empty(queries: int, k: int) -> Hits:
    return Hits(
        np.zeros((queries, k), np.int32),
        np.zeros((queries, k), np.float32),
        np.zeros(queries, np.int64),
        np.ones(queries, np.bool_),
        np.zeros(queries, np.bool_),
    )


def _parts(which: Int64Array, threads: int) -> list[Int64Array]:
    """Consecutive parts of about equal size; one for one thread."""
    if not len(which):
        return []
    return np.array_split(which, 1 if threads == 1 else min(len(which), threads * PARTS))


def _select(terms: Terms, ends: Int64Array, which: Int64Array) -> tuple[Terms, Int64Array]:
    """The terms of some of the queries."""
    if len(which) == len(ends) - 1:
        return terms, ends
    number = ends[which + 1] - ends[which]
    edges = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
    at = np.repeat(ends[which] - edges[:-1], number) + np.arange(edges[-1])
    return Terms(*(one[at] for one in terms)), edges
