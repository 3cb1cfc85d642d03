"""Generated queries from the command line: indexed from a store, added with it, searched with options, explained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from twindex.api.cli import main
from twindex.indexing.expansion.records import Record, content_hash
from twindex.indexing.expansion.writer import ExpansionWriter

DOCUMENTS = {
    "tide": "The sea rises and falls twice a day.",
    "bee": "Bees bring nectar to the hive.",
    "lamp": "The keeper lights the lamp at dusk.",
}
GENERATED = {
    "tide": [("what does the moon do to oceans", 0.9), ("why do waters rise", 0.8), ("best pizza toppings", 0.1)],
    "bee": [("which insects make honey", 0.7), ("who gathers pollen", 0.6)],
}


@pytest.fixture
def twindex(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object, status: int = 0) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert (left.value.code or 0) == status, captured.err
        return json.loads(captured.out) if "--json" in arguments and not status else captured.out + captured.err

    return run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write(tmp_path / "docs.jsonl", DOCUMENTS)


def write(path: Path, documents: dict[str, str]) -> Path:
    rows = [json.dumps({"_id": name, "text": text}) + "\n" for name, text in documents.items()]
    path.write_text("".join(rows))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with ExpansionWriter(tmp_path / "store") as writer:
        for name, keep in (("plain", 1), ("guided", 3)):
            config = writer.configure({"name": name, "method": f"{name} method"})
            records = []
            for doc, pairs in GENERATED.items():
                hash_ = content_hash(DOCUMENTS[doc])
                records.append(Record(config, hash_, "queries", 0, [query for query, _ in pairs[:keep]]))
                scores: Sequence[float] = [score for _, score in pairs[:keep]]
                records.append(Record(config, hash_, "scores", 0, {"by": "test", "values": list(scores)}))
            writer.append(records)
    return tmp_path / "store"


def test_a_store_is_indexed_searched_and_explained(twindex: Any, corpus: Path, store: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    options = ("--encoder", "none", "--expansion", store, "--expansion-config", "guided")
    said = twindex("index", corpus, "--into", index, *options)
    assert "5 generated queries of 2 passages; the store has none for 1" in said
    facts = twindex("info", index, "--json")["expansion"]
    assert (facts["method"], facts["limit"], facts["queries"]) == ("guided method", 30, 5)
    hits = twindex("search", index, "oceans", "--mode", "sparse", "--json", "--explain")["hits"]
    assert [hit["id"] for hit in hits] == ["tide"]
    assert hits[0]["explanation"]["details"][0]["data"]["queries"] == ["what does the moon do to oceans"]
    shown = twindex("search", index, "oceans", "--mode", "sparse", "--explain")
    assert "in generated queries" in shown
    assert "no hits" in twindex("search", index, "oceans", "--mode", "sparse", "--no-expansion")
    heavy, light = (
        twindex("search", index, "waters rise", "--mode", "sparse", "--json", "--field-weight", w)["hits"][0]["score"]
        for w in (2, 0.1)
    )
    assert heavy != light
    assert "verif" in twindex("verify", index) or "as the manifest says" in twindex("verify", index)


def test_which_queries_are_indexed_is_chosen(twindex: Any, corpus: Path, store: Path, tmp_path: Path) -> None:
    base = ("index", corpus, "--encoder", "none", "--expansion", store, "--json")
    some = twindex(*base, "--into", tmp_path / "a", "--expansion-config", "guided", "--queries-per-doc", 1)
    assert some["expansion"] == {"queries": 2, "passages": 2}
    filtered = twindex(*base, "--into", tmp_path / "b", "--expansion-config", "guided", "--drop-queries", 0.3)
    assert filtered["expansion"] == {"queries": 4, "passages": 2}
    assert "no hits" in twindex("search", tmp_path / "b", "pizza", "--mode", "sparse")
    plain = twindex(*base, "--into", tmp_path / "c", "--expansion-config", "plain")
    assert plain["expansion"]["queries"] == 2
    assert "plain" in twindex(*base[:-1], "--into", tmp_path / "d", status=2)  # two configurations: which?


def test_documents_are_added_with_the_store_of_the_index(
    twindex: Any, corpus: Path, store: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    one = write(tmp_path / "one.jsonl", {"lamp": DOCUMENTS["lamp"]})
    rest = write(tmp_path / "rest.jsonl", {"tide": DOCUMENTS["tide"]})
    twindex("index", one, "--into", index, "--encoder", "none", "--expansion", store, "--expansion-config", "guided")
    assert twindex("add", index, rest, "--expansion", store, "--json")["expansion"] == {"queries": 3, "passages": 1}
    assert twindex("search", index, "oceans", "--mode", "sparse", "--json")["hits"]
    assert twindex("add", index, rest, "--json")["expansion"] == {"queries": 0, "passages": 0}
    assert not twindex("search", index, "oceans", "--mode", "sparse", "--json")["hits"]


def test_what_does_not_fit_together_is_said(twindex: Any, corpus: Path, store: Path, tmp_path: Path) -> None:
    base = ("index", corpus, "--into", tmp_path / "i", "--encoder", "none")
    assert "--expansion STORE" in twindex(*base, "--queries-per-doc", 3, status=2)
    assert "twindex expand" in twindex(*base, "--expansion", tmp_path / "nowhere", status=3)
    assert "at least 1" in twindex(
        *base, "--expansion", store, "--expansion-config", "plain", "--queries-per-doc", 0, status=2
    )
    twindex(*base)
    assert "without expansions" in twindex("add", tmp_path / "i", corpus, "--expansion", store, status=2)
    assert "--expansion STORE" in twindex("search", tmp_path / "i", "sea", "--expansion", "--mode", "sparse", status=2)
