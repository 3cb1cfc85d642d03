"""The learned leg within a budget and for a recall: found through search options, exact scores, calibrated once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.retrieval.free_budgets import free_budgets
from tests.retrieval.test_three_legs import build, documents, searcher, sparse_encoder
from twindex.indexing import Document, Snapshot
from twindex.indexing.errors import QueryError
from twindex.indexing.filters import parse_filter
from twindex.retrieval import Query
from twindex.retrieval.budgeted import BudgetedRetriever, questions
from twindex.retrieval.calibration import Calibration
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.options import SearchOptions

pytest.importorskip("numba")
pytestmark = pytest.mark.timeout(600)  # the first call compiles


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments with deletions, words of very different frequency."""
    rng = np.random.default_rng(4)
    words = [f"w{i}" for i in range(60)]
    made = [
        Document(f"d{i}", " ".join(words[min(int(x), 59)] for x in rng.zipf(1.4, 25)), "", {"even": i % 2})
        for i in range(1500)
    ]
    gone = [f"d{i}" for i in range(0, 1500, 9)]
    return build(tmp_path_factory.mktemp("budget") / "i", made, delete=gone, dense=False)


@pytest.fixture(autouse=True, scope="module")
def eager() -> object:
    with free_budgets() as patch:
        yield patch


def leg(snapshot: Snapshot) -> ImpactRetriever:
    return ImpactRetriever(snapshot, sparse_encoder(), engine="compiled")


def test_answers_are_a_part_of_the_exact_ones(index: Path) -> None:
    asked = [Query("w1 w7 w30", None), Query("w2 w40", parse_filter("even = 1")), Query(""), Query("w59 w3 w5 w8")]
    with Snapshot.open(index) as snapshot:
        exact = leg(snapshot)
        whole = exact.retrieve(asked, 1500)
        for share in (0.05, 0.3, 0.9):
            some = BudgetedRetriever(exact, share=share).retrieve(asked, 10)
            for query, got, all_ in zip(asked, some, whole, strict=True):
                true = dict(zip(all_.ords.tolist(), all_.scores.tolist(), strict=True))
                assert all(true[o] == s for o, s in zip(got.ords.tolist(), got.scores.tolist(), strict=True)), query
                if BudgetedRetriever(exact, share=share).proven(query, 10):
                    assert got.ords.tolist() == all_.ords[:10].tolist()
        assert all(BudgetedRetriever(exact, share=1.0).proven(query, 10) for query in asked)
        assert not BudgetedRetriever(exact, share=0.01).proven(asked[0], 10)
        most = BudgetedRetriever(exact, share=1.0).retrieve(asked, 10)
        assert [one.ords.tolist() for one in most] == [one.ords[:10].tolist() for one in whole]


def test_a_recall_is_calibrated_once_with_the_passages_own_words(index: Path) -> None:
    with Snapshot.open(index) as snapshot:
        exact = leg(snapshot)
        retriever = BudgetedRetriever(exact, recall=0.8)
        asked = [Query(text) for text in questions(exact, 80)[1::2]]
        found, true = retriever.retrieve(asked, 10), exact.retrieve(asked, 10)
        shares = [np.isin(b.ords, a.ords).mean() for a, b in zip(found, true, strict=True) if len(b)]
        assert np.mean(shares) >= 0.75
        evidence = retriever.calibration(10)
        assert evidence is retriever.calibration(10)
        assert evidence.reached >= 0.75
        assert evidence.chosen >= 0.8
        given = BudgetedRetriever(exact, recall=0.8, calibrations=[evidence])
        assert given.calibration(10) is evidence
        other = retriever.calibration(10, ["w1 w2", "w30"] * 20)
        assert other.chosen_on == 20
        assert retriever.explain(asked[0], int(found[0].ords[0])).value == pytest.approx(float(found[0].scores[0]))
        with pytest.raises(QueryError, match="without a recall"):
            BudgetedRetriever(exact, share=0.5).calibration(10)


def test_questions_are_spread_over_living_passages(index: Path) -> None:
    with Snapshot.open(index) as snapshot:
        made = questions(leg(snapshot), 50)
        assert len(made) == 50
        assert all(1 <= len(text.split()) <= 8 for text in made)
        assert made == questions(leg(snapshot), 50)
        assert len(questions(leg(snapshot), 5000)) == 1500 - len(range(0, 1500, 9))


def test_search_options_choose_it(index: Path) -> None:
    with searcher(index) as opened:
        within = opened.retriever("sparse", SearchOptions(sparse="learned", budget=0.5))
        recall = opened.retriever("sparse", SearchOptions(sparse="learned", recall=0.9))
        assert isinstance(within, BudgetedRetriever)
        assert isinstance(recall, BudgetedRetriever)
        assert recall is opened.retriever("sparse", SearchOptions(sparse="learned", recall=0.9))
        assert within.name == recall.name == "learned"
        plain = opened.search("w1 w30", mode="sparse")
        cold = opened.search("w1 w30", mode="sparse", options=SearchOptions(recall=0.9))
        assert [(h.id, h.score) for h in cold.hits] == [(h.id, h.score) for h in plain.hits]  # few queries: exact
    for wrong in ({"budget": 0.0}, {"budget": 1.5}, {"recall": 0}, {"recall": "0.9"}, {"budget": True}):
        with pytest.raises(QueryError, match="expected"):
            SearchOptions(**wrong)  # type: ignore[arg-type]
    for both in ({"budget": 0.5, "recall": 0.9}, {"recall": 0.9, "two_phase": 0.3}):
        with pytest.raises(QueryError, match="at once"):
            SearchOptions(**both)  # type: ignore[arg-type]
    assert SearchOptions(recall=0.9).to_dict() == {"recall": 0.9}


def test_too_small_an_index_is_searched_exactly(tmp_path: Path) -> None:
    path = build(tmp_path / "i", documents(10), dense=False)
    with Snapshot.open(path) as snapshot:
        retriever = BudgetedRetriever(leg(snapshot), recall=0.9)
        assert len(retriever.retrieve([Query("lamp")], 3)) == 1
        assert retriever.calibration(3) == Calibration.exact(0.9, 3)
        with pytest.raises(QueryError, match="2 queries to calibrate with"):
            retriever.calibration(3, ["lamp", "sea"])
