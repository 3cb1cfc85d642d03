"""Laws of exact vector search: equal to brute force for any cut into segments, deletions, filters, duplicates, k."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.retrieval.vectors_snapshot import Marked, TableEncoder, oracle, same, snapshot_of
from twindex.indexing.types import BoolArray
from twindex.retrieval.dense import DenseConfig, DenseRetriever
from twindex.retrieval.types import Query


def cuts(draw: st.DrawFn, size: int) -> list[int]:
    at = sorted(draw(st.lists(st.integers(0, size), max_size=5)))
    return [end - start for start, end in zip([0, *at], [*at, size])]


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, list[int], list[int], BoolArray, BoolArray, int]:
    size = draw(st.integers(0, 60))
    distinct = draw(st.integers(1, 12))
    rows = draw(st.lists(st.integers(0, distinct - 1), min_size=size, max_size=size))
    mask = st.lists(st.booleans(), min_size=size, max_size=size)
    live, chosen = (np.array(draw(mask), np.bool_) for _ in range(2))
    return draw(st.integers(1, 9)), rows, cuts(draw, size), live, chosen, draw(st.integers(0, 70))


@settings(max_examples=60, deadline=None)
@given(case=cases(), seed=st.integers(0, 1000))
def test_equals_brute_force(case: tuple[int, list[int], list[int], BoolArray, BoolArray, int], seed: int) -> None:
    dim, rows, sizes, live, chosen, k = case
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((12, dim)).astype(np.float32)
    matrix = table[rows].reshape(-1, dim)
    query = rng.standard_normal(dim).astype(np.float32)
    encoder = TableEncoder({"q": query}, dim)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = snapshot_of(Path(folder), matrix, sizes, encoder.info)
        snapshot.live, snapshot.filters = live, {"chosen": chosen}
        retriever = DenseRetriever(snapshot, encoder, DenseConfig("exact"))
        run = retriever.retrieve([Query("q"), Query("q", Marked("chosen"))], k)
        assert same(run[0], oracle(matrix, query, k, live))
        assert same(run[1], oracle(matrix, query, k, live & chosen))
        # The top of a longer list is the shorter list.
        assert same(retriever.retrieve([Query("q")], 2 * k)[0].cut(k), run[0])
