"""The REST application: one index, opened once, kept at its newest commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI

from twindex.api import errors
from twindex.api.limits import BodyLimit
from twindex.api.routes import answer, docs, health, search
from twindex.indexing.errors import ConfigError
from twindex.rag.engine import AnswerEngine
from twindex.rag.generator import Generator
from twindex.retrieval.engine import Searcher

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What a server needs to know.

    ``refresh_seconds``: how often to look for a newer commit of the index, 0 = never.
    ``body_limit``: bytes of a request body, at most.
    """

    index: Path
    generator: Generator
    profile: Path | None = None
    refresh_seconds: float = 1.0
    body_limit: int = 4 << 20

    def __post_init__(self) -> None:
        if self.refresh_seconds < 0 or self.body_limit < 1:
            raise ConfigError(
                f"refresh_seconds={self.refresh_seconds}, body_limit={self.body_limit}",
                expected="positive numbers",
            )


def create_app(config: AppConfig) -> FastAPI:
    """The application. The index is opened when it starts, and closed when it stops.

    Raises:
        IndexError_: At start-up, if the index cannot be opened.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Searcher.open(config.index, profile=config.profile) as searcher:
            app.state.searcher = searcher
            app.state.answers = AnswerEngine(searcher, config.generator)
            app.state.index = str(config.index)
            task = asyncio.create_task(_follow(searcher, config.refresh_seconds))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    app = FastAPI(
        title="twindex",
        version=version("twindex"),
        summary="Hybrid dense-sparse retrieval and cited answers over one index.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    app.add_middleware(BodyLimit, limit=config.body_limit)
    for routes in (search, answer, health, docs):
        app.include_router(routes.router)
    return app


async def _follow(searcher: Searcher, seconds: float) -> None:
    """Swap in every newer commit of the index. A failing look is logged and tried again."""
    while seconds:
        await asyncio.sleep(seconds)
        try:
            if await asyncio.to_thread(searcher.refresh):
                log.info("now serving generation %s", searcher.snapshot.generation)
        except Exception:  # the server goes on with the snapshot it holds
            log.exception("could not refresh the index")
