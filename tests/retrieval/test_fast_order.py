"""The compiled engine over documents in another order: every list and every tie as without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.indexing.builds import WORDS, documents
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.filter_parser import parse_filter
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.fast_order import frequencies_of, order_of
from twindex.retrieval.image import Frequencies
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query

pytest.importorskip("numba")
pytestmark = pytest.mark.timeout(600)  # the first call compiles
MODEL = SparseHashingEncoder(256)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments with an order, one of them with deletions, then one without; documents whose scores tie."""
    where = tmp_path_factory.mktemp("ordered") / "index"
    same = [
        Document(f"s{n}", f"{WORDS[n % 4]} {WORDS[4 + n % 3]}", metadata={"year": 2000 + n % 20}) for n in range(90)
    ]
    with IndexWriter.create(where, IndexConfig(sparse_encoder=MODEL.info, segment_docs=80), sparse_encoder=MODEL) as w:
        w.add([*documents(120), *same])
        w.commit()
        w.merge(3, reorder=True)
        w.commit()
        w.delete([f"d{n}" for n in range(0, 120, 7)])
        w.add(documents(40, start=300))
        w.commit()
    return where


def test_the_order_is_that_of_the_segments(path: Path) -> None:
    with Snapshot.open(path) as snapshot:
        original = order_of(snapshot.segments, snapshot.bases)
        assert sorted(original.tolist()) == list(range(snapshot.size))
        assert snapshot.segments[-1].order is None
        assert original[-40:].tolist() == list(range(snapshot.size - 40, snapshot.size))
        assert original.tolist() != list(range(snapshot.size))
        image = LexicalRetriever(snapshot, engine="compiled").fast.image
        assert image.lists.original.tolist() == original.tolist(), "the engine lays documents out by it"


@pytest.mark.parametrize("leg", ["bm25", "learned"])
def test_lists_and_ties_stay(path: Path, leg: str) -> None:
    texts = [" ".join(WORDS[i : i + n]) for i in range(len(WORDS)) for n in (1, 2, 5)]
    queries = [Query(text) for text in texts]
    queries += [Query(text, filter=parse_filter("year >= 2010")) for text in texts]
    with Snapshot.open(path) as snapshot:
        plain, ordered = (
            LexicalRetriever(snapshot, engine=engine)
            if leg == "bm25"
            else ImpactRetriever(snapshot, MODEL, engine=engine)
            for engine in ("numpy", "compiled")
        )
        for k in (1, 10, 400):
            expected, found = plain.retrieve(queries, k), ordered.retrieve(queries, k)
            for i in range(len(queries)):
                assert found[i].ords.tolist() == expected[i].ords.tolist()
                assert found[i].scores.tolist() == expected[i].scores.tolist()
        ties = [np.unique(one.scores).size < one.scores.size for one in plain.retrieve(queries, 400)]
        assert any(ties), "the test needs ties"


def test_no_order_is_no_order(tmp_path: Path) -> None:
    with IndexWriter.create(tmp_path / "index", IndexConfig()) as writer:
        writer.add(documents(10))
        writer.commit()
    with Snapshot.open(tmp_path / "index") as snapshot:
        assert not len(order_of(snapshot.segments, snapshot.bases))


def test_large_frequencies_move_with_their_postings() -> None:
    tfs = np.array([1, 255, 3, 255, 255], np.uint8)
    given = Frequencies(tfs, np.array([1, 3, 4], np.uint64), np.array([255, 900, 70_000], np.uint64))
    moved = frequencies_of(given, np.array([4, 0, 3, 2, 1]))
    assert moved.tfs.tolist() == [255, 1, 255, 3, 255]
    assert moved.big_at.tolist() == [0, 2, 4]
    assert moved.big_tf.tolist() == [70_000, 900, 255]
