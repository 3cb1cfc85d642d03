"""What every Reranker must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.contracts.world import ASKED, open_world
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Reranker
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.rerank import RerankedRetriever
from twindex.retrieval.types import Query, Ranking


class RerankerKit:
    """Override ``reranker`` with a fixture over ``snapshot``."""

    @pytest.fixture(scope="class")
    @classmethod
    def snapshot(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
        with open_world(tmp_path_factory.mktemp("world") / "index") as opened:
            yield opened

    @pytest.fixture(scope="class")
    @classmethod
    def reranker(cls, snapshot: Snapshot) -> Reranker:
        raise NotImplementedError

    def test_implements_the_protocol(self, reranker: Reranker) -> None:
        assert isinstance(reranker, Reranker)
        assert reranker.name == reranker.name.strip() != ""

    def test_the_same_documents_with_new_scores(self, reranker: Reranker, snapshot: Snapshot) -> None:
        retriever = LexicalRetriever(snapshot)
        for text in ASKED:
            before = retriever.retrieve([Query(text)], 10)[0]
            after = reranker.rerank(Query(text), before)  # its constructor checks order, ties and NaN
            assert sorted(after.ords.tolist()) == sorted(before.ords.tolist())
            assert (after.ords.dtype, after.scores.dtype) == (np.int32, np.float32)

    def test_nothing_stays_nothing(self, reranker: Reranker) -> None:
        assert len(reranker.rerank(Query("bees"), Ranking.empty())) == 0

    def test_a_score_depends_on_query_and_document_alone(self, reranker: Reranker, snapshot: Snapshot) -> None:
        query = Query("the tide rises")
        whole = LexicalRetriever(snapshot).retrieve([query], 8)[0]
        together = dict(zip(*(a.tolist() for a in _arrays(reranker.rerank(query, whole))), strict=True))
        for place in range(len(whole)):
            one = Ranking(whole.ords[place : place + 1], whole.scores[place : place + 1])
            alone = reranker.rerank(query, one)
            assert float(alone.scores[0]) == pytest.approx(together[int(alone.ords[0])], rel=1e-5)

    def test_the_same_question_has_the_same_answer(self, reranker: Reranker, snapshot: Snapshot) -> None:
        query = Query("bees rises lamp")
        candidates = LexicalRetriever(snapshot).retrieve([query], 10)[0]
        first, second = reranker.rerank(query, candidates), reranker.rerank(query, candidates)
        assert first.ords.tolist() == second.ords.tolist()
        assert first.scores.tobytes() == second.scores.tobytes()

    def test_it_works_behind_its_door(self, reranker: Reranker, snapshot: Snapshot) -> None:
        base = LexicalRetriever(snapshot)
        retriever = RerankedRetriever(base, reranker, depth=6)
        found = retriever.retrieve([Query("tide moon")], 3)[0]
        candidates = base.retrieve([Query("tide moon")], 6)[0]
        assert set(found.ords.tolist()) <= set(candidates.ords.tolist())
        assert retriever.explain(Query("tide moon"), int(found.ords[0])).value == float(found.scores[0])


def _arrays(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    return ranking.ords, ranking.scores
