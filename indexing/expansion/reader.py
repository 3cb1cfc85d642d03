"""Reads what a segment holds of generated queries; nothing is parsed when it is opened."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np

from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.expansion.codes import Codes
from twindex.indexing.expansion.layout import (
    CODE_FILE,
    FOLDER,
    QUERY_FILE,
    QUERY_OFFSET_FILE,
    QUERY_PTR_FILE,
    TEXT_CODE_FILE,
)
from twindex.indexing.postings import ImpactReader, PostingsReader
from twindex.indexing.postings.layout import IMPACT_FACTS_FILE
from twindex.indexing.postings.reader import corrupt, mapped
from twindex.indexing.types import Int32Array, Int64Array, UInt8Array, UInt64Array
from twindex.indexing.vectors import VECTOR_FILE, VectorReader


class ExpansionReader:
    """The generated queries of one segment's passages.

    Args:
        segment: The segment's folder.
        size: Passages of the segment, deleted ones included.
        dim: Length of the vectors, None for an index without an encoder.

    Shapes: ``ptr`` int64[size + 1]: the queries of passage i are those with the numbers ``ptr[i]`` to ``ptr[i + 1]``.

    Raises:
        CorruptIndexError: If a file is missing or does not fit the others.
    """

    def __init__(self, segment: Path, *, size: int, dim: int | None) -> None:
        self.folder = segment / FOLDER
        self.size = size
        self._dim = dim
        self._code_lock = Lock()
        pointers: UInt64Array = mapped(self.folder / QUERY_PTR_FILE, "<u8")
        self.ptr: Int64Array = pointers.astype(np.int64)
        self._offsets: UInt64Array = mapped(self.folder / QUERY_OFFSET_FILE, "<u8")
        self._data: UInt8Array = mapped(self.folder / QUERY_FILE, "u1")
        self._check()

    @property
    def count(self) -> int:
        """Queries, those of deleted passages included."""
        return len(self._offsets) - 1

    @cached_property
    def counts(self) -> Int64Array:
        """Queries of each passage: int64[size]."""
        return np.diff(self.ptr)

    @cached_property
    def owners(self) -> Int32Array:
        """The passage of each query: int32[count]."""
        return np.repeat(np.arange(self.size, dtype=np.int32), self.counts)

    def query(self, number: int) -> str:
        """The text of a query.

        Raises:
            CorruptIndexError: If no text has its bytes.
        """
        start, stop = int(self._offsets[number]), int(self._offsets[number + 1])
        try:
            return self._data[start:stop].tobytes().decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise corrupt(self.folder / QUERY_FILE, f"a query that is no text ({error.reason})", "UTF-8") from error

    def queries(self, local: int) -> tuple[str, ...]:
        """The queries of a passage, in the order of generation."""
        return tuple(self.query(number) for number in range(int(self.ptr[local]), int(self.ptr[local + 1])))

    @cached_property
    def postings(self) -> PostingsReader:
        """The inverted file in which the queries of each passage are one document."""
        reader = PostingsReader(self.folder)
        self._same(reader.num_docs, "documents of queries")
        return reader

    @cached_property
    def impacts(self) -> ImpactReader | None:
        """The learned-sparse inverted file of the same documents; None in an index without one."""
        if not (self.folder / IMPACT_FACTS_FILE).exists():
            return None
        reader = ImpactReader(self.folder)
        self._same(reader.num_docs, "documents of impacts of queries")
        return reader

    @cached_property
    def vectors(self) -> VectorReader | None:
        """One vector a query; None in an index without an encoder."""
        if self._dim is None or not (self.folder / VECTOR_FILE).exists():
            return None
        return VectorReader(self.folder, self._dim, size=self.count)

    @property
    def has_codes(self) -> bool:
        """Whether there are codes of the vectors."""
        return self._dim is not None and (self.folder / CODE_FILE).is_file()

    def codes(self) -> Codes:
        """The codes of the vectors, loaded once and shared by threads; only where :attr:`has_codes`.

        Raises:
            CorruptIndexError: If they cannot be read, or are those of other vectors.
        """
        with self._code_lock:
            return self._codes

    def text_codes(self) -> Codes | None:
        """The codes of the passages' own vectors; None where there are none.

        Raises:
            CorruptIndexError: If they cannot be read, or are those of other vectors.
        """
        with self._code_lock:
            return self._text_codes

    @cached_property
    def _codes(self) -> Codes:
        return Codes(self.folder / CODE_FILE, size=self.count, dim=self._dim or 0)

    @cached_property
    def _text_codes(self) -> Codes | None:
        path = self.folder / TEXT_CODE_FILE
        return Codes(path, size=self.size, dim=self._dim or 0) if path.is_file() else None

    def _same(self, found: int, what: str) -> None:
        if found != self.size:
            raise CorruptIndexError(
                f"{self.folder}: {found} {what}",
                expected=f"{self.size}, one a passage",
                remedy="restore the index from a copy, or build it again",
            )

    def _check(self) -> None:
        offsets, path = self._offsets, self.folder
        if len(self.ptr) != self.size + 1:
            raise corrupt(path / QUERY_PTR_FILE, f"{len(self.ptr)} pointers", str(self.size + 1))
        if not len(offsets) or int(self.ptr[-1]) != len(offsets) - 1 or bool((np.diff(self.ptr) < 0).any()):
            raise corrupt(path / QUERY_OFFSET_FILE, f"{len(offsets)} offsets", f"{int(self.ptr[-1]) + 1}")
        if int(offsets[-1]) != len(self._data):
            raise corrupt(path / QUERY_FILE, f"{len(self._data)} bytes", str(int(offsets[-1])))
