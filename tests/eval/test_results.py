from __future__ import annotations

from pathlib import Path

import pytest

from twindex.eval.evaluate import evaluate
from twindex.eval.measures import parse_all
from twindex.eval.results import Results, RunRecord
from twindex.indexing.errors import ConfigError, CorruptIndexError, UsageError

REPORT = evaluate(
    {"q1": {"a": 1.0}, "q2": {"b": 1.0, "a": 0.5}}, {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"x": 0}}, parse_all("RR AP")
)
RECORD = RunRecord("r1", "tiny", "test", "bm25", {"k1": 0.9}, {"corpus": "abc"}, {"documents": 2}, 3)


def test_a_run_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.duckdb"
    with Results(path) as store:
        assert not store.has("r1")
        store.add(RECORD, REPORT, {"search_s": 0.5})
        store.add(RECORD, REPORT, {"search_s": 0.25})
    with Results(path) as store:
        assert store.has("r1")
        assert store.runs() == [RECORD]
        assert store.values("r1", "RR") == {"q1": 1.0, "q2": 0.5, "q3": 0.0}
        assert store.scores("r1", "answerable") == {"RR": 0.75, "AP": 0.75}
        assert store.timings("r1") == {"search_s": 0.25}
        columns, rows = store.sql(
            "select dataset, avg(value) as mean from runs join per_query using (run_id) group by 1"
        )
        assert columns == ["dataset", "mean"]
        assert rows == [("tiny", 0.5)]


def test_the_latest_run_of_a_system(tmp_path: Path) -> None:
    with Results(tmp_path / "r.duckdb") as store:
        with pytest.raises(ConfigError, match="none ran yet"):
            store.find(dataset="tiny", split="test", system="bm25")
        store.add(RECORD, REPORT, {})
        assert store.find(dataset="tiny", split="test", system="bm25") == RECORD
        with pytest.raises(ConfigError, match="bm25"):
            store.find(dataset="tiny", split="test", system="dense")


def test_comparisons_are_replaced_as_a_family(tmp_path: Path) -> None:
    with Results(tmp_path / "r.duckdb") as store:
        rows = [("tiny", "RR", "a", "b", {"p": 0.5})]
        store.put_comparisons("main", rows)
        store.put_comparisons("main", rows)
        assert store.comparisons("main") == rows
        assert store.comparisons("other") == []


def test_files_and_queries_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.duckdb").write_text("this is no database, but a text of some length" * 100)
    with pytest.raises(CorruptIndexError, match="cannot be opened"):
        Results(tmp_path / "bad.duckdb")
    with Results(tmp_path / "r.duckdb") as store, pytest.raises(UsageError, match="SQL"):
        store.sql("select * from nowhere")


def test_a_failed_insert_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Results(tmp_path / "r.duckdb") as store:
        monkeypatch.setattr(store, "_insert_values", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.add(RECORD, REPORT, {})
        assert store.runs() == []
