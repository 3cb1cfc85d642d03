"""``POST /v1/answer``: as JSON, or as server-sent events while it comes about."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from twindex.api.deps import ContextDep, ReadIndex
from twindex.api.json_response import to_json
from twindex.api.openapi import problems
from twindex.api.schemas import AnswerRequest, AnswerResponse, to_filter
from twindex.api.service.pool import WorkPool
from twindex.api.stream import SSE_HEADERS, event, in_thread, problem_event
from twindex.indexing.errors import TwindexError
from twindex.rag.engine import AnswerEngine
from twindex.rag.events import Event, Final

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
    condition = to_filter(body.filter)
    engine = served.answering(body.options())
    if body.stream or "text/event-stream" in request.headers.get("accept", ""):
        context.slow.admit()
        events = answer_events(engine, context.slow, body)
        return StreamingResponse(events, media_type="text/event-stream", headers=SSE_HEADERS)
    with context.stage("answer"):
        found = await context.slow.run(engine.answer, body.question, k=body.k, mode=body.mode, filter=condition)
    return Response(to_json(found.to_dict()), media_type="application/json")


async def answer_events(engine: AnswerEngine, pool: WorkPool, body: AnswerRequest) -> AsyncIterator[bytes]:
    """The events of an answer, ready to be sent. Passages are numbered before the first token is written."""
    steps = in_thread(
        pool, lambda: engine.stream(body.question, k=body.k, mode=body.mode, filter=to_filter(body.filter))
    )
    try:
        async for step in steps:
            yield b": still writing\n\n" if step is None else event(_name(step), step.to_dict())
    except TwindexError as error:
        yield problem_event(error)


def _name(step: Event) -> str:
    return "done" if isinstance(step, Final) else step.kind
