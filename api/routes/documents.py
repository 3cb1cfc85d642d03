"""``/v1/indexes/{index}/documents``: write, read and delete documents."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request

from twindex.api.context import Context
from twindex.api.deps import ContextDep, ReadIndex, WriteIndex
from twindex.api.documents import MAX_ID, NDJSON, parse_bulk, request_digest
from twindex.api.openapi import problems
from twindex.api.refusals import NotThereError
from twindex.api.schemas import to_filter
from twindex.api.schemas_indexes import BulkBody, DeleteBody, DeleteRequest, DocumentBody
from twindex.api.service.records import Entry, delete, upsert
from twindex.api.service.served import ServedIndex
from twindex.api.service.wal import Acknowledged
from twindex.indexing.errors import UsageError
from twindex.indexing.types import Passage

router = APIRouter(tags=["documents"])

Wait = Annotated[
    Literal["durable", "visible"],
    Query(description="Answer when the write is durable, or only when searches see it."),
]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x21-\x7e]*$",
        description="The same request with the same key is written once, however often it is sent within a day.",
    ),
]
_DOCUMENT = {"description": "An object with _id or id, text, and perhaps title, metadata and further fields."}
BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            NDJSON[0]: {
                "schema": {"type": "string", "description": "One document a line."},
                "example": '{"_id": "a", "text": "First."}\n{"_id": "b", "text": "Second.", "year": 2026}\n',
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["documents"],
                    "additionalProperties": False,
                    "properties": {"documents": {"type": "array", "items": _DOCUMENT, "minItems": 1}},
                }
            },
        },
    }
}


@router.post(
    "/v1/indexes/{index}/documents",
    response_model=BulkBody,
    summary="Add documents, or replace those with the same ids",
    openapi_extra=BODIES,
    responses=problems(404, 409, 415, 507),
)
async def add_documents(
    request: Request, served: WriteIndex, context: ContextDep, wait: Wait = "durable", key: IdempotencyKey = ""
) -> dict[str, Any]:
    """Each item gets an outcome; those that can be written become durable and visible together."""
    data = await request.body()
    media_type = request.headers.get("content-type", "")
    bulk = await context.work.run(parse_bulk, data, media_type, max_items=context.limits.items)
    answer = {"accepted": len(bulk.documents), "rejected": bulk.rejected, "items": bulk.items}
    if not bulk.documents:
        return {**answer, "sequence": None, "visible": False, "replayed": False}
    digest = await asyncio.to_thread(request_digest, "documents", data) if key else ""
    entry = await context.work.run(upsert, bulk.documents, key=key, digest=digest)
    written = await _written(served, context, entry)
    context.metrics.count("twindex_documents_total", len(bulk.documents), operation="upsert")
    return {**answer, **await _reported(served, context, written, wait)}


@router.post(
    "/v1/indexes/{index}/documents/delete",
    response_model=DeleteBody,
    summary="Delete documents by id or by filter",
    responses=problems(404, 409, 507),
)
async def delete_documents(
    body: DeleteRequest, served: WriteIndex, context: ContextDep, wait: Wait = "durable", key: IdempotencyKey = ""
) -> dict[str, Any]:
    """A filter sees every write that was acknowledged before. Ids that are not there are no error."""
    if (body.ids is None) == (body.filter is None):
        raise UsageError("a deletion", expected="either ids or a filter", remedy="send one of the two")
    digest = request_digest("delete", body.model_dump_json()) if key else ""
    if body.ids is not None:
        if not body.ids:
            raise UsageError("a deletion of no ids", expected="one or more")
        entry = delete(body.ids, key=key, digest=digest, outcome={"matched": len(set(body.ids))})
        written = await _written(served, context, entry)
    else:
        condition = to_filter(body.filter)
        if condition is None:
            raise UsageError("a deletion", expected="either ids or a filter")
        written, _ = await context.slow.run(
            served.delete_matching, condition, seconds=context.limits.seconds, key=key, digest=digest
        )
    matched = int(written.outcome["matched"])
    context.metrics.count("twindex_documents_total", matched, operation="delete")
    return {"matched": matched, **await _reported(served, context, written, wait)}


@router.get(
    "/v1/indexes/{index}/documents/{doc_id:path}",
    response_model=DocumentBody,
    summary="Read a document",
    responses=problems(404),
)
async def get_document(doc_id: str, served: ReadIndex, context: ContextDep) -> dict[str, Any]:
    """The document as searches see it."""
    return await context.work.run(find_document, served, doc_id)


@router.delete(
    "/v1/indexes/{index}/documents/{doc_id:path}",
    response_model=DeleteBody,
    summary="Delete a document",
    responses=problems(404, 409, 507),
)
async def delete_document(
    doc_id: str, served: WriteIndex, context: ContextDep, wait: Wait = "durable", key: IdempotencyKey = ""
) -> dict[str, Any]:
    """A document that is not there is no error: afterwards it is certainly not there."""
    digest = request_digest("delete one", doc_id) if key else ""
    written = await _written(served, context, delete([doc_id], key=key, digest=digest, outcome={"matched": 1}))
    context.metrics.count("twindex_documents_total", 1, operation="delete")
    return {"matched": 1, **await _reported(served, context, written, wait)}


def find_document(served: ServedIndex, doc_id: str) -> dict[str, Any]:
    """The document of that id.

    Raises:
        NotThereError: If searches do not see one.
    """
    passages: list[Passage] = []
    if len(doc_id.encode("utf-8", "surrogatepass")) <= MAX_ID:
        with served.searcher.use() as snapshot:
            for segment in snapshot.segments:
                local = segment.store.find(doc_id)
                alive = local if segment.live is None else local[segment.live[local]]
                passages += segment.store.passages(alive)
    if not passages:
        raise NotThereError(f"no document {doc_id[:80]!r}", expected="the id of a document in this index")
    first = passages[0]
    whole = len(passages) == 1 and first.start == 0
    return {
        "id": doc_id,
        "title": first.title,
        "text": first.text if whole else None,
        "metadata": dict(first.metadata),
        "passages": [{"id": p.id, "start": p.start, "end": p.end, "text": p.text} for p in passages],
    }


async def _written(served: ServedIndex, context: Context, entry: Entry) -> Acknowledged:
    """The write, durable."""
    with context.stage("log"):
        future = await asyncio.to_thread(served.submit, entry) if not served.writes else served.submit(entry)
        return await asyncio.wrap_future(future)


async def _reported(served: ServedIndex, context: Context, written: Acknowledged, wait: str) -> dict[str, Any]:
    if wait == "visible":
        await served.until_visible(written.sequence, context.limits.seconds)
    return {
        "sequence": written.sequence,
        "visible": served.visible >= written.sequence,
        "replayed": written.again,
    }
