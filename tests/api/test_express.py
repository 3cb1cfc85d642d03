"""The short way of a cheap search gives what the route gives, and takes nothing that is not its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.api.server import NDJSON, client_of
from twindex.api import express
from twindex.api.gate import GateConfig
from twindex.api.service.keys import KeyStore
from twindex.api.service.pace import EVERY, QUICK, Pace
from twindex.retrieval.engine import Searcher

TEXTS = {
    "plain": "the whale is a large animal",
    "quote": 'a "quoted" whale, a back\\slash, and a / slash',
    "control": "a whale with\ttabs\nlines \x00 nul \x1f unit and \x7f delete",
    "letters": "une baleine géante, 鲸鱼 whale 🐳",
    "surrogate": "a whale with half a pair \ud800 inside",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("express")
    with client_of(path, root=True) as client:
        client.post("/v1/indexes", json={"name": "odd", "encoder": "hashing:32"})
        rows = [{"_id": f"{i} é", "title": f"T {i}", "text": t, "n": 1.5, "l": ["a", "ü"]} for i, t in TEXTS.items()]
        body = "".join(json.dumps(row) + "\n" for row in rows)
        made = client.post("/v1/indexes/odd/documents?wait=visible", content=body, headers=NDJSON)
        assert made.status_code == 200, made.text
    return path


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[TestClient]:
    with client_of(root, root=True, default="odd") as made:
        yield made


def both(client: TestClient, body: Any, path: str = "/v1/search") -> tuple[Any, Any, bool]:
    """The answer of the short way, of the route, and whether the short way was taken."""
    taken: list[bool] = []
    served = client.app.state.context.catalog.get("odd")  # type: ignore[attr-defined]
    real = express._answer

    def noted(*arguments: Any) -> bytes | None:
        data = real(*arguments)
        taken.append(data is not None)
        return data

    express._answer = noted
    try:
        served.compile()
        served.pace.seconds = 0.0
        quick = client.post(path, json=body)
    finally:
        express._answer = real
    served.pace.seconds = 1.0
    slow = client.post(path, json=body)
    served.pace.seconds = 0.0
    assert quick.status_code == slow.status_code
    assert set(quick.headers) == set(slow.headers)
    return _timeless(quick.json()), _timeless(slow.json()), taken == [True]


def _timeless(body: dict[str, Any]) -> dict[str, Any]:
    body.pop("took_ms", None)
    return body


@pytest.mark.parametrize("path", ["/v1/search", "/v1/indexes/odd/search"])
@pytest.mark.parametrize("k", [0, 1, 2, 5, 100])
def test_it_answers_as_the_route_does(client: TestClient, path: str, k: int) -> None:
    quick, slow, taken = both(client, {"query": "whale", "mode": "sparse", "k": k}, path)
    assert taken
    assert quick == slow
    assert len(quick["hits"]) == min(k, 5)


def test_it_answers_as_the_library_does(client: TestClient, root: Path) -> None:
    quick, _, taken = both(client, {"query": "whale animal", "mode": "sparse"})
    with Searcher.open(root / "odd") as searcher:
        wanted = _timeless(searcher.search("whale animal", mode="sparse").to_dict())
    assert taken
    assert quick == wanted | {"cursor": None}
    assert {hit["text"] for hit in quick["hits"]} == set(TEXTS.values())


def test_pages_go_on_either_way(client: TestClient) -> None:
    body: dict[str, Any] = {"query": "whale", "mode": "sparse", "k": 2}
    seen: list[str] = []
    while True:
        quick, slow, taken = both(client, body)
        assert taken
        assert quick == slow
        seen += [hit["id"] for hit in quick["hits"]]
        if quick["cursor"] is None:
            break
        body["cursor"] = quick["cursor"]
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    "body",
    [
        {"query": "whale"},
        {"query": "whale", "mode": "dense"},
        {"query": "whale", "mode": "sparse", "explain": True},
        {"query": "whale", "mode": "sparse", "highlight": True},
        {"query": "whale", "mode": "sparse", "filter": "n > 1"},
        {"query": "whale", "mode": "sparse", "k": 101},
        {"query": "whale " * 100, "mode": "sparse"},
        {"query": "whale", "mode": "sparse", "cursor": "AAAA"},
        {"query": "whale", "mode": "sparse", "colour": "red"},
        {"query": "whale", "mode": "sparse", "k": -1},
        {"query": 5, "mode": "sparse"},
        ["query"],
        "query",
    ],
)
def test_what_may_cost_or_is_wrong_goes_to_the_route(client: TestClient, body: Any) -> None:
    quick, slow, taken = both(client, body)
    assert not taken
    assert quick == slow


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=st.text(max_size=40), k=st.integers(-1, 12) | st.sampled_from([2.0, 2.5, True]))
def test_any_query_gets_one_answer(client: TestClient, query: str, k: Any) -> None:
    quick, slow, _ = both(client, {"query": query, "k": k, "mode": "sparse"})
    assert quick == slow


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonx", ""])
def test_other_media_types_go_to_the_route(client: TestClient, kind: str) -> None:
    served = client.app.state.context.catalog.get("odd")  # type: ignore[attr-defined]
    answers = []
    for seconds in (0.0, 1.0):
        served.pace.seconds = seconds
        content = b'{"query": "whale", "mode": "sparse"}'
        answers.append(client.post("/v1/search", content=content, headers={"content-type": kind}))
    assert answers[0].status_code == answers[1].status_code
    assert _timeless(answers[0].json()) == _timeless(answers[1].json())


def test_a_body_in_parts_goes_to_the_route(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"query": "wha'
        yield b'le", "mode": "sparse"}'

    response = client.post("/v1/search", content=parts(), headers={"content-type": "application/json"})
    assert len(response.json()["hits"]) == 5


def test_it_is_measured_under_the_name_of_the_route(client: TestClient) -> None:
    both(client, {"query": "whale", "mode": "sparse"}, "/v1/indexes/odd/search")
    text = client.get("/metrics").text
    assert 'route="/v1/indexes/{index}/search",method="POST",status="200"' in text
    assert 'twindex_stage_seconds_count{stage="search"}' in text


def test_keys_and_grants_hold(root: Path) -> None:
    keys = KeyStore(root / ".twindex")
    right = keys.create(scope="read", indexes=["odd"])[1]
    wrong = keys.create(scope="read", indexes=["other"])[1]
    with client_of(root, root=True, default="odd", gate=GateConfig(auth=True)) as client:
        served = client.app.state.context.catalog.get("odd")  # type: ignore[attr-defined]
        served.compile()
        for text, status in ((right, 200), (wrong, 403), ("", 401)):
            served.pace.seconds = 0.0
            headers = {"authorization": f"Bearer {text}"} if text else {}
            body = {"query": "whale", "mode": "sparse"}
            assert client.post("/v1/search", json=body, headers=headers).status_code == status


def test_the_pace_follows_what_searches_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("twindex.api.service.pace.time.thread_time", lambda: clock[0])
    pace = Pace()
    assert not pace.quick, "nothing is known yet"

    def take(seconds: float, times: int) -> None:
        for _ in range(times):
            pace.timed(lambda: clock.__setitem__(0, clock[0] + seconds))

    take(QUICK / 5, 20)
    assert pace.quick
    take(QUICK * 20, EVERY + 1)
    assert not pace.quick, "one in so many is timed while they are quick"
    take(QUICK / 5, 60)
    assert pace.quick
