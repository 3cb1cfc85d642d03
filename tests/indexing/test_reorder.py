"""An order in which similar documents stand together: a permutation, found again, that changes no result."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.indexing.builds import WORDS, build, digest, documents, encoder, live_ids
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.postings import PostingsReader, reorder
from twindex.indexing.postings.reorder import bisected
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document, UInt32Array, UInt64Array
from twindex.indexing.verify import verify
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.dense import DenseRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query

TOPICS = 8


def inverted(documents_: list[set[int]], terms: int) -> tuple[UInt64Array, UInt32Array]:
    lists = [[n for n, own in enumerate(documents_) if term in own] for term in range(terms)]
    pointers = np.cumsum([0, *map(len, lists)]).astype(np.uint64)
    return pointers, np.array([n for one in lists for n in one], np.uint32)


def topical(count: int, seed: int = 5) -> tuple[UInt64Array, UInt32Array, NDArray[np.int64]]:
    """Documents of topics that take turns, each topic with words of its own; and the topic of each document."""
    rng = np.random.default_rng(seed)
    topics = np.arange(count) % TOPICS
    made = [set(rng.integers(topic * 40, topic * 40 + 40, 12).tolist()) for topic in topics]
    return *inverted(made, 40 * TOPICS), topics


def mean_distance(pointers: UInt64Array, docs: UInt32Array, order: UInt32Array) -> float:
    """Mean log2 of the distances between neighbours in the lists: what bisection lowers."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    lists = (np.sort(place[docs[a:b]]) for a, b in zip(pointers.tolist(), pointers[1:].tolist()))
    return float(np.mean(np.concatenate([np.log2(np.diff(places)) for places in lists])))


@settings(max_examples=40, deadline=None)
@given(
    made=st.lists(st.sets(st.integers(0, 12), max_size=6), max_size=90),
    leaf=st.integers(1, 8),
)
def test_it_is_a_permutation_and_the_same_each_time(made: list[set[int]], leaf: int) -> None:
    pointers, docs = inverted(made, 13)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reorder, "LEAF", leaf)
        order = bisected(pointers, docs, len(made))
        assert order.dtype == np.uint32
        assert sorted(order.tolist()) == list(range(len(made)))
        assert bisected(pointers, docs, len(made)).tolist() == order.tolist()


def test_topics_come_to_stand_together() -> None:
    pointers, docs, topics = topical(1000)
    order = bisected(pointers, docs, 1000)
    natural = np.arange(1000, dtype=np.uint32)
    assert mean_distance(pointers, docs, order) < mean_distance(pointers, docs, natural) - 2
    borders = int(np.count_nonzero(np.diff(topics[order])))
    assert borders < 100, "of 999 in the order of the corpus"


def test_documents_that_nothing_tells_apart_stay_in_order() -> None:
    pointers, docs = inverted([{0, 1}] * 200, 2)
    assert bisected(pointers, docs, 200).tolist() == list(range(200))
    assert bisected(np.zeros(1, np.uint64), np.empty(0, np.uint32), 0).tolist() == []
    assert bisected(np.zeros(1, np.uint64), np.empty(0, np.uint32), 70).tolist() == list(range(70))


def test_what_would_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pointers, docs, _ = topical(600)
    monkeypatch.setattr(reorder, "MOST", len(docs) // 2)
    lists = reorder._chosen(pointers.astype(np.int64), docs, 600)
    assert 0 < len(lists.docs) <= len(docs) // 2
    order = bisected(pointers, docs, 600)
    assert mean_distance(pointers, docs, order) < mean_distance(pointers, docs, np.arange(600, dtype=np.uint32)) - 1


def test_logarithms_are_close_and_ascend() -> None:
    values = np.concatenate([np.arange(1, 70_000), np.arange(2**31 - 5, 2**31)])
    units = reorder._log2(values)
    assert np.abs(units / reorder.UNIT - np.log2(values)).max() < 2 / reorder.UNIT
    assert np.all(np.diff(units) >= 0)


def themed(count: int) -> list[Document]:
    """Documents of topics that take turns; those of one topic differ little, so that scores tie."""
    return [
        Document(f"t{n}", " ".join(f"topic{n % TOPICS}word{n % 5 + word}" for word in range(12))) for n in range(count)
    ]


def rankings(path: Path) -> list[tuple[list[str], list[float]]]:
    queries = [Query(" ".join(WORDS[i : i + 3])) for i in range(0, len(WORDS), 2)]
    queries += [Query(f"topic{n}word{n} topic{n}word5 topic1word6") for n in range(TOPICS)]
    found = []
    with Snapshot.open(path) as snapshot:
        for retriever in (LexicalRetriever(snapshot), DenseRetriever(snapshot, encoder())):
            for k in (1, 10, 400):
                run = retriever.retrieve(queries, k)
                found += [(run.ids(i), run[i].scores.tolist()) for i in range(len(run))]
    return found


def test_no_ranking_changes(tmp_path: Path) -> None:
    path = tmp_path / "index"
    items = [*documents(150), *themed(150)]
    build(path, items, segment_docs=70)
    with IndexWriter.open(path) as writer:
        writer.delete([f"t{n}" for n in range(0, 150, 4)])
        writer.commit()
    before, ids = rankings(path), live_ids(path)
    shutil.copytree(path, tmp_path / "plain")
    for where, reordered in ((path, True), (tmp_path / "plain", False)):
        with IndexWriter.open(where) as writer:
            writer.merge(2, reorder=reordered)
            writer.commit()
        assert rankings(where) == before
        assert live_ids(where) == ids
        assert verify(where).problems == ()
    own, plain = digest(path), digest(tmp_path / "plain")
    orders = [np.fromfile(file, "<u4") for file in path.glob("segments/*/order.u32")]
    assert any(np.any(np.diff(order.astype(int)) < 0) for order in orders)
    assert {name for name in set(own) - set(plain)} == {
        f"segments/{segment.name}/order.u32" for segment in sorted((path / "segments").iterdir())
    }
    assert all(own[name] == plain[name] for name in set(plain) - {"manifest.json"})


def test_orders_come_and_go_with_merges(tmp_path: Path) -> None:
    path = tmp_path / "index"
    build(path, documents(90), segment_docs=40, dense=False)
    with IndexWriter.open(path) as writer:
        writer.merge(3)
        assert writer.commit().generation == 1, "nothing to do"
        writer.merge(3, reorder=True)
        writer.commit()
    with Snapshot.open(path) as snapshot:
        for segment in snapshot.segments:
            assert segment.order is not None
            assert sorted(segment.order.tolist()) == list(range(segment.size))
            reader = PostingsReader(path / segment.entry.folder)
            assert segment.order.tolist() == bisected(reader.ptr, reader.docs, segment.size).tolist()
    with IndexWriter.open(path) as writer:
        writer.merge(3, reorder=True)
        assert writer.commit().generation == 2, "all have an order already"
        writer.add(documents(10, start=90))
        writer.commit()
        writer.merge(1)
        writer.commit()
    with Snapshot.open(path) as snapshot:
        assert [segment.order for segment in snapshot.segments] == [None]


def test_vectors_without_text_are_ordered_by_their_impacts(tmp_path: Path) -> None:
    model = SparseHashingEncoder(256)
    rows = model.encode_documents([item.text for item in themed(120)])
    config = IndexConfig(sparse_encoder=model.info)
    with IndexWriter.create(tmp_path / "index", config) as writer:
        writer.add_vectors([Document(f"d{n}", "") for n in range(120)], rows)
        writer.merge(1, reorder=True)
        writer.commit()
    with Snapshot.open(tmp_path / "index") as snapshot:
        (segment,) = snapshot.segments
        assert segment.impacts is not None
        assert segment.order is not None
        assert segment.order.tolist() == bisected(segment.impacts.ptr, segment.impacts.docs, 120).tolist()
        assert segment.order.tolist() != list(range(120))


@pytest.mark.parametrize("damage", ["twice", "beyond", "flip"])
def test_damaged_orders_are_found(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index"
    build(path, documents(50), dense=False)
    with IndexWriter.open(path) as writer:
        writer.merge(1, reorder=True)
        writer.commit()
    (file,) = path.glob("segments/*/order.u32")
    order = np.fromfile(file, "<u4")
    order[3] = {"twice": order[4], "beyond": 50, "flip": order[3] ^ 1}[damage]
    order.tofile(file)
    assert not verify(path).ok
    with Snapshot.open(path) as snapshot, pytest.raises(Exception, match=r"order\.u32"):
        _ = snapshot.segments[0].order
