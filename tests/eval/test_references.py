from __future__ import annotations

from pathlib import Path

import pytest

from twindex.eval.references import Condition, judge, judge_all, load_conditions, read_conditions, worst
from twindex.eval.registry import collections
from twindex.indexing.errors import CorpusError


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (0.6789, "OK"),
        (0.6759, "OK"),
        (0.6819, "OK"),
        (0.6758, "near"),
        (0.6834, "near"),
        (0.6743, "FAIL"),
        (0.6836, "FAIL"),  # too good is as wrong as too bad
    ],
)
def test_verdicts_have_two_sides(found: float, verdict: str) -> None:
    check = judge("nDCG@10", 0.6789, found, 0.003)
    # Published figures have four decimals, so half a unit of the last one is within.
    assert check.verdict == verdict
    assert check.difference == pytest.approx(found - 0.6789)


def test_exact_statistics_and_explanations() -> None:
    assert judge("documents", 5183, 5183, 0).verdict == "OK"
    assert judge("documents", 5183, 5184, 0).verdict == "FAIL"
    odd = Condition("bm25", {"nDCG@10": 0.5}, {"nDCG@10": 0.01}, "somewhere", explained="two pages")
    assert [c.verdict for c in judge_all(odd, {"nDCG@10": 0.6})] == ["explained"]
    assert [c.verdict for c in judge_all(odd, {"nDCG@10": 0.505})] == ["OK"]
    assert worst(["OK", "near", "explained"]) == "near"
    assert worst(["OK", "FAIL", "near"]) == "FAIL"
    assert worst([]) == "OK"


def test_shipped_conditions_are_sound() -> None:
    files = load_conditions()
    assert len({(f.dataset, f.split) for f in files}) == len(files) >= 45
    scifact = next(f for f in files if f.dataset == "scifact")
    assert scifact.conditions[0].expected == {"nDCG@10": 0.6789, "R@100": 0.9253}
    assert scifact.statistics["documents"] == 5183
    assert {c.system for c in scifact.conditions} == {"bm25", "all-MiniLM-L6-v2@fp32", "all-MiniLM-L6-v2@int8"}
    known = collections()
    for file in files:
        assert file.conditions
        assert all(c.source for c in file.conditions)
        if file.dataset in known:
            assert file.split == known[file.dataset].split


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "dataset: a",
        "dataset: a\nsplit: test\nconditions:\n  - system: bm25",
        "dataset: a\nsplit: test\nconditions:\n  - {system: bm25, expected: {nDCG@10: 1}, tolerance: {}, source: x}",
        "dataset: a\nsplit: test\nconditions:\n"
        "  - {system: bm25, expected: {F1@10: 1}, tolerance: {F1@10: 1}, source: x}",
        "dataset: [",
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(CorpusError, match=r"bad\.yaml"):
        read_conditions(path)
