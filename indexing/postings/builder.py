"""Builds the inverted file of one segment with bounded memory.

Term ids of the batches are kept until they fill the memory budget; then they are sorted into a *run* of
(term, document, frequency) triples on disk. At the end the runs are placed into the final arrays one after
the other: documents of a run follow those of the run before, so no comparison merge is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.errors import ConfigError
from twindex.indexing.postings.layout import (
    BIG_FILE,
    DOC_FILE,
    LENGTH_FILE,
    MAX_DOCS,
    PTR_FILE,
    TERM_FILE,
    TERM_OFFSET_FILE,
    TF_CLIP,
    TF_FILE,
    encode_term,
)
from twindex.indexing.types import BoolArray, Int64Array, UInt32Array, UInt64Array

#: Bytes that sorting needs for each buffered token: the id, a 64-bit key, its sorted copy, the results.
BYTES_PER_TOKEN: Final = 40
#: Postings moved at once while runs are placed.
CHUNK: Final = 1 << 20
DEFAULT_BUDGET: Final = 256 << 20

Run = tuple[UInt32Array, UInt32Array, UInt32Array]


class PostingsBuilder:
    """Documents in, in order; the files of one inverted file out.

    Args:
        directory: The segment's folder, which exists.
        memory_budget: Bytes for buffered tokens and their sorting; the vocabulary comes on top.

    Raises:
        ConfigError: If the budget is under one megabyte.
    """

    def __init__(self, directory: Path, *, memory_budget: int = DEFAULT_BUDGET) -> None:
        if memory_budget < 1 << 20:
            raise ConfigError(f"memory_budget={memory_budget}", expected="at least 1048576 bytes")
        self._directory = directory
        self._limit = memory_budget // BYTES_PER_TOKEN
        self._batches: list[TermBatch] = []
        self._lengths: list[UInt32Array] = []
        self._buffered = 0
        self._docs = 0
        self._run_start = 0
        self._runs: list[tuple[Path, int]] = []

    @property
    def num_docs(self) -> int:
        """Documents added so far."""
        return self._docs

    def add(self, batch: TermBatch) -> None:
        """Append the batch's documents.

        Raises:
            ConfigError: If the segment would pass 2**31 - 1 documents.
        """
        count = len(batch.offsets) - 1
        if self._docs + count > MAX_DOCS:
            raise ConfigError(f"{self._docs + count} passages in one segment", expected=f"at most {MAX_DOCS}")
        self._batches.append(batch)
        self._lengths.append(np.diff(batch.offsets).astype(np.uint32))
        self._docs += count
        self._buffered += len(batch.ids)
        if self._buffered >= self._limit:
            self._spill()

    def finish(self, vocabulary: Vocabulary) -> list[Path]:
        """Write the files; the temporary runs are removed.

        ``vocabulary`` is the one whose numbers the batches hold. Returns the files written.
        """
        last = self._sorted_run()
        order, terms = _sorted_terms(vocabulary)
        used = self._document_frequencies(last, len(vocabulary))
        kept = order[used[order] > 0]
        rank = np.full(len(vocabulary), -1, np.int64)
        rank[kept] = np.arange(len(kept))
        pointers = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(used[kept], out=pointers[1:])
        self._write_terms(terms, used[order] > 0)
        self._file(PTR_FILE, pointers.astype("<u8"))
        self._place(last, rank, pointers)
        lengths = np.concatenate(self._lengths) if self._lengths else np.empty(0, np.uint32)
        self._file(LENGTH_FILE, lengths.astype("<u4"))
        for path, _ in self._runs:
            path.unlink()
        names = (TERM_FILE, TERM_OFFSET_FILE, PTR_FILE, DOC_FILE, TF_FILE, BIG_FILE, LENGTH_FILE)
        return [self._directory / name for name in names]

    def _spill(self) -> None:
        terms, docs, tfs = self._sorted_run()
        if len(terms):
            path = self._directory / f"run-{len(self._runs):06d}.tmp"
            np.concatenate([terms, docs, tfs]).astype("<u4").tofile(path)
            self._runs.append((path, len(terms)))

    def _sorted_run(self) -> Run:
        """The buffered tokens as triples sorted by term number, then document; the buffer is emptied."""
        batches, first = self._batches, self._run_start
        self._batches, self._buffered, self._run_start = [], 0, self._docs
        if not batches:
            empty = np.empty(0, np.uint32)
            return empty, empty, empty
        ids = np.concatenate([batch.ids for batch in batches])
        lengths = np.concatenate([np.diff(batch.offsets) for batch in batches])
        width = np.int64(max(len(lengths), 1))
        keys = ids.astype(np.int64) * width + np.repeat(np.arange(len(lengths)), lengths)
        keys.sort()
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        unique = keys[starts]
        tfs = np.diff(starts, append=len(keys)).astype(np.uint32)
        return (unique // width).astype(np.uint32), (unique % width + first).astype(np.uint32), tfs

    def _chunks(self, last: Run) -> Iterator[Run]:
        """The triples of all runs, in document order of the runs, in bounded pieces."""
        for path, size in self._runs:
            for at in range(0, size, CHUNK):
                count = min(CHUNK, size - at)
                # Read, not mapped: mapped pages count as memory of the process until something else needs it.
                terms, docs, tfs = (np.fromfile(path, "<u4", count, offset=4 * (at + n * size)) for n in range(3))
                yield terms, docs, tfs
        for at in range(0, len(last[0]), CHUNK):
            yield last[0][at : at + CHUNK], last[1][at : at + CHUNK], last[2][at : at + CHUNK]

    def _document_frequencies(self, last: Run, size: int) -> Int64Array:
        total = np.zeros(size, np.int64)
        for terms, _, _ in self._chunks(last):
            total += np.bincount(terms, minlength=size)
        return total

    def _place(self, last: Run, rank: Int64Array, pointers: Int64Array) -> None:
        """Write documents and frequencies: each chunk's postings of a term go behind those already there."""
        count = int(pointers[-1])
        docs = _output(self._directory / DOC_FILE, "<u4", count)
        tfs = _output(self._directory / TF_FILE, "u1", count)
        big: list[UInt64Array] = []
        next_free = pointers[:-1].copy()
        for terms, ords, freqs in self._chunks(last):
            ranks = rank[terms]
            starts = np.flatnonzero(np.diff(terms.astype(np.int64), prepend=-1))
            sizes = np.diff(starts, append=len(terms))
            firsts = ranks[starts]
            where = np.repeat(next_free[firsts] - starts, sizes) + np.arange(len(terms))
            docs[where] = ords
            tfs[where] = np.minimum(freqs, TF_CLIP)
            next_free[firsts] += sizes
            large = np.flatnonzero(freqs >= TF_CLIP)
            if len(large):
                big.append(np.stack([where[large], freqs[large]], axis=1).astype(np.uint64))
        _flush(docs)
        _flush(tfs)
        pairs = np.concatenate(big) if big else np.empty((0, 2), np.uint64)
        self._file(BIG_FILE, pairs[np.argsort(pairs[:, 0], kind="stable")].astype("<u8"))

    def _write_terms(self, terms: list[bytes], used: BoolArray) -> None:
        kept = [term for term, keep in zip(terms, used.tolist()) if keep]
        offsets = np.zeros(len(kept) + 1, "<u8")
        np.cumsum([len(term) for term in kept], out=offsets[1:])
        (self._directory / TERM_FILE).write_bytes(b"".join(kept))
        self._file(TERM_OFFSET_FILE, offsets)

    def _file(self, name: str, values: NDArray[Any]) -> None:
        values.tofile(self._directory / name)


def _sorted_terms(vocabulary: Vocabulary) -> tuple[Int64Array, list[bytes]]:
    """Numbers of the vocabulary in UTF-8 order of their terms, and those terms."""
    encoded = [encode_term(term) for term in vocabulary.terms]
    order = sorted(range(len(encoded)), key=encoded.__getitem__)
    return np.array(order, np.int64), [encoded[number] for number in order]


def _output(path: Path, dtype: str, count: int) -> NDArray[Any]:
    """A file of ``count`` elements to be written in any order; an empty one cannot be mapped."""
    if not count:
        path.write_bytes(b"")
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "w+", shape=(count,))


def _flush(array: NDArray[Any]) -> None:
    if isinstance(array, np.memmap):
        array.flush()
