"""Corpora in tables: CSV and TSV by the standard library, Parquet through DuckDB, both as streams."""

from __future__ import annotations

import csv
import datetime
import decimal
import re
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from twindex.indexing.corpus.base import OnError, RecordCorpus
from twindex.indexing.errors import CorpusError
from twindex.indexing.optional import load
from twindex.indexing.parquet_path import literal_path
from twindex.indexing.types import Document

BATCH: Final = 1_000
#: What the error handler "surrogateescape" makes of a byte that is not UTF-8.
_ESCAPED: Final = re.compile("[\udc80-\udcff]")


class DelimitedCorpus(RecordCorpus):
    """A CSV or TSV file with a header line. Empty cells of other columns are no metadata.

    A record that spans several lines is named by the last of them.

    Args:
        path: The file, in UTF-8.
        delimiter: One character.
    """

    def __init__(self, path: Path, *, delimiter: str, on_error: OnError = "fail", **fields: str | None) -> None:
        super().__init__(str(path), on_error=on_error, **fields)
        self.path = path
        self.delimiter = delimiter

    def __iter__(self) -> Iterator[Document]:
        """A new stream."""
        self.restart()
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        # Bytes that are not UTF-8 become lone surrogates here, so that only their record is refused.
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            header = self._header(reader)
            while (row := self._next(reader)) is not None:
                if row:
                    document = self._row(header, row, reader.line_num)
                    if document is not None:
                        yield document

    def _header(self, reader: Any) -> list[str]:
        """The names of the columns; none for an empty file.

        Raises:
            CorpusError: If it cannot be read, names a column twice, or has no id or text. Nothing can be skipped then.
        """
        try:
            header: list[str] = next(reader, [])
        except csv.Error as error:
            raise self._unreadable(error, reader.line_num) from error
        given = ", ".join(header)[:200]
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise CorpusError(f"a header with two columns {twice!r}", path=self.name, line=1, expected="distinct names")
        for what, names in (("id", self._fields.ids), ("text", self._fields.texts)):
            if header and not set(names) & set(header):
                raise CorpusError(
                    f"no column for the {what} in the header: {given}",
                    path=self.name,
                    line=1,
                    expected=f"a column named {' or '.join(names)}",
                    remedy=f"name the column ({what}_field, or --{what}-field)",
                )
        return header

    def _next(self, reader: Any) -> list[str] | None:
        """The next record, [] for one that was skipped, None at the end."""
        try:
            row: list[str] | None = next(reader, None)
        except csv.Error as error:
            unreadable = self._unreadable(error, reader.line_num)
            if self._on_error == "fail":
                raise unreadable from error
            self.skip(unreadable)
            return []
        return row

    def _unreadable(self, error: csv.Error, line: int) -> CorpusError:
        return CorpusError(
            f"not readable ({error})", path=self.name, line=line, expected="cells in delimited form, quotes closed"
        )

    def _row(self, header: list[str], row: list[str], line: int) -> Document | None:
        def read() -> dict[str, str]:
            if len(row) != len(header):
                cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
                raise CorpusError(cells, path=self.name, line=line, expected=f"{len(header)}, as the header")
            if any(_ESCAPED.search(cell) for cell in row):
                raise CorpusError("bytes that are not UTF-8", path=self.name, line=line, expected="UTF-8 text")
            usual = {*self._fields.ids, *self._fields.texts, *self._fields.titles}
            return {key: cell for key, cell in zip(header, row) if cell or key in usual}

        return self.document(read, self.name, line)


class ParquetCorpus(RecordCorpus):
    """A Parquet file; columns beside id, text and title become metadata."""

    def __init__(self, path: Path, *, on_error: OnError = "fail", **fields: str | None) -> None:
        super().__init__(str(path), on_error=on_error, **fields)
        self.path = path

    @property
    def total(self) -> int | None:
        """The number of rows, from the file's footer."""
        return int(self._query("SELECT count(*) FROM read_parquet(?)").fetchone()[0])

    def __iter__(self) -> Iterator[Document]:
        """A new stream, in row order."""
        self.restart()
        cursor = self._query("SELECT * FROM read_parquet(?)")
        names = [column[0] for column in cursor.description]
        number = 0
        while rows := self._fetch(cursor):
            for row in rows:
                number += 1
                record = {key: _plain(value) for key, value in zip(names, row) if value is not None}
                document = self.document(partial(dict, record), self.name, number)
                if document is not None:
                    yield document

    def _query(self, sql: str) -> Any:
        duckdb = load("duckdb", purpose="reading Parquet files")
        connection = duckdb.connect(":memory:", config={"threads": 1, "preserve_insertion_order": True})
        try:
            return connection.execute(sql, [literal_path(self.path)])
        except duckdb.Error as error:
            raise self._unreadable(error) from error

    def _fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        """The next rows; a damaged file may show only here, and no skipping can mend it."""
        duckdb = load("duckdb", purpose="reading Parquet files")
        try:
            rows: list[tuple[Any, ...]] = cursor.fetchmany(BATCH)
        except duckdb.Error as error:
            raise self._unreadable(error) from error
        return rows

    def _unreadable(self, error: Exception) -> CorpusError:
        return CorpusError(str(error).splitlines()[0], path=self.name, expected="a Parquet file")


def _plain(value: Any) -> Any:
    """Values of types that metadata does not have, as text or numbers."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
