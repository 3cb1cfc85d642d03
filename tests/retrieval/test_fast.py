"""The compiled engine behind the legs: same bits as numpy over segments, deletions, filters; rules and errors."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.retrieval.test_lexical import Only, pairs, snapshot
from twindex.indexing.errors import ConfigError, QueryError
from twindex.retrieval import fast_choice
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.fast_arrays import Masks
from twindex.retrieval.fast_choice import WARM, Accelerator
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.types import Query
from twindex.retrieval.within import Budget

pytest.importorskip("numba")
pytestmark = pytest.mark.timeout(600)  # the first call compiles


def texts(seed: int, number: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{int(x)}" for x in rng.zipf(1.5, rng.integers(0, 30)) if x < 40) for _ in range(number)]


@pytest.mark.parametrize("cuts", [[], [70, 71, 200]])
@pytest.mark.parametrize("dead", [set(), {3, 70, 150, 299}, set(range(100, 300))])
def test_both_engines_give_the_same_bits(cuts: list[int], dead: set[int], tmp_path: Path) -> None:
    source = snapshot(texts(1, 300), cuts, dead, tmp_path)
    some = Only(frozenset(range(0, 300, 7)))
    asked = [Query(text, filter_) for text in [*texts(2, 20), "", "w1", "nowhere w2 w2 w2"] for filter_ in (None, some)]
    numpy_, compiled = LexicalRetriever(source, engine="numpy"), LexicalRetriever(source, engine="compiled", threads=2)
    for k in (0, 1, 10, 1000):
        expected = [pairs(one) for one in numpy_.retrieve(asked, k)]
        assert [pairs(one) for one in compiled.retrieve(asked, k)] == expected
        assert [pairs(compiled.retrieve([one], k)[0]) for one in asked] == expected


def test_every_ranking_is_deterministic_across_threads() -> None:
    rng = np.random.default_rng(3)
    ptr = np.arange(0, 5001, 500)
    docs = np.concatenate([np.sort(rng.choice(900, 500, replace=False)) for _ in range(10)])
    index = FastIndex.impacts(ptr, docs, rng.integers(1, 4, 5000), size=900)
    ids = np.concatenate([rng.choice(10, 4, replace=False) for _ in range(64)])
    ends, weights = np.arange(0, 257, 4), np.ones(256, np.float32)
    one = index.search(ids, ends, 10, weights=weights)
    many = index.search(ids, ends, 10, weights=weights, threads=3)
    np.testing.assert_array_equal(one.ords, many.ords)
    np.testing.assert_array_equal(one.scores, many.scores)
    index.close()
    again = index.search(ids, ends, 10, weights=weights, threads=0)  # threads start anew
    np.testing.assert_array_equal(one.ords, again.ords)


def test_auto_waits_until_enough_queries_were_asked(tmp_path: Path) -> None:
    retriever = LexicalRetriever(snapshot(["a b", "a"], [], set(), tmp_path))
    assert retriever.plan("a", 10).strategy == "numpy"
    before = pairs(retriever.retrieve([Query("a")] * (WARM - 1), 5)[0])
    assert retriever.plan(Query("a"), 10).strategy == "numpy"
    assert "strategy" not in retriever.explain(Query("a"), 0).data
    assert pairs(retriever.retrieve([Query("a")], 5)[0]) == before
    assert retriever.plan("a", 10).strategy == "exhaustive"
    assert retriever.explain(Query("a"), 0).data["strategy"] == "exhaustive"
    assert retriever.explain(Query("a"), 0).value == before[0][1] or before[0][0] != 0


def test_without_numba_auto_stays_with_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_choice, "available", lambda module: False)
    retriever = LexicalRetriever(snapshot(["a b", "a"], [], set(), tmp_path))
    run = retriever.retrieve([Query("a")] * (2 * WARM), 5)
    assert [len(ranking) for ranking in run] == [2] * (2 * WARM)
    assert retriever.plan("a", 10).strategy == "numpy"


def test_the_engine_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    entered, go = threading.Event(), threading.Event()

    class Engine:
        def warm(self) -> None:
            assert auto.ready is None, "nobody may see it before it has answered once"
            made.append("warm")

    def build() -> Any:
        made.append("built")
        entered.set()
        assert go.wait(30)
        return Engine()

    auto = Accelerator("auto")
    threads = [threading.Thread(target=auto.index, args=(WARM, build)) for _ in range(4)]
    threads[0].start()
    assert entered.wait(30)
    assert auto.index(WARM, build) is None  # another thread is at it: numpy meanwhile
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert auto.index(1, build) is auto.ready is not None
    assert made == ["built", "warm"]


def test_a_place_where_nothing_may_be_written_is_no_error() -> None:
    code = """
import numba.core.caching as caching
for kind in vars(caching).values():
    if isinstance(kind, type) and hasattr(kind, "_locator_classes"):
        kind._locator_classes = []
from twindex.retrieval import kernels_image
assert kernels_image.mark_blocks.stats.cache_path is None
import numpy as np
out = np.zeros((1, 3), np.uint32)
kernels_image.mark_blocks(np.array([0, 3]), np.array([1, 5, 13], np.uint32), np.array([0]), 8, out)
assert out.tolist() == [[0, 2, 3]], out
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_wrong_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engine = 'java'"):
        LexicalRetriever(snapshot(["a"], [], set(), tmp_path), engine="java")  # type: ignore[arg-type]
    index = FastIndex.impacts(np.array([0, 1]), np.array([0]), np.array([7]), size=1)
    weights = np.ones(1, np.float32)
    with pytest.raises(QueryError, match="term number 1"):
        index.search(np.array([1]), np.array([0, 1]), 1, weights=weights)
    with pytest.raises(QueryError, match="strategy = 'fast'"):
        index.search(np.array([0]), np.array([0, 1]), 1, weights=weights, strategy="fast")  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="budget of 0"):
        index.search(np.array([0]), np.array([0, 1]), 1, weights=weights, budget=Budget(0.0))
    with pytest.raises(QueryError, match="budget of 0 postings"):
        index.search(np.array([0]), np.array([0, 1]), 1, weights=weights, budget=Budget(postings=0))
    with pytest.raises(QueryError, match="strategy scan, which is exact"):
        index.search(np.array([0]), np.array([0, 1]), 1, weights=weights, strategy="scan", budget=Budget(0.5))
    with pytest.raises(QueryError, match="no weight"):
        index.search(np.array([0]), np.array([0, 1]), 1)
    with pytest.raises(QueryError, match="negative or not finite"):
        index.search(np.array([0]), np.array([0, 1]), 1, weights=-weights)
    with pytest.raises(QueryError, match="twice"):
        index.search(np.array([0, 0]), np.array([0, 2]), 1, weights=np.ones(2))
    with pytest.raises(QueryError, match="k = -1"):
        index.search(np.array([0]), np.array([0, 1]), -1, weights=weights)
    with pytest.raises(ConfigError, match="0 to 7"):
        FastIndex.impacts(np.array([0, 2]), np.array([0, 1]), np.array([0, 7]), size=2)
    with pytest.raises(ConfigError, match="1 documents and 2 values"):
        FastIndex.impacts(np.array([0, 2]), np.array([0]), np.array([1, 7]), size=2)
    words = FastIndex.bm25(np.array([0, 1]), np.array([0]), np.array([1]), lengths=np.array([1]))
    with pytest.raises(QueryError, match="weights for BM25"):
        words.search(np.array([0]), np.array([0, 1]), 1, weights=weights)


def test_long_queries_are_answered_exhaustively() -> None:
    size = 40
    ptr, docs = np.arange(0, 1501 * 2, 2), np.tile([3, 17], 1500)
    index = FastIndex.impacts(ptr, docs, np.full(3000, 255), size=size)
    ids, ends = np.arange(1500), np.array([0, 1500])
    hits = index.search(ids, ends, 5, weights=np.ones(1500), masks=Masks(np.ones((1, size), np.bool_), np.array([0])))
    assert hits.ranking(0).ords.tolist() == [3, 17]
    assert hits.ranking(0).scores.tolist() == [1500 * 255.0] * 2
    assert not hits.scanned.any()
    plan = index.plan(ids, 5, weights=np.ones(1500))
    assert (plan.strategy, plan.scan_us) == ("exhaustive", None)
    json.dumps(asdict(plan), allow_nan=False)
    forced = index.search(ids, ends, 5, weights=np.ones(1500), strategy="scan")
    assert forced.ranking(0).ords.tolist() == [3, 17]


def test_small_sets_are_answered_exhaustively() -> None:
    size, rng = 5000, np.random.default_rng(3)
    lists = [np.flatnonzero(rng.random(size) < share) for share in (0.9, 0.5, 0.1)]
    docs, ptr = np.concatenate(lists), np.cumsum([0, *map(len, lists)])
    index = FastIndex.bm25(ptr, docs, np.ones(len(docs), np.int64), lengths=rng.integers(5, 50, size))
    assert index.image.lists.wide.size, "frequent terms have rows of contributions"
    ids, ends = np.arange(3), np.array([0, 3])
    plan = index.plan(ids, 10)
    assert (plan.strategy, plan.scan_us) == ("exhaustive", None)
    hits, scanned = index.search(ids, ends, 10), index.search(ids, ends, 10, strategy="scan")
    assert not hits.scanned.any()
    assert scanned.scanned.all()
    assert hits.ranking(0).ords.tolist() == scanned.ranking(0).ords.tolist()


def test_nothing_to_find_is_no_error() -> None:
    empty = FastIndex.bm25(np.array([0]), np.empty(0, np.int64), np.empty(0, np.int64), lengths=np.empty(0, np.int64))
    assert empty.search(np.empty(0, np.int64), np.array([0, 0]), 5).counts.tolist() == [0]
    one = FastIndex.impacts(np.array([0, 1]), np.array([0]), np.array([7]), size=1)
    none = one.search(np.empty(0, np.int64), np.array([0, 0]), 5, weights=np.empty(0, np.float32))
    assert none.counts.tolist() == [0]
    nothing = one.search(np.array([0]), np.array([0, 1]), 5, weights=np.zeros(1, np.float32))
    assert nothing.counts.tolist() == [0]
