"""``/v1/indexes``: list, create, describe, merge and delete indexes."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from twindex.api.context import Context
from twindex.api.deps import AdminIndex, CallerDep, ContextDep, ReadIndex, check_allowed, on_server
from twindex.api.openapi import problems
from twindex.api.schemas_indexes import CreateIndex, IndexBody, IndexList, WriteBody
from twindex.api.schemas_legs import Body, Whole
from twindex.api.service.records import Entry
from twindex.api.service.served import ServedIndex
from twindex.api.web import APIRouter, Depends, Response
from twindex.indexing.analysis import get_analyzer
from twindex.indexing.chunking import ChunkConfig
from twindex.indexing.config import IndexConfig
from twindex.indexing.errors import ConfigError, IndexError_, MissingError

router = APIRouter(tags=["indexes"])


class MergeRequest(Body):
    """How far to merge."""

    max_segments: Whole = Field(default=1, ge=1, le=1000, description="Segments to leave, at most.")


@router.get("/v1/indexes", response_model=IndexList, summary="List the indexes", responses=problems())
async def list_indexes(caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """Those that the caller may read."""
    names = [name for name in await asyncio.to_thread(context.catalog.names) if caller.allows("read", name)]
    return {"indexes": [await asyncio.to_thread(summary, context, name) for name in names]}


@router.post(
    "/v1/indexes",
    response_model=IndexBody,
    status_code=201,
    summary="Create an index",
    responses={
        200: {"model": IndexBody, "description": "It is there already, with these settings"},
        **problems(409, 501, 507),
    },
    dependencies=[Depends(on_server("admin"))],
)
async def create_index(body: CreateIndex, context: ContextDep, response: Response) -> dict[str, Any]:
    """An empty index. Asking twice is no error."""
    served, new = await asyncio.to_thread(_create, context, body)
    response.status_code = 201 if new else 200
    return described(served)


@router.get("/v1/indexes/{index}", response_model=IndexBody, summary="Describe an index", responses=problems(404))
async def get_index(served: ReadIndex) -> dict[str, Any]:
    """Settings, counts, fields that filters may name, and what is still to become visible."""
    return await asyncio.to_thread(described, served)


@router.delete("/v1/indexes/{index}", status_code=204, summary="Delete an index", responses=problems(404, 507))
async def delete_index(index: str, caller: CallerDep, context: ContextDep) -> Response:
    """Removes the index with all its documents. Its snapshots stay."""
    check_allowed(caller, "admin", index)
    await asyncio.to_thread(context.catalog.delete, index)
    return Response(status_code=204)


@router.post(
    "/v1/indexes/{index}/merge",
    response_model=WriteBody,
    summary="Merge segments",
    responses=problems(404, 507),
)
async def merge(body: MergeRequest, served: AdminIndex) -> dict[str, Any]:
    """Rewrites segments as fewer ones and drops what was deleted, after the writes before it. Searches go on."""
    written = await asyncio.wrap_future(served.submit(Entry("merge", {"max_segments": body.max_segments})))
    return {"sequence": written.sequence, "visible": False}


def summary(context: Context, name: str) -> dict[str, Any]:
    """One line of the list; an index that cannot be opened says so."""
    try:
        snapshot = context.catalog.get(name).searcher.snapshot
    except IndexError_ as error:
        return {"name": name, "documents": 0, "generation": 0, "problem": error.message}
    return {"name": name, "documents": snapshot.documents, "generation": snapshot.generation, "problem": ""}


def described(served: ServedIndex) -> dict[str, Any]:
    """What there is to know about an index."""
    with served.searcher.use() as snapshot:
        fields: dict[str, list[str]] = {}
        for segment in snapshot.segments:
            for name, kinds in segment.store.fields().items():
                fields[name] = sorted({*fields.get(name, []), *kinds})
        config = snapshot.manifest.config
        return {
            "name": served.name,
            "generation": snapshot.generation,
            "documents": snapshot.documents,
            "passages": snapshot.live_docs,
            "deleted_passages": snapshot.size - snapshot.live_docs,
            "segments": len(snapshot.segments),
            "bytes": sum(file.bytes for entry in snapshot.manifest.segments for file in entry.files),
            "modes": ["hybrid", "sparse", "dense"] if config.encoder else ["sparse"],
            "legs": ["bm25", *(["learned"] if config.sparse_encoder else []), *(["dense"] if config.encoder else [])],
            "reranker": served.encoders.reranker_here(),
            "settings": config.to_dict(),
            "fields": dict(sorted(fields.items())),
            "writes": served.status(),
        }


def _create(context: Context, body: CreateIndex) -> tuple[ServedIndex, bool]:
    try:
        encoder = None if body.encoder == "none" else context.encoders.named(body.encoder).info
        sparse = None if body.sparse_encoder == "none" else context.encoders.sparse(body.sparse_encoder).info
    except MissingError as error:
        raise ConfigError(
            f"encoders {body.encoder!r} and {body.sparse_encoder!r}, which this server does not have both",
            expected="some that are installed, hashing:DIM, sparse-hashing:VOCABULARY, or none",
            remedy="install the model on the server",
        ) from error
    config = IndexConfig(
        analyzer=get_analyzer(body.analyzer).name,
        encoder=encoder,
        sparse_encoder=sparse,
        chunking=ChunkConfig.parse(body.chunk),
        vector_kind=body.vectors,
    )
    return context.catalog.create(body.name, config)
