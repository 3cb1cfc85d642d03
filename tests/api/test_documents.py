"""Documents through the API: durable at once, searchable within a second, with an outcome for each item."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.server import NDJSON, client_of

BASE = "/v1/indexes/notes"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(tmp_path_factory.mktemp("root"), root=True) as made:
        created = made.post("/v1/indexes", json={"name": "notes", "encoder": "hashing:64"})
        assert created.status_code == 201, created.text
        yield made


def lines(*documents: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def add(client: TestClient, *documents: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = client.post(f"{BASE}/documents?wait=visible", content=lines(*documents), headers={**NDJSON, **headers})
    assert response.status_code == 200, response.text
    return dict(response.json())


def ids(client: TestClient, query: str, **more: Any) -> list[str]:
    found = client.post(f"{BASE}/search", json={"query": query, "mode": "sparse", **more}).json()
    return [hit["id"] for hit in found["hits"]]


def test_added_replaced_read_and_deleted(client: TestClient) -> None:
    outcome = add(
        client, {"_id": "a/b c", "text": "Apples grow on trees.", "year": 2020}, {"id": "z", "text": "Zebras."}
    )
    assert outcome["accepted"] == 2
    assert outcome["visible"]
    assert ids(client, "apple") == ["a/b c"]
    assert client.get(f"{BASE}/documents/a%2Fb%20c").json()["metadata"] == {"year": 2020}
    add(client, {"_id": "a/b c", "text": "Pears grow on trees."})
    assert ids(client, "apple") == []
    assert client.get(f"{BASE}/documents/a/b c").json()["text"] == "Pears grow on trees."
    assert client.delete(f"{BASE}/documents/a/b c?wait=visible").json()["visible"]
    assert ids(client, "pears") == []
    assert client.get(f"{BASE}/documents/a/b c").status_code == 404


def test_documents_are_listed_page_by_page(client: TestClient) -> None:
    client.post("/v1/indexes", json={"name": "many", "encoder": "none", "chunk": "words:4:1"})
    path = "/v1/indexes/many/documents"
    for half in range(2):  # two commits, hence segments
        rows = [{"_id": f"{half}-{n}", "text": "one two three four five six", "n": n, "half": half} for n in range(7)]
        client.post(f"{path}?wait=visible", content=lines(*rows), headers=NDJSON)
    client.delete(f"{path}/0-3?wait=visible")

    def listed(**asked: Any) -> list[list[str]]:
        pages, cursor = [], None
        while True:
            page = client.get(path, params={**asked, **({"cursor": cursor} if cursor else {})}).json()
            pages.append([document["id"] for document in page["documents"]])
            assert page["notes"] is None
            cursor = page["cursor"]
            if cursor is None:
                return pages

    everything = [f"{half}-{n}" for half in range(2) for n in range(7) if (half, n) != (0, 3)]
    for limit in (1, 2, 5, 13, 100):
        pages = listed(limit=limit)
        assert [one for page in pages for one in page] == everything
        assert all(len(page) == limit for page in pages[:-1])
    assert listed(filter="n >= 5 and half = 1") == [["1-5", "1-6"]]
    assert listed(filter="n = 100") == [[]]
    first = client.get(path, params={"limit": 1}).json()
    assert first["documents"] == [client.get(f"{path}/0-0").json()]
    assert client.get(path, params={"limit": 1, "cursor": first["cursor"], "filter": "n = 1"}).status_code == 422
    assert client.get(path, params={"filter": "no_such_field = 1"}).status_code == 422
    client.delete(f"{path}/1-6?wait=visible")
    assert "changed" in client.get(path, params={"limit": 1, "cursor": first["cursor"]}).json()["notes"][0]
    client.delete("/v1/indexes/many")


def test_a_page_of_long_documents_ends_early(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twindex.api.service.reading.PAGE_CHARS", 100)
    add(client, *({"_id": f"long{n}", "text": "x" * 90, "long": True} for n in range(4)))
    page = client.get(f"{BASE}/documents", params={"filter": "long = true"}).json()
    assert [document["id"] for document in page["documents"]] == ["long0", "long1"]
    assert page["cursor"]
    client.post(f"{BASE}/documents/delete?wait=visible", json={"filter": "long = true"})


def test_an_outcome_for_each_item(client: TestClient) -> None:
    body = (
        lines({"_id": "good", "text": "Gooseberries."})
        + b'{"_id": 1}\nnot json\n\n\xff\n{"_id": "", "text": "x"}\n[1]\n'
    )
    response = client.post(f"{BASE}/documents", content=body, headers=NDJSON)
    outcome = response.json()
    assert (outcome["accepted"], outcome["rejected"]) == (1, 5)
    assert [item["status"] for item in outcome["items"]] == ["accepted"] + ["rejected"] * 5
    assert [item["item"] for item in outcome["items"]] == [1, 2, 3, 5, 6, 7]
    assert all(item["error"]["given"] for item in outcome["items"][1:])


def test_visible_within_a_second(client: TestClient) -> None:
    started = time.monotonic()
    response = client.post(f"{BASE}/documents", content=lines({"_id": "q", "text": "Quinces."}), headers=NDJSON)
    assert response.json()["sequence"] > 0
    while not ids(client, "quince"):
        assert time.monotonic() - started < 10, "not visible"
        time.sleep(0.01)
    # One second on an idle machine; the tests run on busy ones.
    assert time.monotonic() - started < 4


def test_many_may_wait_for_their_writes(client: TestClient) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def write(n: int) -> int:
        body = lines({"_id": f"wait{n}", "text": "waiting"})
        return client.post(f"{BASE}/documents?wait=visible", content=body, headers=NDJSON).status_code

    with ThreadPoolExecutor(60) as threads:
        assert set(threads.map(write, range(60))) == {200}
    assert len(ids(client, "waiting", k=100)) == 60


def test_delete_by_filter_sees_every_acknowledged_write(client: TestClient) -> None:
    for n in range(5):
        client.post(f"{BASE}/documents", content=lines({"_id": f"f{n}", "text": "figs", "n": n}), headers=NDJSON)
    deleted = client.post(f"{BASE}/documents/delete?wait=visible", json={"filter": "n >= 2"}).json()
    assert deleted["matched"] == 3
    assert sorted(ids(client, "figs")) == ["f0", "f1"]


def test_the_same_key_is_written_once(client: TestClient) -> None:
    document = {"_id": "k", "text": "Kiwis."}
    first = add(client, document, **{"Idempotency-Key": "once"})
    second = add(client, document, **{"Idempotency-Key": "once"})
    assert second["sequence"] == first["sequence"]
    assert second["replayed"]
    assert not first["replayed"]
    other = client.post(
        f"{BASE}/documents",
        content=lines({"_id": "k", "text": "Lemons."}),
        headers={**NDJSON, "Idempotency-Key": "once"},
    )
    assert other.status_code == 409


def test_lone_surrogates_and_odd_ids_survive(client: TestClient) -> None:
    odd = "\ud800 \u0000 x \U0001f41d"
    body = json.dumps({"documents": [{"id": odd, "text": "surrogate " + odd}]}).encode("ascii")
    response = client.post(f"{BASE}/documents?wait=visible", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    hit = client.post(f"{BASE}/search", json={"query": "surrogate", "mode": "sparse"}).json()["hits"][0]
    assert hit["id"] == odd
    assert hit["text"].endswith(odd)


def test_pages_are_parts_of_one_ranking(client: TestClient) -> None:
    add(client, *({"_id": f"p{n:02}", "text": "plums " * (n + 1)} for n in range(25)))
    for mode in ("sparse", "hybrid"):
        whole = ids(client, "plums", k=1000, mode=mode)
        assert len(whole) >= 25
        cursor, paged = None, []
        for _ in range(100):
            page = client.post(f"{BASE}/search", json={"query": "plums", "mode": mode, "k": 4, "cursor": cursor}).json()
            paged += [hit["id"] for hit in page["hits"]]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert paged == whole
    first = client.post(f"{BASE}/search", json={"query": "plums", "mode": "sparse", "k": 4}).json()["cursor"]
    other = client.post(f"{BASE}/search", json={"query": "figs", "mode": "sparse", "k": 4, "cursor": first})
    assert other.status_code == 422


def test_highlights_and_fusion_are_given_back(client: TestClient) -> None:
    add(client, {"_id": "h", "text": "He baked; she was baking bread."})
    fusion = {"method": "rrf", "k": 10, "weights": {"sparse": 2.0, "dense": 1.0}}
    body = {"query": "bake", "highlight": True, "fusion": fusion}
    found = client.post(f"{BASE}/search", json=body).json()
    hit = next(hit for hit in found["hits"] if hit["id"] == "h")
    assert [hit["text"][a:b] for a, b in hit["highlights"]] == ["baked", "baking"]
    assert found["fusion"]["method"] == "rrf"
    assert found["fusion"]["weights"] == {"sparse": 2.0, "dense": 1.0}


@pytest.mark.parametrize("mode", ["sparse", "hybrid"])
def test_texts_are_left_out_where_none_are_wanted(client: TestClient, mode: str) -> None:
    add(client, {"_id": "p", "text": "Quandongs are red."})
    body = {"query": "quandongs", "mode": mode, "k": 1}
    for more in ({}, {"highlight": True}, {"explain": True}):
        whole = client.post(f"{BASE}/search", json={**body, **more}).json()["hits"]
        short = client.post(f"{BASE}/search", json={**body, **more, "text": False}).json()["hits"]
        assert whole[0].pop("text") == "Quandongs are red."
        assert short == whole
    batch = client.post(f"{BASE}/search/batch", json={"queries": ["quandongs"], "mode": mode, "text": False}).json()
    assert "text" not in batch["results"][0]["hits"][0]


def test_batch_equals_one_by_one(client: TestClient) -> None:
    queries = ["figs", "", "plums", "nothing at all"]
    batch = client.post(f"{BASE}/search/batch", json={"queries": queries, "k": 3}).json()["results"]
    alone = [client.post(f"{BASE}/search", json={"query": query, "k": 3}).json() for query in queries]
    assert [result["hits"] for result in batch] == [result["hits"] for result in alone]


def test_indexes_are_listed_described_and_deleted(client: TestClient) -> None:
    again = client.post("/v1/indexes", json={"name": "notes", "encoder": "hashing:64"})
    assert again.status_code == 200
    assert client.post("/v1/indexes", json={"name": "notes", "encoder": "none"}).status_code == 409
    assert client.post("/v1/indexes", json={"name": "gone", "encoder": "none"}).status_code == 201
    assert [row["name"] for row in client.get("/v1/indexes").json()["indexes"]] == ["gone", "notes"]
    assert client.get(f"{BASE}").json()["writes"]["problem"] == ""
    assert client.delete("/v1/indexes/gone").status_code == 204
    assert client.get("/v1/indexes/gone").status_code == 404
    assert client.post("/v1/indexes/gone/search", json={"query": "x"}).status_code == 404


def test_merging_keeps_what_is_there(client: TestClient) -> None:
    before = ids(client, "plums", k=100)
    client.post(f"{BASE}/merge", json={"max_segments": 1})
    deadline = time.monotonic() + 20
    while client.get(BASE).json()["segments"] > 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ids(client, "plums", k=100) == before


def test_snapshot_and_restore_while_serving(client: TestClient) -> None:
    add(client, {"_id": "s", "text": "Strawberries."})
    task = finished(client, client.post(f"{BASE}/snapshots").json())
    snapshot = task["result"]["id"]
    client.delete(f"{BASE}/documents/s?wait=visible")
    add(client, {"_id": "t", "text": "Tangerines."})
    finished(client, client.post(f"{BASE}/restore", json={"snapshot": snapshot}).json())
    assert ids(client, "strawberries") == ["s"]
    assert ids(client, "tangerines") == []
    add(client, {"_id": "u", "text": "Ugli fruit."})  # writing goes on after it
    assert ids(client, "ugli") == ["u"]
    finished(client, client.post(f"{BASE}/restore", json={"snapshot": snapshot, "into": "copy"}).json())
    found = client.post("/v1/indexes/copy/search", json={"query": "strawberries", "mode": "sparse"}).json()
    assert found["hits"][0]["id"] == "s"
    assert client.post(f"{BASE}/restore", json={"snapshot": snapshot, "into": "copy"}).status_code == 409
    assert len(client.get(f"{BASE}/snapshots").json()["snapshots"]) == 1
    assert client.delete("/v1/indexes/copy").status_code == 204
    assert client.delete(f"{BASE}/snapshots/{snapshot}").status_code == 204
    assert client.get(f"{BASE}/snapshots").json()["snapshots"] == []
    assert client.delete(f"{BASE}/snapshots/{snapshot}").status_code == 404
    assert client.delete(f"{BASE}/snapshots/%2e%2e%2fnotes").status_code == 404
    assert client.delete(f"{BASE}/snapshots/notes").status_code == 422


def test_a_snapshot_brings_its_encoder_back(client: TestClient) -> None:
    body = lines({"_id": "x", "text": "Quince jelly."})
    client.post("/v1/indexes", json={"name": "enc", "encoder": "hashing:32"})
    client.post("/v1/indexes/enc/documents?wait=visible", content=body, headers=NDJSON)
    snapshot = finished(client, client.post("/v1/indexes/enc/snapshots").json())["result"]["id"]
    client.delete("/v1/indexes/enc")
    client.post("/v1/indexes", json={"name": "enc", "encoder": "hashing:64"})
    client.post("/v1/indexes/enc/documents?wait=visible", content=body, headers=NDJSON)
    assert client.post("/v1/indexes/enc/search", json={"query": "jelly", "mode": "dense"}).status_code == 200
    finished(client, client.post("/v1/indexes/enc/restore", json={"snapshot": snapshot}).json())
    found = client.post("/v1/indexes/enc/search", json={"query": "jelly", "mode": "dense"})
    assert found.json()["hits"][0]["id"] == "x"
    assert client.get("/v1/indexes/enc").json()["settings"]["encoder"]["dim"] == 32
    client.post("/v1/indexes/enc/documents?wait=visible", content=body, headers=NDJSON)
    assert client.delete("/v1/indexes/enc").status_code == 204


def test_evaluation_of_uploaded_judgements(client: TestClient) -> None:
    body = {
        "queries": {"1": "figs", "2": "strawberries"},
        "qrels": {"1": {"f0": 1, "f1": 1}, "2": {"s": 2}},
        "modes": ["sparse"],
        "measures": ["nDCG@10", "RR@10"],
    }
    task = finished(client, client.post(f"{BASE}/eval", json=body).json())
    averages = task["result"]["modes"]["sparse"]["averages"]["judged"]
    assert averages == {"nDCG@10": 1.0, "RR@10": 1.0}
    assert task["id"] in [row["id"] for row in client.get("/v1/tasks").json()["tasks"]]


def test_encode_gives_the_vectors_of_the_index(client: TestClient) -> None:
    body = client.post("/v1/indexes/notes/encode", json={"texts": ["figs", "plums"]}).json()
    assert body["dim"] == 64
    assert [len(vector) for vector in body["vectors"]] == [64, 64]


def finished(client: TestClient, task: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while task["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
        task = client.get(f"/v1/tasks/{task['id']}").json()
    assert task["state"] == "done", task
    return task
