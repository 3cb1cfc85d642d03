"""Reads the passages of one segment: ordinals to ids and texts by memory map, filters through DuckDB."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.filter_ast import Filter
from twindex.indexing.filter_sql import BUILT_IN, compile_filter, field_kinds
from twindex.indexing.optional import load
from twindex.indexing.parquet_path import literal_path
from twindex.indexing.store.writer import (
    HASH_FILE,
    ID_FILE,
    ID_OFFSET_FILE,
    META_FILE,
    RECORD_FILE,
    RECORD_OFFSET_FILE,
    hash_doc_ids,
)
from twindex.indexing.types import BoolArray, Int32Array, Int64Array, Passage, UInt32Array, UInt64Array

#: Results of filters that are remembered; a segment never changes, so they stay right.
REMEMBERED: Final = 32
T = TypeVar("T")


class StoreReader:
    """The passages of one segment.

    Raises:
        CorruptIndexError: If a file is missing or its size does not fit the others.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ids = _Blob(directory / ID_FILE, directory / ID_OFFSET_FILE)
        self._records = _Blob(directory / RECORD_FILE, directory / RECORD_OFFSET_FILE)
        self.size = len(self._ids)
        if len(self._records) != self.size:
            raise _corrupt(directory / RECORD_OFFSET_FILE, f"{len(self._records)} records", f"{self.size}")
        hashes = _mapped(directory / HASH_FILE, "u1")
        if len(hashes) != 12 * self.size:
            raise _corrupt(directory / HASH_FILE, f"{len(hashes)} bytes", f"{12 * self.size}")
        self._hashes: UInt64Array = hashes[: 8 * self.size].view("<u8")
        self._hashed: UInt32Array = hashes[8 * self.size :].view("<u4")
        self._lock = threading.Lock()
        self._masks: dict[Filter, BoolArray] = {}

    def ids(self, local: Int32Array | Int64Array) -> list[str]:
        """Passage ids, in the order of ``local``: int[n]."""
        return self._ids.map(local, _text)

    def doc_ids(self, local: Int32Array | Int64Array) -> list[str]:
        """Document ids, in the order of ``local``: int[n]."""
        return self._records.map(local, lambda data: str(_record(data)["doc_id"]))

    def passages(self, local: Int32Array | Int64Array) -> list[Passage]:
        """Passages, in the order of ``local``: int[n]."""
        ids = iter(self.ids(local))
        return self._records.map(local, lambda data: Passage(id=next(ids), **_record(data)))

    def records(self, local: Int32Array | Int64Array) -> list[bytes]:
        """Records as they are stored, in the order of ``local``: int[n]. JSON; see FORMAT.md."""
        return self._records.map(local, bytes)

    def find(self, doc_id: str) -> Int32Array:
        """Local ordinals of all passages of the document, ascending: int32[n]; deleted ones included.

        Raises:
            CorruptIndexError: If the table of hashes names passages that are not there.
        """
        wanted = hash_doc_ids([doc_id])[0]
        low = int(np.searchsorted(self._hashes, wanted))
        high = int(np.searchsorted(self._hashes, wanted, side="right"))
        ordinals = np.sort(self._hashed[low:high])
        if len(ordinals) and int(ordinals[-1]) >= self.size:
            raise _corrupt(self.directory / HASH_FILE, f"passage {int(ordinals[-1])}", f"one of {self.size}")
        found = ordinals.astype(np.int32)
        same = [other == doc_id for other in self.doc_ids(found)]
        return found[np.array(same, np.bool_)]

    def fields(self) -> dict[str, list[str]]:
        """Fields that filters may name, each with the kinds of its values."""
        return field_kinds(self._columns)

    def allowed(self, filter_: Filter) -> BoolArray:
        """Which passages match: bool[size]. A field that this segment does not have matches nothing."""
        with self._lock:
            known = self._masks.get(filter_)
            if known is None:
                known = self._run(filter_)
                known.flags.writeable = False
                if len(self._masks) >= REMEMBERED:
                    self._masks.pop(next(iter(self._masks)))
                self._masks[filter_] = known
            return known

    def close(self) -> None:
        """Close the metadata connection, if one was opened. A second call does nothing."""
        with self._lock:
            connection = self.__dict__.pop("_connection", None)
            if connection is not None:
                connection.close()

    def _run(self, filter_: Filter) -> BoolArray:
        condition, parameters = compile_filter(filter_, self._columns)
        mask = np.zeros(self.size, np.bool_)
        if not self.size:
            return mask
        sql = f"SELECT ord FROM metadata WHERE {condition}"
        duckdb = load("duckdb", purpose="filters on metadata")
        try:
            mask[self._connection.execute(sql, parameters).fetchnumpy()["ord"]] = True
        except (duckdb.Error, IndexError) as error:  # damage that shows only where pages are read
            raise _corrupt(self.directory / META_FILE, str(error).splitlines()[0], "readable metadata") from error
        return mask

    @cached_property
    def _connection(self) -> Any:
        """A database of this reader's own, with the metadata file as a view."""
        path = self.directory / META_FILE
        if not path.is_file():
            raise _corrupt(path, "no such file", "the file that the manifest names")
        duckdb = load("duckdb", purpose="filters on metadata")
        connection = duckdb.connect(":memory:", config={"threads": 1})
        try:
            quoted = literal_path(path).replace("'", "''")  # a view takes no parameters
            connection.execute(f"CREATE VIEW metadata AS FROM read_parquet('{quoted}')")
        except duckdb.Error as error:
            connection.close()
            raise _corrupt(path, str(error).splitlines()[0], "a Parquet file") from error
        return connection

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        rows = self._connection.execute("SELECT column_name FROM (DESCRIBE metadata)").fetchall()
        return tuple(name for (name,) in rows if name != "ord" and (":" in name or name in BUILT_IN))


class _Blob:
    """Byte strings laid end to end, with an array of their bounds."""

    def __init__(self, data: Path, offsets: Path) -> None:
        self._path = data
        self._data: Any = _mapped(data, "u1")
        self._offsets: UInt64Array = _mapped(offsets, "<u8")
        if not len(self._offsets) or int(self._offsets[-1]) != len(self._data):
            raise _corrupt(data, f"{len(self._data)} bytes", f"as many as the last number of {offsets.name}")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def map(self, numbers: Int32Array | Int64Array, read: Callable[[bytes], T]) -> list[T]:
        at = np.asarray(numbers, np.int64)
        starts, ends = self._offsets[at].tolist(), self._offsets[at + 1].tolist()
        data = memoryview(self._data)
        try:
            return [read(bytes(data[start:end])) for start, end in zip(starts, ends)]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _corrupt(self._path, f"a record that cannot be read ({error})", "what a writer wrote") from error


def _record(data: bytes) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(_text(data))
    return record


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _mapped(path: Path, dtype: str) -> NDArray[Any]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _corrupt(path, "no such file", "the file that the manifest names") from error
    if not path.is_file():
        raise _corrupt(path, "no file but a folder", "the file that the manifest names")
    if size % np.dtype(dtype).itemsize:
        raise _corrupt(path, f"{size} bytes", f"a multiple of {np.dtype(dtype).itemsize}")
    # A plain view: the class of memory maps costs a microsecond at each access.
    return np.asarray(np.memmap(path, dtype, "r")) if size else np.empty(0, dtype)


def _corrupt(path: Path, given: str, expected: str) -> CorruptIndexError:
    return CorruptIndexError(
        f"{path}: {given}", expected=expected, remedy="restore the index from a copy, or build it again"
    )
