"""``twindex expand``: from a corpus to a store, resumed, looked into, exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.rag.endpoint import chat, serving
from twindex.api.cli import main
from twindex.indexing.expansion.records import content_hash
from twindex.indexing.expansion.store import ExpansionStore

DOCUMENTS = [
    ("bee", "Honey bees", "Honey bees fan nectar with their wings. Bees seal honey in wax cells."),
    ("hive", "The hive", "Bees build wax cells in the hive. Nectar becomes honey. Wax cells hold honey."),
    ("fly", "Fly ash", "Concrete grows hot while cement hydrates. Fly ash lowers the heat of cement."),
    ("lime", "Cement", "Cement is made of lime. Concrete needs cement and water. Lime and heat make cement."),
]


KEYWORDS = ("--method", "keywords", "--encoder", "hashing")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": i, "title": t, "text": x}) + "\n" for i, t, x in DOCUMENTS))
    return path


@pytest.fixture
def twindex(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object, status: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert (left.value.code or 0) == status, captured.err
        return captured.out if status == 0 else captured.err

    return run


def test_keywords_need_no_model_and_give_the_same_store_twice(twindex: Any, corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        out = tmp_path / name
        said = twindex("expand", corpus, "--out", out, *KEYWORDS, "--queries-per-doc", 3)
        assert "4 of 4 passages have their queries" in said
    logs = [(tmp_path / name / "expansion.log").read_bytes() for name in ("one", "two")]
    assert logs[0] == logs[1]
    again = twindex("expand", corpus, "--out", tmp_path / "one", *KEYWORDS, "--queries-per-doc", 3, "--json")
    assert json.loads(again)["report"]["already"] == 4
    assert (tmp_path / "one" / "expansion.log").read_bytes() == logs[0]


def test_an_endpoint_names_topics_and_writes_queries(twindex: Any, corpus: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serving(chat("bees, wax\ncement\nsomething\nhoney")) as endpoint:
        command = ("expand", corpus, "--out", store, "--encoder", "hashing", "--generator", f"openai:m@{endpoint.url}",
                   "--queries-per-doc", 3, "--workers", 1)  # fmt: skip
        dry = json.loads(twindex(*command, "--dry-run", "--json", "--price-in", 1, "--price-out", 1))
        assert dry["estimate"]["pending"] == 4
        assert dry["estimate"]["requests"] == 8
        assert dry["price"] > 0
        assert "report" not in dry
        stopped = json.loads(twindex(*command, "--max-drafts", 1, "--json"))
        assert stopped["report"]["stopped"] == "1 drafts"
        assert "4 of 4 passages have their queries" in twindex(*command)
        asked = len(endpoint.bodies)
        twindex(*command)
        assert len(endpoint.bodies) == asked
    shown = json.loads(twindex("expand", "show", store, "bee", "--corpus", corpus, "--json"))
    (expansion,) = shown[0]["expansions"]
    assert expansion["name"] == "doc2query++"
    assert expansion["topics"][0]["label"]
    queries = [query["query"] for query in expansion["queries"]]
    assert queries[0] == " ".join(expansion["keywords"])
    assert "bees, wax" in queries[1:]
    text = twindex("expand", "show", store, content_hash("Honey bees " + DOCUMENTS[0][2]).hex(), "-n", 1)
    assert "bees, wax" in text
    assert "something" not in text
    rows = json.loads(twindex("expand", "stats", store, "--json"))
    assert [row["documents"] for row in rows] == [4]
    assert "doc2query++" in twindex("expand", "stats", store)
    twindex("expand", "export", store, tmp_path / "all.xz")
    with ExpansionStore.open(tmp_path / "all.xz") as copy, ExpansionStore.open(store) as whole:
        assert len(copy) == len(whole)


def test_scores_are_kept_and_shown(twindex: Any, corpus: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    twindex("expand", corpus, "--out", store, *KEYWORDS, "--queries-per-doc", 3)
    first = json.loads(twindex("expand", "score", store, corpus, "--encoder", "hashing", "--json"))
    assert (first["documents"], first["sets"], first["already"]) == (4, 4, 0)
    assert "4 sets had scores already" in twindex("expand", "score", store, corpus, "--encoder", "hashing")
    shown = json.loads(twindex("expand", "show", store, "bee", "--corpus", corpus, "--json"))
    queries = shown[0]["expansions"][0]["queries"]
    assert queries
    assert all(-1 <= query["score"] <= 1 for query in queries)
    assert json.loads(twindex("expand", "stats", store, "--json"))[0]["scored"] == first["queries"]


def test_wrong_requests(twindex: Any, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    assert "writes no queries" in twindex("expand", corpus, "--out", out, status=2)
    assert "--method 'magic'" in twindex("expand", corpus, "--out", out, "--method", "magic", status=2)
    assert "no expansion store" in twindex("expand", "show", out / "none", "x", status=3)
    twindex("expand", corpus, "--out", out, "--method", "keywords", "--encoder", "hashing")
    assert "32 hexadecimal digits" in twindex("expand", "show", out, "bee", status=2)
    assert "no document 'ant'" in twindex("expand", "show", out, "ant", "--corpus", corpus, status=2)
    assert "ends in .xz" in twindex("expand", "export", out, out / "a.gz", status=2)
    other = ("expand", corpus, "--out", out, "--method", "keywords", "--encoder", "hashing:64")
    assert "were made with" in twindex(*other, status=3)
