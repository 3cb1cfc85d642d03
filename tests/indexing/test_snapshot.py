"""Snapshots: what they refuse, what they filter, and that nothing a writer does disturbs them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.indexing.builds import build, document, documents, encoder, ids_of
from twindex.indexing.config import IndexConfig
from twindex.indexing.directory import Directory
from twindex.indexing.errors import (
    CorruptIndexError,
    FilterError,
    FingerprintError,
    FormatVersionError,
    IndexError_,
    IndexNotFoundError,
    UsageError,
)
from twindex.indexing.filters import parse_filter
from twindex.indexing.manifest import Manifest, canonical, checksum, read_manifest
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build(tmp_path / "index", documents(10), segment_docs=4)
    with IndexWriter.open(tmp_path / "index") as writer:
        writer.delete(["d5"])
        writer.commit()
    return tmp_path / "index"


def rewrite(index: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Edits the manifest and makes its checksum right again."""
    path = index / "manifest.json"
    values = json.loads(path.read_text())
    del values["checksum"]
    change(values)
    path.write_bytes(canonical(values | {"checksum": checksum(values)}))


def test_filters_reach_all_segments_and_spare_the_dead(index: Path) -> None:
    with Snapshot.open(index) as snapshot:
        allowed = snapshot.allowed(parse_filter("kind = 'odd'"))
        assert allowed is not None
        ords = np.flatnonzero(allowed).astype(np.int32)
        assert snapshot.ids(ords) == ["d1", "d3", "d7", "d9"]
        everything = snapshot.allowed(None)
        assert everything is not None
        assert int(everything.sum()) == 9


def test_a_field_that_one_segment_lacks_matches_nothing_there(tmp_path: Path) -> None:
    items = [Document("a", "x", metadata={"colour": "red"}), Document("b", "y", metadata={"size": 3})]
    build(tmp_path / "index", items, segment_docs=1, dense=False)
    with Snapshot.open(tmp_path / "index") as snapshot:
        for expression, ids in (("colour = 'red'", ["a"]), ("size = 3", ["b"]), ("size = 4", [])):
            allowed = snapshot.allowed(parse_filter(expression))
            assert allowed is not None
            assert snapshot.ids(np.flatnonzero(allowed).astype(np.int32)) == ids
        with pytest.raises(FilterError, match="weight"):
            snapshot.allowed(parse_filter("weight = 1"))


def test_segment_boundaries_do_not_change_what_a_filter_means(tmp_path: Path) -> None:
    items = [
        Document("a", "x", metadata={"colour": "red"}),
        Document("b", "y", metadata={"size": 3}),
        Document("c", "z", metadata={"colour": "blue", "size": 4}),
        Document("d", "w"),
    ]
    build(tmp_path / "one", items, dense=False)
    build(tmp_path / "many", items, segment_docs=1, dense=False)
    for expression in ("colour = 'red'", "not colour = 'red'", "colour = 'red' or size = 3", "size >= 3"):
        found = []
        for name in ("one", "many"):
            with Snapshot.open(tmp_path / name) as snapshot:
                allowed = snapshot.allowed(parse_filter(expression))
                assert allowed is not None
                found.append(allowed.tolist())
        assert found[0] == found[1], expression


def test_ordinals_of_another_snapshot_are_refused(index: Path) -> None:
    with Snapshot.open(index) as snapshot:
        for ords in ([10], [-1]):
            with pytest.raises(UsageError, match="0 to 9"):
                snapshot.ids(np.array(ords, np.int32))


@pytest.mark.parametrize("damage", ["truncate", "grow", "remove", "empty"])
def test_a_file_of_the_wrong_size_is_refused_by_name(index: Path, damage: str) -> None:
    files = [p for p in (index / "segments" / "s000002").iterdir() if p.stat().st_size]
    assert len(files) >= 13
    for path in files:
        good = path.read_bytes()
        if damage == "remove":
            path.unlink()
        else:
            path.write_bytes({"truncate": good[:-1], "grow": good + b"x", "empty": b""}[damage])
        with pytest.raises(CorruptIndexError, match=path.name):
            Snapshot.open(index)
        report = verify(index)
        assert not report.ok
        assert path.name in "".join(report.problems)
        path.write_bytes(good)
    assert verify(index).ok


def test_a_flipped_byte_is_found_by_verify(index: Path) -> None:
    for path in sorted(p for p in index.glob("segments/*/*") if p.stat().st_size):
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        problems = verify(index).problems
        assert len(problems) == 1
        assert path.name in problems[0]
        path.write_bytes(good)


def test_a_missing_segment_is_corrupt(index: Path) -> None:
    (index / "segments" / "s000001").rename(index / "elsewhere")
    with pytest.raises(CorruptIndexError, match="s000001"):
        Snapshot.open(index)
    assert not verify(index).ok


@pytest.mark.parametrize(
    ("key", "change", "word"), [("live_length", 1, "tokens"), ("documents", -1, "documents"), ("size", 1, "passages")]
)
def test_counts_that_the_files_contradict_are_found_by_verify(index: Path, key: str, change: int, word: str) -> None:
    def fake(values: dict[str, object]) -> None:
        values["segments"][0][key] += change  # type: ignore[index]

    rewrite(index, fake)
    assert word in verify(index).problems[0]


def test_an_edited_manifest_is_corrupt(index: Path) -> None:
    path = index / "manifest.json"
    path.write_text(path.read_text().replace('"generation": 2', '"generation": 9'))
    with pytest.raises(CorruptIndexError, match="checksum"):
        Snapshot.open(index)
    with pytest.raises(CorruptIndexError, match="checksum"):
        IndexWriter.open(index)


def test_another_format_version_is_refused(index: Path) -> None:
    rewrite(index, lambda values: values.update(format_version=2))
    for opened in (Snapshot.open, IndexWriter.open, verify):
        with pytest.raises(FormatVersionError, match="upgrade"):
            opened(index)


def test_another_analyzer_is_refused(index: Path) -> None:
    rewrite(index, lambda values: values.update(analyzer_fingerprint="english/0"))
    for opened in (Snapshot.open, IndexWriter.open):
        with pytest.raises(FingerprintError, match="english/0"):
            opened(index)


def test_an_unfinished_first_build_is_no_index_yet(tmp_path: Path) -> None:
    writer = IndexWriter.create(tmp_path / "index", IndexConfig(encoder=encoder().info), encoder=encoder())
    writer.add(documents(3))
    with pytest.raises(IndexNotFoundError, match="no committed index yet"):
        Snapshot.open(tmp_path / "index")
    writer.close()


def test_an_open_snapshot_never_changes(index: Path) -> None:
    with Snapshot.open(index) as old:
        with IndexWriter.open(index, encoder=encoder()) as writer:
            writer.add(documents(5, start=20))
            writer.delete([f"d{n}" for n in range(4)])
            writer.commit()
            writer.merge()
            writer.commit()
        assert not old.is_current()
        # read for the first time only now, after the merge: documents, postings, vectors and metadata
        assert ids_of(old) == ["d0", "d1", "d2", "d3", "d4", "d6", "d7", "d8", "d9"]
        allowed = old.allowed(parse_filter("year >= 2000"))
        assert allowed is not None
        assert int(allowed.sum()) == 9
        assert sum(segment.postings.num_docs for segment in old.segments) == 10
        vectors = old.segments[0].vectors
        assert vectors is not None
        text = old.passages(np.array([0], np.int32))[0].contents
        np.testing.assert_array_equal(vectors.matrix[0], encoder().encode_documents([text])[0])
    with Snapshot.open(index) as new:
        assert new.is_current()
        assert len(ids_of(new)) == 10
    with IndexWriter.open(index) as writer:  # nobody reads the old segments any more
        assert writer.commit().generation == 4
    assert len(list((index / "segments").iterdir())) == 1


def test_a_commit_between_manifest_and_segments_is_waited_out(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[bool] = []

    def slow(directory: Directory, *, where: str) -> Manifest:
        manifest = read_manifest(directory, where=where)
        if not merged:
            merged.append(True)
            with IndexWriter.open(index) as writer:
                writer.merge()
                writer.commit()
        return manifest

    monkeypatch.setattr("twindex.indexing.snapshot.read_manifest", slow)
    with Snapshot.open(index) as snapshot:
        assert snapshot.generation == 3
        assert len(ids_of(snapshot)) == 9


def test_threads_open_while_a_writer_commits(index: Path) -> None:
    stop, errors, opened = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            try:
                with Snapshot.open(index) as snapshot:
                    ids = ids_of(snapshot)
                    assert len(ids) == len(set(ids)) == snapshot.live_docs
                    opened.append(snapshot.generation)
            except BaseException as error:  # noqa: BLE001, RUF100 - handed to the main thread
                errors.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    with IndexWriter.open(index, encoder=encoder()) as writer:
        for number in range(4):
            writer.add([document(number, number)], on_duplicate="replace")
            writer.commit()
            writer.merge()
            writer.commit()
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert opened
    assert verify(index).ok


def test_opening_is_quick(tmp_path: Path) -> None:
    build(tmp_path / "index", documents(200), segment_docs=20, dense=False)
    Snapshot.open(tmp_path / "index").close()
    started = time.perf_counter()
    for _ in range(5):
        Snapshot.open(tmp_path / "index").close()
    assert (time.perf_counter() - started) / 5 < 0.1  # measured: a few milliseconds


def test_a_folder_in_place_of_the_manifest_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(IndexError_):
        Snapshot.open(tmp_path)


def test_a_file_in_place_of_the_folder_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexNotFoundError):
        Snapshot.open(tmp_path / "file")
