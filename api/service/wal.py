"""The write-ahead log of one index: what it has acknowledged survives ``kill -9`` and loss of power.

A write is acknowledged only after its record and the folder that holds it were synced (``fsync``). Files are named
by their first sequence number and rotated; those whose records are all in a commit of the index are removed. Several
processes may append: each holds the lock file for the time of one append, and reads what others appended before.

A record that is torn (the tail of a process that died) was never acknowledged and is cut off before the next
append. A damaged record with whole ones behind it is an error, never skipped.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from twindex.api.refusals import ConflictError, StorageError
from twindex.api.service.records import Entry, Record
from twindex.indexing.directory import sync_path
from twindex.indexing.errors import CorruptIndexError

LOCK_FILE: Final = "append.lock"
PREFIX: Final = "log-"
SUFFIX: Final = ".ndjson"
#: Bytes after which a new file is begun.
ROTATE: Final = 16 << 20
#: Idempotency keys are remembered for so many seconds, and at most so many of them.
REMEMBER_SECONDS: Final = 24 * 3600.0
REMEMBER_COUNT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write that is durable. ``again`` is true if it was so before, under the same idempotency key."""

    sequence: int
    outcome: dict[str, Any]
    again: bool = False


class WriteLog:
    """The log of one index. Safe for threads, and for several processes.

    Args:
        folder: Where its files are; made if absent.
        rotate: Bytes after which a new file is begun.

    Raises:
        CorruptIndexError: If a record before the end is damaged.
    """

    def __init__(self, folder: Path, *, rotate: int = ROTATE) -> None:
        self.folder = folder
        self._rotate = rotate
        self._threads = threading.Lock()
        self._last = 0
        self._file: Path | None = None
        self._size = 0
        self._handle = -1
        self._failed = ""
        self._keys: dict[str, Record] = {}
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for above in (folder.parent, folder.parent.parent):  # or a loss of power could take the folder itself
                sync_path(above)
        self._lock_handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self.exclusive():
            pass

    @property
    def last(self) -> int:
        """Sequence number of the last record known here, 0 before the first."""
        return self._last

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else appends meanwhile; what others appended before is known."""
        with self._threads:
            fcntl.flock(self._lock_handle, fcntl.LOCK_EX)
            try:
                self._catch_up()
                yield
            finally:
                fcntl.flock(self._lock_handle, fcntl.LOCK_UN)

    def append(self, entries: Sequence[Entry]) -> list[Acknowledged | ConflictError]:
        """Makes the writes durable with one sync; what to answer to each.

        Raises:
            StorageError: If they could not be made durable; none of them is acknowledged.
        """
        with self.exclusive():
            return self.append_locked(entries)

    def append_locked(self, entries: Sequence[Entry]) -> list[Acknowledged | ConflictError]:
        """The same for a caller inside :meth:`exclusive`.

        Raises:
            StorageError: As above.
        """
        if self._failed:
            raise StorageError(f"the write log is closed: {self._failed}", remedy="mend the disk and start again")
        answers: list[Acknowledged | ConflictError] = []
        new = [entry for entry in entries if not entry.key or entry.key not in self._keys]
        carried = self._begin_file() if new and (self._file is None or self._size >= self._rotate) else []
        records = list(carried)
        known: dict[str, Record] = {}
        for entry in entries:
            before = (known.get(entry.key) or self._keys.get(entry.key)) if entry.key else None
            if before is not None:
                answers.append(_again(before, entry))
                continue
            record = Record(self._last + len(records) + 1, entry, time.time())
            records.append(record)
            known[entry.key] = record
            answers.append(Acknowledged(record.sequence, dict(entry.outcome)))
        if new:
            self._write(records)
        return answers

    def forget(self, applied: int) -> None:
        """Removes files whose records are all applied; the newest file stays. Waits for nobody."""
        for file, following in pairwise(log_files(self.folder)):
            if first_of(following) <= applied + 1:
                file.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in log_files(self.folder) if file.exists())

    def close(self) -> None:
        """Gives the files back. A second call does nothing."""
        with self._threads:
            for handle in (self._handle, self._lock_handle):
                if handle >= 0:
                    os.close(handle)
            self._handle = self._lock_handle = -1

    def _write(self, records: Sequence[Record]) -> None:
        data = b"".join(record.to_line() for record in records)
        try:
            _write_all(self._handle, data)
            os.fsync(self._handle)
        except OSError as error:
            self._undo(error)
            raise _storage_error(error) from error
        self._size += len(data)
        self._last = records[-1].sequence
        self._learn(records)

    def _begin_file(self) -> list[Record]:
        """Begins a file; its first record, still to be written, carries the keys that are remembered.

        Raises:
            StorageError: If there cannot be one.
        """
        path = self.folder / f"{PREFIX}{self._last + 1:016d}{SUFFIX}"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            sync_path(self.folder)
        except OSError as error:
            raise _storage_error(error) from error
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._file, self._size = handle, path, 0
        horizon = time.time() - REMEMBER_SECONDS
        kept = [r for r in self._keys.values() if r.at >= horizon]
        body = {"keys": [[r.entry.key, r.entry.digest, r.sequence, r.at, dict(r.entry.outcome)] for r in kept]}
        return [Record(self._last + 1, Entry("keys", body), time.time())] if kept else []

    def _undo(self, error: OSError) -> None:
        """Cuts a failed append off. Where even that fails, or a sync did, the log takes no further writes."""
        try:
            if self._handle >= 0:
                os.ftruncate(self._handle, self._size)
        except OSError as second:
            self._failed = f"{second.strerror}, after {error.strerror}"
        if error.errno == errno.EIO:
            # After a failed sync nobody knows what reached the disk.
            self._failed = error.strerror or "input/output error"

    def _catch_up(self) -> None:
        """Reads what is new since the last look; cuts a torn tail off. The caller holds the lock."""
        while True:
            try:
                return self._read_new(log_files(self.folder))
            except FileNotFoundError:  # applied and removed between listing and reading
                continue

    def _read_new(self, files: Sequence[Path]) -> None:
        fresh = [file for file in files if self._file is None or first_of(file) >= first_of(self._file)]
        for file in fresh:
            if file != self._file:
                self._open(file)
            if file.stat().st_size != self._size:
                self._read_rest(file, newest=file == files[-1])

    def _open(self, file: Path) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._file, self._size = file, 0
        self._last = max(self._last, first_of(file) - 1)  # files before it may be gone: applied and removed

    def _read_rest(self, file: Path, *, newest: bool) -> None:
        records, good, rest = read_records(file, self._size, self._last)
        if rest:
            if not newest or not _torn(rest):
                raise CorruptIndexError(
                    f"{file}: a damaged record at byte {good}",
                    expected=f"record {self._last + len(records) + 1}",
                    remedy="restore the index from a snapshot, or move the log away and lose what it holds",
                )
            os.ftruncate(self._handle, good)
            os.fsync(self._handle)
        self._size = good
        if records:
            self._last = records[-1].sequence
            self._learn(records)

    def _learn(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.entry.operation == "keys":
                for key, digest, sequence, at, outcome in record.entry.body["keys"]:
                    self._keys[key] = Record(sequence, Entry("keys", {}, key, digest, outcome), at)
            elif record.entry.key:
                # The body is in the file; only what is needed to answer again stays in memory.
                entry = Entry(record.entry.operation, {}, record.entry.key, record.entry.digest, record.entry.outcome)
                self._keys[record.entry.key] = Record(record.sequence, entry, record.at)
        while len(self._keys) > REMEMBER_COUNT:
            del self._keys[next(iter(self._keys))]


def log_files(folder: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))


def first_of(file: Path) -> int:
    """Sequence number of a file's first record."""
    return int(file.name[len(PREFIX) : -len(SUFFIX)])


def read_records(file: Path, offset: int, last: int, *, limit: int = -1) -> tuple[list[Record], int, bytes]:
    """Whole records from a byte on, the byte after them, and what follows that is no whole record.

    Args:
        file: A file of the log.
        offset: Where a record begins.
        last: Sequence number of the record before it.
        limit: Bytes to read, at most; longer records are still read whole. -1 = all.
    """
    with file.open("rb") as stream:
        stream.seek(offset)
        data = stream.read(limit)
        if not data.endswith(b"\n"):
            data += stream.readline()
    records: list[Record] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1
        record = Record.from_line(data[at:end]) if end else None
        if record is None or record.sequence != last + 1:
            break
        records.append(record)
        last, at = record.sequence, end
    return records, offset + at, data[at:]


def _torn(rest: bytes) -> bool:
    """Whether bytes that are no record can be the end of an append that was cut short."""
    return all(Record.from_line(line + b"\n") is None for line in rest.split(b"\n")[1:])


def _again(before: Record, entry: Entry) -> Acknowledged | ConflictError:
    if before.entry.digest == entry.digest:
        return Acknowledged(before.sequence, dict(before.entry.outcome), again=True)
    return ConflictError(
        f"idempotency key {entry.key!r} with another request than before",
        expected="the same request, or another key",
    )


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _storage_error(error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageError(
        f"the write could not be made durable: {error.strerror}",
        expected="room on the disk" if full else "a writable disk",
        remedy="free some space and send it again" if full else "mend the disk and send it again",
    )
