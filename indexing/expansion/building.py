"""Writes what a segment holds of the queries that were generated for its passages.

The folder ``x`` of a segment has the same files as the segment itself, over the queries: an inverted file in which
each passage's queries are one document, impacts of them, and one vector a query; and the queries themselves.
``FORMAT.md`` describes them byte by byte.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.encoding import SparseRows
from twindex.indexing.expansion.codes import build_codes
from twindex.indexing.expansion.layout import FOLDER, QUERY_FILE, QUERY_OFFSET_FILE, QUERY_PTR_FILE, SEPARATOR
from twindex.indexing.postings import ImpactsBuilder, PostingsBuilder
from twindex.indexing.tools import BuildTools
from twindex.indexing.types import Int64Array
from twindex.indexing.vectors import VectorWriter

#: Queries that are encoded at once: what a crash can cost, and what is held in memory.
ENCODED: Final = 4096


class QueryWriter:
    """Appends the queries of passages to the files that explanations read.

    Args:
        folder: The segment's folder of expansions, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / QUERY_FILE).open("wb")
        self._sizes: list[int] = []
        self._counts: list[int] = []

    @property
    def count(self) -> int:
        """Queries added so far."""
        return len(self._sizes)

    def add(self, queries: tuple[str, ...]) -> None:
        """The queries of the next passage."""
        encoded = [query.encode("utf-8", "surrogatepass") for query in queries]
        self._file.write(b"".join(encoded))
        self._sizes += map(len, encoded)
        self._counts.append(len(queries))

    def finish(self) -> None:
        """Completes the files."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        for name, steps in ((QUERY_OFFSET_FILE, self._sizes), (QUERY_PTR_FILE, self._counts)):
            pointers = np.zeros(len(steps) + 1, "<u8")
            np.cumsum(steps, out=pointers[1:])
            pointers.tofile(self._folder / name)

    def close(self) -> None:
        """Closes the file without completing it."""
        self._file.close()


class ExpansionBuilder:
    """Passages in, shard by shard in order; the folder of expansions of one segment out.

    Args:
        segment: The segment's folder, which exists.
        tools: Analyzer, encoders, and the queries.
        pool: The thread that encodes; None in an index without encoders.
    """

    def __init__(self, segment: Path, *, tools: BuildTools, pool: ThreadPoolExecutor | None) -> None:
        self._tools = tools
        self._pool = pool
        self._folder = segment / FOLDER
        self._folder.mkdir()
        self._postings = PostingsBuilder(self._folder)
        self._queries = QueryWriter(self._folder)
        config = tools.config
        dense, sparse = config.encoder, config.sparse_encoder
        self._vectors = VectorWriter(self._folder, dense.dim) if dense is not None else None
        self._impacts = None
        if sparse is not None:
            self._impacts = ImpactsBuilder(self._folder, vocabulary=sparse.vocabulary, scale=sparse.scale)
        self._shard: list[tuple[str, ...]] = []
        #: Passages that have at least one query.
        self.expanded = 0

    @property
    def count(self) -> int:
        """Queries of the segment so far."""
        return self._queries.count

    def look_up(self, texts: list[str]) -> list[str]:
        """The queries of a shard, those of a passage as one text to be analysed; :meth:`take` must follow.

        They go through one stream of analysis with the passages' own texts: a process knows one vocabulary at a time.
        """
        source = self._tools.expansions
        self._shard = [() if source is None else tuple(source.queries(text)) for text in texts]
        return [SEPARATOR.join(some) for some in self._shard]

    def invert(self, batch: TermBatch) -> None:
        """Takes the terms of passages' queries, in the order of passages."""
        self._postings.add(batch)

    def take(self) -> None:
        """Writes the queries that were looked up, and encodes them."""
        queries, self._shard = self._shard, []
        with self._tools.phases.timed("storing"):
            for some in queries:
                self._queries.add(some)
                self.expanded += bool(some)
        flat = list(chain.from_iterable(queries))
        if self._vectors is not None and self._pool is not None:
            for start in range(0, len(flat), ENCODED):
                self._vectors.add(self._pool.submit(self._tools.encode, flat[start : start + ENCODED]).result())
        if self._impacts is not None and self._pool is not None:
            there = np.array([bool(some) for some in queries], np.bool_)
            texts = [SEPARATOR.join(some) for some in queries if some]
            rows = self._pool.submit(self._tools.encode_sparse, texts).result() if texts else None
            with self._tools.phases.timed("inversion"):
                self._impacts.add(_spread(rows, np.flatnonzero(there), len(queries)))

    def finish(self, vocabulary: Vocabulary) -> None:
        """Completes the files; ``vocabulary`` is the one whose numbers the terms had."""
        config = self._tools.config
        with self._tools.phases.timed("writing"):
            self._postings.finish(vocabulary)
            self._queries.finish()
            if self._impacts is not None:
                self._impacts.finish()
            if self._vectors is not None:
                self._vectors.finish()
                if config.encoder is not None:
                    build_codes(self._folder.parent, config.encoder.dim)

    def abandon(self) -> None:
        """Stops without completing the files."""
        self._queries.close()
        if self._vectors is not None:
            self._vectors.close()


def _spread(rows: SparseRows | None, places: Int64Array, count: int) -> SparseRows:
    """The rows at their places among ``count``; those between are empty."""
    sizes = np.zeros(count, np.int64)
    if rows is None:
        empty = np.empty(0, np.int32), np.empty(0, np.float32)
        return SparseRows(np.zeros(count + 1, np.int64), *empty)
    sizes[places] = np.diff(rows.ptr)
    return SparseRows(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), rows.ids, rows.weights)
