"""``POST /v1/answer``: as JSON, or as server-sent events while it comes about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from twindex.api.deps import ContextDep, ReadIndex
from twindex.api.json_response import to_json
from twindex.api.limits import Limits
from twindex.api.openapi import problems
from twindex.api.routes.search import check_rerank
from twindex.api.schemas import AnswerRequest, AnswerResponse, to_filter, to_recipe
from twindex.api.service.pool import WorkPool
from twindex.api.service.served import ServedIndex
from twindex.api.stream import SSE_HEADERS, event, in_thread, problem_event
from twindex.api.web import APIRouter, Request
from twindex.indexing.errors import TwindexError

if TYPE_CHECKING:
    from twindex.rag.events import Event
    from twindex.rag.types import Answer

router = APIRouter(tags=["answer"])
EVENTS = {
    "content": {"text/event-stream": {}},
    "description": "JSON; or, where asked for, events: retrieved (the numbered passages), token, citation, done (the "
    "validated answer, as in JSON), or error (a problem).",
}


@router.post(
    "/v1/answer",
    response_model=AnswerResponse,
    summary="Answer a question from the default index, with citations",
    responses={200: EVENTS, **problems(404, 501, 502)},
)
@router.post(
    "/v1/indexes/{index}/answer",
    response_model=AnswerResponse,
    summary="Answer a question from an index, with citations",
    responses={200: EVENTS, **problems(404, 501, 502)},
)
async def answer(body: AnswerRequest, request: Request, served: ReadIndex, context: ContextDep) -> Response:
    """An answer drawn from the index, each sentence bound to the span that supports it."""
    check_answer(body, context.limits)
    if body.stream or "text/event-stream" in request.headers.get("accept", ""):
        context.slow.admit()
        events = answer_events(served, context.slow, body)
        return StreamingResponse(events, media_type="text/event-stream", headers=SSE_HEADERS)
    with context.stage("answer"):
        found = await context.slow.run(run_answer, served, body)
    return Response(to_json(found.to_dict()), media_type="application/json")


def check_answer(body: AnswerRequest, limits: Limits) -> None:
    """Nothing, if the question can be asked: what is wrong is said before the first event.

    Raises:
        FilterError: If the filter cannot be read.
        ConfigError: If the fusion cannot be read.
        QueryError: If an option is out of range, or two contradict each other.
        TooLargeError: If a reranker would have to read too much.
    """
    check_rerank(body.rerank, 1, limits.rerank)
    to_filter(body.filter)
    to_recipe(body.fusion)
    body.options()


def run_answer(served: ServedIndex, body: AnswerRequest) -> Answer:
    """The answer to one question."""
    engine = served.answering(body.options(), to_recipe(body.fusion))
    return engine.answer(body.question, k=body.k, mode=body.mode, filter=to_filter(body.filter))


def stream_answer(served: ServedIndex, body: AnswerRequest) -> Iterator[Event]:
    """The answer to one question, as it comes about."""
    engine = served.answering(body.options(), to_recipe(body.fusion))
    return engine.stream(body.question, k=body.k, mode=body.mode, filter=to_filter(body.filter))


async def answer_events(served: ServedIndex, pool: WorkPool, body: AnswerRequest) -> AsyncIterator[bytes]:
    """The events of an answer, ready to be sent. Passages are numbered before the first token is written."""
    steps = in_thread(pool, lambda: stream_answer(served, body))
    try:
        async for step in steps:
            yield b": still writing\n\n" if step is None else event(_name(step), step.to_dict())
    except TwindexError as error:
        yield problem_event(error)


def _name(step: Event) -> str:
    return "done" if step.kind == "final" else step.kind
