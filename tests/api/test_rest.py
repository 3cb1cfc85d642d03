"""The REST API: bodies, problem responses, the page, and following new commits."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from twindex.api.app import AppConfig, create_app
from twindex.indexing.writer import IndexWriter
from twindex.rag.generators.extractive import ExtractiveGenerator


@pytest.fixture(scope="module")
def client(index: Path) -> Iterator[TestClient]:
    config = AppConfig(index=index, generator=ExtractiveGenerator(), body_limit=2 << 20)
    with TestClient(create_app(config), raise_server_exceptions=False) as made:
        yield made


def test_search(client: TestClient) -> None:
    response = client.post("/v1/search", json={"query": "largest animal", "k": 2, "explain": True})
    assert response.status_code == 200
    body = response.json()
    assert body["mode"] == "hybrid"
    assert body["hits"][0]["id"] == "whale"
    assert body["hits"][0]["explanation"]["details"]


@pytest.mark.parametrize("condition", ["kind = 'physics'", None])
def test_search_with_a_filter(client: TestClient, condition: str | None) -> None:
    response = client.post("/v1/search", json={"query": "moon", "mode": "dense", "filter": condition})
    kinds = {hit["metadata"]["kind"] for hit in response.json()["hits"]}
    assert kinds == ({"physics"} if condition else {"physics", "animal", "food"})


def test_answer(client: TestClient) -> None:
    response = client.post("/v1/answer", json={"question": "What do honey bees store inside the hive?"})
    assert response.status_code == 200
    assert response.json()["citations"][0]["doc_id"] == "bee"


def test_health(client: TestClient) -> None:
    body = client.get("/v1/health").json()
    assert body["status"] == "ok"
    assert body["documents"] == 5
    assert body["modes"] == ["hybrid", "sparse", "dense"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/search", {"query": "x", "k": -1}, 422),
        ("/v1/search", {"query": "x", "mode": "both"}, 422),
        ("/v1/search", {"query": "x", "colour": "red"}, 422),
        ("/v1/search", {"query": "x", "filter": "year >="}, 422),
        ("/v1/search", {"query": "x", "filter": {"no": "such form"}}, 422),
        ("/v1/search", {}, 422),
        ("/v1/search", {"query": "x" * (3 << 20)}, 413),
        ("/v1/answer", {"question": ""}, 422),
        ("/v1/nowhere", {}, 404),
    ],
)
def test_wrong_requests_are_problem_responses(
    client: TestClient, path: str, body: dict[str, object], status: int
) -> None:
    response = client.post(path, json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"].startswith("urn:twindex:error:")


def test_a_body_that_is_not_json(client: TestClient) -> None:
    response = client.post("/v1/search", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["", "   ", "zzzqqqxxx", "\x00", "🐝", "a" * 1_000_000])
def test_odd_queries_are_answers(client: TestClient, query: str) -> None:
    response = client.post("/v1/search", json={"query": query, "mode": "sparse"})
    assert response.status_code == 200
    assert response.json()["hits"] == []


def test_openapi_and_page(client: TestClient) -> None:
    spec = client.get("/openapi.json").json()
    assert {"/v1/search", "/v1/answer", "/v1/health", "/v1/indexes/{index}/documents"} <= set(spec["paths"])
    assert spec["openapi"].startswith("3.1")
    page = client.get("/docs").text
    assert "/openapi.json" in page
    assert "https://" not in page, "the page must need nothing from another host"


def test_a_new_commit_is_followed(index: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(index, mine)
    config = AppConfig(index=mine, generator=ExtractiveGenerator(), refresh_seconds=0.05)
    with TestClient(create_app(config)) as client:
        before = client.get("/v1/health").json()["generation"]
        from_manifest = before
        with IndexWriter.open(mine, encoder=None) as writer:
            writer.delete(["whale"])
            writer.commit()
        deadline = time.monotonic() + 10
        while from_manifest == before and time.monotonic() < deadline:
            time.sleep(0.05)
            from_manifest = client.get("/v1/health").json()["generation"]
        assert from_manifest > before
        found = client.post("/v1/search", json={"query": "whale", "mode": "sparse"}).json()
        assert found["hits"] == []
