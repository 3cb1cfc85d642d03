"""Writing into an expansion store: one writer at a time, whole batches, each durable on return."""

from __future__ import annotations

import lzma
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from twindex.indexing.expansion.log import MAGIC, append, framed
from twindex.indexing.expansion.records import NOBODY, Record, config_hash
from twindex.indexing.expansion.store import LOG_FILE, ExpansionStore
from twindex.indexing.lock import WriterLock

#: Lines of an exported file are framed in batches of so many bytes.
EXPORT_BATCH: Final = 1 << 20


class ExpansionWriter:
    """The one writer of a store. What a crash cut short is dropped when the next writer opens the store.

    Args:
        path: Folder of the store; made if absent.

    Raises:
        LockedIndexError: If another process is writing into it.
        CorruptIndexError: If the store is damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = WriterLock(self.path)
        self._handle = -1
        try:
            log = self.path / LOG_FILE
            self._handle = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            if os.fstat(self._handle).st_size < len(MAGIC):
                self._begin()
            self.store = ExpansionStore(self.path)
            os.ftruncate(self._handle, max(self.store.end, len(MAGIC)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the store; a second call does nothing."""
        if hasattr(self, "store"):
            self.store.close()
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
        self._lock.release()

    def configure(self, config: Mapping[str, Any]) -> bytes:
        """The configuration's hash; it is written down if the store does not know it."""
        hash_ = config_hash(config)
        if hash_ not in self.store.configs():
            self.append([Record(hash_, NOBODY, "config", 0, dict(config))])
        return hash_

    def append(self, records: Iterable[Record]) -> None:
        """All records or, after a crash, none; durable on return, and visible in ``store``."""
        lines = b"".join(record.line() for record in records)
        if lines:
            append(self._handle, lines)
            self.store.refresh()

    def _begin(self) -> None:
        os.ftruncate(self._handle, 0)
        os.write(self._handle, MAGIC)
        os.fsync(self._handle)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def export(store: ExpansionStore, path: Path, configs: Iterable[bytes] | None = None) -> int:
    """Writes configurations of a store into one compressed file, which opens as a store; its bytes.

    Args:
        store: What is exported.
        path: The file; its name should end in ``.xz``.
        configs: Which, in this order; None = all.
    """
    chosen = list(store.configs() if configs is None else configs)
    part = path.with_name(path.name + ".tmp")
    with lzma.open(part, "wb", preset=9) as file:
        file.write(MAGIC)
        lines = bytearray()
        for config in chosen:
            for record in store.all_records(config):
                lines += record.line()
                if len(lines) >= EXPORT_BATCH:
                    file.write(framed(bytes(lines)))
                    lines.clear()
        if lines:
            file.write(framed(bytes(lines)))
    os.replace(part, path)
    return path.stat().st_size
