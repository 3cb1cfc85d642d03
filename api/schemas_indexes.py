"""Bodies of requests and responses about indexes, documents, tasks and snapshots."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from twindex.api.schemas import OPEN, FilterBody
from twindex.api.schemas_legs import Body
from twindex.indexing.encoders.find import DEFAULT_ENCODER

#: Names of snapshots: when they were taken, and some chance.
SNAPSHOT_ID: Final = r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$"
#: Names of encoders: models that are installed, never paths.
ENCODER_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*(/[A-Za-z0-9][A-Za-z0-9_.:@-]*)?$"


class CreateIndex(Body):
    """An index to be made."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", examples=["notes"])
    encoder: str = Field(
        default=DEFAULT_ENCODER,
        max_length=200,
        pattern=ENCODER_NAME,
        description="Name of an encoder that is installed on the server; none makes a sparse index.",
    )
    sparse_encoder: str = Field(
        default="none",
        max_length=200,
        pattern=ENCODER_NAME,
        description="Name of a sparse encoder for a learned leg beside the words; none leaves it out.",
    )
    analyzer: str = Field(default="english", max_length=64, description="Analyzer of the sparse leg.")
    chunk: str = Field(
        default="none",
        pattern=r"^(none|(words|sentences):[1-9][0-9]{0,6}(:[0-9]{1,6})?)$",
        description="none, words:200:40 or sentences:200:1.",
    )
    vectors: Literal["flat", "hnsw"] = Field(default="flat", description="Dense index: exact, or a graph.")


class IndexSummary(BaseModel):
    """An index in a list."""

    name: str
    documents: int
    generation: int
    problem: str = ""


class IndexList(BaseModel):
    """The indexes that the caller may read."""

    indexes: list[IndexSummary]


class IndexBody(BaseModel):
    """What there is to know about an index."""

    model_config = OPEN
    name: str
    generation: int
    documents: int
    passages: int
    segments: int
    bytes: int
    modes: list[Literal["hybrid", "sparse", "dense"]]
    legs: list[Literal["bm25", "learned", "dense"]] = Field(description="What it can be searched by.")
    reranker: str | None = Field(description="What orders hits anew where a search asks for it; null if nothing can.")
    settings: dict[str, Any]
    fields: dict[str, list[str]] = Field(description="Fields that filters may name, each with its kinds of values.")
    writes: dict[str, Any] = Field(description="Sequence numbers of the last acknowledged and last visible write.")


class WriteBody(BaseModel):
    """A write that is durable: it survives a crash, and searches see it within about a second."""

    sequence: int = Field(description="Its place in the order of writes of this index.")
    visible: bool = Field(description="Whether searches saw it when this was answered.")


class ItemBody(BaseModel):
    """What became of one item of a bulk write. ``item``: its line, or its place in the list, from 1."""

    item: int
    id: str | None
    status: Literal["accepted", "rejected"]
    error: dict[str, str] | None = None


class BulkBody(BaseModel):
    """What became of a bulk write. The accepted items become visible together."""

    sequence: int | None = Field(description="Null where nothing was accepted.")
    visible: bool
    accepted: int
    rejected: int
    replayed: bool = Field(description="Whether the same request, by its idempotency key, was answered before.")
    items: list[ItemBody]


class DeleteRequest(Body):
    """Which documents to delete: ids, or a filter."""

    ids: list[str] | None = Field(default=None, max_length=10_000, description="Document ids.")
    filter: FilterBody = None


class DeleteBody(BaseModel):
    """What became of a deletion. ``matched``: documents that passed the filter, or ids that were named."""

    sequence: int
    visible: bool
    matched: int
    replayed: bool = False


class PassageBody(BaseModel):
    """One indexed span of a document, in characters."""

    id: str
    start: int
    end: int
    text: str


class DocumentBody(BaseModel):
    """A document as it is indexed. ``text`` is null where only passages of it are kept."""

    id: str
    title: str
    text: str | None
    metadata: dict[str, Any]
    passages: list[PassageBody]


class DocumentList(BaseModel):
    """Documents in the order of the index."""

    documents: list[DocumentBody]
    cursor: str | None = Field(description="For the next page; null after the last one.")
    notes: list[str] | None


class TaskBody(BaseModel):
    """How far a job is. Times are seconds since 1970."""

    id: str
    kind: str
    index: str
    state: Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
    created: float
    finished: float
    stage: str
    done: int
    total: int | None
    result: dict[str, Any] | None
    error: dict[str, str] | None


class TaskList(BaseModel):
    """Tasks, the newest first."""

    tasks: list[TaskBody]


class SnapshotBody(BaseModel):
    """A snapshot of an index."""

    id: str
    index: str
    generation: int
    documents: int
    bytes: int


class SnapshotList(BaseModel):
    """Snapshots of an index, the oldest first."""

    snapshots: list[SnapshotBody]


class RestoreRequest(Body):
    """What to restore, and where to."""

    snapshot: str = Field(pattern=SNAPSHOT_ID, description="Id of a snapshot of this index.")
    into: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Name of a new index; left out, the index itself goes back to the snapshot, in one step.",
    )
