"""Searches within a budget against the oracle: exact scores, honest proofs, filters, threads, and all of it = exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.properties.test_sparse_laws import World, found, oracle, world, worlds
from tests.retrieval.free_budgets import free_budgets
from twindex.retrieval import fast, heads
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.within import Budget

pytest.importorskip("numba")
pytestmark = pytest.mark.timeout(600)  # the first call compiles


@pytest.fixture(autouse=True, scope="module")
def eager() -> Any:
    """Budgets that cost nothing, so that no query is left to the exact strategies; and heads shorter than lists."""
    with free_budgets() as patch:
        patch.setattr(heads, "HEAD_LEAST", 40)
        yield


def index_of(one: World, impacts: bool) -> tuple[FastIndex, dict[str, Any]]:
    return one.index(None if impacts else BM25()), {"weights": one.weights} if impacts else {}


def postings_of(one: World, q: int) -> int:
    asked = np.unique(one.ids[one.ends[q] : one.ends[q + 1]])
    return int(sum(one.ptr[t + 1] - one.ptr[t] for t in asked.tolist() if t >= 0))


@settings(max_examples=200, deadline=None)
@given(worlds, st.sampled_from([1, 10, 100]), st.sampled_from([0.01, 0.1, 0.5, 0.9]), st.booleans())
@example(
    {"seed": 7324, "size": 15, "terms": 10, "distinct": 1, "filters": 0, "ordered": False}, 1, 0.01, True
)  # values of 1 alone
def test_answers_within_a_budget_keep_their_promise(
    settings_: dict[str, int], k: int, share: float, impacts: bool
) -> None:
    one = world(**settings_, impacts=impacts)
    index, weights = index_of(one, impacts)
    hits = index.search(one.ids, one.ends, k, budget=Budget(share), masks=one.masks, **weights)
    for q in range(len(one.ends) - 1):
        exact, got = oracle(one, q, len(one.lengths), None if impacts else BM25()), found(hits, q)
        assert got == sorted(got, key=lambda hit: (-hit[1], hit[0]))  # the house order
        assert set(got) <= set(exact), "a hit has its exact score and passes the filter"
        if hits.proven[q]:
            assert got == exact[:k]
    again = index.search(one.ids, one.ends, k, budget=Budget(share), masks=one.masks, threads=3, **weights)
    for one_array, other in zip(hits.arrays, again.arrays, strict=True):
        np.testing.assert_array_equal(one_array, other)
    index.close()


@settings(max_examples=60, deadline=None)
@given(worlds, st.sampled_from([1, 10]), st.booleans())
def test_a_budget_for_everything_is_exact(settings_: dict[str, int], k: int, impacts: bool) -> None:
    one = world(**settings_, impacts=impacts)
    index, weights = index_of(one, impacts)
    for budget in (Budget(), Budget(1.0, 1 << 40)):
        hits = index.search(one.ids, one.ends, k, budget=budget, masks=one.masks, **weights)
        for q in range(len(one.ends) - 1):
            assert found(hits, q) == oracle(one, q, k, None if impacts else BM25())
        assert bool(hits.proven.all())


@pytest.mark.parametrize("impacts", [False, True])
def test_more_of_a_budget_finds_more(impacts: bool) -> None:
    """On lists of thousands of postings: recall grows to 1, and some answers are proven before all is read."""
    one = world(11, size=60_000, terms=14, distinct=40, filters=0, impacts=impacts)
    index, weights = index_of(one, impacts)
    queries = [q for q in range(len(one.ends) - 1) if postings_of(one, q) > 1000]
    exact = {q: oracle(one, q, 10, None if impacts else BM25()) for q in queries}
    recalls, proven = [], []
    for postings in (50, 400, 3_000, 20_000, 10_000_000):
        hits = index.search(one.ids, one.ends, 10, budget=Budget(postings=postings), **weights)
        recalls.append(float(np.mean([len(set(found(hits, q)) & set(exact[q])) / 10 for q in queries])))
        proven.append(float(np.mean([hits.proven[q] for q in queries])))
    assert len(queries) > 2
    assert recalls[-1] == 1.0
    assert proven[-1] == 1.0
    assert recalls[0] < 0.95
    assert recalls[-2] > recalls[0]
    assert recalls[-2] > 0.8


def test_equal_values_are_read_in_part() -> None:
    """Where every posting has the same value, a level takes all of a list or nothing; the budget cuts within it."""
    ptr = np.array([0, 900, 1800])
    docs = np.concatenate([np.arange(900), np.arange(100, 1000)])
    index = FastIndex.impacts(ptr, docs, np.full(1800, 7), size=1000)
    hits = index.search(
        np.array([0, 1]), np.array([0, 2]), 5, weights=np.ones(2, np.float32), budget=Budget(postings=200)
    )
    assert hits.counts[0] == 5
    assert not hits.proven[0]


def test_a_filter_does_not_cost_recall() -> None:
    """Of the postings read only the allowed ones count: more are read under a filter."""
    one = world(12, size=60_000, terms=14, distinct=200, filters=0, impacts=True)
    index, _ = index_of(one, True)
    q = max(range(len(one.ends) - 1), key=lambda number: postings_of(one, number))
    part = slice(one.ends[q], one.ends[q + 1])
    mask = np.zeros((1, 60_000), np.bool_)
    mask[0, ::20] = True
    masks = fast.Masks(mask, np.zeros(1, np.int64))
    ids, ends, own = one.ids[part], np.array([0, part.stop - part.start]), one.weights[part]
    exact = index.search(ids, ends, 10, weights=own, masks=masks)
    hits = index.search(ids, ends, 10, weights=own, masks=masks, budget=Budget(0.1))
    assert len(np.intersect1d(hits.ords, exact.ords)) >= 9
    assert bool(mask[0, hits.ords[0]].all())


def test_queries_that_are_answered_exactly_as_quickly_are(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = fast.COSTS.copy()
    costs[8:] = 1e6
    monkeypatch.setattr(fast, "COSTS", costs)
    one = world(13, size=3000, terms=10, distinct=40, filters=2, impacts=True)
    index, weights = index_of(one, True)
    hits = index.search(one.ids, one.ends, 10, budget=Budget(0.01), masks=one.masks, **weights)
    assert bool(hits.proven.all())
    for q in range(len(one.ends) - 1):
        assert found(hits, q) == oracle(one, q, 10, None)
