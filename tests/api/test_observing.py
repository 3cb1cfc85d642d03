"""Measures, logs, readiness, keys and the encoder's batches: what those who run a server look at."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.api.server import NDJSON, Process, client_of, free_port
from twindex.api import logs
from twindex.api.cli import main
from twindex.api.gate import GateConfig
from twindex.api.rate import RateLimit
from twindex.api.refusals import TooManyError
from twindex.api.service.encoders import BatchedEncoder, EncoderPool
from twindex.api.service.keys import KeyStore
from twindex.api.service.metrics import Metrics, Shared
from twindex.api.service.workers import listen
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array

_LINE = re.compile(r'[a-z_]+(\{([a-z]+="[^"\n]*",?)+\})? -?[0-9.e+-]+|# (HELP|TYPE) [a-z_]+ .+')


def test_metrics_are_in_the_text_format(index: Path) -> None:
    with client_of(index) as client:
        for _ in range(3):
            client.post("/v1/search", json={"query": "whale"})
        client.post("/v1/search", json={"query": "whale", "k": -1})
        client.get("/v1/made-up-by-a-client")
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    assert all(_LINE.fullmatch(line) for line in lines), [line for line in lines if not _LINE.fullmatch(line)]
    text = response.text
    assert 'twindex_requests_total{route="/v1/search",method="POST",status="200"} 3' in text
    assert 'twindex_requests_total{route="/v1/search",method="POST",status="422"} 1' in text
    assert "made-up" not in text
    assert 'twindex_request_seconds_count{route="/v1/search"} 4' in text
    assert 'twindex_index_documents{index="' in text
    assert 'twindex_encoder_texts_total{encoder="hashing' in text


def test_a_histogram_counts_up_to_each_bound() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.02, 99.0):
        metrics.observe("twindex_stage_seconds", seconds, stage="x")
    text = metrics.render()
    assert 'twindex_stage_seconds_bucket{stage="x",le="0.001"} 2' in text
    assert 'twindex_stage_seconds_bucket{stage="x",le="0.025"} 3' in text
    assert 'twindex_stage_seconds_bucket{stage="x",le="10"} 3' in text
    assert 'twindex_stage_seconds_bucket{stage="x",le="+Inf"} 4' in text
    assert 'twindex_stage_seconds_sum{stage="x"} 99.021500' in text


def test_the_measures_of_processes_are_added(tmp_path: Path) -> None:
    shared, own, other = Shared(tmp_path), Metrics(), Metrics()
    own.count("twindex_requests_total", 2, route="/")
    other.count("twindex_requests_total", 3, route="/")
    other.observe("twindex_stage_seconds", 0.5, stage="x")
    (tmp_path / "1.json").write_text(json.dumps(other.to_dict()))
    shared.publish(own)
    text = shared.total(own).render()
    assert 'twindex_requests_total{route="/"} 5' in text
    assert 'twindex_stage_seconds_count{stage="x"} 1' in text


def test_request_ids_are_kept_or_made(index: Path) -> None:
    with client_of(index) as client:
        assert client.get("/v1/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
        made = client.get("/v1/health", headers={"x-request-id": "bad id\t"}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_logs_are_json_without_secrets_queries_or_texts(index: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, text = KeyStore(index / ".twindex").create(scope="admin")
    caplog.set_level(logging.INFO, logger="twindex")
    with client_of(index, gate=GateConfig(auth=True)) as client:
        headers = {"authorization": f"Bearer {text}", "x-request-id": "r1"}
        assert client.post("/v1/search", json={"query": "topsecretquery"}, headers=headers).status_code == 200
    lines = [logs.JsonLines().format(record) for record in caplog.records]
    access = next(json.loads(line) for line in lines if '"/v1/search"' in line)
    assert access["request"] == "r1"
    assert access["status"] == 200
    assert access["caller"] == f"key {key.id}"
    whole = "\n".join(lines)
    assert text not in whole
    assert "topsecretquery" not in whole
    (index / ".twindex" / "keys.json").unlink()


@pytest.mark.parametrize("text", ["tw_01234567_" + "x" * 43, "Authorization: Bearer abc.def", "sk-abcdefghij"])
def test_what_looks_like_a_key_is_blanked_out(text: str) -> None:
    assert "***" in logs.redact(f"before {text} after")
    assert text.rpartition("_")[2].rpartition(" ")[2] not in logs.redact(f"before {text} after")


def test_keys_are_hashed_private_and_revocable(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    key, text = store.create(name="phone", scope="write", indexes=["a", "b"])
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert text not in store.path.read_text()
    assert text.rpartition("_")[2] not in store.path.read_text()
    other = KeyStore(tmp_path)
    found = other.check(text)
    assert found is not None
    assert found.allows("read", "a")
    assert found.allows("write", "b")
    assert not found.allows("admin", "a")
    assert not found.allows("read", "c")
    assert not found.allows("read", None)
    store.revoke(key.id)
    time.sleep(1.1)
    assert other.check(text) is None
    store.path.chmod(0o644)
    with pytest.raises(ConfigError, match="0600"):
        KeyStore(tmp_path).check(text)


def test_keys_on_the_command_line(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["keys", *arguments])
        assert left.value.code in (0, None)
        return capsys.readouterr().out

    made = json.loads(run("create", str(index), "--name", "laptop", "--scope", "admin", "--json"))
    assert KeyStore(index / ".twindex").check(made["key"]) is not None
    assert made["id"] in run("list", str(index))
    run("revoke", str(index), made["id"])
    assert KeyStore(index / ".twindex").check(made["key"]) is None
    (index / ".twindex" / "keys.json").unlink()


def test_no_open_port_without_a_key(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["serve", str(index), "--host", "0.0.0.0", "--port", "0"])
    assert left.value.code == 2
    assert "twindex keys create" in capsys.readouterr().err


def test_snapshot_and_restore_on_the_command_line(index: Path, tmp_path: Path) -> None:
    for arguments in (
        ["snapshot", str(index), "--into", str(tmp_path / "copy")],
        ["restore", str(tmp_path / "copy"), "--into", str(tmp_path / "new")],
        ["restore", str(tmp_path / "copy"), "--into", str(tmp_path / "new"), "--over"],
        ["verify", str(tmp_path / "new")],
    ):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code in (0, None), arguments
    with pytest.raises(SystemExit) as left:
        main(["restore", str(tmp_path / "copy"), "--into", str(tmp_path / "new")])
    assert left.value.code == 3


class Counting(HashingEncoder):
    """Notes the size of each call, and is slow enough for queries to come together."""

    def __init__(self) -> None:
        super().__init__(32)
        self.sizes: list[int] = []

    def encode_queries(self, texts: list[str]) -> Float32Array:  # type: ignore[override]
        self.sizes.append(len(texts))
        time.sleep(0.05)
        return super().encode_queries(texts)


def test_queries_that_come_together_are_encoded_together() -> None:
    inner = Counting()
    shared = BatchedEncoder(inner)
    texts = [f"query number {n}" for n in range(16)]
    found: dict[str, Float32Array] = {}
    threads = [
        threading.Thread(target=lambda text=text: found.update({text: shared.encode_queries([text])[0]}))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = HashingEncoder(32).encode_queries(texts)
    for text, row in zip(texts, alone):
        assert np.array_equal(found[text], row)
    assert sum(inner.sizes) == 16
    assert len(inner.sizes) < 16
    shared.encode_queries(texts)
    assert sum(inner.sizes) == 16, "remembered"


def test_an_encoder_that_fails_fails_for_its_callers_only() -> None:
    class Broken(HashingEncoder):
        def encode_queries(self, texts: list[str]) -> Float32Array:  # type: ignore[override]
            if "bad" in texts:
                raise RuntimeError("bad")
            return super().encode_queries(texts)

    shared = EncoderPool(lambda name: Broken(32)).named("x")
    with pytest.raises(RuntimeError):
        shared.encode_queries(["bad"])
    assert shared.encode_queries(["good"]).shape == (1, 32)
    assert shared.encode_queries([]).shape == (0, 32)


def test_a_bucket_fills_up_again() -> None:
    now = [0.0]
    rate = RateLimit(2.0, 4, clock=lambda: now[0])
    for _ in range(4):
        rate.take("a")
    with pytest.raises(TooManyError) as refused:
        rate.take("a")
    assert refused.value.headers["Retry-After"] == "1"
    rate.take("b")
    now[0] += 0.5
    rate.take("a")
    with pytest.raises(TooManyError):
        rate.take("a")


def test_several_processes_serve_one_folder(index: Path, tmp_path: Path) -> None:
    import httpx

    server = Process(tmp_path / "root", "--root", "--workers", 2, port=free_port(), log=tmp_path / "log")
    try:
        server.wait_ready(60)
        assert httpx.post(f"{server.url}/v1/indexes", json={"name": "w", "encoder": "none"}).status_code == 201
        for n in range(4):  # each may reach another process
            body = json.dumps({"_id": str(n), "text": "shared"}).encode()
            httpx.post(f"{server.url}/v1/indexes/w/documents?wait=visible", content=body, headers=NDJSON, timeout=30)
        deadline = time.monotonic() + 30
        right = 0
        while right < 6:
            found = httpx.post(f"{server.url}/v1/indexes/w/search", json={"query": "shared", "k": 20}).json()
            right = right + 1 if len(found["hits"]) == 4 else 0
            assert time.monotonic() < deadline
        time.sleep(1.2)
        text = httpx.get(f"{server.url}/metrics").text
        counted = re.findall(r'twindex_documents_total\{operation="upsert"\} (\d+)', text)
        assert counted == ["4"]
    finally:
        assert server.stop() == 0, (tmp_path / "log").read_text()


def test_small_responses_are_sent_at_once() -> None:
    """Nagle's algorithm would keep the second write of a response back for 40 ms."""

    async def look() -> int:
        listener = listen("127.0.0.1", 0)
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            seen.set_result(option)
            writer.close()

        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            option = await seen
            writer.close()
            await writer.wait_closed()
            return option

    assert asyncio.run(look())
