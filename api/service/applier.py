"""The one thread that brings an index up to its log: it gathers records, commits them, and merges when idle.

In a server of several processes the one that holds the lock file does the work; another takes over if it dies.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twindex.api.service.applied import Applied
from twindex.api.service.apply import EncodersOf, Refused, apply_records, merge_if_many
from twindex.api.service.records import Record
from twindex.api.service.tail import LogTail
from twindex.api.service.wal import WriteLog
from twindex.indexing.directory import FileDirectory
from twindex.indexing.errors import LockedIndexError, TwindexError
from twindex.indexing.manifest import Manifest, read_manifest

log = logging.getLogger(__name__)

APPLIER_LOCK: Final = "applier.lock"
#: Seconds that a commit waits for more records, and between looks for those of other processes.
GATHER: Final = 0.1
#: Seconds that a process waits for another one to apply what a crash left, before it serves what there is.
RECOVERY: Final = 60.0
#: Seconds between tries while the index cannot be written, at first and at most.
RETRY: Final = (0.2, 5.0)

#: Does a job of a record that replaces the whole index; gives the new manifest.
Job = Callable[[Record], Manifest]


class Applier:
    """Follows a write log and keeps its index up to date, in a thread of its own.

    Args:
        path: The index.
        write_log: Its log.
        encoders_of: Finds encoders.
        on_commit: Called after each commit, in this thread.
        restore: Does a restore record.
    """

    def __init__(
        self,
        path: Path,
        write_log: WriteLog,
        encoders_of: EncodersOf,
        *,
        on_commit: Callable[[], None],
        restore: Job,
    ) -> None:
        self.path = path
        self.problem = ""
        self.refused: list[Refused] = []
        self._log = write_log
        self._encoders_of = encoders_of
        self._on_commit = on_commit
        self._restore = restore
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._lock_handle = -1
        self._done = Applied.read(write_log.folder)
        self._tail = LogTail(write_log.folder, self._done.sequence)
        self._thread = threading.Thread(target=self._run, name=f"applier-{path.name}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self) -> None:
        """Says that there is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the commit under way; what is logged and not applied is applied at the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock_handle >= 0:
            os.close(self._lock_handle)
            self._lock_handle = -1

    def recover(self) -> None:
        """Returns once all that is logged is applied, here or by the process that has the lock.

        Called before an index is first opened, so that nobody sees less than was acknowledged before a crash.
        """
        deadline = time.monotonic() + RECOVERY
        while not self._mine():
            if Applied.read(self._log.folder).sequence >= self._log.last or time.monotonic() > deadline:
                return
            time.sleep(GATHER / 2)
        while records := self._tail.pending():
            self._apply(records)

    def status(self) -> dict[str, Any]:
        """For the health and info pages."""
        return {"applied": self._done.sequence, "problem": self.problem, "refused": len(self.refused)}

    def _run(self) -> None:
        wait, idle = RETRY[0], False
        while not self._stop.is_set():
            if not self._wake.wait(GATHER if not idle else 5 * GATHER) and idle and not self._news():
                continue
            self._wake.clear()
            try:
                idle = not self._step()
                wait, self.problem = RETRY[0], ""
            except Exception as error:
                self._report(error)
                self._stop.wait(wait)
                wait, idle = min(2 * wait, RETRY[1]), False

    def _news(self) -> bool:
        """Whether another process may have appended, or the process that applied may be gone."""
        return self._lock_handle < 0 or bool(self._tail.pending())

    def _step(self) -> bool:
        """Applies what there is; whether there was anything."""
        if not self._mine():
            return False
        if not self._tail.pending():
            return self._merge()
        if self._stop.wait(GATHER):  # more records make one commit with these
            return False
        self._apply(self._tail.pending())
        self._merge()
        return True

    def _apply(self, records: list[Record]) -> None:
        batch = _until_restore(records)
        if batch[0].entry.operation == "restore":
            manifest, refused = self._restored(batch[0])
        elif all(record.entry.operation == "keys" for record in batch):
            manifest, refused = read_manifest(FileDirectory(self.path), where=str(self.path)), ()
        else:
            manifest, refused = apply_records(self.path, batch, self._encoders_of)
        self.refused += refused
        self._done = Applied(batch[-1].sequence, manifest.generation)
        self._done.write(self._log.folder)
        self._tail.advance(self._done.sequence)
        self._on_commit()
        self._log.forget(self._done.sequence)

    def _restored(self, record: Record) -> tuple[Manifest, tuple[Refused, ...]]:
        try:
            return self._restore(record), ()
        except LockedIndexError:
            raise
        except TwindexError as error:
            log.error("record %s, a restore, is passed over: %s", record.sequence, error)
            manifest = read_manifest(FileDirectory(self.path), where=str(self.path))
            return manifest, (Refused(record.sequence, str(error)),)

    def _merge(self) -> bool:
        manifest = read_manifest(FileDirectory(self.path), where=str(self.path))
        merged = merge_if_many(self.path, len(manifest.segments))
        if merged is None:
            return False
        self._done = Applied(self._done.sequence, merged.generation)
        self._done.write(self._log.folder)
        self._on_commit()
        return True

    def _mine(self) -> bool:
        """Whether this process applies; the lock is tried again at each call."""
        if self._lock_handle >= 0:
            return True
        handle = os.open(self._log.folder / APPLIER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock_handle = handle
        self._done = Applied.read(self._log.folder)
        self._tail = LogTail(self._log.folder, self._done.sequence)
        return True

    def _report(self, error: Exception) -> None:
        """A failing disk or a lock of another writer is not the end: reading goes on, and so do the tries."""
        message = f"{type(error).__name__}: {error}"
        if message != self.problem:
            level = logging.WARNING if isinstance(error, LockedIndexError) else logging.ERROR
            log.log(level, "the write log of %s could not be applied and is tried again: %s", self.path, message)
        self.problem = message


def _until_restore(records: list[Record]) -> list[Record]:
    """The records before the next restore, or that restore alone."""
    for place, record in enumerate(records):
        if record.entry.operation == "restore":
            return records[: max(place, 1)]
    return records
