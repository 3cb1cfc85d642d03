"""Directories that are no index, or one of another kind, or that cannot be read or written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.conftest import FORBIDDEN, Outcome, Run
from tests.contracts.world import encoder
from twindex.indexing.directory import FileDirectory
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.errors import FingerprintError, FormatVersionError, IndexNotFoundError
from twindex.indexing.lock import WriterLock
from twindex.indexing.manifest import FORMAT_VERSION, Manifest, canonical, checksum
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.engine import Searcher

READING = (("search", "{}", "lamp"), ("ask", "{}", "what?"), ("info", "{}"), ("verify", "{}"))
WRITING = (("add", "{}", "{corpus}"), ("delete", "{}", "x"), ("merge", "{}"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "c.jsonl"
    path.write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": f"lamp number {i} of many"}) + "\n" for i in range(2000))
    )
    return path


def commands(place: Path, corpus: Path) -> list[list[str]]:
    return [[word.format(place, corpus=corpus) for word in command] for command in READING + WRITING]


@pytest.mark.parametrize("kind", ["absent", "an empty folder", "a folder of other things", "a file", "a dead build"])
def test_what_is_no_index(twindex: Run, tmp_path: Path, corpus: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "a file":
        place.write_text("x")
    elif kind != "absent":
        place.mkdir()
    if kind == "a folder of other things":
        (place / "notes.txt").write_text("mine")
    if kind == "a dead build":
        (place / "segments" / "s000001").mkdir(parents=True)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for command in commands(place, corpus):
        outcome = twindex(*command)
        assert outcome.status == 3, command
        assert str(place) in outcome.err
        assert "  try: " in outcome.err or "expected" in outcome.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before, "asking leaves nothing behind"
    with pytest.raises(IndexNotFoundError):
        Searcher.open(place)


def test_what_is_not_ours_is_not_overwritten(twindex: Run, tmp_path: Path, corpus: Path, index: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("x")
    for place in (mine, tmp_path / "file", index):
        outcome = twindex("index", corpus, "--into", place, "--encoder", "none")
        assert outcome.status in (1, 3), place
        assert str(place) in outcome.err
    assert (mine / "notes.txt").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "x"


def rewrite(place: Path, index: Path, **changes: Any) -> Path:
    """A copy whose manifest says something else, with a checksum that is right."""
    place.mkdir()
    for path in index.iterdir():
        if path.name != "manifest.json":
            (place / path.name).symlink_to(path)
    values = json.loads((index / "manifest.json").read_bytes())
    del values["checksum"]
    values |= changes
    (place / "manifest.json").write_bytes(canonical(values | {"checksum": checksum(values)}))
    return place


def test_an_index_of_another_version(twindex: Run, tmp_path: Path, index: Path, corpus: Path) -> None:
    for name, changes, words in (
        ("newer", {"format_version": FORMAT_VERSION + 1}, "upgrade"),
        ("older", {"format_version": 0}, "again"),
        ("feature", {"required_features": ["quantum"]}, "quantum"),
    ):
        place = rewrite(tmp_path / name, index, **changes)
        for command in commands(place, corpus):
            outcome = twindex(*command)
            assert outcome.status == 3
            assert words in outcome.err
        with pytest.raises(FormatVersionError):
            Snapshot.open(place)


def test_another_analyzer(twindex: Run, tmp_path: Path, index: Path, corpus: Path) -> None:
    place = rewrite(tmp_path / "i", index, analyzer_fingerprint="english/0 (ancient)")
    for command in commands(place, corpus)[:1] + commands(place, corpus)[-3:]:
        outcome = twindex(*command)
        assert outcome.status == 3
        assert "english/0 (ancient)" in outcome.err


def test_a_wrong_encoder(twindex: Run, tmp_path: Path, index: Path) -> None:
    other = HashingEncoder(64)
    for action in (lambda: Searcher.open(index, encoder=other), lambda: IndexWriter.open(index, encoder=other)):
        with pytest.raises(FingerprintError, match="hashing"):
            action()
    manifest = Manifest.from_bytes((index / "manifest.json").read_bytes())
    info = manifest.config.encoder
    assert info is not None
    config = replace(manifest.config, encoder=replace(info, fingerprint="hashing/ancient")).to_dict()
    changed = rewrite(tmp_path / "changed", index, config=config)
    for mode in ("dense", "hybrid"):
        outcome = twindex("search", changed, "lamp", "--mode", mode)
        assert outcome.status == 3
        assert "hashing/ancient" in outcome.err
    assert twindex("search", changed, "lamp", "--mode", "sparse").status == 0, "the sparse leg needs no encoder"
    config = replace(manifest.config, encoder=replace(info, name="no-such-model")).to_dict()
    missing = rewrite(tmp_path / "missing", index, config=config)
    outcome = twindex("search", missing, "lamp", "--mode", "dense")
    assert outcome.status == 4
    assert "no-such-model" in outcome.err
    with Searcher.open(index, encoder=encoder()) as searcher:
        assert searcher.search("lamp", mode="dense").hits


def test_no_permission_to_read(twindex: Run, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FileDirectory, name: str) -> bytes:
        raise PermissionError(13, "Permission denied", str(self.root / name))

    monkeypatch.setattr(FileDirectory, "read", refuse)
    for command in commands(index, index)[:4]:
        outcome = twindex(*command)
        assert outcome.status in (1, 3)
        assert "Permission denied" in outcome.err
        assert str(index) in outcome.err


def test_no_permission_to_write(twindex: Run, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.mkdir

    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        if self.name == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    outcome = twindex("index", corpus, "--into", tmp_path / "locked", "--encoder", "none")
    assert outcome.status == 1
    assert "Permission denied" in outcome.err


def test_a_writer_at_work(twindex: Run, tmp_path: Path, corpus: Path) -> None:
    place = tmp_path / "i"
    assert twindex("index", corpus, "--into", place, "--encoder", "none").status == 0
    lock = WriterLock(place)
    try:
        for command in commands(place, corpus)[4:]:
            outcome = twindex(*command)
            assert outcome.status == 3
            assert "is being written by process" in outcome.err
        assert twindex("search", place, "lamp").status == 0, "readers are not locked out"
    finally:
        lock.release()


def limited(arguments: list[str], size: int) -> Outcome:
    """A command in a process whose files cannot grow beyond a size, as on a disk that fills up."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    code = "import sys; from twindex.api.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, preexec_fn=limit, env=os.environ
    )
    assert not [word for word in FORBIDDEN if word in done.stderr], done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of processes")
def test_a_disk_that_fills_up(twindex: Run, tmp_path: Path, corpus: Path) -> None:
    place = tmp_path / "i"
    for size in (0, 500, 20_000, 100_000):
        outcome = limited(["index", str(corpus), "--into", str(place), "--encoder", "none"], size)
        assert outcome.status == 1, f"{size}: {outcome}"
        assert "error: File too large" in outcome.err
        assert not (place / "manifest.json").exists()
    assert twindex("index", corpus, "--into", place, "--encoder", "none").status == 0, "with room it goes on"
    assert twindex("verify", place).status == 0
    more = tmp_path / "more.jsonl"
    more.write_text(corpus.read_text().replace('"d', '"e'))
    before = (place / "manifest.json").read_bytes()
    outcome = limited(["add", str(place), str(more)], 20_000)
    assert outcome.status == 1
    assert (place / "manifest.json").read_bytes() == before
    assert twindex("verify", place).status == 0
    assert twindex("add", place, more, "--json").json()["documents"] == 2000


@pytest.mark.parametrize("name", ["a[1]", "what?", "*.idx", "it's", 'qu"ote', "né 東京", "per%cent", "-dash", "\n"])
def test_folders_of_any_name(twindex: Run, tmp_path: Path, name: str) -> None:
    place, source = tmp_path / name, tmp_path / "c.jsonl"
    source.write_text('{"_id": "a", "text": "lamp", "year": 3}\n{"_id": "b", "text": "lamp", "year": 4}\n')
    assert twindex("index", source, "--into", place, "--encoder", "none").status == 0
    found = twindex("search", place, "lamp", "--filter", "year = 4", "--json").json()["hits"]
    assert [hit["id"] for hit in found] == ["b"]
    assert twindex("verify", place).status == 0
    assert twindex("merge", place).status == 0
