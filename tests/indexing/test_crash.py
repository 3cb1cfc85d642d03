"""A process may die at any moment: by ``kill -9``, and at every single step of a commit."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.indexing.builds import digest, document, documents, encoder, environment, ids_of
from tests.indexing.expansions import MadeUpQueries
from twindex.indexing import build as building
from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.errors import IndexExistsError, IndexNotFoundError
from twindex.indexing.expansion import building as expanding
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Float32Array
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter

SHARD = 16
KILLS = 20
LAST_GENERATION = 3


class CountingEncoder:
    """The hashing encoder, made slow, with a log of how many texts it was given."""

    def __init__(self, log: Path | None = None, delay: float = 0.0) -> None:
        self._inner = HashingEncoder(16)
        self._log = log
        self._delay = delay

    @property
    def info(self) -> EncoderInfo:
        return self._inner.info

    @property
    def batch_invariant(self) -> bool:
        return True

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(f"{len(texts)}\n")
        time.sleep(self._delay)
        return self._inner.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self._inner.encode_queries(texts)


def generation_of(path: Path) -> int:
    try:
        with Snapshot.open(path) as snapshot:
            return snapshot.generation
    except IndexNotFoundError:
        return 0


def history(path: Path, model: CountingEncoder) -> None:
    """Three commits. Run again after a death it goes on from the last of them."""
    sparse, queries = SparseHashingEncoder(64), MadeUpQueries()
    config = IndexConfig(encoder=model.info, sparse_encoder=sparse.info, segment_docs=100, expansion=queries.info)
    if generation_of(path) == 0:
        with IndexWriter.create(path, config, encoder=model, sparse_encoder=sparse, expansions=queries) as writer:
            writer.add(documents(180))
            writer.commit()
    with IndexWriter.open(path, encoder=model, sparse_encoder=sparse, expansions=queries) as writer:
        if writer.generation == 1:
            writer.add((document(n, 1) for n in range(150, 240)), on_duplicate="replace")
            writer.delete([f"d{n}" for n in range(0, 60, 3)])
            writer.commit()
        if writer.generation == 2:
            writer.merge(2, reorder=True)
            writer.delete(["d100"])
            writer.commit()


EXPECTED = {
    0: [],
    1: [f"d{n}" for n in range(180)],
    2: [f"d{n}" for n in range(150) if n >= 60 or n % 3] + [f"d{n}" for n in range(150, 240)],
}
EXPECTED[3] = [name for name in EXPECTED[2] if name != "d100"]


def check_committed(path: Path) -> int:
    """The index is exactly one of its commits, and verifies; which one."""
    generation = generation_of(path)
    if generation:
        with Snapshot.open(path) as snapshot:
            assert ids_of(snapshot) == EXPECTED[generation]
        assert verify(path).problems == ()
    return generation


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SHARD", SHARD)
    monkeypatch.setattr(expanding, "ENCODED", SHARD)


#: Imports once, then forks a process for each build that is to be killed.
NURSERY = """
import os, sys, traceback
from pathlib import Path
from tests.indexing import test_crash
from twindex.indexing import build
from twindex.indexing.expansion import building
build.SHARD = building.ENCODED = test_crash.SHARD
os.fsync = os.fstat  # the machine goes on running, so the disk need not be waited for
for line in sys.stdin:
    path, log = map(Path, line.split())
    child = os.fork()
    if not child:
        try:
            test_crash.history(path, test_crash.CountingEncoder(log, 0.01))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Builds in processes of their own, which may be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
        )

    def build(self, path: Path, log: Path, *, kill_after: float | None = None) -> bool:
        """Runs the history; whether it was killed before its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path} {log}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(self.process.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status != 0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.process.communicate()
    assert made.process.returncode == 0


def encoded(log: Path) -> int:
    return sum(int(line) for line in log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.timeout(240)
def test_kill_9_at_random_moments(tmp_path: Path, nursery: Nursery) -> None:
    whole_log = tmp_path / "whole.log"
    history(tmp_path / "whole", CountingEncoder(whole_log))
    wanted, needed = digest(tmp_path / "whole"), encoded(whole_log)
    nursery.build(tmp_path / "warm", tmp_path / "warm.log")
    began = time.perf_counter()
    assert not nursery.build(tmp_path / "timed", tmp_path / "timed.log")
    seconds = time.perf_counter() - began
    assert digest(tmp_path / "timed") == wanted
    rng = random.Random(20261124)
    path, log = tmp_path / "killed", tmp_path / "killed.log"
    deaths = finished = 0
    seen: set[int] = set()
    for _ in range(KILLS):
        deaths += nursery.build(path, log, kill_after=rng.uniform(0, seconds * 0.6))
        generation = check_committed(path)
        seen.add(generation)
        if generation == LAST_GENERATION:
            history(path, CountingEncoder(log))  # opens once more, which tidies what a late death left
            assert digest(path) == wanted
            assert encoded(log) <= needed + deaths * SHARD
            finished, deaths = finished + 1, 0
            shutil.rmtree(path)
            log.unlink()
    history(path, CountingEncoder(log))
    assert digest(path) == wanted
    assert encoded(log) <= needed + deaths * SHARD
    assert len(seen) >= 3, "the moments were not spread over the build"


class Death(BaseException):
    """The power goes off."""


class Switch:
    """Fails at the n-th step that touches the disk, and at every step after it."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count > self.at:
            raise Death

    def before(self, real: Callable[..., Any], every: int) -> Callable[..., Any]:
        """The same function, behind the switch at every so many-th call, and always once it is off."""
        calls = 0

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls % every == 0 or self.count > self.at:
                self.step()
            return real(*arguments, **named)

        return call


#: What changes the state that a death leaves behind, and how many calls make one step: a folder that is
#: being removed has lost none, some or all of its files.
STEPS = (
    (os, "replace", 1),
    (os, "rmdir", 1),
    (os, "unlink", 5),
    (os, "mkdir", 1),
    (FileDirectory, "write_new", 1),
    (FileDirectory, "sync", 1),
    (FileDirectory, "replace", 1),
)


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, at: int) -> Iterator[Switch]:
    """Every step that changes the disk passes through the switch."""
    switch = Switch(at)
    with monkeypatch.context() as patch:
        for owner, name, every in STEPS:
            patch.setattr(owner, name, switch.before(getattr(owner, name), every))
        yield switch


def scenario(path: Path) -> None:
    """A build, a commit that deletes and adds, a commit that merges."""
    model = encoder()
    sparse = SparseHashingEncoder(64)
    config = IndexConfig(encoder=model.info, sparse_encoder=sparse.info)
    if generation_of(path) == 0:
        with writer_at(IndexWriter.create(path, config, encoder=model, sparse_encoder=sparse)) as writer:
            writer.add(documents(6))
            writer.commit()
    with writer_at(IndexWriter.open(path, encoder=model, sparse_encoder=sparse)) as writer:
        if writer.generation == 1:
            writer.delete(["d1"])
            writer.add(documents(2, start=6))
            writer.commit()
        if writer.generation == 2:
            writer.merge(reorder=True)
            writer.commit()


@contextmanager
def writer_at(writer: IndexWriter) -> Iterator[IndexWriter]:
    """Closes the writer, but for a death: then only the lock goes, as the kernel would do it."""
    try:
        yield writer
    except Death:
        writer._transaction._builder = None
        writer._lock.release()
        raise
    writer.close()


STATES = {0: None, 1: list(range(6)), 2: [0, 2, 3, 4, 5, 6, 7], 3: [0, 2, 3, 4, 5, 6, 7]}


@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the dead close nothing
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_death_at_every_step_of_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario(tmp_path / "whole")
    wanted = digest(tmp_path / "whole")
    at, seen, died = 0, [], True
    while died:
        path = tmp_path / f"at{at}"
        died = False
        with failing(monkeypatch, at):
            try:
                scenario(path)
            except Death:
                died = True
        generation = generation_of(path)
        state = STATES[generation]
        if state is not None:
            with Snapshot.open(path) as snapshot:
                assert ids_of(snapshot) == [f"d{n}" for n in state]
            assert verify(path).problems == ()
        scenario(path)
        assert digest(path) == wanted, f"step {at}"
        shutil.rmtree(path)
        seen.append(generation)
        at += 1
    gc.collect()  # what the dead left open is found here, and not while another test runs
    assert seen == sorted(seen), "a later death lost an earlier commit"
    assert set(seen) == {0, 1, 2, 3}
    assert len(seen) > 30


def test_create_after_a_death_between_commit_and_tidying(tmp_path: Path) -> None:
    path = tmp_path / "index"
    scenario(path)
    wanted = digest(path)
    (path / "staging" / "g000003").mkdir(parents=True)
    (path / "staging" / "g000003" / "x.vectors").write_bytes(b"x")
    shutil.copytree(path / "segments", path / "segments" / "s000002", dirs_exist_ok=True)
    (path / "manifest.json.tmp").write_bytes(b"{")
    with pytest.raises(IndexExistsError):
        IndexWriter.create(path, IndexConfig())
    assert digest(path) == wanted


def test_a_disk_that_fills_up_rolls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario(tmp_path / "index")
    wanted = digest(tmp_path / "index")
    writer = IndexWriter.open(tmp_path / "index", encoder=encoder(), sparse_encoder=SparseHashingEncoder(64))
    writer.add(documents(3, start=20))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            writer.commit()
    writer.rollback()
    writer.close()
    assert {k: v for k, v in digest(tmp_path / "index").items() if "staging" not in k} == wanted
