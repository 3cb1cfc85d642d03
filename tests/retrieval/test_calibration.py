"""Budgets for a recall: reached on queries that did not choose it, and the evidence is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.retrieval.free_budgets import free_budgets
from twindex.indexing.errors import ConfigError, QueryError
from twindex.retrieval.calibration import Asked, Calibration, calibrate, recalls
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.within import WHOLE

pytest.importorskip("numba")
pytestmark = pytest.mark.timeout(600)  # the first call compiles
SIZE, TERMS, QUERIES = 30_000, 200, 120


@pytest.fixture(autouse=True, scope="module")
def eager() -> object:
    with free_budgets() as patch:
        yield patch


def index() -> FastIndex:
    rng = np.random.default_rng(5)
    lists = [np.flatnonzero(rng.random(SIZE) < share) for share in rng.random(TERMS) ** 3 * 0.4]
    ptr = np.cumsum([0, *map(len, lists)])
    values = np.clip(rng.exponential(30, int(ptr[-1])), 1, 255).astype(np.int64)
    return FastIndex.impacts(ptr, np.concatenate(lists), values, size=SIZE)


def queries(seed: int, number: int = QUERIES) -> Asked:
    rng = np.random.default_rng(seed)
    ids = np.concatenate([rng.choice(TERMS, 6, replace=False) for _ in range(number)])
    return Asked(ids, np.arange(number + 1) * 6, rng.integers(1, 9, len(ids)).astype(np.float32))


def test_a_budget_is_chosen_and_told_of_other_queries() -> None:
    lists, asked = index(), queries(1)
    found = [calibrate(lists, asked, 10, recall) for recall in (0.5, 0.9, 0.99)]
    postings = [one.postings or 1 << 60 for one in found]
    assert postings == sorted(postings)
    assert postings[0] < postings[-1]
    for one in found:
        assert one.chosen_on == one.told_of == QUERIES // 2
        assert one.chosen >= one.recall
        assert one.reached >= one.recall - 0.03
    fresh = queries(2)
    one = found[1]
    hits = lists.search(fresh.ids, fresh.ends, 10, weights=fresh.weights, budget=one.budget)
    exact = lists.search(fresh.ids, fresh.ends, 10, weights=fresh.weights)
    assert recalls(hits, exact).mean() >= 0.87
    assert Calibration.from_dict(one.to_dict()) == one


def test_all_of_the_list_is_exact_search() -> None:
    one = calibrate(index(), queries(1, 30), 10, 1.0)
    assert one.budget == WHOLE
    assert (one.chosen, one.reached, one.proven) == (1.0, 1.0, 1.0)


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(QueryError, match="19 queries"):
        calibrate(index(), queries(1, 19), 10, 0.9)
    for recall in (0.0, 1.5, float("nan"), True):
        with pytest.raises(QueryError, match="recall = "):
            calibrate(index(), queries(1), 10, recall)
    with pytest.raises(ConfigError, match="calibration"):
        Calibration.from_dict({"recall": 0.9})
