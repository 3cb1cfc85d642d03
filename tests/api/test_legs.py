"""A learned-sparse leg and a reranker, from the creation of an index over REST to searches and answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.api.conftest import DOCUMENTS
from tests.api.server import NDJSON, client_of
from twindex.api import express
from twindex.api.schemas import SearchRequest
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.types import Document, Float32Array
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.engine import Searcher, SearchOptions

BASE = "/v1/indexes/three"


@dataclass
class Questions:
    """One generated query for each passage: a word that no text has, and the passage's own first words."""

    info: ExpansionInfo = field(default_factory=lambda: ExpansionInfo("made up", "c0ffee", 1))

    def queries(self, contents: str) -> tuple[str, ...]:
        return (f"wherefore {contents[:12]}",)


class Backwards:
    """Scores pairs so that the longest passage comes first: nothing like the order before."""

    name = "backwards"

    def score(self, query: str, passages: Sequence[str]) -> Float32Array:
        return np.array([len(passage) for passage in passages], np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("legs")


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[TestClient]:
    with client_of(root, root=True, default="three") as made:
        made.app.state.context.encoders._find_reranker = lambda name: Backwards()  # type: ignore[attr-defined]
        settings = {"name": "three", "encoder": "hashing:64", "sparse_encoder": "sparse-hashing:512"}
        assert made.post("/v1/indexes", json=settings).status_code == 201
        body = "".join(json.dumps(document) + "\n" for document in DOCUMENTS)
        written = made.post(f"{BASE}/documents?wait=visible", content=body, headers=NDJSON)
        assert written.status_code == 200, written.text
        yield made


def timeless(body: dict[str, Any]) -> dict[str, Any]:
    body.pop("took_ms")
    return body


def test_the_index_says_what_it_can_be_searched_by(client: TestClient) -> None:
    info = client.get(BASE).json()
    assert info["legs"] == ["bm25", "learned", "dense"]
    assert info["reranker"] == "twindex-rerank"
    assert info["settings"]["sparse_encoder"]["name"].startswith("sparse-hashing")


@pytest.mark.parametrize("mode", ["hybrid", "sparse", "dense"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sparse": "bm25"},
        {"sparse": "learned"},
        {"sparse": "both"},
        {"sparse": "learned", "prune": 0.5},
        {"sparse": "both", "two_phase": 0.4, "idf": "index"},
    ],
)
def test_it_answers_as_the_library_does(client: TestClient, root: Path, mode: Any, options: dict[str, Any]) -> None:
    body = {"query": "the moon and the tide", "mode": mode, "explain": True, **options}
    found = client.post("/v1/search", json=body)
    assert found.status_code == 200, found.text
    with Searcher.open(root / "three") as searcher:
        wanted = searcher.search(
            "the moon and the tide", mode=mode, explain=True, options=SearchOptions.from_dict(options)
        ).to_dict()
    assert timeless(found.json()) == timeless(json.loads(json.dumps(wanted))) | {"cursor": None}
    batch = client.post("/v1/search/batch", json={"queries": [body.pop("query")], **body}).json()["results"]
    assert timeless(batch[0]) == timeless(json.loads(json.dumps(wanted))) | {"cursor": None}


def test_only_words_take_the_short_way(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    real = express._answer

    def noted(*arguments: Any) -> bytes | None:
        data = real(*arguments)
        taken.append(data is not None)
        return data

    monkeypatch.setattr(express, "_answer", noted)
    served = client.app.state.context.catalog.get("three")  # type: ignore[attr-defined]
    served.compile()
    for options in ({}, {"sparse": "bm25"}, {"sparse": "learned"}, {"sparse": "bm25", "rerank": 3}):
        served.pace.seconds = 0.0
        assert client.post("/v1/search", json={"query": "moon", "mode": "sparse", **options}).status_code == 200
    assert taken == [False, True, False, False]


def test_a_reranker_orders_the_best_hits_and_is_echoed(client: TestClient) -> None:
    plain = client.post("/v1/search", json={"query": "moon", "sparse": "bm25"}).json()
    found = client.post(
        "/v1/search", json={"query": "moon", "sparse": "bm25", "rerank": 3, "rerank_weight": 1, "explain": True}
    ).json()
    assert found["reranked"] == {"name": "backwards", "depth": 3, "weight": 1}
    assert {hit["id"] for hit in found["hits"][:3]} == {hit["id"] for hit in plain["hits"][:3]}
    lengths = [len(hit["title"]) + len(hit["text"]) for hit in found["hits"][:3]]
    assert lengths == sorted(lengths, reverse=True)
    assert all(hit["ranks"]["before"] for hit in found["hits"][:3])
    assert "backwards" in json.dumps(found["hits"][0]["explanation"])
    assert client.get(BASE).json()["reranker"] == "twindex-rerank"


def test_a_cursor_belongs_to_its_options(client: TestClient) -> None:
    body = {"query": "the moon", "k": 1, "sparse": "learned"}
    cursor = client.post("/v1/search", json=body).json()["cursor"]
    assert client.post("/v1/search", json={**body, "cursor": cursor}).status_code == 200
    other = client.post("/v1/search", json={**body, "sparse": "both", "cursor": cursor})
    assert other.status_code == 422
    assert "another search" in other.json()["detail"]


def test_answers_search_with_the_options(client: TestClient) -> None:
    body = {"question": "What do honey bees store inside the hive?", "sparse": "learned", "mode": "sparse"}
    answer = client.post("/v1/answer", json=body).json()
    assert answer["citations"][0]["doc_id"] == "bee"


def test_a_reranker_reads_no_more_than_a_request_may_ask_for(client: TestClient) -> None:
    """Each hit that it reads takes a twentieth of a second: a request of a thousand would keep a thread for minutes."""
    for path, body in (
        ("search", {"query": "x", "rerank": 201}),
        ("search/batch", {"queries": ["x"] * 21, "rerank": 10}),
        ("answer", {"question": "x", "rerank": 500}),
        ("answer", {"question": "x", "rerank": 500, "stream": True}),
    ):
        refused = client.post(f"{BASE}/{path}", json=body)
        assert refused.status_code == 413, refused.text
        assert "rerank" in refused.json()["given"]
    chat = {"model": "three", "messages": [{"role": "user", "content": "x"}], "twindex": {"rerank": 500}}
    assert client.post("/v1/chat/completions", json=chat).status_code == 413
    assert client.post(f"{BASE}/search/batch", json={"queries": ["x"] * 20, "rerank": 10}).status_code == 200


def test_recalls_are_hundredths(client: TestClient) -> None:
    """Each is calibrated, which costs many searches: a caller must not be able to ask for any number of them."""
    for recall, wanted in ((0.95, 0.95), (0.9000001, 0.91), (0.29, 0.29), (0.999, 1.0)):
        options = SearchRequest(query="x", recall=recall, prune=0.1234).options()
        assert (options.recall, options.prune) == (wanted, 0.12)
    plain = client.post("/v1/search", json={"query": "the moon", "sparse": "learned"}).json()
    found = client.post("/v1/search", json={"query": "the moon", "sparse": "learned", "recall": 0.95}).json()
    assert [hit["id"] for hit in found["hits"]][:1] == [hit["id"] for hit in plain["hits"]][:1]


def test_evaluations_and_answers_take_the_options_of_searches(client: TestClient) -> None:
    body = {"queries": {"q": "honey hive"}, "qrels": {"q": {"bee": 1}}, "modes": ["sparse"], "sparse": "learned"}
    task = client.post(f"{BASE}/eval", json={**body, "idf": "index", "measures": ["RR@10"]}).json()
    while task["state"] in ("queued", "running"):
        task = client.get(f"/v1/tasks/{task['id']}").json()
    assert task["result"]["modes"]["sparse"]["averages"]["judged"]["RR@10"] == 1.0, task
    assert client.post(f"{BASE}/eval", json={**body, "budget": 0.5, "recall": 0.9}).status_code == 422
    assert client.post(f"{BASE}/eval", json={**body, "rerank": 1000, "modes": ["sparse"] * 3}).status_code == 202
    question = "What do honey bees store inside the hive?"
    alone = {"method": "convex", "weights": {"sparse": 1, "dense": 0}}
    answer = client.post(f"{BASE}/answer", json={"question": question, "fusion": alone}).json()
    found = client.post(f"{BASE}/search", json={"query": question, "fusion": alone, "k": 8}).json()
    assert [line["doc_id"] for line in answer["ranking"]][:3] == [hit["id"] for hit in found["hits"]][:3]
    assert client.post(f"{BASE}/answer", json={"question": "x", "fusion": {"method": "sum"}}).status_code == 422


def test_sparse_vectors_are_those_of_the_learned_leg(client: TestClient) -> None:
    texts = [f"{DOCUMENTS[1]['title']} {DOCUMENTS[1]['text']}", "bees dance"]
    documents = client.post(f"{BASE}/encode/sparse", json={"texts": texts, "kind": "document"}).json()
    queries = client.post("/v1/encode/sparse", json={"texts": ["honey hive", ""]}).json()
    assert documents["vocabulary"] == queries["vocabulary"] == 512
    assert [row["ids"] == sorted(set(row["ids"])) and len(row["ids"]) > 0 for row in documents["rows"]] == [True, True]
    assert queries["rows"][1] == {"ids": [], "weights": [], "words": {}}
    held = dict(zip(documents["rows"][0]["ids"], documents["rows"][0]["weights"], strict=True))
    asked = queries["rows"][0]
    score = sum(weight * held.get(term, 0.0) for term, weight in zip(asked["ids"], asked["weights"], strict=True))
    body = {"query": "honey hive", "mode": "sparse", "sparse": "learned", "idf": "model", "k": 1}
    hit = client.post(f"{BASE}/search", json=body).json()["hits"][0]
    assert hit["id"] == "bee"
    assert hit["score"] == pytest.approx(score, rel=0.02)  # eight bits in the index
    many = {"texts": ["x"] * 300}
    assert client.post(f"{BASE}/encode/sparse", json=many).status_code == 413


def test_chat_takes_options_under_a_name_of_its_own(client: TestClient) -> None:
    body = {"model": "three", "messages": [{"role": "user", "content": "What do honey bees store inside the hive?"}]}
    assert client.post("/v1/chat/completions", json=body).json()["citations"][0]["doc_id"] == "bee"
    for stream in (False, True):
        narrow = {**body, "stream": stream, "twindex": {"filter": "kind = 'physics'", "mode": "sparse"}}
        reply = client.post("/v1/chat/completions", json=narrow)
        assert reply.status_code == 200, reply.text
        assert "nectar" not in reply.text
    for wrong in ({"filter": "kind ="}, {"k": 0}, {"depth": 3}, {"fusion": {"method": "sum"}}):
        assert client.post("/v1/chat/completions", json={**body, "twindex": wrong}).status_code == 422
    nothing = {**body, "messages": [{"role": "user", "content": ""}]}
    assert client.post("/v1/chat/completions", json=nothing).json()["abstained"]


@pytest.mark.parametrize(
    "options",
    [
        {"sparse": "words"},
        {"sparse": 1},
        {"rerank": -1},
        {"rerank": 1001},
        {"rerank": True},
        {"rerank_weight": 2},
        {"prune": 1},
        {"prune": -0.1},
        {"prune": "0.5"},
        {"two_phase": 1.0},
        {"idf": "mine"},
        {"budget": 0},
        {"budget": 1.5},
        {"recall": 0},
        {"recall": 1.1},
        {"recall": "0.9"},
        {"learned_queries": "all"},
        {"expansion": "yes"},
        {"field_form": "sideways"},
        {"field_weight": -1},
        {"alpha": 1.5},
        {"aggregate": "median"},
    ],
)
def test_options_out_of_range_are_refused(client: TestClient, options: dict[str, Any]) -> None:
    for path, text in (("search", {"query": "x"}), ("answer", {"question": "x"})):
        refused = client.post(f"{BASE}/{path}", json={**text, **options})
        assert refused.status_code == 422, refused.text
        assert next(iter(options)) in refused.json()["detail"]


def test_a_leg_that_the_index_lacks_is_a_problem(index: Path) -> None:
    with client_of(index) as client:
        refused = client.post("/v1/search", json={"query": "x", "sparse": "learned"})
        assert refused.status_code == 422
        assert "impacts" in refused.json()["detail"]
        assert client.post("/v1/encode/sparse", json={"texts": ["x"]}).status_code == 422


def test_a_server_without_a_reranker_says_so(index: Path) -> None:
    with client_of(index, reranker="no-such-reranker") as client:
        refused = client.post("/v1/search", json={"query": "moon", "rerank": 5})
        assert refused.status_code == 422
        assert "without a reranker" in refused.json()["given"]


def test_a_sparse_encoder_that_is_not_here_is_a_problem(client: TestClient) -> None:
    for name in ("no-such-model", "nobody/no-such-model"):
        refused = client.post("/v1/indexes", json={"name": "other", "encoder": "none", "sparse_encoder": name})
        assert refused.status_code == 422
        assert name in refused.json()["given"]
    for name in ("../secret", "/etc/passwd", "a/../../b", "~root"):
        refused = client.post("/v1/indexes", json={"name": "other", "encoder": "none", "sparse_encoder": name})
        assert refused.status_code == 422
        assert refused.json()["type"].endswith("Validation")


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, source, encoder = tmp_path_factory.mktemp("expanded") / "index", Questions(), HashingEncoder(64)
    config = IndexConfig(encoder=encoder.info, expansion=source.info)
    with IndexWriter.create(path, config, encoder=encoder, expansions=source) as writer:
        writer.add([Document(d["_id"], d["text"], d["title"], d["metadata"]) for d in DOCUMENTS])  # type: ignore[arg-type]
        writer.commit()
    return path


@pytest.mark.parametrize("mode", ["hybrid", "sparse", "dense"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"expansion": False},
        {"field_form": "additive", "field_weight": 0.7},
        {"field_form": "bm25f", "field_weight": 1},
        {"alpha": 0.9, "aggregate": "mean"},
    ],
)
def test_generated_queries_are_searched_and_explained(expanded: Path, mode: Any, options: dict[str, Any]) -> None:
    body = {"query": "wherefore honey", "mode": mode, "explain": True, **options}
    with client_of(expanded) as client, Searcher.open(expanded) as searcher:
        assert client.get("/v1/indexes/index").json()["settings"]["expansion"]["method"] == "made up"
        found = client.post("/v1/search", json=body)
        assert found.status_code == 200, found.text
        wanted = searcher.search(
            "wherefore honey", mode=mode, explain=True, options=SearchOptions.from_dict(options)
        ).to_dict()
    assert timeless(found.json()) == timeless(json.loads(json.dumps(wanted))) | {"cursor": None}
    named = "wherefore Honey bee Ho" in found.text
    assert named == (options.get("expansion") is not False)


def test_documents_can_be_added_to_an_index_with_generated_queries(expanded: Path, tmp_path: Path) -> None:
    mine = tmp_path / "index"
    shutil.copytree(expanded, mine)
    with client_of(mine) as client:
        line = json.dumps({"_id": "new", "text": "a new text about zebras"})
        written = client.post("/v1/indexes/index/documents?wait=visible", content=line, headers=NDJSON)
        assert written.json()["visible"]
        for mode in ("sparse", "dense", "hybrid"):
            found = client.post("/v1/search", json={"query": "new zebras", "mode": mode}).json()
            assert found["hits"][0]["id"] == "new"
