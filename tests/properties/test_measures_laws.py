"""Laws of measures: equal to trec_eval, in range, best on the ideal ranking, blind to the unjudged tail."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from twindex.eval.evaluate import evaluate
from twindex.eval.measures import Measure, parse, parse_all
from twindex.eval.runs import Hits, format_run, table_from_scores

pytrec_eval = pytest.importorskip("pytrec_eval")

TREC = {
    "nDCG": "ndcg", "nDCG@1": "ndcg_cut_1", "nDCG@3": "ndcg_cut_3", "nDCG@10": "ndcg_cut_10",
    "R@1": "recall_1", "R@5": "recall_5", "R@100": "recall_100", "P@5": "P_5", "P@10": "P_10",
    "AP": "map", "AP@3": "map_cut_3", "RR": "recip_rank", "Success@1": "success_1", "Success@5": "success_5",
}  # fmt: skip
MEASURES = parse_all(TREC)

DOCUMENTS = st.sampled_from(["a", "b", "B", "d1", "d10", "d2", "é", "z", "日", "aa", "😀", "q1"])
QUERIES = st.sampled_from(["q1", "q2", "q3"])
# Few values, so that ties are the rule; 1 and 1 + 1e-9 are one float32 and two float64.
SCORES = st.sampled_from([0.0, 1.0, 1.0 + 1e-9, 2.0, -1.5, 0.1, 1e-30]) | st.floats(-5, 5)
RUNS = st.dictionaries(QUERIES, st.dictionaries(DOCUMENTS, SCORES, max_size=12), max_size=3)
LEVELS = st.dictionaries(QUERIES, st.dictionaries(DOCUMENTS, st.integers(-1, 3), max_size=8), max_size=3)


def trec_eval(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]], level: int = 1
) -> dict[str, dict[str, float]]:
    wanted = {name.replace("_cut_", "_cut.") for name in TREC.values()}
    wanted = {n if "cut" in n or "_" not in n or n == "recip_rank" else n.replace("_", ".") for n in wanted}
    # With nothing but negative levels trec_eval reads beyond an empty array, and may never come back.
    sound = {q: documents for q, documents in qrels.items() if max(documents.values(), default=-1) >= 0}
    evaluator = pytrec_eval.RelevanceEvaluator(sound, wanted, relevance_level=level)
    result: dict[str, dict[str, float]] = evaluator.evaluate({q: d for q, d in run.items() if d})
    return result


@settings(max_examples=300, deadline=None)
@given(RUNS, LEVELS)
def test_plain_scores_score_as_in_trec_eval(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    ours = evaluate(run, qrels, MEASURES).per_query()
    theirs = trec_eval(run, qrels)
    for query, row in theirs.items():
        for text, name in TREC.items():
            assert ours[query][text] == pytest.approx(row[name], abs=1e-6), (query, text)


@settings(max_examples=100, deadline=None)
@given(RUNS, LEVELS, st.integers(2, 3))
def test_a_higher_level_scores_as_in_trec_eval(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]], level: int
) -> None:
    texts = [t for t in TREC if not t.startswith("nDCG")]
    measures = [Measure(m.name, m.cut, level) for m in parse_all(texts)]
    ours = evaluate(run, qrels, measures).per_query()
    theirs = trec_eval(run, qrels, level)
    for query, row in theirs.items():
        for text, measure in zip(texts, measures):
            assert ours[query][str(measure)] == pytest.approx(row[TREC[text]], abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.permutations(["a", "b", "c", "d1", "d10", "d2"]), st.lists(SCORES, min_size=6, max_size=6), LEVELS)
def test_written_rankings_score_as_in_trec_eval(
    ids: list[str], scores: list[float], qrels: dict[str, dict[str, int]]
) -> None:
    """A ranking of ours has ties in any order; its file, read by anyone, has the same values."""
    hits = Hits(tuple(ids), -np.sort(-np.array(scores, np.float32)))
    table = dict.fromkeys(("q1", "q2"), hits)
    written: dict[str, dict[str, float]] = {}
    for line in format_run(table).splitlines():
        query, _, document, _, score, _ = line.split(" ")
        written.setdefault(query, {})[document] = float(score)
    ours = evaluate(table, qrels, MEASURES).per_query()
    for query, row in trec_eval(written, qrels).items():
        for text, name in TREC.items():
            assert ours[query][text] == pytest.approx(row[name], abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(RUNS, LEVELS)
def test_range_ideal_and_tail(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    measures = [*MEASURES, parse("RR@2"), parse("judged@3")]
    table = table_from_scores(run)
    report = evaluate(table, qrels, measures)
    assert all(((v >= 0) & (v <= 1 + 1e-12)).all() for v in report.values.values())
    best = {q: {d: float(v) for d, v in documents.items() if v >= 0} for q, documents in qrels.items()}
    ideal = evaluate(best, qrels, [m for m in measures if m.name != "judged"])
    for measure, values in ideal.values.items():
        assert (values >= report.values[measure] - 1e-12).all()
    tail = {q: Hits((*h.ids, "tail"), np.append(h.scores, np.float32(-1e9))) for q, h in table.items()}
    longer = evaluate(tail, qrels, MEASURES)
    assert all(np.array_equal(longer.values[m], report.values[m]) for m in MEASURES)


@given(
    st.sampled_from(["nDCG", "AP", "RR", "R", "P", "Success", "judged"]),
    st.integers(1, 10**6),
    st.integers(1, 9),
)
def test_text_and_value_round_trip(name: str, cut: int, rel: int) -> None:
    measure = Measure(name, cut, 1 if name in ("nDCG", "judged") else rel)
    assert parse(str(measure)) == measure
    assert hash(parse(str(measure))) == hash(measure)
