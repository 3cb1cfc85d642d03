"""``POST /v1/indexes/{index}/eval``: queries and judgements of your own, and how well the index does on them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from twindex.api.deps import ContextDep, ReadIndex
from twindex.api.openapi import problems
from twindex.api.routes.search import check_rerank
from twindex.api.schemas import FusionBody, Mode, to_recipe
from twindex.api.schemas_indexes import TaskBody
from twindex.api.schemas_legs import LegOptions, Whole
from twindex.api.service.served import ServedIndex
from twindex.api.web import APIRouter
from twindex.indexing.errors import UsageError
from twindex.indexing.types import Progress

if TYPE_CHECKING:
    from twindex.eval.measures import Measure

router = APIRouter(tags=["eval"])
#: Hits that a reranker reads for one evaluation: a task may take its time, but others wait for it.
MAX_RERANKED = 10_000
#: Queries that are searched at once.
BATCH = 64


class EvalRequest(LegOptions):
    """Queries and judgements, and how to search."""

    queries: dict[str, str] = Field(min_length=1, max_length=20_000, description="Query id -> text.")
    qrels: dict[str, dict[str, Whole]] = Field(
        min_length=1, max_length=20_000, description="Query id -> document id -> level; above 0 is relevant."
    )
    modes: list[Mode] = Field(default=["sparse"], min_length=1, max_length=3)
    measures: list[str] | None = Field(default=None, max_length=20, examples=[["nDCG@10", "R@100"]])
    k: Whole = Field(default=100, ge=1, le=1000, description="Depth of the rankings.")
    fusion: FusionBody = None


@router.post(
    "/v1/indexes/{index}/eval",
    response_model=TaskBody,
    status_code=202,
    summary="Score the index on uploaded queries and judgements",
    responses=problems(404, 501),
)
async def start_eval(body: EvalRequest, served: ReadIndex, context: ContextDep) -> dict[str, Any]:
    """A task; its result has the averages of each mode and the value of each query."""
    measures = await asyncio.to_thread(_measures, body.measures)
    to_recipe(body.fusion)
    body.options()
    check_rerank(body.rerank, len(body.queries) * len(body.modes), MAX_RERANKED)
    if not set(body.queries) & set(body.qrels):
        raise UsageError("queries and judgements without a common id", expected="judgements of these queries")
    task = await asyncio.to_thread(
        context.tasks.start, "eval", served.name, lambda progress: score(served, body, measures, progress)
    )
    return task.to_dict()


def _measures(names: Sequence[str] | None) -> Sequence[Measure]:
    """The measures of these names, or the usual ones."""
    from twindex.eval.measures import DEFAULT_MEASURES, parse_all  # loaded by the first evaluation

    return parse_all(names) if names is not None else DEFAULT_MEASURES


def score(served: ServedIndex, body: EvalRequest, measures: Sequence[Measure], progress: Progress) -> dict[str, Any]:
    """The report of each mode."""
    from twindex.eval.evaluate import evaluate

    ids = sorted(body.queries)
    total = len(ids) * len(body.modes)
    out: dict[str, Any] = {}
    for place, mode in enumerate(body.modes):
        run: dict[str, dict[str, float]] = {}
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            results = served.searcher.search_many(
                [body.queries[i] for i in some],
                k=body.k,
                mode=mode,
                recipe=to_recipe(body.fusion),
                options=body.options(),
            )
            for id_, result in zip(some, results):
                # Ranks as scores, so that ties stay in the order of the ranking.
                run[id_] = {hit.id: float(len(result.hits) - rank) for rank, hit in enumerate(result.hits)}
            progress("searching", place * len(ids) + start + len(some), total)
        out[mode] = evaluate(run, body.qrels, measures).to_dict()
    return {"modes": out, "generation": served.searcher.snapshot.generation}
