"""What routes ask for, as annotated dependencies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from twindex.rag.engine import AnswerEngine
from twindex.retrieval.engine import Searcher


def _searcher(request: Request) -> Searcher:
    searcher: Searcher = request.app.state.searcher
    return searcher


def _answers(request: Request) -> AnswerEngine:
    engine: AnswerEngine = request.app.state.answers
    return engine


SearcherDep = Annotated[Searcher, Depends(_searcher)]
AnswersDep = Annotated[AnswerEngine, Depends(_answers)]
