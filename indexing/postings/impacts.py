"""Builds the learned-sparse inverted file of one segment with bounded memory.

Weights become impacts, whole numbers from 1 to 255 of one unit (the scale) that the index fixes. Lists are keyed by the
dimensions of the vocabulary, so the terms need no dictionary, and the same list number means the same dimension in
every segment. Full buffers are sorted into *runs* on disk; at the end the runs are read side by side, a range of
dimensions at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoding import MAX_IMPACT, MAX_VOCABULARY, SparseRows
from twindex.indexing.errors import ConfigError
from twindex.indexing.postings.impact_facts import ImpactFacts, Sample
from twindex.indexing.postings.layout import (
    IMPACT_DOC_FILE,
    IMPACT_FACTS_FILE,
    IMPACT_FILE,
    IMPACT_PTR_FILE,
    MAX_DOCS,
)
from twindex.indexing.types import Int64Array, UInt8Array, UInt32Array

#: Bytes of each buffered posting: dimension and impact, twice while they are joined, and a 64-bit sort key.
BYTES_PER_POSTING: Final = 24
#: Postings written at once at the end; a longer list is one piece.
CHUNK: Final = 1 << 20
DEFAULT_BUDGET: Final = 256 << 20
#: Documents of one run: a sort key has 24 bits for the dimension, 8 for the impact, and the rest for the document.
RUN_DOCS: Final = 1 << 31

#: Documents and impacts of a range of lists, and the size of each list.
Lists = tuple[UInt32Array, UInt8Array, Int64Array]


@dataclass(frozen=True, slots=True)
class Run:
    """Sorted postings of consecutive documents, in memory or on disk.

    Shapes: ``ptr`` int64[vocabulary + 1]; ``docs`` uint32[P] and ``impacts`` uint8[P], or the files that hold them.
    Those are read and not mapped, as mapped pages count as memory of the process until something else needs it.
    """

    ptr: Int64Array
    docs: UInt32Array | Path
    impacts: UInt8Array | Path

    def lists(self, start: int, stop: int) -> tuple[Int64Array, Any, Any]:
        """Sizes, documents and impacts of a range of lists."""
        first, last = int(self.ptr[start]), int(self.ptr[stop])
        pointers = self.ptr[start : stop + 1]
        return np.diff(pointers), _some(self.docs, np.uint32, first, last), _some(self.impacts, np.uint8, first, last)

    def write(self, stem: Path) -> Run:
        """The same run, in files beside ``stem``."""
        paths = [stem.with_name(stem.name + suffix) for suffix in (".ptr.tmp", ".doc.tmp", ".imp.tmp")]
        for path, values in zip(paths, (self.ptr, self.docs, self.impacts)):
            np.asarray(values).tofile(path)
        return Run(np.memmap(paths[0], np.int64, "r"), paths[1], paths[2])


def _some(values: NDArray[Any] | Path, dtype: type, start: int, stop: int) -> NDArray[Any]:
    if isinstance(values, Path):
        width = np.dtype(dtype).itemsize
        return np.fromfile(values, dtype, stop - start, offset=start * width)
    return values[start:stop]


class ImpactsBuilder:
    """Sparse vectors in, document by document; the files of one learned-sparse inverted file out.

    Args:
        directory: The segment's folder, which exists.
        vocabulary: Number of dimensions.
        scale: Weight of one unit of impact.
        memory_budget: Bytes for buffered postings and their sorting; the list sizes (8 bytes a dimension) come on top.

    Raises:
        ConfigError: If the vocabulary, the scale or the budget is out of range.
    """

    def __init__(self, directory: Path, *, vocabulary: int, scale: float, memory_budget: int = DEFAULT_BUDGET) -> None:
        if not 1 <= vocabulary <= MAX_VOCABULARY:
            raise ConfigError(f"a vocabulary of {vocabulary}", expected=f"1 to {MAX_VOCABULARY}")
        if not (np.isfinite(np.float32(scale)) and np.float32(scale) > 0):
            raise ConfigError(f"scale={scale}", expected="a float32 above 0")
        if memory_budget < 1 << 20:
            raise ConfigError(f"memory_budget={memory_budget}", expected="at least 1048576 bytes")
        self._directory = directory
        self._vocabulary = vocabulary
        self._scale = float(np.float32(scale))
        self._limit = memory_budget // BYTES_PER_POSTING
        self._ids: list[NDArray[np.int32]] = []
        self._impacts: list[UInt8Array] = []
        self._lengths: list[Int64Array] = []
        self._buffered = self._docs = self._run_start = 0
        self._clipped = self._dropped = 0
        self._runs: list[Run] = []
        self._sample = Sample()

    @property
    def num_docs(self) -> int:
        """Documents added so far."""
        return self._docs

    def add(self, rows: SparseRows) -> None:
        """Append the rows as the next documents.

        Raises:
            ConfigError: If they are not sparse vectors over the vocabulary, or the segment would pass 2**31 - 1
                documents.
        """
        rows.check(self._vocabulary, len(rows))
        if self._docs + len(rows) > MAX_DOCS:
            raise ConfigError(f"{self._docs + len(rows)} passages in one segment", expected=f"at most {MAX_DOCS}")
        units = np.rint(rows.weights.astype(np.float64) / self._scale)
        self._clipped += int(np.count_nonzero(units > MAX_IMPACT))
        impacts = np.minimum(units, MAX_IMPACT).astype(np.uint8)
        self._sample.add(rows, impacts)
        self._dropped += int(np.count_nonzero((impacts == 0) & (rows.weights > 0)))
        kept = impacts > 0
        owners = np.repeat(np.arange(len(rows)), np.diff(rows.ptr))[kept]
        self._ids.append(rows.ids[kept])
        self._impacts.append(impacts[kept])
        self._lengths.append(np.bincount(owners, minlength=len(rows)))
        self._docs += len(rows)
        self._buffered += len(owners)
        if self._buffered >= self._limit or self._docs - self._run_start >= RUN_DOCS:
            self._spill()

    def finish(self) -> list[Path]:
        """Write the files; the temporary runs are removed. Returns the files written."""
        runs = [*self._runs, self._sorted_run()]
        self._runs = []
        pointers = added([run.ptr for run in runs])
        write_lists(self._directory, pointers, (_joined(runs, *span) for span in spans(pointers)))
        for path in self._directory.glob("impacts-*.tmp"):
            path.unlink()
        facts = ImpactFacts(
            docs=self._docs,
            vocabulary=self._vocabulary,
            scale=self._scale,
            postings=int(pointers[-1]),
            clipped=self._clipped,
            dropped=self._dropped,
            **self._sample.measure(self._scale),
        )
        (self._directory / IMPACT_FACTS_FILE).write_bytes(facts.to_bytes())
        return [self._directory / name for name in (IMPACT_PTR_FILE, IMPACT_DOC_FILE, IMPACT_FILE, IMPACT_FACTS_FILE)]

    def _spill(self) -> None:
        run = self._sorted_run()
        if run.ptr[-1]:
            self._runs.append(run.write(self._directory / f"impacts-{len(self._runs):06d}"))

    def _sorted_run(self) -> Run:
        """The buffered postings sorted by dimension, then document; the buffer is emptied."""
        lengths = np.concatenate([np.empty(0, np.int64), *self._lengths])
        ids = np.concatenate([np.empty(0, np.int32), *self._ids])
        impacts = np.concatenate([np.empty(0, np.uint8), *self._impacts])
        first, self._run_start = self._run_start, self._docs
        self._ids, self._impacts, self._lengths, self._buffered = [], [], [], 0
        width = np.uint64(max(len(lengths), 1))
        keys = ids.astype(np.uint64)
        keys *= width
        keys += np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
        keys <<= np.uint64(8)
        keys |= impacts
        keys.sort()
        pointers = np.zeros(self._vocabulary + 1, np.int64)
        np.cumsum(np.bincount(ids, minlength=self._vocabulary), out=pointers[1:])
        sorted_impacts = (keys & np.uint64(255)).astype(np.uint8)
        keys >>= np.uint64(8)
        keys %= width
        return Run(pointers, keys.astype(np.uint32) + np.uint32(first), sorted_impacts)


def build_impacts(
    directory: Path,
    batches: Iterable[SparseRows],
    *,
    vocabulary: int,
    scale: float,
    memory_budget: int = DEFAULT_BUDGET,
) -> ImpactFacts:
    """Writes a learned-sparse inverted file alone, without ids or texts; its counts and how exact it is.

    Args:
        directory: Folder for the files; made if absent.
        batches: Rows of consecutive documents, read once.
        vocabulary: Number of dimensions.
        scale: Weight of one unit of impact.
        memory_budget: See :class:`ImpactsBuilder`.

    Raises:
        ConfigError: As :class:`ImpactsBuilder` does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    builder = ImpactsBuilder(directory, vocabulary=vocabulary, scale=scale, memory_budget=memory_budget)
    for rows in batches:
        builder.add(rows)
    builder.finish()
    return ImpactFacts.from_bytes((directory / IMPACT_FACTS_FILE).read_bytes())


def added(arrays: Sequence[NDArray[Any]]) -> Int64Array:
    """The sum of arrays of one length, element by element."""
    total: Int64Array = np.sum(np.stack(arrays), axis=0, dtype=np.int64)
    return total


def spans(pointers: Int64Array) -> Iterator[tuple[int, int]]:
    """Ranges of lists with at most :data:`CHUNK` postings each, or of one list."""
    start = 0
    while start < len(pointers) - 1:
        stop = int(np.searchsorted(pointers, pointers[start] + CHUNK, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def write_lists(directory: Path, pointers: Int64Array, pieces: Iterable[Lists]) -> None:
    """Writes pointers, and documents and impacts piece by piece."""
    pointers.astype("<u8").tofile(directory / IMPACT_PTR_FILE)
    with (directory / IMPACT_DOC_FILE).open("wb") as docs, (directory / IMPACT_FILE).open("wb") as impacts:
        for some_docs, some_impacts, _ in pieces:
            docs.write(some_docs.astype("<u4", copy=False).data)
            impacts.write(np.ascontiguousarray(some_impacts).data)


def joined_lists(parts: list[tuple[Int64Array, Any, Any]]) -> Lists:
    """Lists of consecutive documents, one behind the other within each list.

    ``parts``: of each part the sizes of its lists, its documents and its impacts.
    """
    numbers = np.concatenate([np.repeat(np.arange(len(sizes)), sizes) for sizes, _, _ in parts])
    docs = np.concatenate([docs for _, docs, _ in parts])
    impacts = np.concatenate([impacts for _, _, impacts in parts])
    sizes = added([sizes for sizes, _, _ in parts])
    if len(parts) > 1:
        order = np.argsort(numbers, kind="stable")
        docs, impacts = docs[order], impacts[order]
    return docs, impacts, sizes


def _joined(runs: list[Run], start: int, stop: int) -> Lists:
    return joined_lists([run.lists(start, stop) for run in runs])
