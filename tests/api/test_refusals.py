"""What the server must refuse, one line each: who may not, what is too much, what cannot be read, what is an attack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.server import NDJSON, client_of
from twindex.api.gate import PUBLIC, GateConfig
from twindex.api.limits import Limits
from twindex.api.service.keys import KeyStore

SECRET = "tw_00000000_" + "A" * 43
SEARCH = {"query": "x"}
Q = "/v1/indexes/mine/search"
DOCS = "/v1/indexes/mine/documents"


@dataclass
class Guarded:
    client: TestClient
    keys: dict[str, str]
    root: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = tmp_path_factory.mktemp("guarded")
    store = KeyStore(root / ".twindex")
    keys = {
        "reader": store.create(scope="read", indexes=["mine"])[1],
        "writer": store.create(scope="write", indexes=["mine"])[1],
        "owner": store.create(scope="admin", indexes=["mine"])[1],
        "admin": store.create(scope="admin")[1],
        "old": store.create(scope="admin", days=1e-9)[1],
    }
    gone, keys["gone"] = store.create(scope="admin")
    store.revoke(gone.id)
    limits = Limits(body_bytes=100_000, bulk_bytes=200_000, items=50, queries=5, texts=4)
    gate = GateConfig(auth=True, hosts=("testserver", "search.example"), origins=("https://app.example",))
    with client_of(root, root=True, gate=gate, limits=limits) as client:
        for name in ("mine", "theirs"):
            made = client.post(
                "/v1/indexes", json={"name": name, "encoder": "hashing:32"}, headers=bearer(keys["admin"])
            )
            assert made.status_code == 201, made.text
        body = b'{"_id": "a", "text": "Apples.", "year": 2020}\n'
        for name in ("mine", "theirs"):
            path = f"/v1/indexes/{name}/documents?wait=visible"
            assert client.post(path, content=body, headers={**NDJSON, **bearer(keys["admin"])}).status_code == 200
        yield Guarded(client, keys, root)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


#: who, method, path, JSON body or bytes, further headers, status.
Case = tuple[str, str, str, Any, dict[str, str], int]
UNAUTHORISED: list[Case] = [
    ("", "POST", Q, SEARCH, {}, 401),
    ("", "GET", "/v1/indexes", None, {}, 401),
    ("", "POST", DOCS, b"{}", NDJSON, 401),
    ("", "GET", "/metrics", None, {}, 401),
    ("", "GET", "/v1/nowhere", None, {}, 401),
    ("", "POST", "/v1/chat/completions", {"model": "mine", "messages": [{"role": "user", "content": "x"}]}, {}, 401),
    ("", "POST", Q, SEARCH, {"authorization": "Basic dXNlcjpwYXNz"}, 401),
    ("", "POST", Q, SEARCH, {"authorization": "Bearer "}, 401),
    ("", "POST", Q, SEARCH, {"authorization": f"Bearer {SECRET}"}, 401),
    ("", "POST", Q, SEARCH, {"x-api-key": SECRET}, 401),
    ("", "POST", Q, SEARCH, {"authorization": "Bearer tw_x_y"}, 401),
    ("", "POST", Q, SEARCH, {"authorization": "Bearer " + "a" * 5000}, 401),
    ("", "POST", Q, SEARCH, {"authorization": "Bearer \xff\xfe"}, 401),
    ("", "POST", f"{Q}?api_key={SECRET}", SEARCH, {}, 401),
    ("old", "POST", Q, SEARCH, {}, 401),
    ("gone", "POST", Q, SEARCH, {}, 401),
    ("cut", "POST", Q, SEARCH, {}, 401),
    ("changed", "POST", Q, SEARCH, {}, 401),
]
FORBIDDEN: list[Case] = [
    ("reader", "POST", "/v1/indexes/theirs/search", SEARCH, {}, 403),
    ("reader", "POST", "/v1/indexes/theirs/search/batch", {"queries": ["x"]}, {}, 403),
    ("reader", "POST", "/v1/indexes/theirs/answer", {"question": "x"}, {}, 403),
    ("reader", "GET", "/v1/indexes/theirs", None, {}, 403),
    ("reader", "GET", "/v1/indexes/nowhere", None, {}, 403),
    ("reader", "GET", "/v1/indexes/theirs/documents/a", None, {}, 403),
    ("reader", "POST", "/v1/indexes/theirs/encode", {"texts": ["x"]}, {}, 403),
    ("reader", "POST", "/v1/embeddings", {"model": "twindex/theirs", "input": "x"}, {}, 403),
    (
        "reader",
        "POST",
        "/v1/chat/completions",
        {"model": "theirs", "messages": [{"role": "user", "content": "x"}]},
        {},
        403,
    ),
    ("reader", "POST", DOCS, b'{"_id": "x", "text": "y"}', NDJSON, 403),
    ("reader", "DELETE", f"{DOCS}/a", None, {}, 403),
    ("reader", "POST", f"{DOCS}/delete", {"ids": ["a"]}, {}, 403),
    ("reader", "POST", "/v1/indexes", {"name": "new", "encoder": "none"}, {}, 403),
    ("reader", "DELETE", "/v1/indexes/mine", None, {}, 403),
    ("reader", "GET", "/metrics", None, {}, 403),
    ("reader", "POST", "/v1/indexes/mine/snapshots", None, {}, 403),
    ("reader", "POST", "/v1/indexes/mine/merge", {}, {}, 403),
    ("writer", "POST", "/v1/indexes/theirs/documents", b'{"_id": "x", "text": "y"}', NDJSON, 403),
    ("writer", "DELETE", "/v1/indexes/mine", None, {}, 403),
    ("writer", "POST", "/v1/indexes/mine/restore", {"snapshot": "20260101T000000-000000"}, {}, 403),
    ("owner", "DELETE", "/v1/indexes/theirs", None, {}, 403),
    ("owner", "POST", "/v1/indexes", {"name": "new", "encoder": "none"}, {}, 403),
    ("admin", "POST", Q, SEARCH, {"origin": "https://evil.example"}, 403),
    ("admin", "POST", Q, SEARCH, {"origin": "null"}, 403),
    ("admin", "POST", Q, SEARCH, {"origin": "https://app.example.evil.example"}, 403),
    ("admin", "OPTIONS", Q, None, {"origin": "https://evil.example", "access-control-request-method": "POST"}, 403),
    ("admin", "POST", Q, SEARCH, {"host": "evil.example"}, 421),
    ("admin", "POST", Q, SEARCH, {"host": "testserver@evil.example"}, 421),
    ("admin", "POST", Q, SEARCH, {"host": "\xff"}, 421),
]
TOO_MUCH: list[Case] = [
    ("admin", "POST", Q, {"query": "x" * 200_000}, {}, 413),
    ("admin", "POST", Q, {"query": "x", "k": 10_001}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "k": -1}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "k": 1e300}, {}, 422),
    ("admin", "POST", f"{Q}/batch", {"queries": ["x"] * 6}, {}, 413),
    ("admin", "POST", f"{Q}/batch", {"queries": []}, {}, 422),
    ("admin", "POST", "/v1/indexes/mine/encode", {"texts": ["x"] * 5}, {}, 413),
    ("admin", "POST", "/v1/indexes/mine/answer", {"question": "x" * 5000}, {}, 422),
    ("admin", "POST", "/v1/indexes/mine/answer", {"question": "x", "k": 101}, {}, 422),
    ("admin", "POST", DOCS, b'{"_id": "a", "text": "b"}\n' * 51, NDJSON, 413),
    ("admin", "POST", DOCS, b" " * 200_001, NDJSON, 413),
    ("admin", "POST", DOCS, {"documents": [{"id": str(n), "text": ""} for n in range(51)]}, {}, 413),
    ("admin", "POST", Q, {"query": "x", "filter": " or ".join(["year = 1"] * 9000)}, {}, 413),
    ("admin", "POST", Q, {"query": "x", "filter": "(" * 300 + "year = 1" + ")" * 300}, {}, 422),
    ("admin", "POST", "/v1/indexes/mine/merge", {"max_segments": 0}, {}, 422),
]
MALFORMED: list[Case] = [
    ("admin", "POST", Q, b"{", {"content-type": "application/json"}, 422),
    ("admin", "POST", Q, b"\xff\xfe", {"content-type": "application/json"}, 422),
    ("admin", "POST", Q, b"[" * 50_000, {"content-type": "application/json"}, 400),
    ("admin", "POST", Q, {"query": 7}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "kk": 3}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "mode": "both"}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "fusion": {"method": "magic"}}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "fusion": {"method": "rrf", "weights": {"sparse": -1, "dense": 1}}}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "cursor": "AAAA"}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "cursor": "x" * 201}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": "year >="}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": {"field": "year"}}, {}, 422),
    ("admin", "POST", DOCS, b"", NDJSON, 422),
    ("admin", "POST", DOCS, b"{}", {"content-type": "text/plain"}, 415),
    ("admin", "POST", DOCS, b"7", {"content-type": "application/json"}, 422),
    ("admin", "POST", f"{DOCS}?wait=forever", b'{"_id": "a", "text": "b"}', NDJSON, 422),
    ("admin", "POST", DOCS, b'{"_id": "a", "text": "b"}', {**NDJSON, "idempotency-key": "k" * 201}, 422),
    ("admin", "POST", f"{DOCS}/delete", {}, {}, 422),
    ("admin", "POST", f"{DOCS}/delete", {"ids": ["a"], "filter": "year = 1"}, {}, 422),
    ("admin", "POST", "/v1/indexes", {"name": "x", "encoder": "none", "chunk": "bits:3"}, {}, 422),
    ("admin", "POST", "/v1/indexes", {"name": "x", "encoder": "no-such-model"}, {}, 422),
    ("admin", "PUT", Q, SEARCH, {}, 405),
    ("admin", "GET", "/v1/nowhere", None, {}, 404),
    ("admin", "GET", "/v1/tasks/0123456789abcdef", None, {}, 404),
    ("admin", "POST", "/v1/indexes/mine/eval", {"queries": {"1": "x"}, "qrels": {"2": {"a": 1}}}, {}, 422),
    ("admin", "POST", "/v1/embeddings", {"model": "mine", "input": ["x"], "dimensions": 3}, {}, 422),
]
ATTACKS: list[Case] = [
    ("admin", "GET", "/v1/indexes/..", None, {}, 404),
    ("admin", "GET", "/v1/indexes/%2e%2e", None, {}, 404),
    ("admin", "GET", "/v1/indexes/..%2f..%2fetc", None, {}, 404),
    ("admin", "GET", "/v1/indexes/.twindex", None, {}, 404),
    ("admin", "GET", "/v1/indexes/mine%00", None, {}, 404),
    ("admin", "DELETE", "/v1/indexes/.twindex", None, {}, 404),
    ("admin", "DELETE", "/v1/indexes/..", None, {}, 404),
    ("admin", "POST", "/v1/indexes", {"name": "../x", "encoder": "none"}, {}, 422),
    ("admin", "POST", "/v1/indexes", {"name": ".twindex", "encoder": "none"}, {}, 422),
    ("admin", "POST", "/v1/indexes", {"name": "x\n", "encoder": "none"}, {}, 422),
    ("admin", "POST", "/v1/indexes", {"name": "x", "encoder": "/etc"}, {}, 422),
    ("admin", "POST", "/v1/indexes", {"name": "x", "encoder": "../../model"}, {}, 422),
    ("admin", "GET", f"{DOCS}/..%2f..%2f.twindex%2fkeys.json", None, {}, 404),
    ("admin", "GET", "/v1/tasks/..%2f..%2fkeys", None, {}, 404),
    ("admin", "POST", "/v1/indexes/mine/restore", {"snapshot": "../../theirs"}, {}, 422),
    ("admin", "POST", "/v1/indexes/mine/restore", {"snapshot": "20260101T000000-000000"}, {}, 404),
    ("admin", "POST", Q, {"query": "x", "filter": "year = 1; drop table metadata"}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": "year = 1 union select 1"}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": "1 = 1"}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": '`year" or 1=1 --` = 1'}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": {"field": "x') or true --", "op": "=", "value": 1}}, {}, 422),
    ("admin", "POST", Q, {"query": "x", "filter": "read_text('/etc/passwd') = ''"}, {}, 422),
    ("admin", "POST", f"{DOCS}/delete", {"filter": "year = 2020 or 1 = 1"}, {}, 422),
]
ALL = [*UNAUTHORISED, *FORBIDDEN, *TOO_MUCH, *MALFORMED, *ATTACKS]


def test_the_table_is_long_enough() -> None:
    assert len(ALL) >= 60


def name_of(case: Case) -> str:
    who, method, path, body, headers, status = case
    return f"{status} {who or 'nobody'} {method} {path} {str(headers or body)[:40]}"


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_refused(guarded: Guarded, case: Case) -> None:
    who, method, path, body, headers, status = case
    keys = {**guarded.keys, "cut": guarded.keys["admin"][:-1], "changed": guarded.keys["admin"][:-1] + "~"}
    sent: list[tuple[bytes, bytes]] = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
    if who:
        sent.append((b"authorization", f"Bearer {keys[who]}".encode()))
    if not isinstance(body, bytes) and body is not None:
        body = json.dumps(body).encode()
        sent.append((b"content-type", b"application/json"))
    response = guarded.client.request(method, path, content=body, headers=sent)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:twindex:error:")
    assert problem["title"]
    assert problem["detail"]
    for key in keys.values():
        assert key not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "'none'" in response.headers["content-security-policy"]
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")


def test_nothing_was_changed_by_all_that(guarded: Guarded) -> None:
    admin = bearer(guarded.keys["admin"])
    names = [row["name"] for row in guarded.client.get("/v1/indexes", headers=admin).json()["indexes"]]
    assert names == ["mine", "theirs"]
    for name in names:
        assert guarded.client.get(f"/v1/indexes/{name}/documents/a", headers=admin).json()["text"] == "Apples."


def test_what_is_allowed_is_allowed(guarded: Guarded) -> None:
    client, keys = guarded.client, guarded.keys
    assert client.post(Q, json=SEARCH, headers=bearer(keys["reader"])).status_code == 200
    assert client.post(Q, json=SEARCH, headers={"x-api-key": keys["reader"]}).status_code == 200
    assert (
        client.post(Q, json=SEARCH, headers={**bearer(keys["reader"]), "host": "search.example:8080"}).status_code
        == 200
    )
    same = {**bearer(keys["reader"]), "origin": "http://testserver"}
    assert client.post(Q, json=SEARCH, headers=same).status_code == 200
    cross = client.post(Q, json=SEARCH, headers={**bearer(keys["reader"]), "origin": "https://app.example"})
    assert cross.headers["access-control-allow-origin"] == "https://app.example"
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert client.options(Q, headers=preflight).status_code == 204
    listed = client.get("/v1/indexes", headers=bearer(keys["reader"])).json()["indexes"]
    assert [row["name"] for row in listed] == ["mine"]
    assert client.get("/metrics", headers=bearer(keys["admin"])).status_code == 200


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_public_pages_need_no_key_and_tell_nothing(guarded: Guarded, path: str) -> None:
    response = guarded.client.get(path)
    assert response.status_code == 200
    assert "mine" not in response.text or path not in ("/v1/health", "/v1/ready")


def test_every_other_route_asks_who_may(guarded: Guarded) -> None:
    """A route that somebody adds without a dependency on the caller's grants fails here."""
    from twindex.api import deps

    guards = ("on_index.<locals>.dependency", "on_server.<locals>.dependency", "anyone")
    checked = 0
    for route in guarded.client.app.state.api_routes:  # type: ignore[attr-defined]
        if route.path in PUBLIC:
            continue
        names = {call.__qualname__ for call in _calls(route.dependant) if call.__module__ == deps.__name__}
        assert names & set(guards), f"{route.path} has no guard"
        checked += 1
    assert checked >= 20


def _calls(dependant: Any) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


def test_too_many_requests_are_told_when_to_come_back(index: Path) -> None:
    with client_of(index, limits=Limits(rate=0.5, burst=3)) as client:
        statuses = [client.post("/v1/search", json=SEARCH).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        refused = client.post("/v1/search", json=SEARCH)
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"


def test_a_full_queue_sheds_load(index: Path) -> None:
    with client_of(index, limits=Limits(queue=1)) as client:
        work = client.app.state.context.work  # type: ignore[attr-defined]
        work.pending = 1
        refused = client.post("/v1/search", json=SEARCH)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        work.pending = 0
        assert client.post("/v1/search", json=SEARCH).status_code == 200


def test_a_slow_request_is_given_up(index: Path) -> None:
    with client_of(index, limits=Limits(seconds=0.05)) as client:
        served = client.app.state.context.catalog.get(None)  # type: ignore[attr-defined]
        real = served.searcher.ranked

        def slow(*arguments: Any, **named: Any) -> Any:
            import time

            time.sleep(0.4)
            return real(*arguments, **named)

        served.searcher.ranked = slow
        assert client.post("/v1/search", json=SEARCH).status_code == 504


def test_a_body_that_does_not_come_is_given_up(index: Path) -> None:
    import asyncio

    from twindex.api.limits import BodyLimit

    sent: list[dict[str, Any]] = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/search", "headers": []}
    asyncio.run(BodyLimit(inside, 100, 100, 0.05)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_an_unforeseen_error_tells_nothing(index: Path) -> None:
    with client_of(index) as client:
        served = client.app.state.context.catalog.get(None)  # type: ignore[attr-defined]

        def broken(*arguments: Any, **named: Any) -> Any:
            raise RuntimeError("the secret is 42")

        served.searcher.ranked = broken
        response = client.post("/v1/search", json=SEARCH)
        assert response.status_code == 500
        assert "42" not in response.text
        assert response.headers["x-request-id"]
