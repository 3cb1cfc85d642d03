"""The dense leg against brute force in float64; ties, filters, deletions, graphs, threads, bad input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.retrieval.vectors_snapshot import Marked, Part, TableEncoder, VectorSnapshot, oracle, same, snapshot_of
from twindex.indexing.errors import ConfigError, DeviceError, FingerprintError, QueryError
from twindex.indexing.types import Float32Array
from twindex.indexing.vectors import HnswConfig
from twindex.retrieval import vector_search
from twindex.retrieval.base import Retriever
from twindex.retrieval.dense import DenseConfig, DenseRetriever
from twindex.retrieval.types import Query, Ranking
from twindex.retrieval.vector_search import Best, FlatSearch, VectorSearch, exact_scores

DIM = 24


def unit_rows(n: int, seed: int, dim: int = DIM) -> Float32Array:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def queries_of(n: int, seed: int = 99) -> dict[str, Float32Array]:
    return {f"q{i}": row for i, row in enumerate(unit_rows(n, seed))}


def make(tmp_path: Path, matrix: Float32Array, sizes: list[int], **changes: Any) -> tuple[VectorSnapshot, TableEncoder]:
    encoder = TableEncoder(queries_of(5), matrix.shape[1])
    return snapshot_of(tmp_path, matrix, sizes, encoder.info, **changes), encoder


def test_is_a_retriever(tmp_path: Path) -> None:
    snapshot, encoder = make(tmp_path, unit_rows(3, 0), [3])
    retriever = DenseRetriever(snapshot, encoder)
    assert isinstance(retriever, Retriever)
    assert retriever.name == "dense"
    reader = snapshot.segments[0].vectors
    assert reader is not None
    search: VectorSearch = FlatSearch(reader, 0)
    search.collect(unit_rows(1, 1), [Best(unit_rows(1, 1)[0], 1)], None)


@pytest.mark.parametrize("sizes", [[700], [1, 299, 0, 400], [100] * 7])
@pytest.mark.parametrize("k", [1, 10, 699, 700, 5000])
def test_equals_brute_force_whatever_the_segments(tmp_path: Path, sizes: list[int], k: int) -> None:
    matrix = unit_rows(700, 1)
    snapshot, encoder = make(tmp_path, matrix, sizes)
    run = DenseRetriever(snapshot, encoder).retrieve([Query(f"q{i}") for i in range(5)], k)
    for i, ranking in enumerate(run):
        assert same(ranking, oracle(matrix, encoder.table[f"q{i}"], k, None))
    assert run.ids(0)[0] == str(run[0].ords[0])


def test_many_blocks_and_near_ties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that differ in the last bits only: float32 products order them wrongly, the leg does not."""
    monkeypatch.setattr(vector_search, "BLOCK_ROWS", 64)
    monkeypatch.setattr(vector_search, "SLACK", 16)
    base = unit_rows(1, 2)[0]
    noise = np.random.default_rng(3).integers(-3, 4, (900, DIM)).astype(np.float32)
    matrix = np.asarray(base * (1 + noise * 2.0**-23), np.float32)
    snapshot, encoder = make(tmp_path, matrix, [450, 450])
    encoder.table["q0"] = base
    for k in (1, 7, 64, 300):
        wanted = oracle(matrix, base, k, None)
        for texts in (["q0"], ["q0"] * (vector_search.FEW_QUERIES + 2)):  # either way of multiplying
            assert all(same(found, wanted) for found in DenseRetriever(snapshot, encoder).retrieve(texts, k))


def test_equal_vectors_come_in_corpus_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_search, "SLACK", 8)
    monkeypatch.setattr(vector_search, "BLOCK_ROWS", 100)
    matrix = np.tile(unit_rows(1, 4), (3000, 1))
    snapshot, encoder = make(tmp_path, matrix, [1500, 1500])
    ranking = DenseRetriever(snapshot, encoder).retrieve(["q1"], 20)[0]
    assert ranking.ords.tolist() == list(range(20))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_filters_and_deletions_equal_brute_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(vector_search, "BLOCK_ROWS", 128)
    matrix = unit_rows(1000, 5)
    snapshot, encoder = make(tmp_path, matrix, [600, 400])
    rng = np.random.default_rng(6)
    snapshot.filters["some"] = rng.random(1000) < share
    snapshot.live = rng.random(1000) < 0.8
    run = DenseRetriever(snapshot, encoder).retrieve(
        [Query("q0", Marked("some")), Query("q1"), Query("q2", Marked("some"))], 15
    )
    both = snapshot.filters["some"] & snapshot.live
    for ranking, text, allowed in zip(run, ("q0", "q1", "q2"), (both, snapshot.live, both)):
        assert same(ranking, oracle(matrix, encoder.table[text], 15, allowed))


def test_scores_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    matrix = unit_rows(500, 7)
    snapshot, encoder = make(tmp_path, matrix, [500])
    retriever = DenseRetriever(snapshot, encoder)
    texts = [f"q{i % 5}" for i in range(600)]
    together = retriever.retrieve(texts, 10)
    alone = [retriever.retrieve([text], 10)[0] for text in texts[:5]]
    assert all(same(together[i], alone[i % 5]) for i in range(600))


def test_exact_scores_do_not_depend_on_their_neighbours() -> None:
    rows, query = unit_rows(5000, 8, 384), unit_rows(1, 9, 384)[0]
    together = exact_scores(rows, query)
    assert np.array_equal(together[::-1], exact_scores(np.ascontiguousarray(rows[::-1]), query))
    assert [float(s) for s in together[:50]] == [float(exact_scores(row[None], query)[0]) for row in rows[:50]]


def test_encoders_that_depend_on_the_batch_get_one_query_at_a_time(tmp_path: Path) -> None:
    encoder = TableEncoder(queries_of(3), DIM, invariant=False)
    snapshot = snapshot_of(tmp_path, unit_rows(10, 1), [10], encoder.info)
    DenseRetriever(snapshot, encoder).retrieve(["q0", "q1", "q2"], 3)
    assert encoder.calls == [1, 1, 1]


def test_nothing_to_find(tmp_path: Path) -> None:
    snapshot, encoder = make(tmp_path, unit_rows(10, 1), [10])
    retriever = DenseRetriever(snapshot, encoder)
    run = retriever.retrieve(["", "  \n\t", "q0"], 3)
    assert [len(ranking) for ranking in run] == [0, 0, 3]
    assert [len(ranking) for ranking in retriever.retrieve(["q0"], 0)] == [0]
    assert len(retriever.retrieve([], 5)) == 0
    assert encoder.calls == [1]
    empty = VectorSnapshot(np.empty((0, DIM), np.float32), [Part(None)], [0], encoder.info)
    assert len(DenseRetriever(empty, encoder).retrieve(["q0"], 5)[0]) == 0
    with pytest.raises(QueryError, match="k = -1"):
        retriever.retrieve(["q0"], -1)


def test_another_encoder_is_an_error(tmp_path: Path) -> None:
    snapshot, encoder = make(tmp_path, unit_rows(10, 1), [10])
    snapshot.encoder_info = TableEncoder({}, 99).info.__class__("other", "other/v1", DIM, 0)
    with pytest.raises(FingerprintError, match=r"table/v1.*other/v1"):
        DenseRetriever(snapshot, encoder)
    snapshot.encoder_info = None
    with pytest.raises(QueryError, match="without vectors"):
        DenseRetriever(snapshot, encoder)


def test_a_query_vector_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    snapshot, encoder = make(tmp_path, unit_rows(10, 1), [10])
    encoder.table["q0"] = np.full(DIM, np.nan, np.float32)
    with pytest.raises(ConfigError, match="NaN"):
        DenseRetriever(snapshot, encoder).retrieve(["q0"], 3)


def test_bad_configurations() -> None:
    with pytest.raises(DeviceError, match="cuda"):
        DenseConfig(device="cuda")
    for bad in ({"kind": "magic"}, {"graph_from": -1}, {"graph_share": 1.5}, {"ef_search": 0}):
        with pytest.raises(ConfigError):
            DenseConfig(**bad)


def test_explanations_recombine(tmp_path: Path) -> None:
    matrix = unit_rows(50, 3) * np.float32(2)
    snapshot, encoder = make(tmp_path, matrix, [20, 30])
    snapshot.live = np.arange(50) != 7
    retriever = DenseRetriever(snapshot, encoder)
    ranking = retriever.retrieve(["q0"], 50)[0]
    for ord_, score in zip(ranking.ords, ranking.scores):
        explanation = retriever.explain(Query("q0"), int(ord_))
        assert explanation.value == float(score)
        assert explanation.combine == "product"
        product = np.prod([detail.value for detail in explanation.details])
        assert product == pytest.approx(explanation.value, rel=1e-12)
        assert explanation.details[2].value == pytest.approx(2.0, rel=1e-6)
    for query, ord_ in ((Query("q0"), 7), (Query(" "), 1)):
        assert retriever.explain(query, ord_).value == 0.0
    encoder.table["zero"] = np.zeros(DIM, np.float32)
    assert retriever.explain(Query("zero"), 1).details == ()
    for bad in (-1, 50):
        with pytest.raises(QueryError, match="ordinal"):
            retriever.explain(Query("q0"), bad)


GRAPH = HnswConfig(m=16, ef_construction=80, ef_search=64)
USE_GRAPH = DenseConfig(graph_from=0)


def overlap(found: Ranking, wanted: Ranking) -> float:
    return len(np.intersect1d(found.ords, wanted.ords)) / max(1, len(wanted))


def test_graphs_find_nearly_all_with_exact_scores(tmp_path: Path) -> None:
    matrix = unit_rows(4000, 11)
    snapshot, encoder = make(tmp_path, matrix, [2500, 1500], graph=GRAPH)
    texts = [f"q{i}" for i in range(5)]
    graph = DenseRetriever(snapshot, encoder, USE_GRAPH).retrieve(texts, 10)
    exact = DenseRetriever(snapshot, encoder, DenseConfig("exact")).retrieve(texts, 10)
    assert np.mean([overlap(a, b) for a, b in zip(graph, exact)]) >= 0.95
    for i, ranking in enumerate(graph):
        wide = oracle(matrix, encoder.table[f"q{i}"], 4000, None)
        truth = dict(zip(wide.ords.tolist(), wide.scores.tolist()))
        assert [truth[o] for o in ranking.ords.tolist()] == ranking.scores.tolist()


def test_graphs_respect_filters_and_fall_back_to_a_scan(tmp_path: Path) -> None:
    matrix = unit_rows(3000, 12)
    snapshot, encoder = make(tmp_path, matrix, [3000], graph=GRAPH)
    rng = np.random.default_rng(1)
    snapshot.filters = {"half": rng.random(3000) < 0.5, "few": rng.random(3000) < 0.004}
    retriever = DenseRetriever(snapshot, encoder, USE_GRAPH)
    half = retriever.retrieve([Query("q0", Marked("half"))], 10)[0]
    assert bool(snapshot.filters["half"][half.ords].all())
    assert overlap(half, oracle(matrix, encoder.table["q0"], 10, snapshot.filters["half"])) >= 0.9
    few = retriever.retrieve([Query("q0", Marked("few"))], 10)[0]  # below graph_share: a scan
    assert same(few, oracle(matrix, encoder.table["q0"], 10, snapshot.filters["few"]))
    # Forced through the graph, whose candidates hardly meet the filter: completed by a scan.
    forced = DenseRetriever(snapshot, encoder, DenseConfig(graph_from=0, graph_share=0.0, ef_search=1))
    again = forced.retrieve([Query("q0", Marked("few"))], 10)[0]
    assert same(again, few)
    everything = retriever.retrieve(["q0"], 3000)[0]
    assert len(everything) == 3000


def test_threads_share_a_retriever(tmp_path: Path) -> None:
    matrix = unit_rows(2000, 13)
    snapshot, encoder = make(tmp_path, matrix, [2000], graph=GRAPH)
    for config in (DenseConfig("exact"), USE_GRAPH):
        retriever = DenseRetriever(snapshot, encoder, config)
        wanted = [retriever.retrieve([f"q{i}"], 10)[0] for i in range(5)]

        def ask(i: int, retriever: DenseRetriever = retriever) -> Ranking:
            return retriever.retrieve([f"q{i % 5}"], 10)[0]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask, range(100)))
        assert all(same(ranking, wanted[i % 5]) for i, ranking in enumerate(found))
