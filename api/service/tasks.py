"""Long jobs: one small file each, so that every process of a server, and the next start, can tell how far they are."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from twindex.api.refusals import NotThereError, OverloadedError
from twindex.indexing.directory import FileDirectory
from twindex.indexing.errors import TwindexError
from twindex.indexing.types import Progress

log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
#: Finished tasks that are kept.
KEPT: Final = 200
#: Tasks that may wait.
MAX_WAITING: Final = 32
#: Seconds between writes of the progress.
EVERY: Final = 0.2
_ID: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Task:
    """How far a job is. Times are seconds since 1970; ``total`` is None where it is not known."""

    id: str
    kind: str
    index: str
    state: State = "queued"
    created: float = 0.0
    finished: float = 0.0
    stage: str = ""
    done: int = 0
    total: int | None = None
    result: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    process: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = asdict(self)
        del plain["process"]
        return plain


#: The work of a task: gets a progress callback, gives the result.
Work = Callable[[Progress], dict[str, Any]]


class Cancelled(Exception):  # noqa: N818, RUF100 - control flow inside this module
    """Somebody asked a task to end."""


@dataclass(slots=True)
class _Running:
    task: Task
    written: float = field(default=0.0)


class TaskStore:
    """Runs jobs one after the other in a thread, and keeps account of them.

    Args:
        folder: Where the accounts are.
    """

    def __init__(self, folder: Path) -> None:
        self._directory = FileDirectory(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="task")
        self._lock = threading.Lock()
        self._waiting = 0

    def start(self, kind: str, index: str, work: Work) -> Task:
        """A new task, queued.

        Raises:
            OverloadedError: If too many wait.
        """
        with self._lock:
            if self._waiting >= MAX_WAITING:
                raise OverloadedError(
                    f"{self._waiting} tasks wait already", expected=f"fewer than {MAX_WAITING}",
                    remedy="try again when some are done", headers={"Retry-After": "10"},
                )  # fmt: skip
            self._waiting += 1
        task = Task(secrets.token_hex(8), kind, index, created=time.time(), process=os.getpid())
        self._write(task)
        self._prune()
        self._thread.submit(self._run, task, work)
        return task

    def get(self, id_: str) -> Task:
        """The task of that id.

        Raises:
            NotThereError: If there is none.
        """
        task = self._read(id_) if _ID.fullmatch(id_) else None
        if task is None:
            raise NotThereError(f"no task {id_[:40]!r}", expected="the id of a task", remedy="see GET /v1/tasks")
        return task

    def all(self) -> list[Task]:
        """Every task, the newest first."""
        ids = [name.removesuffix(".json") for name in self._directory.names() if name.endswith(".json")]
        tasks = [task for id_ in ids if _ID.fullmatch(id_) and (task := self._read(id_)) is not None]
        return sorted(tasks, key=lambda task: (-task.created, task.id))

    def cancel(self, id_: str) -> Task:
        """Asks a task to end, in whatever process it runs: at its next step. One that has ended stays as it is.

        Raises:
            NotThereError: If there is none.
        """
        task = self.get(id_)
        if task.state in ("queued", "running"):
            self._directory.replace(f"{id_}.cancel", b"")
        return task

    def close(self) -> None:
        """Finishes the task under way; those that wait are marked as interrupted when they are next read."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self, task: Task, work: Work) -> None:
        running = _Running(replace(task, state="running"))

        def progress(stage: str, done: int, total: int | None) -> None:
            running.task = replace(running.task, stage=stage, done=done, total=total)
            if time.monotonic() - running.written >= EVERY:
                running.written = time.monotonic()
                if self._directory.path(f"{task.id}.cancel").exists():
                    raise Cancelled
                self._write(running.task)

        ended: dict[str, Any]
        try:
            progress("", 0, None)
            ended = {"state": "done", "result": work(progress)}
        except Cancelled:
            ended = {"state": "cancelled"}
        except TwindexError as error:
            ended = {"state": "failed", "error": {"kind": type(error).__name__, "detail": error.message}}
        except Exception as error:  # a task must end in a state that its reader can see
            log.exception("task %s (%s) failed", task.id, task.kind)
            ended = {"state": "failed", "error": {"kind": type(error).__name__, "detail": "see the server's log"}}
        finally:
            with self._lock:
                self._waiting -= 1
        self._write(replace(running.task, finished=time.time(), **ended))
        self._directory.remove(f"{task.id}.cancel")

    def _write(self, task: Task) -> None:
        self._directory.replace(f"{task.id}.json", json.dumps(asdict(task)).encode())

    def _read(self, id_: str) -> Task | None:
        try:
            task = Task(**json.loads(self._directory.read(f"{id_}.json")))
        except (OSError, ValueError, TypeError):
            return None
        if task.state in ("queued", "running") and not _alive(task.process):
            return replace(task, state="interrupted")
        return task

    def _prune(self) -> None:
        for task in self.all()[KEPT:]:
            if task.state not in ("queued", "running"):
                self._directory.remove(f"{task.id}.json")
                self._directory.remove(f"{task.id}.cancel")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
