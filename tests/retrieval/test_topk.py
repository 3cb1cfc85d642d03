"""Exact top-k: equal to a full sort and a cut, ties by ordinal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twindex.indexing.errors import QueryError
from twindex.indexing.types import BoolArray, Float32Array
from twindex.retrieval.topk import merge_rankings, top_k
from twindex.retrieval.types import Ranking

values = st.lists(st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, 3.5, -2.0]), max_size=40)


def full_sort(scores: Float32Array, k: int, mask: BoolArray | None, drop_zero: bool) -> list[tuple[int, float]]:
    pairs = [
        (i, score)
        for i, score in enumerate(scores.tolist())
        if (mask is None or mask[i]) and not (drop_zero and score == 0)
    ]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]


def pairs(ranking: Ranking) -> list[tuple[int, float]]:
    return list(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))


@given(values, st.integers(0, 45), st.booleans(), st.data())
def test_equals_sort_and_cut(raw: list[float], k: int, drop_zero: bool, data: st.DataObject) -> None:
    scores = np.array(raw, np.float32)
    flags = data.draw(st.none() | st.lists(st.booleans(), min_size=len(raw), max_size=len(raw)))
    mask = None if flags is None else np.array(flags, np.bool_)
    ranking = top_k(scores, k, mask=mask, drop_zero=drop_zero)
    assert pairs(ranking) == full_sort(scores, k, mask, drop_zero)
    assert ranking.ords.dtype == np.int32
    assert ranking.scores.dtype == np.float32


@given(values, st.integers(0, 45), st.lists(st.integers(0, 40), max_size=3))
def test_merging_the_top_of_parts_gives_the_top_of_the_whole(raw: list[float], k: int, cuts: list[int]) -> None:
    scores = np.array(raw, np.float32)
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    parts = []
    for a, b in itertools.pairwise(edges):
        part = top_k(scores[a:b], k)
        parts.append(Ranking(part.ords + np.int32(a), part.scores))
    assert pairs(merge_rankings(parts, k)) == pairs(top_k(scores, k))


def test_nothing_to_merge() -> None:
    assert len(merge_rankings([], 5)) == 0


@pytest.mark.parametrize("k", [1, 5])
def test_nan_is_refused(k: int) -> None:
    with pytest.raises(QueryError, match="NaN"):
        top_k(np.array([1.0, np.nan, 2.0], np.float32), k)


def test_negative_k_is_refused() -> None:
    with pytest.raises(QueryError, match="k = -1"):
        top_k(np.zeros(3, np.float32), -1)
    with pytest.raises(QueryError, match="k = -1"):
        merge_rankings([], -1)


def test_one_document_twice_is_refused() -> None:
    one = top_k(np.array([1.0], np.float32), 1)
    with pytest.raises(QueryError, match="out of order"):
        merge_rankings([one, one], 2)
