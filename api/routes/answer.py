"""``POST /v1/answer``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from twindex.api.deps import AnswersDep
from twindex.api.schemas import AnswerRequest, AnswerResponse, Problem, to_filter

router = APIRouter(tags=["answer"])


@router.post(
    "/v1/answer",
    response_model=AnswerResponse,
    summary="Answer a question with citations",
    responses={422: {"model": Problem}, 502: {"model": Problem}, 503: {"model": Problem}},
)
def answer(body: AnswerRequest, engine: AnswersDep) -> dict[str, Any]:
    """An answer drawn from the index, each sentence bound to the span that supports it."""
    return engine.answer(body.question, k=body.k, mode=body.mode, filter=to_filter(body.filter)).to_dict()
