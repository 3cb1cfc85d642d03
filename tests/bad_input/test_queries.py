"""Queries that nobody should ask, through the command line and the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.conftest import Run
from tests.contracts.world import encoder
from twindex.indexing.errors import FilterError, QueryError
from twindex.retrieval.engine import Searcher

MODES = ("sparse", "dense", "hybrid")
#: No word in them is in the index.
UNKNOWN = [
    "zzz qqq",
    "🐝🐝",
    "東京タワー",
    "ééé ñ",
    "\ud800x\udfff",
    "a\0b",
    "-",
    "--",
    "';drop table x",
    "%s {}",
    "\u202e",
]
BLANK = ["", " ", "\t\n", "\u3000"]


@pytest.mark.parametrize("query", [*BLANK, *UNKNOWN], ids=ascii)
def test_sparse_queries_without_a_known_word_are_an_empty_list(twindex: Run, index: Path, query: str) -> None:
    outcome = twindex("search", index, "--mode", "sparse", "--json", "--", query)
    assert outcome.status == 0
    assert outcome.json()["hits"] == []
    assert outcome.json()["query"] == query


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", BLANK, ids=ascii)
def test_blank_queries_are_an_empty_list_in_every_mode(twindex: Run, index: Path, query: str, mode: str) -> None:
    outcome = twindex("search", index, query, "--mode", mode, "--json")
    assert (outcome.status, outcome.json()["hits"]) == (0, [])
    assert "no hits" in twindex("search", index, query, "--mode", mode).out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", UNKNOWN, ids=ascii)
def test_odd_queries_have_an_answer_in_text_and_json(twindex: Run, index: Path, query: str, mode: str) -> None:
    for form in ([], ["--json"], ["--explain"], ["--explain", "--json"]):
        assert twindex("search", index, "--mode", mode, *form, "--", query).status == 0


@pytest.mark.parametrize("mode", MODES)
def test_k_at_its_ends(twindex: Run, index: Path, mode: str) -> None:
    def hits(k: int) -> int:
        return len(twindex("search", index, "lamp tide", "-k", k, "--mode", mode, "--json").json()["hits"])

    assert hits(0) == 0
    assert 0 < hits(19) == hits(20) == hits(10**9)
    refused = twindex("search", index, "lamp", "-k", "-1", "--mode", mode)
    assert refused.status == 2
    assert "k = -1" in refused.err
    assert "0 or more" in refused.err
    for wrong in ("ten", "1.5", ""):
        assert twindex("search", index, "lamp", "-k", wrong).status == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_query_of_a_megabyte(twindex: Run, index: Path, mode: str) -> None:
    query = "keeper lamp nowhere " * 52_429
    assert len(query) > 1 << 20
    outcome = twindex("search", index, query, "--mode", mode, "--json", "-k", 3)
    assert outcome.status == 0
    assert outcome.json()["hits"][0]["id"].startswith("lamp")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "number",
        "number >=",
        "= 3",
        "number = 3 or",
        "(" * 5000,
        "number = 1; drop table metadata",
        "\ud800 = 1",
        "nothing = 3",
        "x" * 200_000,
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_filters_that_cannot_be_are_refused(twindex: Run, index: Path, expression: str) -> None:
    outcome = twindex("search", index, "lamp", "--filter", expression)
    assert outcome.status == 2
    assert "error: " in outcome.err
    assert "expected: " in outcome.err
    assert len(outcome.err) < 2000
    with Searcher.open(index, encoder=encoder()) as searcher, pytest.raises(FilterError):
        searcher.search("lamp", filter=expression)


def test_modes_and_options_that_do_not_exist(twindex: Run, index: Path) -> None:
    outcome = twindex("search", index, "lamp", "--mode", "both")
    assert outcome.status == 2
    assert "hybrid, sparse, dense" in outcome.err
    for arguments in (("search", index), ("search",), ("search", index, "x", "--nothing"), ("nothing",)):
        assert twindex(*arguments).status == 2
    with Searcher.open(index) as searcher, pytest.raises(QueryError, match="both"):
        searcher.search("lamp", mode="both")  # type: ignore[arg-type]


@pytest.mark.parametrize("question", [*BLANK, *UNKNOWN, "lamp " * 20_000], ids=lambda text: ascii(text[:20]))
def test_questions(twindex: Run, index: Path, question: str) -> None:
    """What cannot be answered is abstained from, or refused with a reason."""
    outcome = twindex("ask", index, "--json", "--", question)
    assert outcome.status in (0, 2)
    if outcome.status == 2:
        assert "expected" in outcome.err


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"format": "twindex-profile", "version": 99}', ""])
def test_profiles_that_cannot_be_read(twindex: Run, index: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    for path in (tmp_path / "p.json", tmp_path / "missing.json", tmp_path):
        outcome = twindex("search", index, "lamp", "--profile", path)
        assert outcome.status == 2
        assert "error: " in outcome.err
