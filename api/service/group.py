"""Group commit: writes that come together share one sync of the disk."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from twindex.api.refusals import ConflictError, OverloadedError, StorageError
from twindex.api.service.records import Entry
from twindex.api.service.wal import Acknowledged, WriteLog

log = logging.getLogger(__name__)

#: Writes that may wait for the disk.
MAX_WAITING: Final = 256
_Waiting = tuple[Entry, "Future[Acknowledged]"]


class GroupCommit:
    """One thread that appends to a log whatever has come since its last sync.

    Args:
        write_log: The log.
        after: Called after each append.
    """

    def __init__(self, write_log: WriteLog, *, after: Callable[[], None]) -> None:
        self._log = write_log
        self._after = after
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, entry: Entry) -> Future[Acknowledged]:
        """The write; its future is done once it is durable, or fails with why it is not.

        Raises:
            OverloadedError: If too many writes wait for the disk.
        """
        future: Future[Acknowledged] = Future()
        try:
            self._queue.put_nowait((entry, future))
        except queue.Full:
            raise OverloadedError(
                f"{MAX_WAITING} writes wait for the disk", remedy="try again in 1 s", headers={"Retry-After": "1"}
            ) from None
        return future

    def stop(self) -> None:
        """Ends after what was submitted before."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ended = [first], False
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    ended = True
                    break
                batch.append(more)
            self._append(batch)
            if ended:
                return

    def _append(self, batch: list[_Waiting]) -> None:
        try:
            answers = self._log.append([entry for entry, _ in batch])
        except Exception as error:
            if not isinstance(error, StorageError):
                log.exception("the write log failed")
            for _, future in batch:
                future.set_exception(error if isinstance(error, StorageError) else StorageError("the write log failed"))
            return
        for (_, future), answer in zip(batch, answers):
            if isinstance(answer, ConflictError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._after()
