"""The sparse bench's own arithmetic: corpora, oracle, verdicts. Needs numba, as the bench does."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")
BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module", autouse=True)
def _bench_modules() -> Any:
    """The bench's modules import each other by name, as scripts of one folder do."""
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One corpus of each style: 600 documents over a small vocabulary, in chunks of 250."""
    import sparse_data

    patch = pytest.MonkeyPatch()
    patch.setattr(sparse_data, "CHUNK", 250)
    patch.setattr(sparse_data, "QUERIES", 20)
    patch.setattr(sparse_data, "TEXT", replace(sparse_data.TEXT, vocabulary=3_000, bend=900, topics=16))
    patch.setattr(sparse_data, "PIECES", replace(sparse_data.PIECES, vocabulary=1_500, bend=900, topics=16))
    names = {"bm25": "bm25-10k", "idf": "idf-10k", "splade": "splade-10k"}
    patch.setattr(sparse_data, "RECIPES", {name: sparse_data.Recipe(style, 600) for style, name in names.items()})
    root = tmp_path_factory.mktemp("corpora")
    made: dict[str, Any] = {style: sparse_data.generate(root / name, name) for style, name in names.items()}
    made["again"] = sparse_data.generate(root / "again", "bm25-10k")
    patch.undo()
    return made


@pytest.mark.parametrize("style", ["bm25", "idf", "splade"])
def test_both_orders_hold_the_same_pairs(small: dict[str, Any], style: str) -> None:
    corpus = small[style]
    by_document = {
        (term, d, value)
        for d, (a, b) in enumerate(pairwise(corpus.array("doc_ptr").tolist()))
        for term, value in zip(
            corpus.array("doc_ids")[a:b].tolist(), corpus.array("doc_values")[a:b].tolist(), strict=True
        )
    }
    by_term = {
        (term, d, value)
        for term, (a, b) in enumerate(pairwise(corpus.array("post_ptr").tolist()))
        for d, value in zip(
            corpus.array("post_docs")[a:b].tolist(), corpus.array("post_values")[a:b].tolist(), strict=True
        )
    }
    assert by_document == by_term
    assert len(by_term) == corpus.postings
    assert corpus.size == 600


def test_documents_and_lists_are_ascending(small: dict[str, Any]) -> None:
    corpus = small["splade"]
    for name, values in (("doc_ptr", "doc_ids"), ("post_ptr", "post_docs")):
        array = corpus.array(values)
        assert all((np.diff(array[a:b]) > 0).all() for a, b in pairwise(corpus.array(name).tolist()))


def test_the_same_seed_gives_the_same_corpus(small: dict[str, Any]) -> None:
    for name in ("doc_ptr", "doc_ids", "doc_values", "lengths", "query_ids", "query_weights"):
        assert np.array_equal(small["bm25"].array(name), small["again"].array(name))


def test_lengths_are_tokens(small: dict[str, Any]) -> None:
    corpus = small["bm25"]
    sums = np.add.reduceat(corpus.array("doc_values"), corpus.array("doc_ptr")[:-1], dtype=np.int64)
    assert np.array_equal(sums, corpus.array("lengths"))


def test_both_vector_corpora_share_their_documents(small: dict[str, Any]) -> None:
    assert small["idf"].meta["documents_of"] == small["splade"].meta["documents_of"] != "idf-10k"
    assert np.array_equal(small["idf"].array("doc_values"), small["splade"].array("doc_values"))
    assert not np.array_equal(small["idf"].array("query_ids"), small["splade"].array("query_ids"))


def test_topics_make_documents_alike(small: dict[str, Any]) -> None:
    """Neighbours share more terms than strangers: without structure pruning has nothing to find."""
    corpus = small["bm25"]
    sets = [set(corpus.array("doc_ids")[a:b].tolist()) for a, b in pairwise(corpus.array("doc_ptr").tolist())]
    near = np.mean([len(one & two) / len(one | two) for one, two in pairwise(sets)])
    far = np.mean([len(sets[i] & sets[(i + 300) % 600]) / len(sets[i] | sets[(i + 300) % 600]) for i in range(600)])
    assert near > 1.5 * far


def test_exact_lists_are_those_of_the_float64_oracle(small: dict[str, Any]) -> None:
    from sparse_exact import exact_lists
    from sparse_oracle import Formula, Oracle, best

    for style in ("bm25", "idf"):
        corpus = small[style]
        exact = np.load(exact_lists(corpus))
        oracle = Oracle(corpus, Formula(quantised=True))
        for number in range(corpus.queries):
            _, scores = best(oracle.scores(number), 10)
            assert np.allclose(exact["scores"][number, : len(scores)], scores, rtol=1e-5)


def test_lengths_of_one_byte_are_lucenes() -> None:
    from sparse_oracle import quantise

    from twindex.retrieval.bm25 import length_codes, length_table

    lengths = np.arange(0, 200_000, 7, dtype=np.uint32)
    assert np.array_equal(quantise(lengths), length_table()[length_codes(lengths)])


def _rates(rate: float) -> dict[str, Any]:
    """A middle round, and two on a machine of half and of twice the speed."""
    rounds = [rate, rate / 2, 2 * rate]
    return {"median": rate, "per_cpu": rate, "all": rounds, "all_cpu": rounds}


def _result(name: str, **rates: float) -> dict[str, Any]:
    engines = {engine: {"qps": {"10/1": _rates(rate), "10/2": _rates(1.9 * rate)}} for engine, rate in rates.items()}
    return {"corpus": {"name": name, "kind": "bm25", "documents": 1}, "engines": engines, "threads": 2}


def test_a_bar_compares_with_the_better_peer() -> None:
    from sparse_bars import verdicts

    found = {v.bar: v for v in verdicts([_result("acm-cr", twindex=400.0, bm25s=90.0, pisa=101.0)], [])}
    bar = next(v for name, v in found.items() if "acm-cr, k = 10" in name)
    assert bar.met is False
    assert "3.96x" in bar.measured
    found = {v.bar: v for v in verdicts([_result("acm-cr", twindex=404.0, bm25s=90.0, pisa=101.0)], [])}
    assert next(v for name, v in found.items() if "acm-cr, k = 10" in name).met is True
    assert next(v for name, v in found.items() if "two threads" in name).met is True


def test_an_approximate_engine_must_find_enough() -> None:
    from sparse_bars import verdicts

    result = _result("idf-1m", **{"twindex-95": 300.0, "seismic": 200.0})
    for engine, share in (("twindex-95", 0.951), ("seismic", 0.97)):
        result["engines"][engine]["check"] = {"10": {"kind": "recall", "value": share}}
    bars = [v for v in verdicts([result], []) if "95 % recall, idf-1m" in v.bar]
    assert [v.met for v in bars] == [True, True]
    assert "1.50x (medians 300 to seismic's 200 QPS), recall 0.951 to 0.970" in bars[0].measured
    result["engines"]["twindex-95"]["check"]["10"]["value"] = 0.949
    assert [v.met for v in verdicts([result], []) if "95 % recall, idf-1m" in v.bar] == [False, False]


def test_recall_must_be_more_than_luck() -> None:
    from sparse_worker import surely

    assert surely(np.ones(100)) == 1.0
    mixed = np.tile([1.0, 0.9], 50)
    assert 0.94 < surely(mixed) < 0.95 < surely(np.tile(mixed, 100)) + 0.001


def test_rounds_are_compared_each_with_its_own() -> None:
    from sparse_bars import verdicts

    result = _result("acm-cr", twindex=400.0, bm25s=100.0)
    result["engines"]["bm25s"]["qps"]["10/1"]["all_cpu"] = [80.0, 50.0, 160.0]  # 5, 4 and 5 times
    bar = next(v for v in verdicts([result], []) if "acm-cr, k = 10" in v.bar)
    assert "5.00x" in bar.measured


@pytest.mark.parametrize(("ratio", "met"), [(1.1, True), (1.11, False)])
def test_what_a_query_costs_without_a_model(ratio: float, met: bool) -> None:
    from sparse_bars import verdicts

    turns = {"client": "some documents", "p50": {"bm25": 1e-4, "learned": 1e-4 * ratio}, "ratio": ratio, "rounds": 3}
    bar = next(v for v in verdicts([], [], [turns]) if "inference-free p50" in v.bar)
    assert bar.met is met
    assert "to 100 us" in bar.measured


def test_what_was_not_measured_is_not_met() -> None:
    from sparse_bars import verdicts

    assert all(verdict.word == "not measured" for verdict in verdicts([], []))
