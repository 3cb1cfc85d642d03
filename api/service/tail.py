"""Reads a write log from where its index stands, without reading anything twice."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from twindex.api.service.records import Record
from twindex.api.service.wal import first_of, log_files, read_records

#: Bytes of records that are handed out at once, about.
BATCH_BYTES: Final = 32 << 20


class _Place(NamedTuple):
    """The byte after a record."""

    sequence: int
    file: Path
    offset: int


class LogTail:
    """The records after the last applied one. For one thread.

    Args:
        folder: The log's.
        applied: Sequence number of the last applied record.
    """

    def __init__(self, folder: Path, applied: int) -> None:
        self._folder = folder
        self._applied = applied
        self._file: Path | None = None
        self._offset = 0
        self._ends: list[_Place] = []

    def pending(self) -> list[Record]:
        """Whole records that are not applied, about :data:`BATCH_BYTES` of them at most."""
        found: list[Record] = []
        self._ends = []
        total = 0
        for file in self._files():
            offset = self._offset if file == self._file else 0
            try:
                if file.stat().st_size == offset:
                    continue
                last = self._applied if file == self._file else first_of(file) - 1
                records, end, _ = read_records(file, offset, last, limit=BATCH_BYTES)
            except FileNotFoundError:  # applied and removed by another process
                continue
            at = offset
            for record in records:
                at += len(record.to_line())
                if record.sequence > self._applied:
                    found.append(record)
                self._ends.append(_Place(record.sequence, file, at))
            total += end - offset
            if total >= BATCH_BYTES:
                break
        return found

    def advance(self, applied: int) -> None:
        """Says that the records up to that one are applied."""
        self._applied = max(self._applied, applied)
        for place in self._ends:
            if place.sequence <= applied:
                self._file, self._offset = place.file, place.offset

    def _files(self) -> list[Path]:
        files = log_files(self._folder)
        if self._file is not None:
            return [file for file in files if first_of(file) >= first_of(self._file)]
        return [
            file
            for file, following in zip(files, [*files[1:], None])
            if following is None or first_of(following) > self._applied + 1
        ]
