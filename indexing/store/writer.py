"""Writes the passages of one segment: ids, records, the hashes of document ids, and metadata columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.errors import CorpusError
from twindex.indexing.filter_sql import INT64, SQL_TYPES, column_name, quoted, storable
from twindex.indexing.optional import load
from twindex.indexing.parquet_path import literal_path
from twindex.indexing.types import Passage, UInt64Array

ID_FILE: Final = "ids.dat"
ID_OFFSET_FILE: Final = "ids.off"
RECORD_FILE: Final = "docs.dat"
RECORD_OFFSET_FILE: Final = "docs.off"
HASH_FILE: Final = "ids.hash"
META_FILE: Final = "meta.parquet"
#: Rows of one Parquet row group; fixed, so that bytes do not depend on the library's default.
ROW_GROUP: Final = 122_880
_ROWS: Final = "meta.rows.tmp"
#: Made once: making an encoder takes as long as a short record.
_ROW_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_METADATA_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
_string: Final = json.encoder.encode_basestring
_SPACE: Final = ord(" ")


class StoreWriter:
    """Appends passages; memory does not grow with them, but for 16 bytes each.

    Args:
        directory: The segment's folder, which exists.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ids = (directory / ID_FILE).open("wb")
        self._records = (directory / RECORD_FILE).open("wb")
        self._rows = (directory / _ROWS).open("wb")
        self._id_ends: list[UInt64Array] = []
        self._record_ends: list[UInt64Array] = []
        self._hashes: list[UInt64Array] = []
        self._columns: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Passages added so far."""
        return self._size

    def add(self, passages: Sequence[Passage]) -> None:
        """Append passages, in order.

        Raises:
            CorpusError: If metadata holds what no column can; nothing of the call is added then.
        """
        rows = [self._row(number, passage) for number, passage in enumerate(passages, self._size)]
        ids = [_utf8(passage.id) for passage in passages]
        records = _json_records(passages)
        self._ids.write(b"".join(ids))
        self._records.write(b"".join(records))
        self._rows.write("".join(rows).encode())
        self._id_ends.append(np.array([len(data) for data in ids], np.uint64))
        self._record_ends.append(np.array([len(data) for data in records], np.uint64))
        self._hashes.append(hash_doc_ids(passage.doc_id for passage in passages))
        self._size += len(passages)

    def finish(self) -> list[Path]:
        """Write the remaining files; all files of the store."""
        self.close()
        _offsets(self._id_ends).tofile(self._directory / ID_OFFSET_FILE)
        _offsets(self._record_ends).tofile(self._directory / RECORD_OFFSET_FILE)
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, np.uint64)
        order = np.argsort(hashes, kind="stable")
        with (self._directory / HASH_FILE).open("wb") as file:
            file.write(hashes[order].astype("<u8").tobytes())
            file.write(order.astype("<u4").tobytes())
        rows = self._directory / _ROWS
        _write_parquet(rows, self._columns, self._directory / META_FILE)
        rows.unlink()
        names = (ID_FILE, ID_OFFSET_FILE, RECORD_FILE, RECORD_OFFSET_FILE, HASH_FILE, META_FILE)
        return [self._directory / name for name in names]

    def close(self) -> None:
        """Close the files without finishing them."""
        for file in (self._ids, self._records, self._rows):
            file.close()

    def _row(self, number: int, passage: Passage) -> str:
        id_ = _string(storable(passage.id))
        doc_id = id_ if passage.doc_id is passage.id else _string(storable(passage.doc_id))
        title = _string(storable(passage.title)) if passage.title else '""'
        fixed = f'{{"ord":{number},"id":{id_},"doc_id":{doc_id},"title":{title}'
        row = self._columns_of(passage) if passage.metadata else None
        return f"{fixed},{_ROW_JSON.encode(row)[1:]}\n" if row else f"{fixed}}}\n"

    def _columns_of(self, passage: Passage) -> dict[str, Any]:
        """Columns that the passage has beside those that all have."""
        row: dict[str, Any] = {}
        for field, value in passage.metadata.items():
            if value is None:
                continue
            kind, stored = _typed(field, value, passage.doc_id)
            row[self._names.get((field, kind)) or self._name(field, kind)] = stored
        return row

    def _name(self, field: str, kind: str) -> str:
        """The column of a field that is met for the first time."""
        name = self._names[field, kind] = column_name(storable(field), kind)
        self._columns.setdefault(name, SQL_TYPES[kind])
        return name


def hash_doc_ids(doc_ids: Iterable[str]) -> UInt64Array:
    """8-byte BLAKE2b of each id, read as a little-endian number: uint64[n]."""
    digests = b"".join(blake2b(_utf8(doc_id), digest_size=8).digest() for doc_id in doc_ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _json_records(passages: Sequence[Passage]) -> list[bytes]:
    texts = json_strings([passage.text for passage in passages])
    return [b"%b%b%b" % (_utf8(_before(one)), text, _utf8(_behind(one))) for one, text in zip(passages, texts)]


def _before(passage: Passage) -> str:
    """The record up to the text."""
    metadata = _METADATA_JSON.encode(dict(passage.metadata)) if passage.metadata else "{}"
    ids = _string(passage.doc_id)
    return f'{{"doc_id":{ids},"end":{passage.end},"metadata":{metadata},"start":{passage.start},"text":'


def _behind(passage: Passage) -> str:
    """The rest of the record."""
    return f',"title":{_string(passage.title)}}}' if passage.title else ',"title":""}'


def json_strings(texts: list[str]) -> list[bytes]:
    """The texts as ``json.dumps(text, ensure_ascii=False)`` writes them, in UTF-8.

    For long texts this takes a fifth of the time: a text of many letters and few quotes is copied, not walked through.
    """
    escaped = [
        _utf8(text)
        .replace(b"\\", b"\\\\")
        .replace(b'"', b'\\"')
        .replace(b"\n", b"\\n")
        .replace(b"\r", b"\\r")
        .replace(b"\t", b"\\t")
        for text in texts
    ]
    if np.any(np.frombuffer(b"".join(escaped), np.uint8) < _SPACE):  # there are rarer control characters
        return [_utf8(_string(text)) for text in texts]
    return [b'"%b"' % text for text in escaped]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _offsets(lengths: list[UInt64Array]) -> UInt64Array:
    sizes = np.concatenate(lengths) if lengths else np.empty(0, np.uint64)
    out = np.zeros(len(sizes) + 1, "<u8")
    np.cumsum(sizes, out=out[1:])
    return out


def _typed(field: str, value: Any, doc_id: str) -> tuple[str, Any]:
    """The kind of a value, and what its column holds. A list of mixed numbers is one of floats."""
    if isinstance(value, list | tuple):
        kinds = {_typed(field, item, doc_id)[0] for item in value}
        if kinds <= {"str"}:
            return "strs", [storable(item) for item in value]
        if kinds <= {"int", "float"}:
            return ("ints", list(value)) if kinds == {"int"} else ("floats", [float(item) for item in value])
    elif isinstance(value, bool):
        return "bool", value
    elif isinstance(value, int):
        return ("int", value) if -INT64 <= value < INT64 else ("float", float(value))
    elif isinstance(value, float) and np.isfinite(value):
        return "float", value
    elif isinstance(value, str):
        return "str", storable(value)
    raise CorpusError(
        f"document {doc_id!r}: metadata field {field!r} holds {str(value)[:60]!r} ({type(value).__name__})",
        expected="a text, a finite number, true or false, or a list of texts or of numbers",
    )


def _write_parquet(rows: Path, columns: dict[str, str], target: Path) -> None:
    """One Parquet file from the rows; one thread and fixed sizes, so that equal rows give equal bytes."""
    types = {"ord": "UINTEGER", "id": "VARCHAR", "doc_id": "VARCHAR", "title": "VARCHAR"}
    types |= dict(sorted(columns.items()))
    duckdb = load("duckdb", purpose="writing metadata")
    with duckdb.connect(":memory:", config={"threads": 1, "preserve_insertion_order": True}) as connection:
        selected = ", ".join(map(quoted, types))
        connection.execute(
            f"COPY (SELECT {selected} FROM read_json(?, format = 'newline_delimited', columns = ?, "
            "maximum_object_size = 268435456)) TO "
            f"'{_escaped(target)}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})",
            [literal_path(rows), types],
        )


def _escaped(path: Path) -> str:
    """A path inside an SQL text: COPY takes no parameter for its target."""
    return str(path).replace("'", "''")
