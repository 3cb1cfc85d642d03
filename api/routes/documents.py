"""``/v1/indexes/{index}/documents``: write, read and delete documents."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from twindex.api.context import Context
from twindex.api.cursor import CHANGED, Cursor
from twindex.api.deps import ContextDep, ReadIndex, WriteIndex
from twindex.api.documents import NDJSON, parse_bulk, request_digest
from twindex.api.openapi import problems
from twindex.api.refusals import NotThereError
from twindex.api.schemas import to_filter
from twindex.api.schemas_indexes import BulkBody, DeleteBody, DeleteRequest, DocumentBody, DocumentList
from twindex.api.service.reading import find_document, list_documents
from twindex.api.service.records import Entry, delete, upsert
from twindex.api.service.served import ServedIndex
from twindex.api.service.wal import Acknowledged
from twindex.api.web import APIRouter, Header, Query, Request
from twindex.indexing.errors import UsageError

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
Condition = Annotated[
    str | None,
    Query(
        alias="filter",
        max_length=10_000,
        description="A condition on metadata.",
        examples=["year >= 2020 and lang = 'en'"],
    ),
]
#: Documents of one page, and passages of an index that pages can reach.
MAX_LISTED: Final = 1000
MAX_ORDINAL: Final = 1 << 31
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
    "/v1/indexes/{index}/documents",
    response_model=DocumentList,
    summary="List documents, all or those that pass a filter",
    responses=problems(404),
)
async def get_documents(
    served: ReadIndex,
    context: ContextDep,
    condition: Condition = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED, description="How many; fewer come where they are long.")] = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="The cursor of the page before.")] = None,
) -> dict[str, Any]:
    """In the order of the index, page by page: follow the cursor until it is null, and you have them all."""
    return await context.work.run(_listed, served, condition, limit, cursor)


@router.get(
    "/v1/indexes/{index}/documents/{doc_id:path}",
    response_model=DocumentBody,
    summary="Read a document",
    responses=problems(404),
)
async def get_document(doc_id: str, served: ReadIndex, context: ContextDep) -> dict[str, Any]:
    """The document as searches see it."""
    return await context.work.run(_found, served, doc_id)


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


def _found(served: ServedIndex, doc_id: str) -> dict[str, Any]:
    """The document of that id.

    Raises:
        NotThereError: If searches do not see one.
    """
    with served.searcher.use() as snapshot:
        document = find_document(snapshot, doc_id)
    if document is None:
        raise NotThereError(f"no document {doc_id[:80]!r}", expected="the id of a document in this index")
    return document


def _listed(served: ServedIndex, condition: str | None, limit: int, text: str | None) -> dict[str, Any]:
    """One page of the list."""
    asked = {"documents of": served.name, "filter": condition}
    cursor = Cursor.from_text(text, asked, most=MAX_ORDINAL) if text is not None else None
    with served.searcher.use() as snapshot:
        page = list_documents(
            snapshot, to_filter(condition), start=cursor.offset if cursor is not None else 0, limit=limit
        )
        generation = snapshot.generation
    return {
        "documents": page.documents,
        "cursor": Cursor(page.following, generation).to_text(asked) if page.following is not None else None,
        "notes": [CHANGED] if cursor is not None and cursor.generation != generation else None,
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
