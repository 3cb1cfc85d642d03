"""``GET /v1/health`` (it lives), ``/v1/ready`` (it answers) and ``/metrics`` (how it does)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from twindex.api.context import Context
from twindex.api.deps import CallerDep, ContextDep, on_server
from twindex.api.json_response import SafeJSON
from twindex.api.openapi import problems
from twindex.api.refusals import NotThereError
from twindex.api.schemas import Mode
from twindex.api.service.metrics import Labels
from twindex.api.web import APIRouter, Depends, Request

router = APIRouter(tags=["health"])


class HealthResponse(BaseModel):
    """That this process lives; and, for those who may read it, from what the default index answers."""

    status: Literal["ok"]
    version: str
    index: str | None = None
    generation: int | None = None
    documents: int | None = Field(default=None, description="Live passages.")
    segments: int | None = None
    modes: list[Mode] | None = None
    problem: str | None = Field(default=None, description="Why writes do not get through, if they do not.")


class ReadyResponse(BaseModel):
    """Whether requests should be sent here."""

    status: Literal["ready", "starting"]


@router.get("/v1/health", response_model=HealthResponse, summary="Does the server live?", responses=problems())
async def health(request: Request, caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """Needs no key; counts are shown to those who may read the default index."""
    plain: dict[str, Any] = {"status": "ok", "version": context.version}
    try:
        name = context.catalog.default()
    except NotThereError:
        return plain
    served = context.catalog.peek(name)
    if served is None or not caller.allows("read", name):
        return plain
    snapshot = served.searcher.snapshot
    return {
        **plain,
        "index": str(context.catalog.place.path) if context.catalog.place.single else name,
        "generation": snapshot.generation,
        "documents": snapshot.live_docs,
        "segments": len(snapshot.segments),
        "modes": ["hybrid", "sparse", "dense"] if snapshot.encoder_info else ["sparse"],
        "problem": served.problem or None,
    }


@router.get(
    "/v1/ready",
    response_model=ReadyResponse,
    summary="Should requests be sent here?",
    responses={**problems(), 503: {"model": ReadyResponse, "description": "Still starting, or about to stop"}},
)
async def ready(context: ContextDep) -> Response:
    """After indexes were opened and warmed up; no longer once the server is stopping."""
    if context.ready:
        return SafeJSON({"status": "ready"})
    return SafeJSON({"status": "starting"}, status_code=503)


@router.get(
    "/metrics",
    summary="Measures in the text format of Prometheus",
    response_class=PlainTextResponse,
    responses=problems(),
    dependencies=[Depends(on_server("read"))],
)
async def metrics(context: ContextDep) -> Response:
    """Of all processes of this server together. Needs a key that may read every index."""
    text = await asyncio.to_thread(rendered, context)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def rendered(context: Context) -> str:
    """The measures as text."""
    own = context.measured()
    total = own if context.shared is None else context.shared.total(own)
    return total.render(_gauges(context))


def _gauges(context: Context) -> Iterator[tuple[str, Labels, float]]:
    yield "twindex_queue_jobs", (("pool", "work"),), context.work.pending
    yield "twindex_queue_jobs", (("pool", "slow"),), context.slow.pending
    yield "twindex_loop_late_seconds", (), context.pulse.late
    for served in context.catalog.opened():
        labels = (("index", served.name),)
        manifest, status = served.searcher.snapshot.manifest, served.status()
        yield "twindex_index_documents", labels, manifest.documents
        yield "twindex_index_segments", labels, len(manifest.segments)
        yield "twindex_index_bytes", labels, sum(f.bytes for entry in manifest.segments for f in entry.files)
        yield "twindex_index_generation", labels, manifest.generation
        yield "twindex_index_pending_records", labels, status["pending"]
        yield "twindex_index_refused_records", labels, status["refused"]
        yield "twindex_log_bytes", labels, served.log_bytes()
