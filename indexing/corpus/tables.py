"""Corpora in tables: CSV and TSV by the standard library, Parquet through DuckDB, both as streams."""

from __future__ import annotations

import csv
import datetime
import decimal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from twindex.indexing.corpus.base import OnError, RecordCorpus
from twindex.indexing.errors import CorpusError
from twindex.indexing.optional import load
from twindex.indexing.types import Document

BATCH: Final = 1_000


class DelimitedCorpus(RecordCorpus):
    """A CSV or TSV file with a header line. Empty cells of other columns are no metadata.

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
        name = str(self.path)
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        with self.path.open(encoding="utf-8-sig", errors="strict", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            header: list[str] | None = None
            while True:
                try:
                    row = next(reader, None)
                except (csv.Error, UnicodeDecodeError) as error:
                    raise CorpusError(
                        f"not readable ({error})",
                        path=name,
                        line=reader.line_num,
                        expected="delimited UTF-8 text",
                    ) from error
                if row is None:
                    return
                if header is None:
                    header = row
                elif row:
                    document = self._row(header, row, name, reader.line_num)
                    if document is not None:
                        yield document

    def _row(self, header: list[str], row: list[str], name: str, line: int) -> Document | None:
        def read() -> dict[str, str]:
            if len(row) != len(header):
                raise CorpusError(f"{len(row)} cells", path=name, line=line, expected=f"{len(header)}, as the header")
            usual = {*self._fields.ids, *self._fields.texts, *self._fields.titles}
            return {key: cell for key, cell in zip(header, row) if cell or key in usual}

        return self.document(read, name, line)


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
        while rows := cursor.fetchmany(BATCH):
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
            return connection.execute(sql, [str(self.path)])
        except duckdb.Error as error:
            raise CorpusError(str(error).splitlines()[0], path=self.name, expected="a Parquet file") from error


def _plain(value: Any) -> Any:
    """Values of types that metadata does not have, as text or numbers."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
