"""``POST /v1/search``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from twindex.api.deps import SearcherDep
from twindex.api.schemas import Problem, SearchRequest, SearchResponse, to_filter

router = APIRouter(tags=["search"])


@router.post(
    "/v1/search",
    response_model=SearchResponse,
    summary="Search the index",
    responses={422: {"model": Problem}, 503: {"model": Problem}},
)
def search(body: SearchRequest, searcher: SearcherDep) -> dict[str, Any]:
    """The k best documents for a query, by words, by meaning, or by both fused."""
    result = searcher.search(body.query, k=body.k, mode=body.mode, filter=to_filter(body.filter), explain=body.explain)
    return result.to_dict()
