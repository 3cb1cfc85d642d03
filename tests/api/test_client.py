"""The Python client, plain and asynchronous, against a server in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.api.server import Process, free_port
from twindex.api.client import AsyncClient, Client, Retry
from twindex.api.refusals import ConflictError, NotThereError, OverloadedError
from twindex.indexing.errors import ServiceError, UsageError

DOCUMENTS = [
    {"_id": "bee", "title": "Honey bee", "text": "Honey bees store nectar as honey inside the hive.", "year": 2021},
    {"_id": "a/b ü", "title": "Odd", "text": "An odd identifier of honey.", "year": 2019},
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("client")
    server = Process(folder / "root", "--root", port=free_port(), log=folder / "log")
    server.wait_ready(90)
    yield server.url
    assert server.stop() == 0


def test_plain(url: str) -> None:
    with Client(url) as client:
        client.create_index("plain", encoder="hashing:32")
        assert client.indexes() == ["plain"]
        bulk = client.add("plain", [*DOCUMENTS, {"no": "id"}], wait="visible")
        assert (bulk.accepted, len(bulk.rejected), bulk.visible) == (2, 1, True)
        page = client.search("honey", index="plain", k=1, highlight=True)
        assert page.hits[0].raw["highlights"]
        assert [len(page.hits) for page in client.pages("honey", index="plain", k=1)] == [1, 1]
        assert client.search("honey", filter="year > 2020").hits[0].id == "bee"
        assert client.get("plain", "a/b ü")["title"] == "Odd"
        assert len(client.search_many(["honey", "odd"], index="plain")) == 2
        assert len(client.encode(["x"], index="plain")[0]) == 32
        answer = client.answer("What do honey bees store inside the hive?", index="plain")
        assert answer.citations[0]["doc_id"] == "bee"
        steps = list(client.stream("What do honey bees store inside the hive?", index="plain"))
        assert steps[-1].data["answer"] == answer.text
        task = client.wait(client.snapshot("plain"))
        assert task.result is not None
        assert client.delete("plain", filter="year = 2019", wait="visible") == 1
        with pytest.raises(NotThereError):
            client.get("plain", "a/b ü")
        client.wait(client.restore("plain", str(task.result["id"])))
        assert client.info("plain")["documents"] == 2
        scores = client.wait(client.evaluate("plain", {"q": "honey"}, {"q": {"bee": 1}})).result
        assert scores is not None
        with pytest.raises(UsageError, match="filter"):
            client.search("x", filter="year >=", index="plain")
        with pytest.raises(ConflictError):
            client.create_index("plain", encoder="none")
        client.create_index("legs", encoder="none", sparse_encoder="sparse-hashing:256")
        client.add("legs", DOCUMENTS, wait="visible")
        assert client.search("honey", index="legs", mode="sparse", sparse="learned").hits[0].id == "bee"
        assert [d["id"] for d in client.documents("legs", page=1)] == [d["_id"] for d in DOCUMENTS]
        assert [d["id"] for d in client.documents("legs", filter="year = 1")] == []
        client.merge("legs")
        assert [hit.text for hit in client.search("honey", index="legs", text=False).hits] == ["", ""]
        taken = client.wait(client.snapshot("legs"))
        assert client.cancel(taken).state == "done"
        assert taken.result is not None
        client.delete_snapshot("legs", taken.result["id"])
        client.delete_index("legs")
        client.delete_index("plain")
        assert client.indexes() == []


def test_asynchronous(url: str) -> None:
    async def run() -> None:
        async with AsyncClient(url) as client:
            await client.create_index("later", encoder="none")
            await client.add("later", DOCUMENTS, wait="visible")
            pages = await asyncio.gather(*(client.search("honey", index="later") for _ in range(20)))
            assert {tuple(hit.id for hit in page.hits) for page in pages} == {("bee", "a/b ü")}
            assert [len(page.hits) async for page in client.pages("honey", index="later", k=1)] == [1, 1]
            steps = [step async for step in client.stream("What do honey bees store in the hive?", index="later")]
            assert [steps[0].kind, steps[-1].kind] == ["retrieved", "done"]
            assert [d["id"] async for d in client.documents("later", page=1)] == [d["_id"] for d in DOCUMENTS]
            await client.merge("later")
            assert await client.delete("later", ["bee"], wait="visible") == 1
            task = await client.wait(await client.snapshot("later"))
            assert task.state == "done"
            await client.delete_index("later")

    asyncio.run(run())


def test_tries_again_under_one_key_and_then_gives_up() -> None:
    seen: list[httpx.Request] = []

    def busy(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 1:
            raise httpx.ReadError("cut off")
        return httpx.Response(503, json={"detail": "busy"}, headers={"retry-after": "0"})

    client = Client("http://test", retry=Retry(3, 0.0), transport=httpx.MockTransport(busy))
    with client, pytest.raises(OverloadedError):
        client.add("x", DOCUMENTS)
    assert len(seen) == 3
    assert len({request.headers["idempotency-key"] for request in seen}) == 1


def test_an_unreachable_server_is_a_message() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", retry=Retry(2, 0.0))
    with client, pytest.raises(ServiceError, match="cannot be reached"):
        client.indexes()
