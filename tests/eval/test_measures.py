from __future__ import annotations

import time

import numpy as np
import pytest

from twindex.eval.evaluate import evaluate
from twindex.eval.join import join_hits, join_rankings
from twindex.eval.measures import DEFAULT_MEASURES, Measure, names, parse, parse_all
from twindex.eval.runs import Hits, table_from_scores
from twindex.indexing.errors import ConfigError, UsageError
from twindex.retrieval.types import Ranking

QRELS = {"q": {"a": 3, "b": 1, "c": 0, "gone": 2}, "empty": {"x": 0}, "missing": {"y": 1}}
RUN = {"q": {"z": 9.0, "b": 8.0, "c": 7.0, "a": 6.0}, "empty": {"x": 1.0}, "stranger": {"y": 1.0}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # z b c a: gains 0 1 0 3; ideal 3 2 1
        ("nDCG", (1 / np.log2(3) + 3 / np.log2(5)) / (3 + 2 / np.log2(3) + 1 / 2)),
        ("nDCG@2", (1 / np.log2(3)) / (3 + 2 / np.log2(3))),
        ("R@2", 1 / 3),
        ("R@100", 2 / 3),
        ("P@5", 2 / 5),
        ("P(rel=2)@5", 1 / 5),
        ("AP", (1 / 2 + 2 / 4) / 3),
        ("AP@3", (1 / 2) / 3),
        ("AP(rel=2)", (1 / 4) / 2),
        ("RR", 1 / 2),
        ("RR(rel=2)@3", 0.0),
        ("RR@1", 0.0),
        ("Success@1", 0.0),
        ("Success@2", 1.0),
        ("judged@10", 3 / 4),
        ("judged@1", 0.0),
    ],
)
def test_values_worked_out_by_hand(text: str, expected: float) -> None:
    measure = parse(text)
    report = evaluate(RUN, QRELS, [measure])
    assert report.per_query()["q"][text] == pytest.approx(expected, abs=1e-12)


def test_averages_say_what_they_cover() -> None:
    report = evaluate(RUN, QRELS, [parse("RR")])
    assert report.aggregate("judged") == {"RR": pytest.approx(0.5 / 3)}
    assert report.aggregate("answerable") == {"RR": pytest.approx(0.5 / 2)}
    assert report.aggregate("retrieved") == {"RR": pytest.approx(0.5 / 2)}
    assert report.counts() == {"judged": 3, "answerable": 2, "retrieved": 2, "not_judged": 1}


@pytest.mark.parametrize(
    ("run", "qrels", "judged", "retrieved"),
    [
        ({}, {}, 0.0, 0.0),
        ({}, {"q": {"a": 1}}, 0.0, 0.0),
        ({"q": {"a": 1.0}}, {}, 0.0, 0.0),
        ({"q": {}}, {"q": {"a": 1}}, 0.0, 0.0),
        ({"q": {"a": 1.0}}, {"q": {}}, 0.0, 0.0),
        ({"q": {"a": 1.0}}, {"q": {"a": 1}, "r": {"b": 1}}, 0.5, 1.0),
        ({"q": {"a": 1.0}, "r": {"b": 1.0}}, {"q": {"a": 1}}, 1.0, 1.0),
        ({"q": {"a": 1.0}}, {"q": {"a": -1}}, 0.0, 0.0),
    ],
)
def test_matrix_of_empties(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]], judged: float, retrieved: float
) -> None:
    measures = parse_all("nDCG nDCG@10 R@100 AP AP@5 RR RR@10 Success@5")
    report = evaluate(run, qrels, measures)
    assert set(report.aggregate("judged").values()) == {judged}
    assert set(report.aggregate("retrieved").values()) == {retrieved}
    assert all(0 <= v <= 1 for row in report.per_query().values() for v in row.values())


@pytest.mark.parametrize("text", ["", "nDCG@", "nDCG@0", "foo@10", "P", "R", "P(rel=0)@5", "nDCG(rel=2)@5", "P@-1"])
def test_what_is_no_measure_lists_what_is(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert text in str(caught.value) or "measure" in str(caught.value)
    assert "expected" in str(caught.value)


def test_unknown_name_lists_the_legal_ones() -> None:
    with pytest.raises(ConfigError, match="nDCG@k"):
        parse("F1@10")
    assert "Success@k" in names()


def test_other_spellings_print_in_one_form() -> None:
    assert [str(m) for m in parse_all("MAP, mrr@3 Recall@20,ndcg@10 P(rel = 2)@5")] == [
        "AP", "RR@3", "R@20", "nDCG@10", "P(rel=2)@5",
    ]  # fmt: skip
    assert [str(m) for m in DEFAULT_MEASURES] == ["nDCG@10", "R@100", "AP", "RR@10"]


def test_measures_are_values() -> None:
    assert parse("P@5") == Measure("P", 5)
    assert hash(parse("P@5")) == hash(Measure("P", 5))
    shuffled = parse_all("P@10 nDCG@10 P(rel=2)@5 P@5 nDCG")
    assert [str(m) for m in sorted(shuffled)] == ["nDCG", "nDCG@10", "P@5", "P@10", "P(rel=2)@5"]
    assert len(parse_all("P@5 P@5")) == 1


def test_a_document_twice_is_refused() -> None:
    twice = Hits(("a", "a"), np.array([2, 1], np.float32))
    with pytest.raises(UsageError, match="twice"):
        evaluate({"q": twice}, {"q": {"a": 1}})


def test_rankings_and_ids_join_alike() -> None:
    rng = np.random.default_rng(5)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    rankings = []
    for i in range(30):
        ords = np.sort(rng.choice(200, 50, replace=False)).astype(np.int32)
        scores = -np.sort(-rng.random(50).astype(np.float32))
        rankings.append(Ranking(ords, scores))
        run[f"q{i}"] = {f"d{o}": float(s) for o, s in zip(ords, scores)}
        chosen = rng.choice(200, int(rng.integers(0, 9)), replace=False)
        qrels[f"q{i}"] = {f"d{o}": int(rng.integers(-1, 4)) for o in chosen}
    qrels["never run"] = {"d1": 1}
    measures = parse_all("nDCG@10 R@20 AP RR P@5 judged@10")
    by_ids = join_hits(table_from_scores(run), qrels)
    by_ords = join_rankings(list(run), rankings, {f"d{i}": (i,) for i in range(150)}, qrels)
    every = join_rankings(list(run), rankings, {f"d{i}": (i,) for i in range(200)}, qrels)
    for measure in measures:
        assert np.array_equal(measure.values(by_ids), measure.values(every))
    assert any(not np.array_equal(m.values(by_ids), m.values(by_ords)) for m in measures)


def test_ten_thousand_queries_of_a_thousand_hits_take_about_a_second() -> None:
    rng = np.random.default_rng(0)
    ords = [np.sort(rng.choice(50_000, 1000, replace=False)).astype(np.int32) for _ in range(50)]
    scores = np.linspace(1, 0, 1000, dtype=np.float32)
    rankings = [Ranking(ords[i % 50], scores) for i in range(10_000)]
    qrels = {f"q{i}": {f"d{ords[i % 50][i % 900]}": 1, f"d{i}": 1} for i in range(10_000)}
    ordinals = {f"d{i}": (i,) for i in range(50_000)}
    started = time.perf_counter()
    join = join_rankings([f"q{i}" for i in range(10_000)], rankings, ordinals, qrels)
    for measure in DEFAULT_MEASURES:
        measure.values(join)
    assert time.perf_counter() - started < 5  # a second on a quiet core; the machine may be shared
