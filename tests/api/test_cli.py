"""The command line: what it prints, the JSON that machines read, and what wrong requests lead to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from twindex.api.cli import main


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def twindex(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        code = left.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


def test_search_json_has_the_documented_shape(twindex: Any, index: Path) -> None:
    found = twindex("search", index, "largest animal", "--json", "-k", 3).json()
    assert {"query", "mode", "hits", "took_ms"} <= set(found)
    assert found["query"] == "largest animal"
    assert found["mode"] == "hybrid"
    hit = found["hits"][0]
    assert hit["id"] == "whale"
    assert hit["title"] == "Blue whale"
    assert hit["text"].startswith("The blue whale")
    assert hit["metadata"] == {"kind": "animal", "year": 2019}
    assert isinstance(hit["score"], float)


@pytest.mark.parametrize("mode", ["sparse", "dense", "hybrid"])
def test_three_modes_find_the_document(twindex: Any, index: Path, mode: str) -> None:
    found = twindex("search", index, "pull of the moon", "--mode", mode, "--json").json()
    assert found["mode"] == mode
    assert found["hits"][0]["id"] == "tide"


def test_filter_reaches_every_mode(twindex: Any, index: Path) -> None:
    for mode in ("sparse", "dense", "hybrid"):
        found = twindex("search", index, "moon", "--mode", mode, "--filter", "year = 2020", "--json").json()
        assert {hit["id"] for hit in found["hits"]} == {"moon"}


def test_search_text_and_explanation(twindex: Any, index: Path) -> None:
    outcome = twindex("search", index, "honey", "--explain")
    assert outcome.status == 0
    assert "bee" in outcome.out
    assert "idf" in outcome.out


@pytest.mark.parametrize("query", ["", "   ", "zzzqqqxxx", "\x00", "🐝🐝", "蜂蜜", "é" * 10])
def test_queries_without_a_match_are_an_empty_list(twindex: Any, sparse_index: Path, query: str) -> None:
    outcome = twindex("search", sparse_index, query, "--mode", "sparse", "--json")
    assert outcome.status == 0
    assert outcome.json()["hits"] == []


def test_k_zero_and_k_beyond_the_corpus(twindex: Any, index: Path) -> None:
    assert twindex("search", index, "moon", "-k", 0, "--json").json()["hits"] == []
    hits = twindex("search", index, "moon", "-k", 1000, "--mode", "dense", "--json").json()["hits"]
    assert len(hits) == 5


def test_a_query_of_a_megabyte(twindex: Any, index: Path) -> None:
    outcome = twindex("search", index, "moon " * 200_000, "--json")
    assert outcome.status == 0
    assert outcome.json()["hits"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("search", "{missing}", "x"), 3, "index"),
        (("search", "{index}", "x", "-k", "-1"), 2, "k"),
        (("search", "{index}", "x", "--mode", "both"), 2, "hybrid"),
        (("search", "{index}", "x", "--filter", "year >="), 2, "expected"),
        (("search", "{index}", "x", "--filter", "colour = 'red'"), 2, "kind"),
        (("search", "{sparse}", "x", "--mode", "dense"), 2, "dense"),
        (("index", "{corpus}", "--into", "{index}"), 3, "add"),
        (("index", "{missing}", "--into", "{new}"), 2, "missing"),
        (("index", "{corpus}", "--into", "{new}", "--analyzer", "klingon"), 2, "english"),
        (("index", "{corpus}", "--into", "{new}", "--encoder", "no-such-model"), 4, "no-such-model"),
        (("index", "{corpus}", "--into", "{new}", "--on-error", "maybe"), 2, "skip"),
        (("index", "{corpus}", "--into", "{new}", "--chunk", "bits:3"), 2, "words"),
        (("ask", "{index}", "what?", "--generator", "oracle"), 2, "extractive"),
        (("delete", "{index}"), 2, "id"),
    ],
)
def test_wrong_requests_are_messages(
    twindex: Any,
    index: Path,
    sparse_index: Path,
    corpus: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    places = {
        "{missing}": tmp_path / "missing",
        "{new}": tmp_path / "new",
        "{index}": index,
        "{sparse}": sparse_index,
        "{corpus}": corpus,
    }
    outcome = twindex(*(places.get(argument, argument) for argument in arguments))
    assert outcome.status == status, outcome.err
    assert words in outcome.err


def test_add_delete_merge_info_verify(twindex: Any, index: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(index, mine)
    more = tmp_path / "more.jsonl"
    more.write_text('{"_id": "bee", "text": "A hive has one queen."}\n{"_id": "ant", "text": "Ants farm fungus."}\n')
    assert twindex("add", mine, more, "--json").json()["documents"] == 2
    assert twindex("search", mine, "nectar", "--mode", "sparse", "--json").json()["hits"] == []
    assert twindex("search", mine, "queen", "--mode", "sparse", "--json").json()["hits"][0]["id"] == "bee"
    assert twindex("delete", mine, "ant", "nobody", "--json").json()["deleted"] == 1
    assert twindex("search", mine, "fungus", "--mode", "sparse", "--json").json()["hits"] == []
    assert twindex("merge", mine, "--json").json()["segments"] == 1
    assert twindex("verify", mine, "--json").json()["ok"] is True
    info = twindex("info", mine, "--json").json()
    assert info["documents"] == 5
    assert twindex("info", mine).status == 0


def test_verify_finds_a_flipped_byte(twindex: Any, index: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(index, mine)
    victim = next(mine.rglob("post.doc"))
    data = bytearray(victim.read_bytes())
    data[0] ^= 1
    victim.write_bytes(data)
    outcome = twindex("verify", mine)
    assert outcome.status == 3
    assert "post.doc" in outcome.err


def test_skipped_lines_are_counted_and_named(twindex: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"_id": "a", "text": "fine"}\nnot json\n{"text": "no id"}\n')
    refused = twindex("index", broken, "--into", tmp_path / "i1", "--encoder", "none")
    assert refused.status == 2
    assert "broken.jsonl:2" in refused.err
    report = twindex("index", broken, "--into", tmp_path / "i2", "--encoder", "none", "--on-error", "skip", "--json")
    assert report.json()["documents"] == 1
    assert report.json()["skipped_records"] == 2


def test_ask_cites_what_it_says(twindex: Any, index: Path) -> None:
    answer = twindex("ask", index, "What do honey bees store inside the hive?", "--json").json()
    assert not answer["abstained"]
    citation = answer["citations"][0]
    assert citation["doc_id"] == "bee"
    assert citation["quote"] in DOCUMENT_TEXT["bee"]


def test_ask_abstains_without_support(twindex: Any, index: Path) -> None:
    answer = twindex("ask", index, "Who won the chess championship?", "--json").json()
    assert answer["abstained"]
    assert answer["citations"] == []


def test_doctor_and_version(twindex: Any) -> None:
    assert twindex("doctor", "--json").json()["twindex"]
    assert twindex("--version").out.startswith("twindex ")


def test_help_names_every_command(twindex: Any) -> None:
    outcome = twindex("--help")
    for command in ("index", "add", "delete", "merge", "info", "verify", "search", "ask", "serve", "eval", "demo"):
        assert command in outcome.out


DOCUMENT_TEXT = {"bee": "Honey bees store nectar as honey inside the hive. They dance to tell where flowers are."}
