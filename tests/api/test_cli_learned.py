"""A learned leg and a reranker from the command line: indexed, added to, searched, explained, evaluated."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_cli import twindex
from tests.eval.made_up import make_collection
from tests.indexing import tiny_bert
from tests.indexing.test_cross_encoder import arrays
from twindex.indexing.encoders.bert_weights import SafetensorsBert
from twindex.indexing.encoders.cross_encoder import open_cross_encoder
from twindex.indexing.encoders.pair_graph import ScoreHead, pair_graph

__all__ = ["twindex"]
SPARSE = ("--sparse", "bm25,learned", "--sparse-encoder", "sparse-hashing:512")


@pytest.fixture
def learned(twindex: Any, corpus: Path, tmp_path: Path) -> Path:
    path = tmp_path / "learned"
    made = twindex("index", corpus, "--into", path, "--encoder", "hashing", *SPARSE, "--json")
    assert made.status == 0, made.err
    assert made.json()["impacts"]["postings"] > 0
    return path


def test_each_choice_of_sparse_legs(twindex: Any, learned: Path) -> None:
    for choice, legs in (("bm25", None), ("learned", None), ("both", {"bm25", "learned"})):
        found = twindex("search", learned, "honey", "--mode", "sparse", "--sparse", choice, "--json").json()
        assert found["hits"][0]["id"] == "bee"
        assert found.get("fusion", {}).get("legs", {}).keys() == (legs or set())
    plain = twindex("search", learned, "honey", "--json").json()
    assert set(plain["fusion"]["legs"]) == {"bm25", "learned", "dense"}
    wrong = twindex("search", learned, "honey", "--sparse", "words")
    assert wrong.status == 2
    assert "bm25, learned or both" in wrong.err


def test_explanations_say_what_an_expansion_is(twindex: Any, learned: Path) -> None:
    shown = twindex("search", learned, "honey", "--mode", "sparse", "--sparse", "learned", "--explain")
    assert "weight in the query (idf, times the root of its count)" in shown.out
    found = twindex("search", learned, "honey", "--mode", "sparse", "--sparse", "learned", "--explain", "--json").json()
    branch = found["hits"][0]["explanation"]["details"][0]
    assert {"term", "token", "idf", "weight", "impact", "in_text", "in_query"} == set(branch["data"])
    assert branch["data"]["in_text"] is True


def test_cut_queries_and_two_phases(twindex: Any, learned: Path) -> None:
    one = ("search", learned, "honey inside the hive", "--mode", "sparse", "--sparse", "learned", "--json")
    whole, quick = twindex(*one).json(), twindex(*one, "--two-phase", "0.5").json()
    assert [(h["id"], h["score"]) for h in quick["hits"]] == [(h["id"], h["score"]) for h in whole["hits"]]
    assert twindex(*one, "--prune", "0.9").status == 0
    assert twindex(*one, "--prune", "1.5").status == 2
    assert twindex(*one, "--idf", "index").status == 0


def test_budgets_and_recalls(twindex: Any, learned: Path, tmp_path: Path) -> None:
    one = ("search", learned, "honey inside the hive", "--mode", "sparse", "--sparse", "learned", "--json")
    whole = twindex(*one).json()["hits"]
    for option in (("--budget", "0.5"), ("--recall", "0.9")):  # a single query is answered exactly
        assert [h["id"] for h in twindex(*one, *option).json()["hits"]] == [h["id"] for h in whole]
    assert twindex(*one, "--budget", "0").status == 2
    assert "at once" in twindex(*one, "--budget", "0.5", "--recall", "0.9").err
    few = tmp_path / "few.txt"
    few.write_text("honey\nhive\n")
    pytest.importorskip("numba")
    assert "2 queries to calibrate with" in twindex("eval", "recall", learned, "--queries", few).err
    asked = tmp_path / "queries.jsonl"
    asked.write_text('{"_id": "1", "text": "honey inside the hive"}\n' * 24)
    profile = tmp_path / "profile.json"
    found = twindex("eval", "recall", learned, "--queries", asked, "--recall", "0.9", "--write", profile, "--json", "-")
    assert found.status == 0, found.err
    assert found.json()["told_of"] == 12
    assert found.json()["reached"] == 1.0
    assert json.loads(profile.read_text())["calibrations"] == [found.json()]
    assert twindex(*one, "--profile", profile, "--recall", "0.9").status == 0
    shown = twindex("eval", "recall", learned, "--queries", asked, "-k", "3", "--profile", profile, "--write", profile)
    assert "recall 0.95 at 3" in shown.out
    assert len(json.loads(profile.read_text())["calibrations"]) == 2
    assert "nowhere.txt" in twindex("eval", "recall", learned, "--queries", tmp_path / "nowhere.txt").err
    assert twindex(*one, "--idf", "mine").status == 2


def test_documents_are_added_with_both_encoders(twindex: Any, learned: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"_id": "salt", "text": "Salt keeps bread and honey from spoiling."}) + "\n")
    assert twindex("add", learned, more).status == 0
    found = twindex("search", learned, "spoiling", "--mode", "sparse", "--sparse", "learned", "--json").json()
    assert [hit["id"] for hit in found["hits"]][:1] == ["salt"]
    facts = twindex("info", learned, "--json").json()
    assert facts["sparse_encoder"]["name"] == "sparse-hashing:512"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sparse", "learned"), "bm25, or bm25,learned"),
        (("--sparse-encoder", "sparse-hashing"), "--sparse bm25,learned"),
        (("--sparse", "bm25,learned", "--sparse-encoder", "no-such-twin"), "no-such-twin"),
    ],
)
def test_wrong_choices_for_an_index(
    twindex: Any,
    corpus: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    outcome = twindex("index", corpus, "--into", tmp_path / "i", "--encoder", "hashing", *arguments)
    assert outcome.status != 0
    assert said in outcome.err
    assert not (tmp_path / "i").exists()


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cross-encoder of two small layers with random weights."""
    folder = tmp_path_factory.mktemp("cross") / "tiny-cross"
    folder.mkdir()
    made = arrays()
    tiny_bert.write_safetensors(folder / "w", made)
    head = ScoreHead(made["head.score.weight"].reshape(-1), made["head.score.bias"])
    content = pair_graph(SafetensorsBert(folder / "w", tiny_bert.SHAPE), head, "int8", tiny_bert.POSITIONS)
    (folder / "w").unlink()
    (folder / "model.onnx").write_bytes(content)
    about = {"kind": "rerank", "max_length": 40, "sha256": {"model.onnx": sha256(content).hexdigest()}}
    (folder / "rerank.json").write_text(json.dumps(about))
    return folder


def test_a_reranker_from_a_folder(twindex: Any, learned: Path, reranker: Path) -> None:
    asked = ("search", learned, "moon", "--rerank", "3", "--rerank-weight", "1", "--reranker", reranker)
    found = twindex(*asked, "--json", "--explain").json()
    assert found["reranked"] == {"name": str(reranker), "depth": 3, "weight": 1}
    found["hits"] = found["hits"][:3]
    plain = twindex("search", learned, "moon", "--json").json()["hits"][:3]
    assert {hit["id"] for hit in found["hits"]} == {hit["id"] for hit in plain}
    scorer = open_cross_encoder(reranker)
    texts = {hit["id"]: f"{hit['title']} {hit['text']}" for hit in plain}
    scores = {name: float(scorer.score("moon", [text])[0]) for name, text in texts.items()}
    low, high = min(scores.values()), max(scores.values())
    for hit in found["hits"]:
        assert hit["score"] == pytest.approx((scores[hit["id"]] - low) / (high - low), abs=1e-4)
        assert hit["explanation"]["data"]["reranker"] == str(reranker)
    assert "3 reranked by" in twindex(*asked).out
    missing = twindex("search", learned, "moon", "--rerank", "3", "--reranker", "no-such-reranker")
    assert missing.status != 0
    assert "no reranker 'no-such-reranker'" in missing.err


def test_an_index_is_evaluated_with_its_own_encoders(twindex: Any, tmp_path: Path) -> None:
    folder = make_collection(tmp_path / "data", "made-up")
    path, cache = tmp_path / "own", ("--cache", tmp_path / "cache", "--json", "-")
    first = twindex(
        "eval",
        "beir",
        folder,
        "--index",
        path,
        "--encoder",
        "hashing:24",
        "--sparse-encoder",
        "sparse-hashing:256",
        *cache,
    )
    assert first.status == 0, first.err
    again = twindex("eval", "beir", folder, "--index", path, *cache)  # names no encoder, and needs none
    assert again.status == 0, again.err
    assert again.json()["measures"] == first.json()["measures"]
    config = again.json()["config"]
    assert (config["encoder"]["name"], config["sparse_encoder"]["name"]) == ("hashing:24", "sparse-hashing:256")
    alone = twindex("eval", "beir", folder, "--index", path, "--mode", "sparse", "--sparse", "learned", *cache).json()
    assert alone["config"]["search"] == {"sparse": "learned"}
    assert alone["measures"] != first.json()["measures"]


def test_the_matrix_of_three_legs(twindex: Any, tmp_path: Path) -> None:
    make_collection(tmp_path / "data", "one", seed=1)
    cache = ("--cache", tmp_path / "cache", "--json", "-")
    learned_leg = ("--encoder", "hashing:16", "--sparse-encoder", "sparse-hashing:256")
    outcome = twindex("eval", "matrix", tmp_path / "data", *learned_leg, "--also", "wide=hashing:64", *cache)
    assert outcome.status == 0, outcome.err
    systems = ["bm25", "learned", "dense", "wide", "bm25+dense", "learned+dense", "rrf", "convex", "tuned"]
    assert outcome.json()["systems"] == systems
    profile = tmp_path / "p.json"
    tuned = twindex("eval", "tune", tmp_path / "data" / "one", *learned_leg, "--profile", profile, *cache)
    assert tuned.status == 0, tuned.err
    assert json.loads(profile.read_text())["format"] == "twindex-profile"
    assert twindex("eval", "matrix", tmp_path / "data", "--also", "nothing", *cache).status == 2


def test_the_matrix_with_a_reranker(twindex: Any, tmp_path: Path, reranker: Path) -> None:
    make_collection(tmp_path / "data", "one", seed=1, queries=12)
    cache = ("--cache", tmp_path / "cache", "--json", "-")
    plain = ("eval", "matrix", tmp_path / "data", "--encoder", "hashing:16", *cache)
    outcome = twindex(*plain, "--rerank", "4", "--reranker", reranker)
    assert outcome.status == 0, outcome.err
    assert outcome.json()["systems"] == ["bm25", "dense", "rrf", "convex", "tuned", "rerank"]
    alone = twindex(
        *("eval", "beir", tmp_path / "data" / "one", "--encoder", "hashing:16", *cache),
        *("--rerank", "4", "--reranker", reranker),
    ).json()
    assert outcome.json()["means"]["rerank"] == pytest.approx(alone["measures"]["nDCG@10"], abs=1e-9)
