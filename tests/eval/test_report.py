from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twindex.eval.compare import TestOptions, adjust, compare
from twindex.eval.evaluate import Report
from twindex.eval.measures import parse_all
from twindex.eval.report import ReportOptions, render_markdown, write_report
from twindex.eval.report_data import MATRIX_NOTE, gather
from twindex.eval.report_html import render_html
from twindex.eval.results import Results, RunRecord
from twindex.eval.svg import Axis, bars
from twindex.indexing.errors import ConfigError

SYSTEMS = ("bm25", "dense", "rrf", "tuned")
SETS = ("alpha", "beta <script>")


def fill(store: Results, sets: tuple[str, ...] = SETS, queries: int = 80) -> None:
    """A made-up matrix: what a run of it leaves in the store."""
    rng = np.random.default_rng(0)
    measures = parse_all("nDCG@10 R@100")
    note: dict[str, Any] = {
        "measure": "nDCG@10", "measures": ["nDCG@10", "R@100"], "systems": list(SYSTEMS), "sets": [], "overall": [],
        "changes": [{
            "dataset": sets[0], "query_id": "q1", "a": "tuned", "b": "bm25", "a_value": 1.0, "b_value": 0.0,
            "a_hits": [["d<1>", 1], ["d2", None]], "b_hits": [["d3", 0]],
        }],
        "tuning": [{
            "dataset": sets[0], "protocol": "5 folds", "chosen": "convex(0.4)", "out_of_fold": 0.61, "gated": 0.62,
            "oracle": 0.7,
        }],
    }  # fmt: skip
    rows = []
    for dataset in sets:
        base = rng.random(queries) * 0.5
        runs, values = {}, {}
        for place, system in enumerate(SYSTEMS):
            values[system] = np.clip(base + 0.08 * place + rng.normal(0, 0.1, queries), 0, 1)
            names = tuple(f"q{i}" for i in range(queries))
            judged = np.ones(queries, np.bool_)
            report = Report(names, dict.fromkeys(measures, values[system]), judged, judged)
            run_id = f"{dataset}-{system}"
            record = RunRecord(
                run_id, dataset, "test", system, {"k": place}, {}, {"bytes": 10**6 * (place + 1), "documents": 1000},
                queries,
            )  # fmt: skip
            store.add(record, report, {"query_ms": 0.5 + place})
            runs[system] = run_id
        found = adjust([compare(values["bm25"], values[s], TestOptions(resamples=500)) for s in SYSTEMS[1:]])
        rows += [(dataset, "nDCG@10", "bm25", s, c.to_dict()) for s, c in zip(SYSTEMS[1:], found)]
        note["sets"].append({
            "dataset": dataset, "split": "test", "reference": "bm25", "contrast": "tuned", "runs": runs,
            "answerable": [],
        })  # fmt: skip
        note["overall"].append({"a": "tuned", "b": "bm25"} | found[-1].to_dict())
    store.put_comparisons(MATRIX_NOTE, rows)
    store.put_note(MATRIX_NOTE, note)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "results.duckdb"
    with Results(path) as store:
        fill(store)
    return path


class Checker(HTMLParser):
    """Balanced tags, and no address outside the page."""

    VOID = ("meta", "line", "rect", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID or tag == "circle":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_stands_alone(results: Path) -> None:
    with Results(results) as store:
        page = render_html(gather(store))
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.links == []
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "beta <script>" not in page
    assert "d&lt;1&gt;" in page
    assert page.count("<svg") == len(SETS) + 2 * (1 + 2)  # intervals and scatter plots also for telephones
    assert "viewport" in page


def test_the_numbers_in_the_report_are_those_of_the_store(results: Path) -> None:
    with Results(results) as store:
        data = gather(store)
        for row in data.sets:
            for system, cell in row.cells.items():
                values = list(store.values(f"{row.dataset}-{system}", "nDCG@10").values())
                assert cell.value == pytest.approx(np.mean(values))
                assert cell.low < cell.value < cell.high
        assert data.means["tuned"] == pytest.approx(np.mean([s.cells["tuned"].value for s in data.sets]))
        assert data.sets[0].cells["tuned"].mark == "+"
        assert data.sets[0].cells["bm25"].mark == ""
        assert data.differences[0].wins + data.differences[0].losses + data.differences[0].ties == 80
        assert data.to_dict()["sets"][0]["marks"]["tuned"] == "+"


def test_markdown_has_every_set_and_system(results: Path, tmp_path: Path) -> None:
    data = write_report(ReportOptions(results, tmp_path / "r.md", tmp_path / "r.html"))
    text = (tmp_path / "r.md").read_text()
    assert text == render_markdown(data)
    for name in (*SYSTEMS, *SETS):
        assert name in text
    assert "▲" in text
    assert "| convex(0.4) | 0.6100 | 0.6200 | 0.7000 |" in text
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no result file"):
        write_report(ReportOptions(tmp_path / "none.duckdb"))
    Results(tmp_path / "empty.duckdb").close()
    with pytest.raises(ConfigError, match="no matrix"):
        write_report(ReportOptions(tmp_path / "empty.duckdb"))


@pytest.mark.parametrize("logarithmic", [False, True])
def test_axes(logarithmic: bool) -> None:
    axis = Axis(0.1, 100, 0, 300, logarithmic=logarithmic)
    assert (axis.at(0.1), axis.at(100)) == (0, 300)
    ticks = axis.ticks()
    assert ticks == sorted(ticks)
    assert all(0.1 <= t <= 100 for t in ticks)
    assert len(ticks) >= 3


def test_plots_of_nothing_are_no_error() -> None:
    assert "<svg" in bars([], "empty")
    assert "<svg" in bars([0.0, 0.0], "ties")
