"""What every Fusion must do. An implementation inherits the class and gives the fixture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.explanations import check_tree
from twindex.indexing.errors import QueryError
from twindex.retrieval.base import Fusion
from twindex.retrieval.types import Ranking

KIT = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def ranking_of(scores: dict[int, float]) -> Ranking:
    """A ranking in the house's order."""
    ords = np.array(list(scores), np.int32)
    values = np.array(list(scores.values()), np.float32)
    order = np.lexsort((ords, -values))
    return Ranking(ords[order], values[order])


#: Few documents and few scores, so that rankings overlap and scores tie.
RANKINGS = st.dictionaries(st.integers(0, 15), st.sampled_from([0.0, -1.5, 0.25, 0.5, 3.0, 17.0]), max_size=10).map(
    ranking_of
)
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 2.0])


def pairs(ranking: Ranking) -> list[tuple[int, float]]:
    """Ordinals with their scores."""
    return list(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))


class FusionKit:
    """Override ``fusion`` with a fixture."""

    @pytest.fixture
    def fusion(self) -> Fusion:
        raise NotImplementedError

    def test_implements_the_protocol(self, fusion: Fusion) -> None:
        assert isinstance(fusion, Fusion)
        assert fusion.name == fusion.name.strip() != ""

    def test_nothing_from_nothing(self, fusion: Fusion) -> None:
        assert len(fusion.fuse([], 5)) == 0
        assert len(fusion.fuse([Ranking.empty(), Ranking.empty()], 5)) == 0

    @KIT
    @given(rankings=st.lists(RANKINGS, min_size=1, max_size=3), data=st.data())
    def test_the_union_of_what_has_a_weight(self, fusion: Fusion, rankings: list[Ranking], data: st.DataObject) -> None:
        weights = data.draw(st.none() | st.lists(WEIGHTS, min_size=len(rankings), max_size=len(rankings)))
        used = weights or [1.0] * len(rankings)
        expected = {o for r, w in zip(rankings, used, strict=True) if w for o in r.ords.tolist()}
        fused = fusion.fuse(rankings, 100, weights)
        assert set(fused.ords.tolist()) == expected
        assert (fused.ords.dtype, fused.scores.dtype) == (np.int32, np.float32)

    @KIT
    @given(rankings=st.lists(RANKINGS, min_size=2, max_size=2))
    def test_a_weight_of_zero_is_absence(self, fusion: Fusion, rankings: list[Ranking]) -> None:
        alone = fusion.fuse([rankings[0], Ranking.empty()], 100, [1.0, 0.0])
        assert pairs(fusion.fuse(rankings, 100, [1.0, 0.0])) == pairs(alone)

    @KIT
    @given(ranking=RANKINGS)
    def test_one_ranking_keeps_its_order(self, fusion: Fusion, ranking: Ranking) -> None:
        fused = fusion.fuse([ranking], 100)
        assert fused.ords.tolist() == ranking.ords.tolist()

    @KIT
    @given(rankings=st.lists(RANKINGS, max_size=3), k=st.integers(0, 20))
    def test_fewer_hits_are_the_beginning_of_more(self, fusion: Fusion, rankings: list[Ranking], k: int) -> None:
        assert pairs(fusion.fuse(rankings, k)) == pairs(fusion.fuse(rankings, 100))[:k]

    @KIT
    @given(rankings=st.lists(RANKINGS, min_size=2, max_size=2))
    def test_it_changes_nothing_that_it_is_given(self, fusion: Fusion, rankings: list[Ranking]) -> None:
        before = [pairs(ranking) for ranking in rankings]
        first = pairs(fusion.fuse(rankings, 100))
        assert pairs(fusion.fuse(rankings, 100)) == first
        assert [pairs(ranking) for ranking in rankings] == before

    @KIT
    @given(rankings=st.lists(RANKINGS, min_size=1, max_size=3), data=st.data())
    def test_explanations(self, fusion: Fusion, rankings: list[Ranking], data: st.DataObject) -> None:
        weights = data.draw(st.lists(WEIGHTS, min_size=len(rankings), max_size=len(rankings)))
        names = [f"leg{i}" for i in range(len(rankings))]
        for ord_, score in pairs(fusion.fuse(rankings, 100, weights)):
            tree = fusion.explain(rankings, ord_, names, weights)
            assert tree.value == pytest.approx(score, rel=1e-6, abs=1e-7)
            check_tree(tree)

    @pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")], [1.0] * 3])
    def test_weights_that_do_not_fit(self, fusion: Fusion, weights: list[float]) -> None:
        two = [ranking_of({1: 1.0}), ranking_of({2: 1.0})]
        with pytest.raises(QueryError, match="weights"):
            fusion.fuse(two, 5, weights)
        with pytest.raises(QueryError, match="weights"):
            fusion.explain(two, 1, ["a", "b"], weights)

    def test_negative_k(self, fusion: Fusion) -> None:
        with pytest.raises(QueryError, match="k = -2"):
            fusion.fuse([ranking_of({1: 1.0})], -2)
