"""The conventions of the OpenAI API, so that its clients work unchanged: embeddings, chat over an index, models.

A model is an index: ``NAME`` or ``twindex/NAME``; ``twindex`` is the default index. ``/v1/embeddings`` encodes with
that index's encoder; ``/v1/chat/completions`` answers the last message from it and adds ``citations`` to the reply.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from twindex.api.deps import CallerDep, ContextDep, check_allowed, find_index
from twindex.api.json_response import to_json
from twindex.api.openapi import problems
from twindex.api.routes.answer import check_answer, run_answer, stream_answer
from twindex.api.routes.encode import check_texts, encoder_of
from twindex.api.schemas import OPEN, AnswerRequest, FilterBody, FusionBody, Mode
from twindex.api.schemas_legs import LegOptions, Whole
from twindex.api.service.served import ServedIndex
from twindex.api.stream import SSE_HEADERS, in_thread, problem_event
from twindex.api.web import APIRouter, Request
from twindex.indexing.errors import QueryError, TwindexError

if TYPE_CHECKING:
    from twindex.rag.events import Event
    from twindex.rag.types import Answer

router = APIRouter(tags=["openai"])
PREFIX: Final = "twindex"
#: Clients send fields that this server has no use for.
LENIENT = ConfigDict(extra="allow")


class EmbeddingsRequest(BaseModel):
    """Texts to encode."""

    model_config = LENIENT
    model: str = Field(max_length=200, examples=["twindex"])
    input: str | list[str] = Field(examples=[["how to read a csv file"]])
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, description="Refused unless it is what the encoder has.")


class Part(BaseModel):
    """A part of a message; only text is read."""

    model_config = LENIENT
    type: str
    text: str = ""


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = LENIENT
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class ChatOptions(LegOptions):
    """How the answer's passages are found; clients send it as ``extra_body={"twindex": {...}}``."""

    k: Whole = Field(default=8, ge=1, le=100, description="How many hits may become context.")
    mode: Mode = Field(default="hybrid", description="Which index finds the context.")
    filter: FilterBody = None
    fusion: FusionBody = None


class ChatRequest(BaseModel):
    """A conversation; the last message of its user is the question."""

    model_config = LENIENT
    model: str = Field(max_length=200, examples=["twindex"])
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    n: int | None = Field(default=1, ge=1, le=1)
    twindex: ChatOptions | None = Field(default=None, description="What the OpenAI API has no words for.")


class EmbeddingsResponse(BaseModel):
    """As the OpenAI API has it."""

    model_config = OPEN
    object: Literal["list"]
    data: list[dict[str, Any]]
    model: str
    usage: dict[str, int]


class ChatResponse(BaseModel):
    """As the OpenAI API has it, with ``citations`` and ``passages`` besides."""

    model_config = OPEN
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]


class ModelList(BaseModel):
    """As the OpenAI API has it."""

    object: Literal["list"]
    data: list[dict[str, Any]]


@router.get("/v1/models", response_model=ModelList, summary="List models: one an index", responses=problems())
async def models(caller: CallerDep, context: ContextDep) -> dict[str, Any]:
    """Indexes that the caller may read, under the names that other calls take."""
    names = [n for n in await asyncio.to_thread(context.catalog.names) if caller.allows("read", n)]
    rows = [{"id": f"{PREFIX}/{n}", "object": "model", "created": 0, "owned_by": PREFIX} for n in names]
    return {"object": "list", "data": rows}


@router.post("/v1/embeddings", response_model=EmbeddingsResponse, summary="Embeddings", responses=problems(404, 501))
async def embeddings(body: EmbeddingsRequest, request: Request, caller: CallerDep, context: ContextDep) -> Response:
    """Vectors of texts, encoded as documents of the index are."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    check_texts(texts, context.limits.texts)
    served = await _index(body.model, request, caller)
    data = await context.work.run(_embedded, served, body, texts)
    return Response(data, media_type="application/json")


@router.post(
    "/v1/chat/completions",
    response_model=ChatResponse,
    summary="Chat over an index",
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "JSON or a stream"},
        **problems(404, 501, 502),
    },
)
async def chat(body: ChatRequest, request: Request, caller: CallerDep, context: ContextDep) -> Response:
    """An answer from the index, its citations as [n] in the text and in full beside it."""
    served = await _index(body.model, request, caller)
    options = body.twindex.model_dump(exclude_unset=True) if body.twindex is not None else {}
    wanted = AnswerRequest(question=_question(body) or " ", **options)
    check_answer(wanted, context.limits)
    if body.stream:
        context.slow.admit()
        steps = in_thread(context.slow, lambda: stream_answer(served, wanted))
        return StreamingResponse(_chunks(steps, body.model), media_type="text/event-stream", headers=SSE_HEADERS)
    answer = await context.slow.run(run_answer, served, wanted)
    return Response(to_json(_completion(answer, body.model)), media_type="application/json")


async def _index(model: str, request: Request, caller: CallerDep) -> ServedIndex:
    name = model.removeprefix(f"{PREFIX}/")
    wanted = request.app.state.context.catalog.default() if name == PREFIX else name
    check_allowed(caller, "read", wanted)
    return await find_index(request, wanted)


def _embedded(served: ServedIndex, body: EmbeddingsRequest, texts: list[str]) -> bytes:
    encoder = encoder_of(served)
    if body.dimensions not in (None, encoder.info.dim):
        raise QueryError(f"dimensions = {body.dimensions}", expected=f"{encoder.info.dim}, or none")
    vectors = encoder.encode_documents(texts)
    rows = []
    for number, vector in enumerate(vectors):
        plain: Any = vector.tolist()
        if body.encoding_format == "base64":
            plain = base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode("ascii")
        rows.append({"object": "embedding", "index": number, "embedding": plain})
    words = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return to_json({"object": "list", "data": rows, "model": body.model, "usage": usage})


def _question(body: ChatRequest) -> str:
    for message in reversed(body.messages):
        if message.role == "user":
            content = message.content
            if isinstance(content, str):
                return content
            return "\n".join(part.text for part in content or [] if part.type == "text")
    raise QueryError("a conversation without a message of the user", expected="one with the role user")


def _completion(answer: Answer, model: str) -> dict[str, Any]:
    plain = answer.to_dict()
    usage = answer.usage
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
        "citations": plain["citations"],
        "passages": plain["passages"],
        "abstained": answer.abstained,
    }


async def _chunks(steps: AsyncIterator[Event | None], model: str) -> AsyncIterator[bytes]:
    """The reply bit by bit. The last chunk with content carries the citations, validated."""
    from twindex.rag import events

    head = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        return b"data: %s\n\n" % to_json({**head, "choices": choices, **more})

    written = ""
    yield chunk({"role": "assistant", "content": ""})
    try:
        async for step in steps:
            if step is None:
                yield b": still writing\n\n"
            elif isinstance(step, events.Token):
                written += step.text
                yield chunk({"content": step.text})
            elif isinstance(step, events.Final):
                if not written:  # an abstention is not drafted
                    yield chunk({"content": step.answer.text})
                plain = step.to_dict()
                more = {key: plain[key] for key in ("citations", "passages", "abstained")}
                yield chunk({}, "stop", validated=step.answer.text, **more)
    except TwindexError as error:
        yield problem_event(error)
        return
    yield b"data: [DONE]\n\n"
