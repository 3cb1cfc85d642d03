"""Acknowledged writes survive ``kill -9``; one that was cut short leaves no trace; a full disk stops nothing else."""

from __future__ import annotations

import errno
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.server import NDJSON, Process, client_of, free_port
from twindex.api.refusals import ConflictError, StorageError
from twindex.api.service.applied import Applied
from twindex.api.service.records import delete, documents_of, upsert
from twindex.api.service.tail import LogTail
from twindex.api.service.wal import Acknowledged, WriteLog, log_files
from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.engine import Searcher

ROUNDS = int(os.environ.get("TWINDEX_KILL_ROUNDS", "2"))


def doc(name: str, text: str = "text") -> Document:
    return Document(name, text, "title", {"n": 1})


def sequences(answers: list[Acknowledged | ConflictError]) -> list[int]:
    return [answer.sequence for answer in answers if isinstance(answer, Acknowledged)]


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    odd = Document("\ud800\n", "a\nb \u2028 \U0001f41d", "t", {"list": ["x"], "none": None})
    log = WriteLog(tmp_path)
    assert sequences(log.append([upsert([odd]), delete(["x", "y"])])) == [1, 2]
    assert sequences(log.append([upsert([doc("b")])])) == [3]
    log.close()
    again = WriteLog(tmp_path)
    assert again.last == 3
    records = LogTail(tmp_path, 0).pending()
    assert [record.sequence for record in records] == [1, 2, 3]
    assert documents_of(records[0].entry) == [odd]
    assert [record.sequence for record in LogTail(tmp_path, 2).pending()] == [3]
    again.close()


def test_every_torn_tail_is_cut_off(tmp_path: Path) -> None:
    log = WriteLog(tmp_path / "a")
    log.append([upsert([doc("a")])])
    whole = log_files(tmp_path / "a")[0].read_bytes()
    log.append([upsert([doc("b")])])
    log.close()
    data = log_files(tmp_path / "a")[0].read_bytes()
    name = log_files(tmp_path / "a")[0].name
    for cut in range(len(whole), len(data)):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / name).write_bytes(data[:cut])
        torn = WriteLog(folder)
        assert torn.last == 1
        assert sequences(torn.append([delete(["c"])])) == [2]
        assert [record.entry.operation for record in LogTail(folder, 0).pending()] == ["upsert", "delete"]
        torn.close()


def test_damage_before_the_end_is_an_error(tmp_path: Path) -> None:
    log = WriteLog(tmp_path)
    log.append([upsert([doc("a")]), upsert([doc("b")]), upsert([doc("c")])])
    log.close()
    file = log_files(tmp_path)[0]
    data = bytearray(file.read_bytes())
    data[data.index(b'"b"') + 1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptIndexError, match="damaged"):
        WriteLog(tmp_path)


def test_rotation_keeps_numbers_and_keys(tmp_path: Path) -> None:
    log = WriteLog(tmp_path, rotate=400)
    first = log.append([upsert([doc("a")], key="k", digest="d", outcome={"accepted": 1})])[0]
    for n in range(30):
        log.append([upsert([doc(f"d{n}")])])
    assert len(log_files(tmp_path)) > 3
    log.forget(log.last)
    assert len(log_files(tmp_path)) == 1
    last = log.last
    log.close()
    again = WriteLog(tmp_path, rotate=400)
    assert again.last == last
    repeated = again.append([upsert([doc("a")], key="k", digest="d")])[0]
    assert isinstance(first, Acknowledged)
    assert repeated == Acknowledged(first.sequence, {"accepted": 1}, again=True)
    assert isinstance(again.append([upsert([doc("z")], key="k", digest="other")])[0], ConflictError)
    again.close()


def test_two_processes_worth_of_logs_share_one_order(tmp_path: Path) -> None:
    logs = [WriteLog(tmp_path, rotate=2000) for _ in range(3)]
    seen: list[int] = []

    def write(log: WriteLog) -> None:
        for n in range(40):
            seen.extend(sequences(log.append([upsert([doc(f"{id(log)}-{n}")])])))

    threads = [threading.Thread(target=write, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == 120
    assert len([r for r in LogTail(tmp_path, 0).pending() if r.entry.operation == "upsert"]) == 120
    for log in logs:
        log.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_refuses_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    log = WriteLog(tmp_path)
    log.append([upsert([doc("a")])])
    whole = log_files(tmp_path)[0].read_bytes()
    real = os.write

    def short(handle: int, data: bytes) -> int:
        real(handle, bytes(data)[:10])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(StorageError):
        log.append([upsert([doc("b")])])
    monkeypatch.undo()
    assert log_files(tmp_path)[0].read_bytes() == whole
    if code == errno.ENOSPC:
        assert sequences(log.append([upsert([doc("c")])])) == [2]
    else:  # after an input/output error nobody knows what the disk holds
        with pytest.raises(StorageError, match="closed"):
            log.append([upsert([doc("c")])])
    log.close()


def test_a_log_that_cannot_be_used_leaves_the_index_readable(index: Path, tmp_path: Path) -> None:
    import shutil

    mine = tmp_path / "mine"
    shutil.copytree(index, mine)
    folder = mine / ".twindex" / "log"
    folder.mkdir(parents=True)
    (folder / "log-0000000000000001.ndjson").write_bytes(b"rubbish\n" + upsert_line())
    with client_of(mine) as client:
        assert client.post("/v1/search", json={"query": "whale"}).json()["hits"]
        response = client.post("/v1/indexes/mine/documents", content=b'{"_id": "x", "text": "y"}\n', headers=NDJSON)
        assert response.status_code == 507
        assert "damaged" in response.json()["detail"]
        assert "damaged" in client.get("/v1/health").json()["problem"]


def test_a_log_that_is_not_applied_stops_growing(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    mine = tmp_path / "mine"
    shutil.copytree(index, mine)
    monkeypatch.setattr("twindex.api.service.served.MAX_LOG", 1000)
    body = json.dumps({"_id": "x", "text": "y" * 2000}).encode()
    with IndexWriter.open(mine), client_of(mine) as client:  # another process writes the index
        statuses = [client.post("/v1/indexes/mine/documents", content=body, headers=NDJSON).status_code for _ in "ab"]
        assert statuses == [200, 503]
        deadline = time.monotonic() + 20
        while "is being written" not in str(client.get("/v1/health").json()["problem"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.post("/v1/search", json={"query": "whale"}).json()["hits"]
    with client_of(mine) as client:  # the other one is done
        assert client.get("/v1/indexes/mine/documents/x").status_code == 200


def upsert_line() -> bytes:
    from twindex.api.service.records import Record

    return Record(1, upsert([doc("a")])).to_line()


def test_replaying_twice_changes_nothing(index: Path, tmp_path: Path) -> None:
    import shutil

    mine = tmp_path / "mine"
    shutil.copytree(index, mine)
    with client_of(mine) as client:
        base = "/v1/indexes/mine/documents"
        for n in range(3):
            body = json.dumps({"_id": "x", "text": f"version {n}"}).encode()
            client.post(f"{base}?wait=visible", content=body, headers=NDJSON)
        client.delete(f"{base}/bee?wait=visible")
    (mine / ".twindex" / "log" / "applied.json").unlink()  # as if the last commits had not been noted
    with client_of(mine) as client:
        assert client.get(f"{base}/x").json()["text"] == "version 2"
        assert client.get(f"{base}/bee").status_code == 404
        assert client.get("/v1/health").json()["documents"] == 5
    assert Applied.read(mine / ".twindex" / "log").sequence == 4


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Servers that a test starts; none of them outlives it."""
    servers: list[Process] = []
    yield servers
    for server in servers:
        server.end()


@pytest.mark.timeout(120 + 30 * ROUNDS)
@pytest.mark.parametrize("workers", [1, 2])
def test_acknowledged_writes_survive_kill_nine(tmp_path: Path, workers: int, started: list[Process]) -> None:
    """``TWINDEX_KILL_ROUNDS`` sets the rounds (2 unless set)."""
    root, port, rng = tmp_path / "root", free_port(), random.Random(7)
    acknowledged: dict[str, str] = {}
    deleted: set[str] = set()
    starts: list[float] = []
    server = Process(root, "--root", "--workers", workers, port=port, log=tmp_path / "log")
    started.append(server)
    server.wait_ready()
    made = httpx.post(f"{server.url}/v1/indexes", json={"name": "w", "encoder": "none"})
    assert made.status_code == 201, made.text
    for round_ in range(ROUNDS):
        stop = threading.Event()
        writers = [
            threading.Thread(target=_write, args=(server.url, f"{round_}-{n}", acknowledged, deleted, stop))
            for n in range(4)
        ]
        for writer in writers:
            writer.start()
        before, deadline = len(acknowledged), time.monotonic() + 60
        while len(acknowledged) < before + 16 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.6))
        server.kill()
        stop.set()
        for writer in writers:
            writer.join()
        server = Process(root, "--root", "--workers", workers, port=port, log=tmp_path / "log")
        started.append(server)
        starts.append(server.wait_ready())
        _compare(root / "w", acknowledged, deleted)
    assert server.stop() in (0, -15)
    middle, slowest = statistics.median(starts), max(starts)
    print(f"{ROUNDS} rounds, {len(acknowledged)} documents, start {middle:.2f} s (median), {slowest:.2f} s at most")
    assert acknowledged


def test_a_server_that_is_told_to_stop_finishes_its_requests(tmp_path: Path, started: list[Process]) -> None:
    server = Process(tmp_path / "root", "--root", port=free_port(), log=tmp_path / "log")
    started.append(server)
    server.wait_ready(90)
    httpx.post(f"{server.url}/v1/indexes", json={"name": "w", "encoder": "none"})
    body = "".join(json.dumps({"_id": str(n), "text": f"text number {n} " * 20}) + "\n" for n in range(3000))
    got: list[httpx.Response] = []

    def write() -> None:
        path = f"{server.url}/v1/indexes/w/documents?wait=visible"
        got.append(httpx.post(path, content=body, headers=NDJSON, timeout=60))

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.3)
    assert server.stop() == 0
    writer.join()
    assert got[0].status_code == 200
    with Searcher.open(tmp_path / "root" / "w") as searcher:
        assert searcher.snapshot.documents == 3000


def _write(url: str, name: str, acknowledged: dict[str, str], deleted: set[str], stop: threading.Event) -> None:
    """Writes pairs of documents that belong together, and deletes every fifth pair again."""
    with httpx.Client(base_url=url, timeout=10) as client:
        for n in range(100_000):
            if stop.is_set():
                return
            ids = [f"{name}-{n}-{side}" for side in "ab"]
            body = "".join(json.dumps({"_id": i, "text": f"pair {name} {n}"}) + "\n" for i in ids)
            try:
                if client.post("/v1/indexes/w/documents", content=body, headers=NDJSON).status_code == 200:
                    acknowledged.update(dict.fromkeys(ids, f"pair {name} {n}"))
                if n % 5 == 4:
                    deleted.update(ids)  # whether or not it is acknowledged, it may be gone
                    client.post("/v1/indexes/w/documents/delete", json={"ids": ids})
            except httpx.TransportError:
                return


def _compare(path: Path, acknowledged: dict[str, str], deleted: set[str]) -> None:
    """Every acknowledged document is there, and no pair is there by half."""
    with Searcher.open(path) as searcher, searcher.use() as snapshot:
        alive = {
            passage.doc_id: passage.text
            for segment in snapshot.segments
            for passage in segment.store.passages(
                range(segment.size) if segment.live is None else segment.live.nonzero()[0]  # type: ignore[arg-type]
            )
        }
    missing = {i for i in acknowledged if i not in alive and i not in deleted}
    assert not missing, sorted(missing)[:5]
    assert all(alive[i] == text for i, text in acknowledged.items() if i in alive)
    halves = {i for i in alive if i[:-1] + ("b" if i[-1] == "a" else "a") not in alive}
    assert not halves, sorted(halves)[:5]
