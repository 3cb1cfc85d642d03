"""``GET /v1/health``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from twindex.api.deps import SearcherDep
from twindex.api.schemas import HealthResponse

router = APIRouter(tags=["health"])


@router.get("/v1/health", response_model=HealthResponse, summary="Is the server ready, and with what?")
def health(request: Request, searcher: SearcherDep) -> dict[str, Any]:
    """Answers once the index is open; names the generation it serves."""
    snapshot = searcher.snapshot
    return {
        "status": "ok",
        "version": request.app.version,
        "index": request.app.state.index,
        "generation": snapshot.generation,
        "documents": snapshot.live_docs,
        "segments": len(snapshot.segments),
        "modes": ["hybrid", "sparse", "dense"] if snapshot.encoder_info else ["sparse"],
    }
