"""Fusion: hand-computed sums, the laws of ranks and scales, and explanations that recombine."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twindex.indexing.errors import ConfigError, QueryError
from twindex.retrieval.base import Fusion
from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.normalise import NORMALISATIONS, scale_of
from twindex.retrieval.types import Explanation, Ranking


def ranking(*pairs: tuple[int, float]) -> Ranking:
    ordered = sorted(pairs, key=lambda pair: (-np.float32(pair[1]), pair[0]))
    return Ranking(np.array([o for o, _ in ordered], np.int32), np.array([s for _, s in ordered], np.float32))


SPARSE = ranking((3, 8.0), (1, 4.0), (7, 2.0))
DENSE = ranking((1, 0.9), (5, 0.5), (3, 0.1))
#: Any two rankings of the same small collection.
RANKINGS = st.dictionaries(st.integers(0, 30), st.floats(-5, 50, width=32).map(lambda x: round(x, 3)), max_size=12).map(
    lambda scores: ranking(*scores.items())
)
FUSIONS: list[Fusion] = [RRF(), RRF(0), *(Convex(name) for name in NORMALISATIONS)]


def test_rrf_by_hand() -> None:
    fused = RRF(60).fuse([SPARSE, DENSE], 10)
    # 1: ranks 2 and 1; 3: ranks 1 and 3; 5: rank 2; 7: rank 3
    expected = {1: 1 / 62 + 1 / 61, 3: 1 / 61 + 1 / 63, 5: 1 / 62, 7: 1 / 63}
    assert fused.ords.tolist() == [1, 3, 5, 7]
    assert fused.scores.tolist() == pytest.approx([expected[o] for o in (1, 3, 5, 7)], rel=1e-6)


def test_minmax_by_hand() -> None:
    fused = Convex("minmax").fuse([SPARSE, DENSE], 10)
    # sparse: 3 -> 1, 1 -> 1/3, 7 -> 0; dense: 1 -> 1, 5 -> 1/2, 3 -> 0; halves
    assert fused.ords.tolist() == [1, 3, 5, 7]
    assert fused.scores.tolist() == pytest.approx([2 / 3, 0.5, 0.25, 0.0], abs=1e-6)


def test_theoretical_minimum_by_hand() -> None:
    fused = Convex("tmm").fuse([SPARSE, DENSE], 10)
    # sparse / 8; dense: (s + 1) / 1.9
    expected = {
        1: (4 / 8 + 1.9 / 1.9) / 2,
        3: (8 / 8 + 1.1 / 1.9) / 2,
        5: (0 + 1.5 / 1.9) / 2,
        7: (2 / 8 + 0) / 2,
    }
    assert fused.ords.tolist() == sorted(expected, key=lambda o: -expected[o])
    assert fused.scores.tolist() == pytest.approx(sorted(expected.values(), reverse=True), rel=1e-6)


def test_zscore_and_dbsf_by_hand() -> None:
    scores = np.array([8.0, 4.0, 2.0])
    mean, deviation = scores.mean(), scores.std()
    z = scale_of(SPARSE, "zscore")
    assert z.apply(SPARSE.scores) == pytest.approx((scores - mean) / deviation)
    assert z.absent == pytest.approx((2 - mean) / deviation)
    d = scale_of(SPARSE, "dbsf")
    assert d.apply(SPARSE.scores) == pytest.approx((scores - mean + 3 * deviation) / (6 * deviation))
    assert d.absent == 0


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_equal_scores_do_not_divide_by_zero(name: str) -> None:
    flat = ranking((4, 2.0), (9, 2.0))
    fused = Convex(name).fuse([flat, Ranking.empty()], 5)  # type: ignore[arg-type]
    assert fused.ords.tolist() == [4, 9]
    assert np.isfinite(fused.scores).all()


def test_weights_move_the_order_and_zero_is_absence() -> None:
    assert Convex("minmax").fuse([SPARSE, DENSE], 2, [0.9, 0.1]).ords.tolist() == [3, 1]
    for fusion in FUSIONS:
        alone = fusion.fuse([SPARSE, DENSE], 10, [1, 0])
        assert alone.ords.tolist() == SPARSE.ords.tolist(), fusion.name


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_wrong_weights(weights: list[float]) -> None:
    for fusion in FUSIONS:
        with pytest.raises(QueryError, match="weights"):
            fusion.fuse([SPARSE, DENSE], 3, weights)


def test_wrong_settings() -> None:
    for k in (-1, math.nan, math.inf):
        with pytest.raises(ConfigError):
            RRF(k)
    with pytest.raises(ConfigError, match="minmax"):
        Convex("softmax")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        Convex("tmm", (math.inf,))


@pytest.mark.parametrize("fusion", FUSIONS, ids=lambda f: f.name)
@given(a=RANKINGS, b=RANKINGS, k=st.integers(0, 40))
def test_laws(fusion: Fusion, a: Ranking, b: Ranking, k: int) -> None:
    full = fusion.fuse([a, b], 100)
    assert sorted(full.ords.tolist()) == sorted({*a.ords.tolist(), *b.ords.tolist()})
    cut = fusion.fuse([a, b], k)
    assert cut.ords.tolist() == full.ords.tolist()[:k], "a page is the beginning of a longer one"
    assert fusion.fuse([], k).ords.tolist() == []
    for ord_, score in zip(full.ords.tolist(), full.scores.tolist()):
        tree = fusion.explain([a, b], ord_, ["a", "b"])
        assert tree.value == pytest.approx(score, abs=1e-5)
        recombines(tree)


def recombines(node: Explanation) -> None:
    if node.combine == "sum":
        assert sum(d.value for d in node.details) == pytest.approx(node.value, rel=1e-5, abs=1e-6)
    if node.combine == "product":
        assert math.prod(d.value for d in node.details) == pytest.approx(node.value, rel=1e-5, abs=1e-6)
    for detail in node.details:
        recombines(detail)


@given(a=RANKINGS, b=RANKINGS)
def test_rrf_sees_ranks_only(a: Ranking, b: Ranking) -> None:
    bent = Ranking(a.ords, np.arange(len(a), 0, -1).astype(np.float32))
    if len(set(a.scores.tolist())) == len(a):
        one, two = RRF().fuse([a, b], 50), RRF().fuse([bent, b], 50)
        assert one.ords.tolist() == two.ords.tolist()
        assert one.scores.tobytes() == two.scores.tobytes()


@given(a=RANKINGS, b=RANKINGS, factor=st.floats(0.5, 4), shift=st.floats(-3, 3))
def test_normalised_scores_do_not_see_scale_or_shift(a: Ranking, b: Ranking, factor: float, shift: float) -> None:
    for name in ("minmax", "zscore", "dbsf"):
        before = scale_of(a, name).apply(a.scores)  # type: ignore[arg-type]
        moved = Ranking(a.ords, (a.scores.astype(np.float64) * 8 + 16).astype(np.float32))
        after = scale_of(moved, name).apply(moved.scores)  # type: ignore[arg-type]
        assert after == pytest.approx(before, abs=1e-3)
