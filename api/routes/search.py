"""``POST /v1/search`` and ``/v1/search/batch``, of the default index and of a named one."""

from __future__ import annotations

import time
from typing import Any, Final

from starlette.responses import Response

from twindex.api.cursor import CHANGED, DEPTH, Cursor
from twindex.api.deps import ContextDep, ReadIndex
from twindex.api.json_response import to_utf8
from twindex.api.openapi import problems
from twindex.api.refusals import TooLargeError
from twindex.api.schemas import (
    BatchRequest,
    BatchResponse,
    SearchBody,
    SearchRequest,
    SearchResponse,
    to_filter,
    to_recipe,
)
from twindex.api.service.hits import result_of
from twindex.api.service.served import ServedIndex
from twindex.api.web import APIRouter
from twindex.retrieval.options import DEFAULT_OPTIONS, SearchOptions
from twindex.retrieval.ranked import Ranked

router = APIRouter(tags=["search"])
#: Hits of all queries of a batch together, at most.
MAX_BATCH_HITS: Final = 100_000
#: Hits and characters of a query that are surely few.
LIGHT_K: Final = 100
LIGHT_QUERY: Final = 500


@router.post(
    "/v1/search", response_model=SearchResponse, summary="Search the default index", responses=problems(404, 501)
)
@router.post(
    "/v1/indexes/{index}/search", response_model=SearchResponse, summary="Search an index", responses=problems(404, 501)
)
async def search(body: SearchRequest, served: ReadIndex, context: ContextDep) -> Response:
    """The k best documents for a query, by words, by meaning, or by both fused."""
    check_rerank(body.rerank, 1, context.limits.rerank)
    with context.stage("search"):
        data = await context.work.run(run_search, served, body)
    return Response(data, media_type="application/json")


@router.post(
    "/v1/search/batch", response_model=BatchResponse, summary="Many queries at once", responses=problems(404, 501)
)
@router.post(
    "/v1/indexes/{index}/search/batch",
    response_model=BatchResponse,
    summary="Many queries at once to an index",
    responses=problems(404, 501),
)
async def batch(body: BatchRequest, served: ReadIndex, context: ContextDep) -> Response:
    """One result a query, equal to asking one by one, but quicker."""
    if len(body.queries) > context.limits.queries or len(body.queries) * body.k > MAX_BATCH_HITS:
        raise TooLargeError(
            f"{len(body.queries)} queries with {body.k} hits each",
            expected=f"at most {context.limits.queries} queries and {MAX_BATCH_HITS:,} hits",
            remedy="send them in several requests",
        )
    check_rerank(body.rerank, len(body.queries), context.limits.rerank)
    data = await context.work.run(run_batch, served, body)
    return Response(data, media_type="application/json")


def check_rerank(hits: int, queries: int, most: int) -> None:
    """Nothing, if a reranker may read so many hits of so many queries: each takes it a twentieth of a second or more.

    Raises:
        TooLargeError: If not.
    """
    if hits * queries > most:
        raise TooLargeError(
            f"rerank = {hits} for {queries} queries",
            expected=f"at most {most} hits that are read for one request",
            remedy="rerank fewer hits, or send the queries in several requests",
        )


def is_light(body: SearchRequest) -> bool:
    """Whether it is a plain search by words, whose cost depends on little but the index."""
    return (
        body.mode == "sparse"
        and body.k <= LIGHT_K
        and len(body.query) <= LIGHT_QUERY
        and not (body.explain or body.highlight)
        and body.filter is None
        and body.fusion is None
        and not body.rerank
        and body.sparse in (None, "bm25")
    )


def run_search(served: ServedIndex, body: SearchRequest) -> bytes:
    """The response to one query, as JSON."""
    if is_light(body):
        return served.pace.timed(lambda: _run_search(served, body))
    return _run_search(served, body)


def _run_search(served: ServedIndex, body: SearchRequest) -> bytes:
    started = time.perf_counter()
    options = body.options()
    asked = _identity(served, body, options)
    cursor = Cursor.from_text(body.cursor, asked) if body.cursor is not None else None
    start = cursor.offset if cursor is not None else 0
    # One more than the page holds, to know whether there is another; never beyond the depth of paging.
    wanted = max(start + body.k, min(start + body.k + 1, DEPTH)) if body.k else 0
    with served.searcher.ranked(
        [body.query],
        k=min(wanted, DEPTH) if start else wanted,
        mode=body.mode,
        filter=to_filter(body.filter),
        start=start,
        recipe=to_recipe(body.fusion),
        options=options,
    ) as (found,):
        plain = _result(found, body)
        more = len(found.ranking) > body.k > 0 and start + body.k < DEPTH
        generation = found.snapshot.generation
    plain["took_ms"] = round(1000 * (time.perf_counter() - started), 3)
    plain["cursor"] = Cursor(start + body.k, generation).to_text(asked) if more else None
    if cursor is not None and cursor.generation != generation:
        plain["notes"] = [*plain.get("notes", []), CHANGED]
    return to_utf8(plain)


def run_batch(served: ServedIndex, body: BatchRequest) -> bytes:
    """The response to many queries, as JSON."""
    started = time.perf_counter()
    with served.searcher.ranked(
        body.queries,
        k=body.k,
        mode=body.mode,
        filter=to_filter(body.filter),
        recipe=to_recipe(body.fusion),
        options=body.options(),
    ) as found:
        plain = [_result(one, body) for one in found]
    took = 1000 * (time.perf_counter() - started)
    for one in plain:
        one |= {"took_ms": round(took / len(plain), 3), "cursor": None}
    return to_utf8({"results": plain, "took_ms": round(took, 3)})


def _result(found: Ranked, body: SearchBody) -> dict[str, Any]:
    return result_of(found, k=body.k, explain=body.explain, highlight=body.highlight, text=body.text)


def _identity(served: ServedIndex, body: SearchRequest, options: SearchOptions) -> dict[str, Any]:
    """What a cursor belongs to: everything that decides the ranking."""
    return {
        "index": served.name,
        "query": body.query,
        "mode": body.mode,
        "filter": body.filter,
        "fusion": body.fusion,
        **({} if options is DEFAULT_OPTIONS else options.to_dict()),
    }
