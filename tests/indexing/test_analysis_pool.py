"""Analysis in other processes: the same numbers in the same order, whoever does it and whoever dies."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.indexing.builds import digest, documents, environment
from twindex.indexing.analysis import TermBatch, get_analyzer
from twindex.indexing.analysis import pool as pool_module
from twindex.indexing.analysis.pool import AnalysisPool, AnalysisStream, processors
from twindex.indexing.analysis.worker import pack_texts, read_reply, serve
from twindex.indexing.config import IndexConfig
from twindex.indexing.errors import ConfigError
from twindex.indexing.report import PhaseSeconds
from twindex.indexing.writer import IndexWriter

SHARDS = [[f"The lamps {n} naïve {word} \ud800 東京" for word in ("keeper's", "dusk", f"w{n}")] for n in range(30)]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are started, and awaited, before the first shard."""
    monkeypatch.setattr(pool_module, "PATIENCE", 0)
    monkeypatch.setattr(pool_module._Process, "ready", property(lambda process: process._first.exception() or True))


@pytest.fixture
def pool(at_once: None) -> Iterator[AnalysisPool]:
    made = AnalysisPool(get_analyzer("english"), workers=3)
    yield made
    made.close()


def run(stream: AnalysisStream) -> list[TermBatch]:
    found = []
    for shard in SHARDS:
        found += stream.submit(shard)
    return found + stream.drain()


def terms(stream: AnalysisStream, batches: list[TermBatch]) -> list[list[str]]:
    texts = []
    for batch in batches:
        words = [stream.vocabulary.terms[number] for number in batch.ids.tolist()]
        texts += [words[a:b] for a, b in zip(batch.offsets.tolist(), batch.offsets[1:].tolist())]
    return texts


EXPECTED = [get_analyzer("english").terms(text) for shard in SHARDS for text in shard]


def test_shards_come_back_in_order(pool: AnalysisPool) -> None:
    seconds = PhaseSeconds()
    for _ in range(2):  # a second segment has its own vocabulary
        stream = pool.stream(seconds)
        assert terms(stream, run(stream)) == EXPECTED
        assert len(set(stream.vocabulary.terms)) == len(stream.vocabulary)
    assert seconds.analysis > 0


def test_two_streams_beside_each_other(pool: AnalysisPool) -> None:
    one, two = pool.stream(PhaseSeconds()), pool.stream(PhaseSeconds())
    first: list[TermBatch] = []
    second: list[TermBatch] = []
    for shard in SHARDS:
        first += one.submit(shard)
        second += two.submit(shard[::-1])
    assert terms(one, first + one.drain()) == EXPECTED
    assert sorted(map(tuple, terms(two, second + two.drain()))) == sorted(map(tuple, EXPECTED))


def test_one_worker_is_this_process(at_once: None) -> None:
    pool = AnalysisPool(get_analyzer("english"), workers=1)
    assert pool.process() is None
    stream = pool.stream(PhaseSeconds())
    assert terms(stream, run(stream)) == EXPECTED
    pool.close()


def test_small_corpora_start_no_process() -> None:
    pool = AnalysisPool(get_analyzer("english"), workers=4)
    stream = pool.stream(PhaseSeconds())
    assert terms(stream, run(stream)) == EXPECTED
    assert pool.process() is None
    pool.close()


def test_shards_stay_here_until_processes_have_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE", 0)
    started: list[bool] = []
    monkeypatch.setattr(pool_module._Process, "ready", property(lambda _: len(started) > 10))
    pool = AnalysisPool(get_analyzer("english"), workers=2)
    stream = pool.stream(PhaseSeconds())
    found: list[TermBatch] = []
    for shard in SHARDS:
        assert (pool.process() is None) == (len(started) <= 10)
        found += stream.submit(shard)
        started.append(True)
    assert terms(stream, found + stream.drain()) == EXPECTED
    pool.close()


def test_an_analyzer_that_no_registry_knows_stays_here(at_once: None) -> None:
    class Own(type(get_analyzer("whitespace"))):  # type: ignore[misc]
        name = "own"

    pool = AnalysisPool(Own(), workers=4)
    assert pool.process() is None
    pool.close()


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false", "", "frozen"])
def test_where_no_process_can_be_started(at_once: None, monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    if executable == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        monkeypatch.setattr(sys, "executable", executable)
    pool = AnalysisPool(get_analyzer("english"), workers=3)
    stream = pool.stream(PhaseSeconds())
    assert terms(stream, run(stream)) == EXPECTED
    pool.close()


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_counted_from_one(workers: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        AnalysisPool(get_analyzer("english"), workers=workers)
    assert processors() >= 1


@pytest.mark.parametrize("after", [0, 1, 7, 29])
def test_a_process_that_dies_costs_nothing_but_time(pool: AnalysisPool, after: int) -> None:
    stream = pool.stream(PhaseSeconds())
    found = []
    for number, shard in enumerate(SHARDS):
        found += stream.submit(shard)
        if number == after:
            process = pool.process()
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
    assert terms(stream, found + stream.drain()) == EXPECTED
    again = pool.stream(PhaseSeconds())
    assert terms(again, run(again)) == EXPECTED


def test_the_protocol_of_a_worker() -> None:
    requests = pack_texts(1, ["a lamp", ""]) + pack_texts(1, ["lamp keeper"]) + pack_texts(2, ["keeper"])
    replies = io.BytesIO()
    serve(io.BytesIO(requests), replies, "english")
    replies.seek(0)
    batch, fresh, seconds = read_reply(replies, 2)
    assert (batch.ids.tolist(), batch.offsets.tolist(), fresh) == ([0], [0, 1, 1], ["lamp"])
    assert seconds >= 0
    batch, fresh, _ = read_reply(replies, 1)
    assert (batch.ids.tolist(), fresh) == ([0, 1], ["keeper"])
    batch, fresh, _ = read_reply(replies, 1)
    assert (batch.ids.tolist(), fresh) == ([0], ["keeper"]), "a new epoch begins anew"
    with pytest.raises(EOFError):
        read_reply(replies, 1)


@pytest.mark.parametrize("waits", [True, False], ids=["at once", "when they have started"])
def test_any_number_of_workers_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, *, waits: bool
) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE", 0)
    if waits:
        request.getfixturevalue("at_once")
    monkeypatch.setattr("twindex.indexing.build.SHARD", 16)
    digests = []
    for workers in (1, 2, 4):
        path = tmp_path / str(workers)
        with IndexWriter.create(path, IndexConfig(segment_docs=90), workers=workers) as writer:
            report = writer.add(documents(300))
            writer.commit()
        assert report.phases.analysis > 0
        digests.append(digest(path))
    assert digests[0] == digests[1] == digests[2]


SCRIPT = """
from pathlib import Path
import sys
from twindex.indexing.analysis import pool
from twindex.indexing import IndexWriter
from tests.indexing.builds import documents
print("main", flush=True)
pool.PATIENCE = 0
with IndexWriter.create(Path(sys.argv[1]), workers=2) as writer:
    writer.add(documents(50))
    writer.commit()
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "index")],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "main\n"
    assert done.stderr == ""


def test_a_translated_batch_keeps_its_shape(pool: AnalysisPool) -> None:
    stream = pool.stream(PhaseSeconds())
    (batch,) = stream.submit(["", "..."]) + stream.drain()
    assert batch.ids.dtype == np.int32
    assert batch.offsets.tolist() == [0, 0, 0]
