"""Sorted runs of postings, and the one pass that gathers them into the files of a segment.

A *source* is a part of the corpus whose postings are grouped by term number: a run in memory, a
run spilled to disk, or a whole segment in a merge. Documents of source j come before those of
source j + 1, so joining the lists of a term in the order of sources keeps them ascending, and the
bytes do not depend on where the corpus was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.postings.files import (
    BIG_TF,
    FREQUENCIES,
    LARGE,
    ORDINALS,
    POINTERS,
    TERM_OFFSETS,
    TERMS,
    ArrayFile,
    map_array,
)
from twindex.indexing.types import Int32Array, Int64Array, UInt32Array

#: What gathering one posting takes in bytes, temporary arrays included; used to cut blocks.
GATHER_BYTES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Postings of consecutive documents, grouped by ascending term number.

    Shapes: ``terms`` int64[U] ascending; ``start`` int64[U], ``count`` int64[U] slices of ``docs``;
    ``docs`` uint32[P], ``tfs`` uint8 or uint32[P]; ``kept`` int64[U] postings that survive
    ``renumber`` (= ``count`` without it); ``renumber`` int64[documents] new ordinals, -1 = dropped;
    ``big`` uint64[B, 2] true frequencies where ``tfs`` is 255 (whole segments only).
    """

    terms: NDArray[Any]
    start: NDArray[Any]
    count: NDArray[Any]
    docs: NDArray[Any]
    tfs: NDArray[Any]
    kept: NDArray[Any]
    renumber: Int64Array | None = None
    big: NDArray[Any] | None = None

    def fetch(self, at: Int64Array) -> tuple[NDArray[Any], NDArray[Any]]:
        """Ordinals and true frequencies of postings ``at``, dropped documents left out."""
        docs, tfs = self.docs[at], self.tfs[at]
        if self.big is not None and len(self.big):
            tfs = _true_frequencies(at, tfs, self.big)
        if self.renumber is None:
            return docs, tfs
        fresh = self.renumber[docs]
        alive = fresh >= 0
        return fresh[alive], tfs[alive]


def _true_frequencies(at: Int64Array, tfs: NDArray[Any], big: NDArray[Any]) -> NDArray[Any]:
    wide = tfs.astype(np.int64)
    large = np.flatnonzero(wide == BIG_TF)
    wide[large] = big[np.searchsorted(big[:, 0], at[large].astype(np.uint64)), 1]
    return wide


def invert(ids: Int32Array, lengths: UInt32Array, first: int) -> Source:
    """Group the tokens of consecutive documents by term.

    Args:
        ids: Term numbers, document after document.
        lengths: Tokens of each document.
        first: Ordinal of the first document.

    Cost: one sort of 8-byte keys; about 40 bytes a token.
    """
    keys = ids.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.repeat(np.arange(first, first + len(lengths), dtype=np.uint64), lengths)
    keys.sort()
    edge = np.empty(len(keys), np.bool_)
    edge[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=edge[1:])
    at = np.flatnonzero(edge)
    tfs = np.diff(at, append=len(keys)).astype(np.uint32)
    keys = keys[at]
    docs = keys.astype(np.uint32)  # the low half
    numbers = (keys >> np.uint64(32)).astype(np.int64)
    edge = np.empty(len(numbers), np.bool_)
    edge[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=edge[1:])
    start = np.flatnonzero(edge)
    count = np.diff(start, append=len(numbers))
    return Source(numbers[start], start, count, docs, tfs, kept=count)


def spill(run: Source, directory: Path, number: int) -> Source:
    """The same run, its arrays written to files and mapped back."""
    mapped: dict[str, NDArray[Any]] = {}
    for part, dtype in (("terms", "i8"), ("start", "i8"), ("count", "i8"), ("docs", "u4"), ("tfs", "u4")):
        path = directory / f"run-{number:06d}.{part}"
        with ArrayFile(path, dtype) as out:
            out.append(getattr(run, part))
        mapped[part] = map_array(path, dtype)
    return Source(**mapped, kept=mapped["count"])


def remove_runs(directory: Path) -> None:
    """Delete the files of spilled runs."""
    for path in sorted(directory.glob("run-*.*")):
        path.unlink()


def ranges(start: NDArray[Any], count: NDArray[Any]) -> Int64Array:
    """``concatenate([arange(s, s + c) for s, c in zip(start, count)])`` without the loop."""
    total = int(count.sum())
    before = np.cumsum(count) - count
    out: Int64Array = np.repeat(start.astype(np.int64) - before, count) + np.arange(total)
    return out


def write_lists(
    sources: Sequence[Source],
    order: Int64Array,
    terms: Sequence[bytes],
    directory: Path,
    *,
    memory_budget: int,
) -> None:
    """Write all files but the lengths.

    Args:
        sources: Parts of the corpus in document order.
        order: Term numbers in the order of the file: ascending by bytes, terms without postings too.
        terms: Bytes of term ``order[i]`` at position i.
        directory: Where the files go.
        memory_budget: Bytes for temporary arrays, beside a few bytes a term.
    """
    df = np.zeros(int(order.max(initial=-1)) + 1, np.int64)
    for source in sources:
        df[source.terms] += source.kept
    counts = df[order]
    used = np.flatnonzero(counts)
    order, counts = order[used], counts[used]
    _write_terms([terms[i] for i in used.tolist()], directory)
    with ArrayFile(directory / POINTERS, "u8") as out:
        out.append(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]))
    limit = max(memory_budget // GATHER_BYTES, 1 << 12)
    written = 0
    with (
        ArrayFile(directory / ORDINALS, "u4") as docs_out,
        ArrayFile(directory / FREQUENCIES, "u1") as tf_out,
        ArrayFile(directory / LARGE, "u8") as big_out,
    ):
        for docs, tfs in _blocks(sources, order, counts, limit):
            docs_out.append(docs)
            tf_out.append(np.minimum(tfs, BIG_TF))
            large = np.flatnonzero(tfs >= BIG_TF)
            big_out.append(np.stack([large + written, tfs[large].astype(np.int64)], axis=1))
            written += len(docs)


def _write_terms(terms: Sequence[bytes], directory: Path) -> None:
    (directory / TERMS).write_bytes(b"".join(terms))
    sizes = np.fromiter(map(len, terms), np.int64, len(terms))
    with ArrayFile(directory / TERM_OFFSETS, "u8") as out:
        out.append(np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]))


def _blocks(
    sources: Sequence[Source], order: Int64Array, counts: Int64Array, limit: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Ordinals and frequencies in file order, in pieces of about ``limit`` postings."""
    ends = np.cumsum(counts)
    a = 0
    while a < len(order):
        before = int(ends[a - 1]) if a else 0
        b = max(int(np.searchsorted(ends, before + limit, side="right")), a + 1)
        if b == a + 1 and counts[a] > limit:
            yield from _long_list(sources, int(order[a]), limit)
        else:
            yield _gather(sources, order[a:b])
        a = b


def _long_list(
    sources: Sequence[Source], term: int, limit: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    for source in sources:
        at = int(np.searchsorted(source.terms, term))
        if at == len(source.terms) or source.terms[at] != term:
            continue
        start = int(source.start[at])
        stop = start + int(source.count[at])
        for left in range(start, stop, limit):
            yield source.fetch(np.arange(left, min(left + limit, stop)))


def _gather(sources: Sequence[Source], order: Int64Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lists of a few terms, joined over the sources."""
    start = np.zeros((len(order), len(sources)), np.int64)
    count, kept = np.zeros_like(start), np.zeros_like(start)
    for j, source in enumerate(sources):
        if not len(source.terms):
            continue
        at = np.minimum(np.searchsorted(source.terms, order), len(source.terms) - 1)
        has = source.terms[at] == order
        start[:, j] = source.start[at]
        count[:, j] = np.where(has, source.count[at], 0)
        kept[:, j] = np.where(has, source.kept[at], 0)
    target = (np.cumsum(kept) - kept.ravel()).reshape(kept.shape)
    total = int(kept.sum())
    docs, tfs = np.empty(total, np.uint32), np.empty(total, np.int64)
    for j, source in enumerate(sources):
        to = ranges(target[:, j], kept[:, j])
        docs[to], tfs[to] = source.fetch(ranges(start[:, j], count[:, j]))
    return docs, tfs
