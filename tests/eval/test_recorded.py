"""Vectors and scores that were made elsewhere: looked up by content, they give what the encoder gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from twindex.eval.recorded import ABOUT, Recorded, RecordedDense, recorded_sides, text_key
from twindex.eval.recorded_scores import RecordedScorer
from twindex.indexing import Document, IndexConfig, IndexWriter
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array
from twindex.retrieval import Searcher

TEXTS = [f"bees keep the hive number {i}" for i in range(9)] + ["", "\ud800"]
ASKED = ["hive", "number 3"]


def keys(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer(b"".join(map(text_key, texts)), np.uint8).reshape(-1, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dense, sparse = HashingEncoder(16), SparseHashingEncoder(64)
    about = {"name": "hashing-elsewhere", "dim": 16, "vocabulary": 64, "max_weight": 4.0}
    (tmp_path / ABOUT).write_text(json.dumps(about))
    for part, texts in enumerate((TEXTS[:4], TEXTS[4:])):
        rows = sparse.encode_documents(texts)
        vectors = dense.encode_documents(texts)
        np.savez(
            tmp_path / f"documents-{part}.npz",
            keys=keys(texts),
            dense=vectors,
            starts=rows.ptr,
            ids=rows.ids,
            weights=rows.weights,
        )
    np.savez(tmp_path / "queries-0.npz", keys=keys(ASKED), dense=dense.encode_queries(ASKED))
    return tmp_path


def test_recorded_vectors_are_those_of_the_encoder(folder: Path, tmp_path: Path) -> None:
    dense, sparse = recorded_sides(folder)
    assert sparse is None  # nothing encodes its queries
    assert isinstance(dense, Encoder)
    order = TEXTS[::-1]
    assert np.allclose(dense.encode_documents(order), HashingEncoder(16).encode_documents(order), atol=1e-6)
    assert np.allclose(dense.encode_queries(ASKED), HashingEncoder(16).encode_queries(ASKED), atol=1e-6)
    rows = Recorded(folder).documents.sparse(order)
    expected = SparseHashingEncoder(64).encode_documents(order)
    for at, (ids, weights) in enumerate(rows):
        assert ids.tolist() == expected.slice(at, at + 1).ids.tolist()
        assert weights.tolist() == expected.slice(at, at + 1).weights.tolist()
    with pytest.raises(ConfigError, match=r"2 of 3 texts .*'never seen'"):
        dense.encode_documents([TEXTS[0], "never seen", "nor this"])
    config = IndexConfig(encoder=dense.info)
    with IndexWriter.create(tmp_path / "index", config, encoder=dense) as writer:
        writer.add(Document(f"d{i}", text) for i, text in enumerate(TEXTS))
        writer.commit()
    with Searcher.open(tmp_path / "index", encoder=dense) as searcher:
        assert len(searcher.search("number 3", mode="dense").hits) == 10


def test_the_fingerprint_follows_the_vectors(folder: Path) -> None:
    first = RecordedDense(Recorded(folder)).info.fingerprint
    assert RecordedDense(Recorded(folder)).info.fingerprint == first
    (folder / "documents-1.npz").unlink()
    assert RecordedDense(Recorded(folder)).info.fingerprint != first


@pytest.mark.parametrize("damage", ["none", "about", "part", "shape"])
def test_folders_that_are_not_right(folder: Path, damage: str) -> None:
    if damage == "none":
        (folder / ABOUT).unlink()
    elif damage == "about":
        (folder / ABOUT).write_text("{}")
    elif damage == "part":
        (folder / "documents-0.npz").write_bytes(b"no archive")
    else:
        np.savez(folder / "documents-0.npz", keys=keys(TEXTS[:2]), dense=np.zeros((3, 16), np.float32))
    with pytest.raises(ConfigError):
        recorded_sides(folder)


class Lengths:
    """Scores a pair by the text's length."""

    name = "lengths"

    def score(self, query: str, texts: Sequence[str]) -> Float32Array:
        return np.array([len(text) for text in texts], np.float32)


def test_recorded_scores_and_what_is_scored_now(tmp_path: Path) -> None:
    (tmp_path / ABOUT).write_text(json.dumps({"name": "cross", "fingerprint": "f"}))
    pairs = [("q", "a"), ("q", "b")]
    np.savez(
        tmp_path / "scores-0.npz",
        queries=keys([q for q, _ in pairs]),
        texts=keys([t for _, t in pairs]),
        scores=np.array([1.5, -2.0], np.float32),
    )
    scorer = RecordedScorer(tmp_path, Lengths())
    assert (scorer.name, scorer.fingerprint) == ("cross", "f")
    assert scorer.score("q", ["b", "a", "long"]).tolist() == [-2.0, 1.5, 4.0]
    assert scorer.missing == 1
    assert scorer.score("p", ["b"]).tolist() == [1.0]  # another query, another pair
    with pytest.raises(ConfigError, match="1 of 2 pairs"):
        RecordedScorer(tmp_path).score("q", ["a", "long"])
    with pytest.raises(ConfigError):
        RecordedScorer(tmp_path / "nowhere")
