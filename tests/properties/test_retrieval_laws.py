"""Laws of retrieval: what must hold whatever the documents, the query, k, and the history of an index."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.explanations import check_tree
from tests.contracts.fusion_kit import RANKINGS
from tests.indexing.conftest import no_fsync
from tests.properties.strategies import corpora, sentences
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.filters import parse_filter
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.base import Retriever
from twindex.retrieval.dense import DenseRetriever
from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.hybrid import HybridRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.profile import Profile, Recipe
from twindex.retrieval.topk import merge_rankings, select, top_k
from twindex.retrieval.types import Query, Ranking

__all__ = ["no_fsync"]  # a fixture: laws do not wait for the disk

MODEL = HashingEncoder(16)
LAWS = settings(max_examples=20, deadline=None)
ALL = 1000
SCORES = st.lists(st.sampled_from([0.0, -1.0, 0.5, 0.25, 7.0]), max_size=30).map(lambda s: np.array(s, np.float32))
Found = list[tuple[str, float]]


def config(segment_docs: int = 4) -> IndexConfig:
    return IndexConfig(analyzer="unicode", encoder=MODEL.info, segment_docs=segment_docs)


@contextmanager
def index_of(
    documents: Iterable[Document], *, segment_docs: int = 4, parts: int = 1, deleted: Iterable[str] = ()
) -> Iterator[Snapshot]:
    """An index that was filled in some commits, and of which something was deleted."""
    items = list(documents)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        with IndexWriter.create(path, config(segment_docs), encoder=MODEL) as writer:
            for part in range(parts):
                writer.add(items[part::parts] if parts > 1 else items)
                writer.commit()
            writer.delete(deleted)
            writer.commit()
        with Snapshot.open(path) as snapshot:
            yield snapshot


def legs(snapshot: Snapshot) -> list[Retriever]:
    """Both legs, and two fusions of them."""
    lexical, dense = LexicalRetriever(snapshot), DenseRetriever(snapshot, MODEL)
    hybrids = [HybridRetriever([lexical, dense], snapshot, Profile(Recipe(f))) for f in (RRF(), Convex("minmax"))]
    return [lexical, dense, *hybrids]


def found(retriever: Retriever, query: Query, k: int = ALL) -> Found:
    """Ids with scores."""
    run = retriever.retrieve([query], k)
    return list(zip(run.ids(0), run[0].scores.tolist(), strict=True))


def rank_free(hits: Found) -> dict[str, float]:
    """Scores without the order of ties."""
    return dict(hits)


# ---------------------------------------------------------------- top-k


@given(scores=SCORES, k=st.integers(0, 40), mask_seed=st.integers(0, 9))
def test_top_k_is_sort_and_cut(scores: np.ndarray, k: int, mask_seed: int) -> None:
    mask = np.random.default_rng(mask_seed).random(len(scores)) < 0.7
    for chosen in (None, mask):
        got = top_k(scores, k, mask=chosen)
        rows = [i for i in range(len(scores)) if scores[i] != 0 and (chosen is None or chosen[i])]
        expected = sorted(rows, key=lambda i: (-scores[i], i))[:k]
        assert got.ords.tolist() == expected
        assert got.scores.tolist() == scores[expected].tolist()


@given(scores=SCORES, k=st.integers(0, 40), cuts=st.lists(st.integers(0, 30), max_size=3))
def test_merging_the_best_of_parts_gives_the_best_of_all(scores: np.ndarray, k: int, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]
    parts = [select(np.arange(a, b), scores[a:b], k) for a, b in itertools.pairwise(edges)]
    whole = select(np.arange(len(scores)), scores, k)
    merged = merge_rankings(parts, k)
    assert (merged.ords.tolist(), merged.scores.tolist()) == (whole.ords.tolist(), whole.scores.tolist())


# ---------------------------------------------------------------- retrievers


@LAWS
@given(documents=corpora(), texts=st.lists(sentences(), min_size=1, max_size=4), k=st.integers(0, 15))
def test_pages_batches_and_the_order_of_the_house(documents: list[Document], texts: list[str], k: int) -> None:
    with index_of(documents) as snapshot:
        queries = [Query(text) for text in texts]
        for retriever in legs(snapshot):
            run = retriever.retrieve(queries, k)
            for i, query in enumerate(queries):
                page = list(zip(run.ids(i), run[i].scores.tolist(), strict=True))
                assert page == found(retriever, query)[:k]
                order = [
                    (-score, ord_) for ord_, score in zip(run[i].ords.tolist(), run[i].scores.tolist(), strict=True)
                ]
                assert order == sorted(order)


@LAWS
@given(
    documents=corpora(), text=sentences(), condition=st.sampled_from(["year >= 0", "lang = 'en'", "not tags exists"])
)
def test_a_filter_cuts_the_full_ranking(documents: list[Document], text: str, condition: str) -> None:
    documents = [*documents, Document("last", "bee honey", "", {"year": 0, "lang": "en", "tags": ["x"]})]
    with index_of(documents) as snapshot:
        filter_ = parse_filter(condition)
        mask = snapshot.allowed(filter_)
        assert mask is not None
        passing = set(snapshot.ids(np.flatnonzero(mask).astype(np.int32)))
        for retriever in legs(snapshot)[:2]:
            whole = found(retriever, Query(text))
            assert found(retriever, Query(text, filter_), 5) == [hit for hit in whole if hit[0] in passing][:5]


@LAWS
@given(documents=corpora(), text=sentences())
def test_explanations_recombine_to_the_score(documents: list[Document], text: str) -> None:
    with index_of(documents) as snapshot:
        for retriever in legs(snapshot):
            ranking = retriever.retrieve([Query(text)], 6)[0]
            for ord_, score in zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True):
                tree = retriever.explain(Query(text), ord_)
                assert tree.value == pytest.approx(score, rel=1e-6, abs=1e-7)
                check_tree(tree)


# ---------------------------------------------------------------- the history of an index


@LAWS
@given(documents=corpora(), text=sentences(), segment_docs=st.integers(1, 12))
def test_segments_do_not_show(documents: list[Document], text: str, segment_docs: int) -> None:
    with index_of(documents, segment_docs=1000) as one, index_of(documents, segment_docs=segment_docs) as many:
        for a, b in zip(legs(one), legs(many), strict=True):
            assert found(a, Query(text)) == found(b, Query(text))


@LAWS
@given(documents=corpora(), text=sentences(), data=st.data())
def test_a_deleted_document_leaves_no_trace(documents: list[Document], text: str, data: st.DataObject) -> None:
    gone = set(data.draw(st.lists(st.sampled_from([d.id for d in documents]), max_size=4)) if documents else [])
    kept = [document for document in documents if document.id not in gone]
    with index_of(documents, deleted=sorted(gone)) as deleted, index_of(kept) as never:
        for a, b in zip(legs(deleted), legs(never), strict=True):
            assert found(a, Query(text)) == found(b, Query(text))


@LAWS
@given(documents=corpora(), text=sentences(), data=st.data())
def test_deleting_and_adding_again_moves_to_the_end_of_ties(
    documents: list[Document], text: str, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(documents), unique_by=lambda d: d.id, max_size=4)) if documents else []
    moved = [d for d in documents if d not in again] + again
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        with IndexWriter.create(path, config(), encoder=MODEL) as writer:
            writer.add(documents)
            writer.commit()
            writer.delete([document.id for document in again])
            writer.commit()
            writer.add(again)
            writer.commit()
        with Snapshot.open(path) as changed, index_of(documents) as before, index_of(moved) as after:
            for a, b, c in zip(legs(changed), legs(before), legs(after), strict=True):
                assert found(a, Query(text)) == found(c, Query(text)), "as if it had been added last"
                if b.name in ("bm25", "dense"):  # fused scores depend on ranks and so on the order of ties
                    assert rank_free(found(a, Query(text))) == rank_free(found(b, Query(text)))


@LAWS
@given(documents=corpora(), text=sentences())
def test_an_unrelated_document_changes_scores_through_statistics_only(documents: list[Document], text: str) -> None:
    """With the same length as the mean it changes N alone, and N moves every score in the same direction."""
    with index_of(documents) as before:
        lexical = LexicalRetriever(before)
        mean = lexical.average
        if not documents or mean != int(mean):
            return
        more = [*documents, Document("other", " ".join(["unrelated"] * int(mean)))]
        with index_of(more) as after:
            old, new = found(lexical, Query(text)), found(LexicalRetriever(after), Query(text))
            assert {id_ for id_, _ in old} == {id_ for id_, _ in new}
            assert all(
                new_score >= score for (_, score), new_score in zip(old, map(dict(new).get, dict(old)), strict=True)
            )


@LAWS
@given(documents=corpora(), text=sentences())
def test_saved_opened_and_merged_it_finds_the_same(documents: list[Document], text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        with IndexWriter.create(path, config(2), encoder=MODEL) as writer:
            writer.add(documents)
            writer.commit()
        with Snapshot.open(path) as first:
            expected = [found(retriever, Query(text)) for retriever in legs(first)]
            with IndexWriter.open(path, encoder=MODEL) as writer:
                writer.merge(1)
                writer.commit()
            assert [found(retriever, Query(text)) for retriever in legs(first)] == expected, "an open snapshot stays"
        with Snapshot.open(path) as merged:
            assert [found(retriever, Query(text)) for retriever in legs(merged)] == expected


# ---------------------------------------------------------------- fusion


@given(a=RANKINGS, b=RANKINGS, data=st.data())
def test_rrf_is_invariant_to_changes_that_keep_the_order(a: Ranking, b: Ranking, data: st.DataObject) -> None:
    """Any strictly increasing function of the scores of one ranking."""
    steps = data.draw(st.lists(st.floats(0.25, 8, width=16), min_size=len(a), max_size=len(a)))
    distinct = np.unique(a.scores)
    new = np.cumsum(np.array(steps, np.float32))[: len(distinct)]
    moved = Ranking(a.ords, new[np.searchsorted(distinct, a.scores)])
    for k in (0, 60):
        one, other = RRF(k).fuse([a, b], ALL), RRF(k).fuse([moved, b], ALL)
        assert (one.ords.tolist(), one.scores.tolist()) == (other.ords.tolist(), other.scores.tolist())
