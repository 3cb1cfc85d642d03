"""Reads the inverted file of one segment through memory maps; nothing is parsed when it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.postings.layout import (
    BIG_FILE,
    DOC_FILE,
    LENGTH_FILE,
    PTR_FILE,
    TERM_FILE,
    TERM_OFFSET_FILE,
    TF_FILE,
    decode_term,
    encode_term,
)
from twindex.indexing.types import BoolArray, UInt8Array, UInt32Array, UInt64Array

#: Looked-up terms that are remembered; beyond it the memory starts anew.
REMEMBERED: Final = 1 << 17


class PostingsReader:
    """One inverted file.

    Shapes: ``ptr`` uint64[num_terms + 1]; ``docs`` uint32[num_postings], local ordinals ascending within a
    term; ``tfs`` uint8[num_postings], clipped at 255; ``lengths`` uint32[num_docs], tokens.

    Raises:
        CorruptIndexError: If a file is missing or its size does not fit the others.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ptr: UInt64Array = mapped(directory / PTR_FILE, "<u8")
        self.docs: UInt32Array = mapped(directory / DOC_FILE, "<u4")
        self.tfs: UInt8Array = mapped(directory / TF_FILE, "u1")
        self.lengths: UInt32Array = mapped(directory / LENGTH_FILE, "<u4")
        self._big: UInt64Array = mapped(directory / BIG_FILE, "<u8")
        self._offsets: UInt64Array = mapped(directory / TERM_OFFSET_FILE, "<u8")
        self._terms: UInt8Array = mapped(directory / TERM_FILE, "u1")
        self._text = memoryview(self._terms.data)
        self._known: dict[str, int] = {}
        self._check()

    @property
    def num_docs(self) -> int:
        """Documents, deleted ones included."""
        return len(self.lengths)

    @property
    def num_terms(self) -> int:
        """Distinct terms."""
        return len(self.ptr) - 1

    @property
    def num_postings(self) -> int:
        """Term-document pairs."""
        return len(self.docs)

    @cached_property
    def total_length(self) -> int:
        """Sum of all lengths, in tokens."""
        return int(self.lengths.sum(dtype=np.int64))

    def term(self, term_id: int) -> str:
        """The term of that number."""
        return decode_term(self._term_bytes(term_id))

    def terms(self) -> Iterator[str]:
        """All terms, in the order of their UTF-8 bytes."""
        return (self.term(number) for number in range(self.num_terms))

    def term_id(self, term: str) -> int:
        """The term's number, -1 if no document has it. Cost: a binary search the first time."""
        number = self._known.get(term)
        if number is None:
            number = self._search(encode_term(term))
            if len(self._known) >= REMEMBERED:
                self._known = {}
            self._known[term] = number
        return number

    def df(self, term_id: int) -> int:
        """Documents that hold the term, deleted ones included."""
        return int(self.ptr[term_id + 1]) - int(self.ptr[term_id])

    def postings(self, term_id: int) -> tuple[UInt32Array, UInt32Array]:
        """The term's documents, ascending, and its frequency in each: uint32[df], uint32[df]."""
        start, end = int(self.ptr[term_id]), int(self.ptr[term_id + 1])
        tfs = self.tfs[start:end].astype(np.uint32)
        numbers, values = self.big
        low, high = np.searchsorted(numbers, (start, end))
        if high > low:
            tfs[numbers[low:high].astype(np.int64) - start] = values[low:high]
        return self.docs[start:end], tfs

    def tf(self, term_id: int, ord_: int) -> int:
        """How often document ``ord_`` holds the term."""
        docs, tfs = self.postings(term_id)
        at = int(np.searchsorted(docs, ord_))
        return int(tfs[at]) if at < len(docs) and docs[at] == ord_ else 0

    @cached_property
    def big(self) -> tuple[UInt64Array, UInt64Array]:
        """Posting numbers with a frequency of 255 or more, ascending, and those frequencies."""
        pairs = self._big.reshape(-1, 2)
        return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])

    def _term_bytes(self, term_id: int) -> bytes:
        return self._text[self._offsets.item(term_id) : self._offsets.item(term_id + 1)].tobytes()

    def _search(self, wanted: bytes) -> int:
        low, high = 0, self.num_terms
        while low < high:
            middle = (low + high) // 2
            if self._term_bytes(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < self.num_terms and self._term_bytes(low) == wanted else -1

    def _check(self) -> None:
        path = self.directory
        if not len(self.ptr) or len(self._offsets) != len(self.ptr):
            raise corrupt(path / TERM_OFFSET_FILE, f"{len(self._offsets)} offsets", f"{len(self.ptr)}, at least 1")
        for name, size, wanted in (
            (DOC_FILE, len(self.docs), int(self.ptr[-1])),
            (TF_FILE, len(self.tfs), int(self.ptr[-1])),
            (TERM_FILE, len(self._terms), int(self._offsets[-1])),
            (BIG_FILE, len(self._big) % 2, 0),
        ):
            if size != wanted:
                raise corrupt(path / name, f"{size} elements", str(wanted))


def live_df(reader: PostingsReader, live: BoolArray) -> UInt32Array:
    """Live documents that hold each term: uint32[num_terms]. Cost: one pass over the postings.

    Shapes: ``live`` bool[num_docs].

    Raises:
        CorruptIndexError: If a posting names a document that is not there.
    """
    out = np.zeros(reader.num_terms, np.uint32)
    step = 1 << 22
    for at in range(0, reader.num_postings, step):
        docs = reader.docs[at : at + step]
        if int(docs.max()) >= len(live):
            raise corrupt(reader.directory / DOC_FILE, f"document {int(docs.max())}", f"one of {len(live)}")
        alive = live[docs]
        total = np.zeros(len(alive) + 1, np.int64)
        np.cumsum(alive, out=total[1:])
        edges = np.clip(reader.ptr.astype(np.int64), at, at + len(alive)) - at
        out += np.diff(total[edges]).astype(np.uint32)
    return out


def mapped(path: Path, dtype: str) -> NDArray[Any]:
    """The file as an array; the pages are read when they are touched."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise corrupt(path, "no such file", "the file that the manifest names") from error
    width = np.dtype(dtype).itemsize
    if size % width:
        raise corrupt(path, f"{size} bytes", f"a multiple of {width}")
    if not size:
        return np.empty(0, dtype)
    # A plain view: slices of a memmap object take microseconds, as each is made a memmap again.
    return np.asarray(np.memmap(path, dtype, "r"))


def corrupt(path: Path, given: str, expected: str) -> CorruptIndexError:
    """The error for a file that is not what it should be."""
    return CorruptIndexError(
        f"{path}: {given}", expected=expected, remedy="restore the index from a copy, or build it again"
    )
