"""What the clients send and get: one place for addresses, bodies and results, whatever waits for them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypedDict
from urllib.parse import quote, urlencode

import httpx

from twindex.api.refusals import (
    AuthenticationError,
    ConflictError,
    ForbiddenError,
    NotThereError,
    OverloadedError,
    RefusedError,
    StorageError,
    TooLargeError,
    TooManyError,
    TooSlowError,
)
from twindex.indexing.errors import ServiceError, TwindexError, UsageError
from twindex.rag.generators.sse import events

Mode = Literal["hybrid", "sparse", "dense"]
Wait = Literal["durable", "visible"]
Condition = str | Mapping[str, Any] | None
#: Seconds that an answer may take.
TIMEOUT: Final = 60.0
#: Statuses that a second try may change; every write carries an idempotency key, so that it may be sent again.
RETRIED: Final = frozenset({429, 502, 503, 504})
_BY_STATUS: Final[dict[int, type[RefusedError]]] = {
    403: ForbiddenError,
    404: NotThereError,
    409: ConflictError,
    413: TooLargeError,
    429: TooManyError,
    503: OverloadedError,
    504: TooSlowError,
    507: StorageError,
}


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is sent again, and how long to wait before.

    The wait is ``backoff * 2**n`` seconds, at most ``most``, or what the server's Retry-After says.
    """

    tries: int = 4
    backoff: float = 0.2
    most: float = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    method: str
    path: str
    json: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Legs(TypedDict, total=False):
    """How the legs of a search are run; what is left out is decided by the index and the server's profile."""

    sparse: Literal["bm25", "learned", "both"]
    rerank: int
    rerank_weight: float
    prune: float
    two_phase: float
    budget: float
    recall: float
    idf: Literal["model", "index"]
    learned_queries: Literal["words", "model"]
    expansion: bool
    field_form: Literal["additive", "bm25f"]
    field_weight: float
    alpha: float
    aggregate: Literal["max", "mean"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit; its ``text`` is "" where none was asked for. ``raw``: all that was sent: explanation, ranks, passage."""

    id: str
    score: float
    title: str
    text: str
    metadata: Mapping[str, Any]
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Hits of one query, best first; ``cursor`` leads to the next page, None after the last."""

    query: str
    mode: str
    hits: tuple[Hit, ...]
    cursor: str | None
    took_ms: float
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From what the server sent."""
        hits = tuple(Hit(h["id"], h["score"], h["title"], h.get("text") or "", h["metadata"], h) for h in raw["hits"])
        return cls(raw["query"], raw["mode"], hits, raw.get("cursor"), raw["took_ms"], raw)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or an abstention. ``raw`` has passages, ranking and usage as well."""

    text: str
    citations: tuple[Mapping[str, Any], ...]
    abstained: bool
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From what the server sent."""
        return cls(raw["answer"], tuple(raw["citations"]), raw["abstained"], raw)


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """A step of a streamed answer: retrieved, token, citation, done or error."""

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bulk:
    """What became of a bulk write; ``rejected`` are the items that could not be written, with their reasons."""

    sequence: int | None
    accepted: int
    rejected: tuple[Mapping[str, Any], ...]
    visible: bool
    replayed: bool

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From what the server sent."""
        bad = tuple(item for item in raw["items"] if item["status"] == "rejected")
        return cls(raw["sequence"], raw["accepted"], bad, raw["visible"], raw["replayed"])


@dataclass(frozen=True, slots=True)
class Task:
    """How far a job is."""

    id: str
    state: str
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From what the server sent."""
        return cls(raw["id"], raw["state"], raw["result"], raw["error"], raw)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("queued", "running")

    def checked(self) -> Self:
        """The same.

        Raises:
            ServiceError: If it did not end well.
        """
        if self.state != "done":
            raise ServiceError(f"task {self.id} {self.state}: {(self.error or {}).get('detail', 'no reason given')}")
        return self


class Calls:
    """Makes the requests."""

    def search(self, index: str | None, query: str, k: int, cursor: str | None, options: Mapping[str, Any]) -> Call:
        """One query."""
        return Call("POST", f"{_at(index)}/search", {"query": query, "k": k, "cursor": cursor, **options})

    def batch(self, index: str | None, queries: Sequence[str], options: Mapping[str, Any]) -> Call:
        """Many queries."""
        return Call("POST", f"{_at(index)}/search/batch", {"queries": list(queries), **options})

    def answer(self, index: str | None, question: str, options: Mapping[str, Any]) -> Call:
        """One question."""
        return Call("POST", f"{_at(index)}/answer", {"question": question, **options})

    def add(self, index: str, documents: Iterable[Mapping[str, Any]], wait: Wait) -> Call:
        """A bulk write."""
        body = b"".join(json.dumps(document).encode("ascii") + b"\n" for document in documents)
        headers = {"content-type": "application/x-ndjson", **_once()}
        return Call("POST", f"{_at(index)}/documents?wait={wait}", content=body, headers=headers)

    def delete(self, index: str, ids: Sequence[str] | None, condition: Any, wait: Wait) -> Call:
        """A deletion.

        Raises:
            UsageError: If neither ids nor a filter are given, or both.
        """
        if (ids is None) == (condition is None):
            raise UsageError("a deletion", expected="either ids or a filter")
        body = {"ids": list(ids)} if ids is not None else {"filter": condition}
        return Call("POST", f"{_at(index)}/documents/delete?wait={wait}", body, headers=_once())

    def get(self, index: str, doc_id: str) -> Call:
        """A document."""
        return Call("GET", f"{_at(index)}/documents/{quote(doc_id, safe='')}")

    def documents(self, index: str, condition: str | None, limit: int, cursor: str | None) -> Call:
        """A page of documents."""
        given = {"filter": condition, "limit": limit, "cursor": cursor}
        asked = urlencode({name: value for name, value in given.items() if value is not None})
        return Call("GET", f"{_at(index)}/documents?{asked}")

    def merge(self, index: str, segments: int) -> Call:
        """A merge."""
        return Call("POST", f"{_at(index)}/merge", {"max_segments": segments})

    def encode(self, index: str | None, texts: Sequence[str], kind: str) -> Call:
        """Texts to vectors."""
        return Call("POST", f"{_at(index)}/encode", {"texts": list(texts), "kind": kind})

    def create(self, name: str, settings: Mapping[str, Any]) -> Call:
        """A new index."""
        return Call("POST", "/v1/indexes", {"name": name, **settings})

    def drop(self, name: str) -> Call:
        """The end of an index."""
        return Call("DELETE", _at(name))

    def info(self, index: str) -> Call:
        """An index, described."""
        return Call("GET", _at(index))

    def snapshot(self, index: str) -> Call:
        """A snapshot."""
        return Call("POST", f"{_at(index)}/snapshots")

    def drop_snapshot(self, index: str, snapshot: str) -> Call:
        """The end of a snapshot."""
        return Call("DELETE", f"{_at(index)}/snapshots/{quote(snapshot, safe='')}")

    def restore(self, index: str, snapshot: str, into: str | None) -> Call:
        """A restore."""
        return Call("POST", f"{_at(index)}/restore", {"snapshot": snapshot, "into": into})

    def evaluate(self, index: str, queries: Any, qrels: Any, more: Mapping[str, Any]) -> Call:
        """An evaluation."""
        return Call("POST", f"{_at(index)}/eval", {"queries": queries, "qrels": qrels, **more})


def failure(response: httpx.Response) -> TwindexError:
    """The error that a problem response stands for, in the classes of this project."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    given = str(problem.get("given") or problem.get("detail") or f"status {response.status_code}")
    expected, remedy = str(problem.get("expected", "")), str(problem.get("remedy", ""))
    status = response.status_code
    if status == 401:
        return AuthenticationError(given)
    if status in _BY_STATUS:
        return _BY_STATUS[status](given, expected=expected, remedy=remedy)
    return (UsageError if status < 500 else ServiceError)(given, expected=expected, remedy=remedy)


def read(response: httpx.Response) -> Any:
    """What a response holds, None if nothing.

    Raises:
        TwindexError: If it is a refusal or an error.
    """
    if response.is_error:
        raise failure(response)
    return response.json() if response.content else None


def pause(response: httpx.Response | None, attempt: int, backoff: float, most: float) -> float:
    """Seconds to wait before the next try."""
    told = response.headers.get("retry-after", "") if response is not None else ""
    seconds = float(told) if re.fullmatch(r"\d{1,6}", told) else backoff * 2**attempt
    return min(seconds, most)


def events_of(lines: Iterable[str]) -> Iterator[AnswerEvent]:
    """The events of a stream of lines."""
    kind = ""

    def data_only() -> Iterator[str]:
        nonlocal kind
        for line in lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            yield line

    for data in events(data_only()):
        yield AnswerEvent(kind, json.loads(data))


def raised(event: AnswerEvent) -> AnswerEvent:
    """The same event.

    Raises:
        ServiceError: If it says that the answer failed.
    """
    if event.kind == "error":
        raise ServiceError(str(event.data.get("detail", "the answer failed")))
    return event


def _at(index: str | None) -> str:
    return "/v1" if index is None else f"/v1/indexes/{quote(index, safe='')}"


def _once() -> dict[str, str]:
    return {"idempotency-key": secrets.token_hex(16)}
