"""All retrievers pass one kit: our legs, their fusion, reranking, and the other engines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.contracts.retriever_kit import RetrieverKit
from tests.contracts.world import encoder
from twindex.indexing.optional import available
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.dense import DenseRetriever
from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.hybrid import HybridRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.profile import Profile, Recipe
from twindex.retrieval.rerank import RerankedRetriever
from twindex.retrieval.types import Query, Ranking


class TestLexical(RetrieverKit):
    @pytest.fixture(scope="class")
    @classmethod
    def retriever(cls, snapshot: Snapshot) -> Retriever:
        return LexicalRetriever(snapshot)


class TestDense(RetrieverKit):
    needs_a_term = False

    @pytest.fixture(scope="class")
    @classmethod
    def retriever(cls, snapshot: Snapshot) -> Retriever:
        return DenseRetriever(snapshot, encoder())


class TestHybrid(RetrieverKit):
    needs_a_term = False
    equal_documents_tie = False  # of equal documents one has the better rank
    filter_is_a_cut = False  # ranks and ranges of scores are those of the filtered candidates

    @pytest.fixture(scope="class", params=[RRF(), Convex("minmax"), Convex("zscore")], ids=lambda method: method.name)
    @classmethod
    def retriever(cls, snapshot: Snapshot, request: pytest.FixtureRequest) -> Retriever:
        legs = [LexicalRetriever(snapshot), DenseRetriever(snapshot, encoder())]
        return HybridRetriever(legs, snapshot, Profile(Recipe(request.param)))


class ByLength:
    """A reranker that knows no query: shorter passages first."""

    name = "by-length"

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def rerank(self, query: Query, ranking: Ranking) -> Ranking:
        lengths = [len(passage.text) for passage in self.snapshot.passages(ranking.ords)]
        scores = (1000 - np.array(lengths)).astype(np.float32)
        order = np.lexsort((ranking.ords, -scores))
        return Ranking(ranking.ords[order], scores[order])


class TestReranked(RetrieverKit):
    filter_is_a_cut = False  # a candidate's score depends on the range of the candidates' scores

    @pytest.fixture(scope="class")
    @classmethod
    def retriever(cls, snapshot: Snapshot) -> Retriever:
        return RerankedRetriever(LexicalRetriever(snapshot), ByLength(snapshot), depth=100, weight=0.9)

    def test_it_finds_what_is_asked_for(self, retriever: Retriever) -> None:
        assert retriever.retrieve([Query("flowers")], 1).ids(0) == ["bee0"]


class TestRankBM25(RetrieverKit):
    @pytest.fixture(scope="class", params=["okapi", "l", "plus"])
    @classmethod
    def retriever(cls, snapshot: Snapshot, request: pytest.FixtureRequest) -> Retriever:
        pytest.importorskip("rank_bm25", reason="needs the extra bench")
        from twindex.retrieval.interop.rank_bm25 import RankBM25Retriever

        return RankBM25Retriever(snapshot, request.param)


@pytest.mark.skipif(not available("pyserini"), reason="needs the extra lucene")
class TestPyserini(RetrieverKit):
    @pytest.fixture(scope="class")
    @classmethod
    def retriever(cls, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
        from twindex.retrieval.interop.pyserini import PyseriniRetriever

        with PyseriniRetriever(snapshot, tmp_path_factory.mktemp("lucene")) as opened:
            yield opened
