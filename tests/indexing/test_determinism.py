"""Same input, same bytes, same ranking: whatever the hash seed, the threads, the number of segments."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.indexing.builds import WORDS, build, digest, documents, encoder, environment
from twindex.indexing.analysis import cached
from twindex.indexing.config import IndexConfig
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.dense import DenseRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query, Run

CHILD = """
import sys
from pathlib import Path
from tests.indexing.builds import build, documents
from twindex.indexing.writer import IndexWriter
path = Path(sys.argv[1])
build(path, documents(120), segment_docs=50)
with IndexWriter.open(path) as writer:
    writer.delete([f"d{n}" for n in range(0, 120, 7)])
    writer.commit()
    writer.merge(2, reorder=True)
    writer.commit()
"""


def test_two_builds_are_byte_identical(tmp_path: Path) -> None:
    running = []
    for seed, threads in (("1", "1"), ("2", "2")):
        own = environment(PYTHONHASHSEED=seed, OMP_NUM_THREADS=threads)
        command = [sys.executable, "-c", CHILD, str(tmp_path / seed)]
        running.append(subprocess.Popen(command, env=own, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    one, two = digest(tmp_path / "1"), digest(tmp_path / "2")
    assert one == two
    assert len(one) > 30


def results(path: Path, leg: str) -> list[tuple[list[str], list[float]]]:
    queries = [Query(" ".join(WORDS[i : i + 3])) for i in range(0, len(WORDS), 2)]
    with Snapshot.open(path) as snapshot:
        retriever = LexicalRetriever(snapshot) if leg == "bm25" else DenseRetriever(snapshot, encoder())
        run: Run = retriever.retrieve(queries, 30)
        return [(run.ids(i), run[i].scores.tolist()) for i in range(len(run))]


@pytest.mark.parametrize("leg", ["bm25", "dense"])
def test_one_segment_and_twenty_give_the_same_results(tmp_path: Path, leg: str) -> None:
    build(tmp_path / "one", documents(200))
    build(tmp_path / "twenty", documents(200), segment_docs=10)
    with Snapshot.open(tmp_path / "twenty") as snapshot:
        assert len(snapshot.segments) == 20
    assert results(tmp_path / "one", leg) == results(tmp_path / "twenty", leg)


@pytest.mark.parametrize("leg", ["bm25", "dense"])
def test_deleting_equals_never_having_added(tmp_path: Path, leg: str) -> None:
    gone = {f"d{n}" for n in range(0, 200, 3)}
    build(tmp_path / "deleted", documents(200), segment_docs=30)
    with IndexWriter.open(tmp_path / "deleted") as writer:
        writer.delete(sorted(gone))
        writer.commit()
    build(tmp_path / "never", [d for d in documents(200) if d.id not in gone])
    assert results(tmp_path / "deleted", leg) == results(tmp_path / "never", leg)
    with IndexWriter.open(tmp_path / "deleted") as writer:
        writer.merge(3)
        writer.commit()
    assert results(tmp_path / "deleted", leg) == results(tmp_path / "never", leg)


def test_vectors_are_those_of_the_encoder(tmp_path: Path) -> None:
    build(tmp_path / "index", documents(40), segment_docs=7)
    with Snapshot.open(tmp_path / "index") as snapshot:
        texts = [p.contents for p in snapshot.passages(np.arange(40, dtype=np.int32))]
        stored = [segment.vectors.matrix for segment in snapshot.segments if segment.vectors is not None]
        np.testing.assert_array_equal(np.concatenate(stored), encoder().encode_documents(texts))


@pytest.mark.parametrize("name", ["english", "unicode"])
def test_compiled_analysis_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pytest.importorskip("numba")
    texts = [replace(each, text=f"{each.text} naïve{each.id} it's 3.14; {'long' * 9}") for each in documents(300)]
    for folder, begin in (("arrays", 1 << 40), ("both", 5000), ("compiled", 0)):
        monkeypatch.setattr(cached, "COMPILED_CHARS", begin)
        monkeypatch.setattr(cached, "_BLOCK", 60)
        monkeypatch.setattr(cached, "_SMALL", 1000)
        with IndexWriter.create(tmp_path / folder, IndexConfig(analyzer=name, segment_docs=200)) as writer:
            writer.add(texts)
            writer.commit()
    assert digest(tmp_path / "arrays") == digest(tmp_path / "compiled") == digest(tmp_path / "both")
