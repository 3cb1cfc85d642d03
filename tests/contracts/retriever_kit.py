"""What every Retriever must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.contracts.explanations import check_tree
from tests.contracts.world import ASKED, DELETED, FILTERS, open_world
from twindex.indexing.errors import FilterError, QueryError
from twindex.indexing.filters import parse_filter
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.types import Query, Ranking

QUERIES = [Query(text) for text in ASKED]
ALL = 10_000


def pairs(ranking: Ranking) -> list[tuple[int, float]]:
    """Ordinals with their scores."""
    return list(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))


class RetrieverKit:
    """Override ``retriever`` with a fixture over ``snapshot``.

    ``needs_a_term``: a hit shares a term with the query, so that other queries find nothing.
    ``equal_documents_tie``: a score depends on the document alone; False where it depends on ranks.
    ``filter_is_a_cut``: a filtered ranking is the full ranking, filtered; False where scores depend on the candidates.
    """

    needs_a_term = True
    equal_documents_tie = True
    filter_is_a_cut = True

    @pytest.fixture(scope="class")
    @classmethod
    def snapshot(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
        with open_world(tmp_path_factory.mktemp("world") / "index") as opened:
            yield opened

    @pytest.fixture(scope="class")
    @classmethod
    def retriever(cls, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Retriever:
        raise NotImplementedError

    def test_implements_the_protocol(self, retriever: Retriever) -> None:
        assert isinstance(retriever, Retriever)
        assert retriever.name == retriever.name.strip() != ""

    def test_one_ranking_a_query(self, retriever: Retriever) -> None:
        assert len(retriever.retrieve([], 5)) == 0
        run = retriever.retrieve(QUERIES, 5)
        assert len(run) == len(QUERIES)
        for ranking in run:
            assert (ranking.ords.dtype, ranking.scores.dtype) == (np.int32, np.float32)
            assert len(ranking) <= 5
            assert bool(np.isfinite(ranking.scores).all())

    def test_it_finds_what_is_asked_for(self, retriever: Retriever) -> None:
        run = retriever.retrieve([Query("bees and flowers"), Query("the lamp of the lighthouse keeper")], 3)
        assert run.ids(0)[0].startswith("bee")
        assert run.ids(1)[0].startswith("lamp")

    def test_only_live_passages_each_once(self, retriever: Retriever) -> None:
        run = retriever.retrieve(QUERIES, ALL)
        for i in range(len(run)):
            ids = run.ids(i)
            assert len(set(ids)) == len(ids)
            assert not set(ids) & set(DELETED)

    def test_k_at_its_ends(self, retriever: Retriever) -> None:
        assert [len(ranking) for ranking in retriever.retrieve(QUERIES, 0)] == [0] * len(QUERIES)
        assert 0 < len(retriever.retrieve([Query("rises rises moon")], ALL)[0]) <= 18
        with pytest.raises(QueryError, match="k = -1"):
            retriever.retrieve(QUERIES, -1)

    def test_fewer_hits_are_the_beginning_of_more(self, retriever: Retriever) -> None:
        whole = retriever.retrieve(QUERIES, ALL)
        for k in (1, 2, 3, 7):
            assert [pairs(r) for r in retriever.retrieve(QUERIES, k)] == [pairs(r)[:k] for r in whole]

    def test_many_queries_equal_one_by_one(self, retriever: Retriever) -> None:
        filtered = [Query(text, parse_filter(FILTERS[i % len(FILTERS)])) for i, text in enumerate(ASKED)]
        asked = [*QUERIES, *filtered]
        assert [pairs(r) for r in retriever.retrieve(asked, 6)] == [
            pairs(retriever.retrieve([query], 6)[0]) for query in asked
        ]

    def test_equal_documents_tie_in_corpus_order(self, retriever: Retriever) -> None:
        ranking = retriever.retrieve([Query("keeper lamp dusk ships")], ALL)[0]
        by_id = dict(
            zip(retriever.retrieve([Query("keeper lamp dusk ships")], ALL).ids(0), pairs(ranking), strict=True)
        )
        (first, score), (second, other) = by_id["lamp0"], by_id["lamp1"]
        assert score == other or (score > other and not self.equal_documents_tie)
        assert first < second

    @pytest.mark.parametrize("text", ["", "  \n", "\0", "\u200b", "..."])
    def test_queries_without_a_word(self, retriever: Retriever, text: str) -> None:
        ranking = retriever.retrieve([Query(text)], 5)[0]
        if self.needs_a_term or not text.strip():
            assert len(ranking) == 0

    def test_queries_of_unknown_words(self, retriever: Retriever) -> None:
        if self.needs_a_term:
            assert len(retriever.retrieve([Query("zzz qqq 東京")], 5)[0]) == 0

    def test_a_query_of_a_megabyte(self, retriever: Retriever) -> None:
        known, unknown = "keeper lamp " * 87_000, " ".join(f"w{n}" for n in range(5_000))
        run = retriever.retrieve([Query(known), Query(f"{unknown} lamp")], 3)
        assert run.ids(0)[0].startswith("lamp")
        assert len(run[1])

    @pytest.mark.parametrize("text", FILTERS)
    def test_a_filter_is_kept(self, retriever: Retriever, snapshot: Snapshot, text: str) -> None:
        condition = parse_filter(text)
        mask = snapshot.allowed(condition)
        assert mask is not None
        for query in QUERIES:
            ranking = retriever.retrieve([Query(query.text, condition)], 4)[0]
            assert all(mask[ord_] for ord_ in ranking.ords.tolist())
            if self.filter_is_a_cut:
                whole = pairs(retriever.retrieve([query], ALL)[0])
                expected = [(ord_, score) for ord_, score in whole if mask[ord_]][:4]
                assert ranking.ords.tolist() == [ord_ for ord_, _ in expected]
                assert ranking.scores.tolist() == pytest.approx([score for _, score in expected], rel=1e-6)

    def test_a_filter_on_what_is_not_there(self, retriever: Retriever) -> None:
        with pytest.raises(FilterError, match="colour"):
            retriever.retrieve([Query("bees", parse_filter("colour = 'red'"))], 4)

    def test_explanations_say_the_score_and_are_made_of_their_parts(self, retriever: Retriever) -> None:
        for query in (*QUERIES, Query("bees rises", parse_filter("number >= 1"))):
            for ord_, score in pairs(retriever.retrieve([query], 8)[0]):
                tree = retriever.explain(query, ord_)
                assert tree.value == pytest.approx(score, rel=1e-6, abs=1e-9)
                check_tree(tree)

    def test_what_does_not_match_is_explained_too(self, retriever: Retriever, snapshot: Snapshot) -> None:
        live = snapshot.allowed(None)
        assert live is not None
        dead = int(np.flatnonzero(~live)[0])
        assert retriever.explain(Query("bees flowers"), dead).value == 0
        lamp = int(np.flatnonzero(snapshot.allowed(parse_filter("topic = 'lamp'")))[0])
        assert retriever.explain(Query("lamp", parse_filter("topic = 'bee'")), lamp).value == 0
        for missing in (-1, snapshot.size):
            with pytest.raises(QueryError, match=f"ordinal {missing}"):
                retriever.explain(Query("lamp"), missing)

    def test_the_same_question_has_the_same_answer(self, retriever: Retriever) -> None:
        expected = [pairs(ranking) for ranking in retriever.retrieve(QUERIES, 9)]

        def ask(_: int) -> list[list[tuple[int, float]]]:
            return [pairs(ranking) for ranking in retriever.retrieve(QUERIES, 9)]

        assert ask(0) == expected
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(ask, range(9))) == [expected] * 9
