"""Frozen indexes of every readable format version: they must open, verify, and give the results of their day.

When the format version changes, the index of the new version is written by the first run of this test, which
then fails and asks for the folder to be committed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.filters import parse_filter
from twindex.indexing.lock import LOCK_FILE
from twindex.indexing.manifest import FORMAT_VERSION, OLDEST_READABLE
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.dense import DenseRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query

HERE = Path(__file__).parent
VERSIONS = range(OLDEST_READABLE, FORMAT_VERSION + 1)
QUERIES = ("red kite", "kite over the harbour", "quiet quiet harbour", "東京", "nothing of this")
FILTER = "year >= 2001 and not kind = 'note'"
DOCUMENTS = (
    Document("k1", "a red kite over the harbour", "Kites", {"year": 2001, "kind": "poem"}),
    Document("k2", "the harbour is quiet", "", {"year": 2000, "kind": "note", "tags": ["sea", "calm"]}),
    Document("k3", "quiet " * 300 + "red", "Many times", {"year": 2003, "score": 0.5}),
    Document("k4", "nobody reads this one", "Gone", {"year": 2004}),
    Document("ключ/5", "東京 harbour kite \U0001f41d", "Titel", {"year": 2005, "public": True}),
)


def encoder() -> HashingEncoder:
    return HashingEncoder(8)


def make(path: Path) -> None:
    """Two segments, one document deleted, one replaced, a term frequency above 255."""
    config = IndexConfig("whitespace", encoder().info, segment_docs=3, vector_kind="hnsw")
    with IndexWriter.create(path, config, encoder=encoder()) as writer:
        writer.add(DOCUMENTS)
        writer.commit()
        writer.delete(["k4"])
        replacement = Document("k2", "the harbour is quiet at night", "", {"year": 2002, "kind": "note"})
        writer.add([replacement], on_duplicate="replace")
        writer.commit()
    (path / LOCK_FILE).unlink()


def results(path: Path) -> dict[str, Any]:
    """What a search finds: ids and scores of both legs, and what the filter lets through."""
    queries = [Query(text) for text in QUERIES]
    found: dict[str, Any] = {}
    with Snapshot.open(path) as snapshot:
        for retriever in (LexicalRetriever(snapshot), DenseRetriever(snapshot, encoder())):
            run = retriever.retrieve(queries, 3)
            found[retriever.name] = [
                [[name, float(score)] for name, score in zip(run.ids(i), run[i].scores)] for i in range(len(queries))
            ]
        allowed = snapshot.allowed(parse_filter(FILTER))
        assert allowed is not None
        found["filter"] = snapshot.ids(np.flatnonzero(allowed).astype(np.int32))
        ords = np.arange(snapshot.size, dtype=np.int32)
        found["texts"] = [passage.text for passage in snapshot.passages(ords)]
    return found


def frozen(version: int) -> tuple[Path, Path]:
    return HERE / f"index_v{version}", HERE / f"index_v{version}.json"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frozen_index_opens_verifies_and_searches(version: int) -> None:
    path, expected = frozen(version)
    if not path.exists() and version == FORMAT_VERSION:
        make(path)
        expected.write_text(json.dumps(results(path), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        pytest.fail(f"{path.name} was missing and has been written: check it and commit it")
    assert verify(path).problems == ()
    wanted = json.loads(expected.read_text(encoding="utf-8"))
    found = results(path)
    assert found["texts"] == wanted["texts"]
    assert found["filter"] == wanted["filter"]
    for leg in set(wanted) - {"texts", "filter"}:
        for ours, theirs in zip(found[leg], wanted[leg], strict=True):
            assert [name for name, _ in ours] == [name for name, _ in theirs]
            np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], rtol=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frozen_index_can_be_written_on(version: int, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(frozen(version)[0], path)
    with IndexWriter.open(path, encoder=encoder()) as writer:
        writer.add([Document("new", "a red lantern")])
        writer.merge()
        assert writer.commit().format_version == FORMAT_VERSION
    assert verify(path).problems == ()
    with Snapshot.open(path) as snapshot:
        assert snapshot.ids(np.arange(snapshot.size, dtype=np.int32)) == ["k1", "k3", "ключ/5", "k2", "new"]
        run = LexicalRetriever(snapshot).retrieve([Query("lantern")], 5)
        assert run.ids(0) == ["new"]


def test_the_writer_still_writes_the_frozen_arrays(tmp_path: Path) -> None:
    """Bytes of version 1 as they were, but for files that other libraries lay out (Parquet, the graph)."""
    make(tmp_path / "index")
    path = frozen(FORMAT_VERSION)[0]
    names = [p.relative_to(path) for p in sorted(path.glob("segments/*/*"))]
    assert names == [p.relative_to(tmp_path / "index") for p in sorted((tmp_path / "index").glob("segments/*/*"))]
    for name in names:
        if name.suffix not in (".parquet", ".faiss"):
            assert (tmp_path / "index" / name).read_bytes() == (path / name).read_bytes(), name
