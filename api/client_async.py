"""The client for asynchronous code: the same methods as the plain one's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, Unpack

import httpx

from twindex.api.client_calls import (
    RETRIED,
    TIMEOUT,
    Answer,
    AnswerEvent,
    Bulk,
    Call,
    Calls,
    Condition,
    Legs,
    Mode,
    Page,
    Retry,
    Task,
    Wait,
    events_of,
    failure,
    pause,
    raised,
    read,
)
from twindex.indexing.errors import ServiceError


class AsyncClient:
    """The same for asynchronous code.

    Args:
        url: Of the server.
        key: API key, if the server wants one.
        timeout: Seconds that an answer may take.
        retry: How often to try again.
        transport: For tests.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        timeout: float = TIMEOUT,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = Calls()
        self._retry = retry
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, transport=transport)

    async def search(
        self,
        query: str,
        *,
        index: str | None = None,
        k: int = 10,
        mode: Mode = "hybrid",
        filter: Condition = None,  # noqa: A002 - the server's word
        explain: bool = False,
        highlight: bool = False,
        text: bool = True,
        fusion: Mapping[str, Any] | None = None,
        cursor: str | None = None,
        **legs: Unpack[Legs],
    ) -> Page:
        """One page of hits."""
        given = {"mode": mode, "filter": filter, "explain": explain, "highlight": highlight, "text": text}
        options = {**given, "fusion": fusion, **legs}
        return Page.of(await self._send(self._calls.search(index, query, k, cursor, options)))

    async def pages(self, query: str, **options: Any) -> AsyncIterator[Page]:
        """One page after another."""
        page = await self.search(query, **options)
        yield page
        while page.cursor is not None:
            page = await self.search(query, **{**options, "cursor": page.cursor})
            yield page

    async def search_many(self, queries: Sequence[str], *, index: str | None = None, **options: Any) -> list[Page]:
        """One page for each query."""
        return [Page.of(found) for found in (await self._send(self._calls.batch(index, queries, options)))["results"]]

    async def answer(self, question: str, *, index: str | None = None, **options: Any) -> Answer:
        """An answer with citations."""
        return Answer.of(await self._send(self._calls.answer(index, question, options)))

    async def stream(self, question: str, *, index: str | None = None, **options: Any) -> AsyncIterator[AnswerEvent]:
        """The same as it comes about."""
        call = self._calls.answer(index, question, {**options, "stream": True})
        async with self._http.stream(call.method, call.path, json=call.json) as response:
            if response.is_error:
                await response.aread()
                raise failure(response)
            lines: list[str] = []
            async for line in response.aiter_lines():
                lines.append(line)
                if not line:
                    for event in events_of(lines):
                        yield raised(event)
                    lines = []

    async def add(self, index: str, documents: Iterable[Mapping[str, Any]], *, wait: Wait = "durable") -> Bulk:
        """Adds documents, or replaces those with the same ids. They are durable when this returns."""
        return Bulk.of(await self._send(self._calls.add(index, documents, wait)))

    async def delete(
        self,
        index: str,
        ids: Sequence[str] | None = None,
        *,
        filter: Condition = None,  # noqa: A002 - the server's word
        wait: Wait = "durable",
    ) -> int:
        """Deletes documents by id or by filter; how many were named or matched."""
        return int((await self._send(self._calls.delete(index, ids, filter, wait)))["matched"])

    async def get(self, index: str, doc_id: str) -> dict[str, Any]:
        """A document."""
        return dict(await self._send(self._calls.get(index, doc_id)))

    async def documents(
        self,
        index: str,
        *,
        filter: str | None = None,  # noqa: A002 - the server's word
        page: int = 100,
    ) -> AsyncIterator[dict[str, Any]]:
        """All documents, or those that pass a filter, in the order of the index; fetched a page at a time."""
        cursor: str | None = None
        while True:
            found = await self._send(self._calls.documents(index, filter, page, cursor))
            for document in found["documents"]:
                yield document
            cursor = found["cursor"]
            if cursor is None:
                return

    async def merge(self, index: str, *, segments: int = 1) -> None:
        """Has segments joined until so many are left."""
        await self._send(self._calls.merge(index, segments))

    async def encode(
        self, texts: Sequence[str], *, index: str | None = None, kind: Literal["query", "document"] = "query"
    ) -> list[list[float]]:
        """Vectors of texts, with the encoder of the index."""
        vectors: list[list[float]] = (await self._send(self._calls.encode(index, texts, kind)))["vectors"]
        return vectors

    async def create_index(self, name: str, **settings: Any) -> dict[str, Any]:
        """An empty index."""
        return dict(await self._send(self._calls.create(name, settings)))

    async def delete_index(self, name: str) -> None:
        """Removes an index."""
        await self._send(self._calls.drop(name))

    async def indexes(self) -> list[str]:
        """Names of the indexes that this key may read."""
        return [row["name"] for row in (await self._send(Call("GET", "/v1/indexes")))["indexes"]]

    async def info(self, index: str) -> dict[str, Any]:
        """What there is to know about an index."""
        return dict(await self._send(self._calls.info(index)))

    async def snapshot(self, index: str) -> Task:
        """Begins a snapshot."""
        return Task.of(await self._send(self._calls.snapshot(index)))

    async def delete_snapshot(self, index: str, snapshot: str) -> None:
        """Removes a snapshot."""
        await self._send(self._calls.drop_snapshot(index, snapshot))

    async def cancel(self, task: Task) -> Task:
        """Asks a task to end at its next step; :meth:`wait` says how it ended."""
        return Task.of(await self._send(Call("DELETE", f"/v1/tasks/{task.id}")))

    async def restore(self, index: str, snapshot: str, *, into: str | None = None) -> Task:
        """Begins to restore a snapshot, over the index or into a new one."""
        return Task.of(await self._send(self._calls.restore(index, snapshot, into)))

    async def evaluate(
        self, index: str, queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]], **more: Any
    ) -> Task:
        """Begins to score the index on queries and judgements."""
        return Task.of(await self._send(self._calls.evaluate(index, queries, qrels, more)))

    async def wait(self, task: Task, *, seconds: float = 3600.0) -> Task:
        """The task once it has ended.

        Raises:
            ServiceError: If it failed, or did not end in time.
        """
        deadline = time.monotonic() + seconds
        while task.running:
            if time.monotonic() > deadline:
                raise ServiceError(f"task {task.id} is still {task.state} after {seconds:g} s")
            await asyncio.sleep(0.1)
            task = Task.of(await self._send(Call("GET", f"/v1/tasks/{task.id}")))
        return task.checked()

    async def close(self) -> None:
        """Gives connections back."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call) -> Any:
        for attempt in range(self._retry.tries):
            try:
                response = await self._http.request(
                    call.method, call.path, json=call.json, content=call.content, headers=call.headers
                )
            except httpx.TransportError as error:
                if attempt + 1 == self._retry.tries:
                    raise ServiceError(f"{self._http.base_url} cannot be reached: {error}") from error
                response = None
            if response is not None and (response.status_code not in RETRIED or attempt + 1 == self._retry.tries):
                return read(response)
            await asyncio.sleep(pause(response, attempt, self._retry.backoff, self._retry.most))
        raise ServiceError("a client that tries 0 times")
