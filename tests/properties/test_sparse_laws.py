"""The compiled sparse engine against a float32 oracle: every strategy, BM25 and impacts, ties, filters, threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twindex.indexing.types import BoolArray, Float32Array, Int64Array, UInt32Array
from twindex.retrieval import fast_room, image
from twindex.retrieval.bm25 import (
    BM25,
    Variant,
    contribution,
    length_codes,
    length_table,
    offset,
    saturation,
    term_weight,
)
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.fast_arrays import Hits, Masks
from twindex.retrieval.fast_plan import Strategy
from twindex.retrieval.image import AS_THEY_ARE
from twindex.retrieval.topk import select

pytest.importorskip("numba")
pytestmark = pytest.mark.timeout(600)  # the first call compiles
STRATEGIES: list[Strategy] = list(get_args(Strategy))
VARIANTS: list[Variant] = list(get_args(Variant))
KS = [1, 10, 100, 1000, 5000]


@dataclass(frozen=True)
class World:
    """Random lists and queries. Shapes as in FastIndex."""

    ptr: Int64Array
    docs: NDArray[np.int64]
    values: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ids: Int64Array
    ends: Int64Array
    weights: Float32Array
    masks: Masks | None
    original: UInt32Array

    def index(self, config: BM25 | None) -> FastIndex:
        """BM25 by the formula, or impacts."""
        if config is None:
            return FastIndex.impacts(self.ptr, self.docs, self.values, size=len(self.lengths), original=self.original)
        return FastIndex.bm25(
            self.ptr, self.docs, self.values, lengths=self.lengths, config=config, original=self.original
        )


def world(
    seed: int, *, size: int, terms: int, distinct: int, filters: int, impacts: bool, ordered: bool = False
) -> World:
    """Lists of very different lengths; the fewer distinct values and lengths, the more ties."""
    rng = np.random.default_rng(seed)
    shares = rng.random(terms) ** 4
    lists = [np.flatnonzero(rng.random(size) < share) for share in shares]
    docs = np.concatenate(lists)
    top = 255 if impacts else 400
    values = rng.integers(1, min(distinct, top) + 1, len(docs))
    if distinct > 10:
        values[rng.random(len(values)) < 0.01] = top
    lengths = rng.integers(1, distinct + 1, size) * 7
    number = rng.integers(0, 2 * terms if not impacts else terms + 1, 8)
    queries = [
        np.sort(rng.choice(terms, n, replace=False)) if impacts else rng.integers(-1, terms, n) for n in number.tolist()
    ]
    ids = np.concatenate(queries)
    weights = rng.integers(1, 5, len(ids)).astype(np.float32) * np.float32(0.3)
    masks = None
    if filters:
        passing = rng.random((filters, size)) < rng.random((filters, 1)) ** 3
        masks = Masks(passing, rng.integers(-1, filters, len(queries)))
    ptr = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    original = rng.permutation(size).astype(np.uint32) if ordered else AS_THEY_ARE
    ends = np.concatenate([[0], np.cumsum(number)])
    return World(ptr, docs, values, lengths, ids, ends, weights, masks, original)


def oracle(one: World, q: int, k: int, config: BM25 | None) -> list[tuple[int, float]]:
    """Scores of all documents, term by term in float32, then the house's top k."""
    size = len(one.lengths)
    scores = np.zeros(size, np.float32)
    asked = one.ids[one.ends[q] : one.ends[q + 1]]
    if config is not None:
        stored = length_table()[length_codes(one.lengths)] if config.quantised else one.lengths
        average = int(one.lengths.sum()) / size
        saturations = saturation(config, stored, average)
    for t in np.unique(asked[asked >= 0]).tolist():
        docs, values = one.docs[one.ptr[t] : one.ptr[t + 1]], one.values[one.ptr[t] : one.ptr[t + 1]]
        if not len(docs):
            continue
        if config is None:
            weight = one.weights[one.ends[q] : one.ends[q + 1]][asked == t][0]
            scores[docs] += weight * values.astype(np.float32)
        else:
            weight = term_weight(config, size, len(docs), int((asked == t).sum()))
            scores[docs] += contribution(weight, values, saturations[docs], offset(config))
    passing: BoolArray = scores > 0
    if one.masks is not None and one.masks.of[q] >= 0:
        passing = passing & one.masks.masks[one.masks.of[q]]
    ords = np.flatnonzero(passing)
    ranking = select(ords, scores[ords], k)
    return list(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))


def found(hits: Hits, q: int) -> list[tuple[int, float]]:
    ranking = hits.ranking(q)
    return list(zip(ranking.ords.tolist(), ranking.scores.tolist(), strict=True))


def check(one: World, config: BM25 | None, k: int) -> None:
    index = one.index(config)
    weights: dict[str, Any] = {"weights": one.weights} if config is None else {}
    queries = len(one.ends) - 1
    expected = [oracle(one, q, k, config) for q in range(queries)]
    for strategy in STRATEGIES:
        for threads in (1, 2):
            hits = index.search(one.ids, one.ends, k, strategy=strategy, threads=threads, masks=one.masks, **weights)
            assert [found(hits, q) for q in range(queries)] == expected, (strategy, threads)
            assert bool(hits.proven.all())
    index.close()


worlds = st.builds(
    dict,
    seed=st.integers(0, 2**32),
    size=st.sampled_from([1, 15, 16, 17, 100, 700, 3000]),
    terms=st.integers(1, 14),
    distinct=st.sampled_from([1, 2, 5, 40]),
    filters=st.sampled_from([0, 2]),
    ordered=st.booleans(),
)
configs = st.builds(BM25, st.sampled_from([0.9, 1.2, 0.0]), st.sampled_from([0.4, 0.0, 1.0]), st.sampled_from(VARIANTS))


@pytest.fixture(autouse=True, scope="module")
def many_windows() -> Any:
    """Small windows, and rows for all but the rarest terms' lists, so that every path is taken."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_room, "WINDOW", 160)
        patch.setattr(image, "BLOCK", 1024)
        patch.setattr(image, "ROW_SHARE", 6)
        yield


@settings(max_examples=150, deadline=None)
@given(worlds, configs, st.sampled_from(KS))
def test_bm25_equals_the_oracle(settings_: dict[str, int], config: BM25, k: int) -> None:
    check(world(**settings_, impacts=False), config, k)


@settings(max_examples=150, deadline=None)
@given(worlds, st.sampled_from(KS))
def test_impacts_equal_the_oracle(settings_: dict[str, int], k: int) -> None:
    check(world(**settings_, impacts=True), None, k)


@pytest.mark.parametrize("impacts", [False, True])
def test_more_documents_than_a_span(impacts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_room, "WINDOW", 66_048)
    monkeypatch.setattr(image, "BLOCK", 32_768)
    monkeypatch.setattr(image, "ROW_SHARE", 16)
    for ordered in (False, True):
        one = world(7, size=150_000, terms=12, distinct=40, filters=2, impacts=impacts, ordered=ordered)
        for k in (10, 1000):
            check(one, None if impacts else BM25(), k)


@pytest.mark.parametrize("impacts", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_rows_of_bytes_give_the_same_lists(impacts: bool, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors without the instructions of ``kernels_strips.py`` add rows of bytes."""
    kernels_image = pytest.importorskip("twindex.retrieval.kernels_image")
    monkeypatch.setattr(kernels_image, "able", lambda: False)
    one = world(seed, size=3000, terms=14, distinct=40, filters=2 * (seed % 2), impacts=impacts)
    for k in (1, 10, 100):
        check(one, None if impacts else BM25(), k)


@pytest.mark.parametrize("number", [0, 1, 2, 15, 16, 40, 255])
def test_levels_round_up_and_are_exact_if_there_are_few(number: int) -> None:
    kernels_image = pytest.importorskip("twindex.retrieval.kernels_image")
    if not kernels_image.able():
        pytest.skip("no such instructions")
    rng = np.random.default_rng(number)
    chosen = rng.choice(np.arange(1, 256), number, replace=False)
    row = np.where(rng.random(2500) < 0.6, rng.choice(np.append(chosen, 0), 2500), 0).astype(np.uint8)
    nibbles, levels = kernels_image.levelled(row[None, :])
    d = np.arange(2500)
    level = (nibbles[0, (d >> 6) * 32 + (d & 31)] >> ((d & 32) >> 3)) & 15
    rounded = levels[0, level]
    assert bool(((level == 0) == (row == 0)).all())
    assert bool((rounded >= row).all())
    assert number > 15 or bool((rounded == row).all())
