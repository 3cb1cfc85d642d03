"""Long jobs end when they are told to, in whatever process they run, and leave nothing half-done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.server import client_of
from twindex.api.gate import GateConfig
from twindex.api.refusals import NotThereError
from twindex.api.service import backup
from twindex.api.service.keys import KeyStore
from twindex.api.service.tasks import Task, TaskStore
from twindex.indexing.types import Progress


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_running_and_a_waiting_task_are_cancelled(tmp_path: Path) -> None:
    mine, other = TaskStore(tmp_path), TaskStore(tmp_path)  # as two processes of a server have them
    begun = threading.Event()

    def forever(progress: Progress) -> dict[str, Any]:
        for step in range(10_000):
            begun.set()
            progress("turning", step, None)
            time.sleep(0.01)
        return {}

    running, waiting, last = (mine.start("eval", "x", forever) for _ in range(3))
    begun.wait(10)
    until(lambda: other.get(running.id).state == "running")
    assert other.cancel(waiting.id).state == "queued"
    assert other.cancel(running.id).state == "running"
    until(lambda: mine.get(waiting.id).state == "cancelled")
    assert mine.get(running.id).state == "cancelled"
    assert mine.get(running.id).done > 0
    assert mine.get(waiting.id).done == 0
    assert mine.get(waiting.id).finished > 0
    mine.cancel(last.id)
    until(lambda: mine.get(last.id).state == "cancelled")
    until(lambda: not list(tmp_path.glob("*.cancel")))
    done = mine.start("eval", "x", lambda progress: {"fine": 1})
    until(lambda: mine.get(done.id).state == "done")
    assert mine.cancel(done.id).result == {"fine": 1}
    assert not list(tmp_path.glob("*.cancel"))
    with pytest.raises(NotThereError):
        mine.cancel("0" * 16)
    mine.close()
    other.close()


def test_half_a_snapshot_is_removed_whatever_ended_it(index: Path, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(stage: str, done: int, total: int | None) -> None:
        raise Enough

    with pytest.raises(Enough):
        backup.take_snapshot(index, tmp_path / "copy", progress=stop)
    assert not list(tmp_path.iterdir())


def test_who_may_cancel_what(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / ".twindex")
    admin = {"authorization": f"Bearer {store.create(scope='admin')[1]}"}
    reader = {"authorization": f"Bearer {store.create(scope='read', indexes=['x'])[1]}"}
    stranger = {"authorization": f"Bearer {store.create(scope='admin', indexes=['y'])[1]}"}
    with client_of(tmp_path, root=True, gate=GateConfig(auth=True)) as client:
        tasks: TaskStore = client.app.state.context.tasks  # type: ignore[attr-defined]
        evaluation, snapshot = (task_of(tasks, kind) for kind in ("eval", "snapshot"))
        for task, headers, status in (
            (evaluation, stranger, 403),
            (snapshot, stranger, 403),
            (snapshot, reader, 403),
            (evaluation, reader, 202),
            (snapshot, admin, 202),
        ):
            assert cancelled(client, task, headers) == status
        assert client.delete(f"/v1/tasks/{evaluation.id}").status_code == 401
        assert client.delete(f"/v1/tasks/{'0' * 16}", headers=admin).status_code == 404
        assert client.delete("/v1/tasks/..%2fkeys", headers=admin).status_code == 404


def task_of(tasks: TaskStore, kind: str) -> Task:
    return tasks.start(kind, "x", lambda progress: {})


def cancelled(client: TestClient, task: Task, headers: dict[str, str]) -> int:
    return client.delete(f"/v1/tasks/{task.id}", headers=headers).status_code
