"""Joins the inverted files of neighbouring segments into one, without the documents that are deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge as heap_merge
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.postings.layout import (
    BIG_FILE,
    DOC_FILE,
    LENGTH_FILE,
    PTR_FILE,
    TERM_FILE,
    TERM_OFFSET_FILE,
    TF_CLIP,
    TF_FILE,
    encode_term,
)
from twindex.indexing.postings.reader import PostingsReader
from twindex.indexing.types import BoolArray, Int64Array

#: Postings that are held before they are written.
CHUNK: Final = 1 << 20


def merge_postings(readers: Sequence[PostingsReader], keep: Sequence[BoolArray | None], directory: Path) -> list[Path]:
    """Write one inverted file with the kept documents of all, in order; the files written.

    Terms that no kept document holds are dropped. The bytes are those that building from the kept
    documents at once would give.

    Shapes: ``keep[i]`` bool[readers[i].num_docs], None = all of them.
    """
    renumbered = _renumber(readers, keep)
    with _Output(directory) as output:
        for term, holders in _terms(readers):
            parts = [_part(readers[i], number, renumbered[i]) for i, number in holders]
            docs = np.concatenate([part[0] for part in parts])
            if len(docs):
                output.add(term, docs, np.concatenate([part[1] for part in parts]))
    lengths = [
        np.array(reader.lengths) if mask is None else reader.lengths[mask]
        for reader, mask in zip(readers, keep, strict=True)
    ]
    np.concatenate(lengths).astype("<u4").tofile(directory / LENGTH_FILE)
    names = (TERM_FILE, TERM_OFFSET_FILE, PTR_FILE, DOC_FILE, TF_FILE, BIG_FILE, LENGTH_FILE)
    return [directory / name for name in names]


def _renumber(readers: Sequence[PostingsReader], keep: Sequence[BoolArray | None]) -> list[Int64Array]:
    """New ordinal of each old one, -1 for those that go: int64[num_docs] a reader."""
    out = []
    base = 0
    for reader, mask in zip(readers, keep, strict=True):
        alive = np.ones(reader.num_docs, np.bool_) if mask is None else mask
        numbers = np.cumsum(alive) - 1 + base
        out.append(np.where(alive, numbers, -1).astype(np.int64))
        base += int(alive.sum())
    return out


def _terms(readers: Sequence[PostingsReader]) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:
    """Every term in order, with the readers that hold it and its number there."""

    def of(i: int) -> Iterator[tuple[bytes, int, int]]:
        for number, term in enumerate(readers[i].terms()):
            yield encode_term(term), i, number

    current: bytes | None = None
    holders: list[tuple[int, int]] = []
    for term, i, number in heap_merge(*(of(i) for i in range(len(readers)))):
        if term != current:
            if current is not None:
                yield current, holders
            current, holders = term, []
        holders.append((i, number))
    if current is not None:
        yield current, holders


def _part(reader: PostingsReader, number: int, renumbered: Int64Array) -> tuple[Int64Array, Int64Array]:
    docs, tfs = reader.postings(number)
    new = renumbered[docs]
    alive = new >= 0
    return new[alive], tfs[alive].astype(np.int64)


class _Output:
    """Appends terms to the files of the new inverted file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._docs = (directory / DOC_FILE).open("wb")
        self._tfs = (directory / TF_FILE).open("wb")
        self._terms = (directory / TERM_FILE).open("wb")
        self._offsets = [0]
        self._pointers = [0]
        self._big: list[tuple[int, int]] = []
        self._pending: list[tuple[Int64Array, Int64Array]] = []
        self._held = 0

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._flush()
            np.array(self._offsets, "<u8").tofile(self._directory / TERM_OFFSET_FILE)
            np.array(self._pointers, "<u8").tofile(self._directory / PTR_FILE)
            np.array(self._big, "<u8").reshape(-1, 2).tofile(self._directory / BIG_FILE)
        for file in (self._docs, self._tfs, self._terms):
            file.close()

    def add(self, term: bytes, docs: Int64Array, tfs: Int64Array) -> None:
        self._terms.write(term)
        self._offsets.append(self._offsets[-1] + len(term))
        first = self._pointers[-1]
        self._pointers.append(first + len(docs))
        self._big += [(first + int(at), int(tfs[at])) for at in np.flatnonzero(tfs >= TF_CLIP)]
        self._pending.append((docs, tfs))
        self._held += len(docs)
        if self._held >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        for docs, tfs in self._pending:
            self._docs.write(docs.astype("<u4").tobytes())
            self._tfs.write(np.minimum(tfs, TF_CLIP).astype(np.uint8).tobytes())
        self._pending, self._held = [], 0
