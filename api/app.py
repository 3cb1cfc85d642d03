"""The REST application: an index or a folder of indexes, opened once, kept at their newest commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from twindex.api import errors, openapi
from twindex.api.context import Context
from twindex.api.express import Express
from twindex.api.gate import Gate, GateConfig
from twindex.api.json_response import SafeJSON
from twindex.api.limits import BodyLimit, Limits
from twindex.api.loading import loading
from twindex.api.pulse import Pulse
from twindex.api.rate import RateLimit
from twindex.api.routes import (
    answer,
    docs,
    documents,
    encode,
    evaluation,
    health,
    indexes,
    openai,
    search,
    snapshots,
    tasks,
)
from twindex.api.service.catalog import Catalog, place_of
from twindex.api.service.encoders import EncoderPool
from twindex.api.service.keys import KeyStore
from twindex.api.service.metrics import Metrics, Shared
from twindex.api.service.pool import DEFAULT_THREADS, WorkPool
from twindex.api.service.tasks import TaskStore
from twindex.api.tracing import Traces, Tracing
from twindex.api.web import FastAPI
from twindex.indexing.encoders.find import DEFAULT_RERANKER
from twindex.indexing.errors import ConfigError, IndexError_, TwindexError

if TYPE_CHECKING:
    from twindex.rag.generator import Generator

log = logging.getLogger(__name__)

ROUTES = (search, answer, documents, indexes, snapshots, encode, evaluation, tasks, openai, health, docs)
#: Seconds between writes of the measures of a process, where there are several.
PUBLISH = 1.0


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What a server needs to know.

    ``index``: an index, or a folder of indexes (``root``: even if there is none in it yet). ``generator``: what writes
    answers; None = the extractive one. ``default``: the index that unnamed requests mean. ``refresh_seconds``: how
    often to look for newer commits, 0 = never. ``body_limit``: bytes of a request body, 0 = that of ``limits``.
    ``gate``: who may pass. ``workers``: processes that share the work, this being one of them. ``compiled``: get the
    compiled engine ready once searches are answered, if it can be had; else that is done once enough was asked.
    ``reranker``: name or folder of what reranks. ``traces``: makes OpenTelemetry spans; None = none are made.

    Raises:
        ConfigError: If a number is out of range.
    """

    index: Path
    generator: Generator | None = None
    profile: Path | None = None
    refresh_seconds: float = 0.2
    body_limit: int = 0
    root: bool = False
    default: str = ""
    gate: GateConfig = field(default_factory=GateConfig)
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    compiled: bool = False
    reranker: str = DEFAULT_RERANKER
    traces: Traces | None = None

    def __post_init__(self) -> None:
        if self.refresh_seconds < 0 or self.body_limit < 0 or self.workers < 1:
            raise ConfigError(
                f"refresh_seconds={self.refresh_seconds}, body_limit={self.body_limit}, workers={self.workers}",
                expected="positive numbers",
            )


def create_app(config: AppConfig) -> FastAPI:
    """The application. Indexes are opened when it starts, and closed when it stops.

    Raises:
        IndexError_: At start-up, if the one index that is served cannot be opened.
    """
    metrics, pulse = Metrics(), Pulse(config.limits.lag)
    keys = KeyStore(place_of(config.index, root=config.root, default=config.default).state)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        context = make_context(config, metrics, pulse)
        app.state.context = context
        await asyncio.to_thread(_open, context, compiled=config.compiled)
        watching = [asyncio.create_task(_publish(context)), asyncio.create_task(pulse.run())]
        try:
            yield
        finally:
            context.ready = False
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await asyncio.to_thread(_close, context)

    app = FastAPI(
        title="twindex",
        version=version("twindex"),
        summary="Hybrid dense-sparse retrieval and cited answers.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        default_response_class=SafeJSON,
        # Its own would send bodies and messages wherever the environment says; ours (``traces``) never do.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    errors.install(app)
    openapi.install(app)
    limits = config.limits
    app.add_middleware(Express)
    app.add_middleware(
        BodyLimit,
        limit=config.body_limit or limits.body_bytes,
        bulk=limits.bulk_bytes,
        seconds=limits.seconds,
    )
    rate = RateLimit(limits.rate / config.workers, max(1, limits.burst // config.workers))
    app.add_middleware(Gate, config=config.gate, keys=keys, rate=rate, metrics=metrics, pulse=pulse)
    app.state.api_routes = [route for routes in ROUTES for route in routes.router.routes]
    if config.traces is not None:
        app.add_middleware(Tracing, traces=config.traces)
    for routes in ROUTES:
        app.include_router(routes.router)
    return app


def make_context(config: AppConfig, metrics: Metrics, pulse: Pulse) -> Context:
    """What the routes share; nothing is opened yet.

    Raises:
        IndexNotFoundError: If there is nothing to serve.
    """
    place = place_of(config.index, root=config.root, default=config.default)
    encoders = EncoderPool(reranker_name=config.reranker)
    catalog = Catalog(
        place,
        encoders=encoders,
        generator=_generator_of(config),
        profile=config.profile,
        refresh_seconds=config.refresh_seconds,
    )
    limits = config.limits
    return Context(
        catalog=catalog,
        encoders=encoders,
        work=WorkPool(threads=max(2, DEFAULT_THREADS // config.workers), queue=limits.queue, seconds=limits.seconds),
        slow=WorkPool(threads=min(limits.answers, 8), queue=limits.answers, seconds=limits.answer_seconds),
        tasks=TaskStore(place.state / "tasks"),
        metrics=metrics,
        limits=limits,
        version=version("twindex"),
        pulse=pulse,
        traces=config.traces,
        shared=Shared(place.state / "metrics") if config.workers > 1 else None,
    )


def _generator_of(config: AppConfig) -> Callable[[], Generator]:
    """Gives what writes answers; the extractive generator is loaded by the first one."""
    if config.generator is not None:
        given = config.generator
        return lambda: given

    @cache
    def extractive() -> Generator:
        from twindex.rag.generators.extractive import ExtractiveGenerator

        return ExtractiveGenerator()

    return extractive


def _open(context: Context, *, compiled: bool) -> None:
    """Opens the indexes, replays what their logs hold, and searches once in each, so that no request is the first.

    What only makes later requests quicker is left to a thread that goes on when requests are answered already.
    """
    with loading():
        context.catalog.start()
        _warm(context)
    if compiled:
        threading.Thread(target=_settle, args=(context,), name="settle", daemon=True).start()
    context.ready = True


def _settle(context: Context) -> None:
    """Loads what the first requests of some kinds would wait for: the compiled engine, and what answers questions."""
    _compile(context)
    for served in context.catalog.opened()[:1]:
        _ = served.answers


def _warm(context: Context) -> None:
    """Searches once in every index that is open."""
    for served in context.catalog.opened():
        try:
            served.warm()
        except (TwindexError, OSError) as error:
            level = logging.WARNING if not isinstance(error, IndexError_) else logging.ERROR
            log.log(level, "%s could not be warmed up: %s", served.name, error)


def _compile(context: Context) -> None:
    """Gets the compiled engine ready in the index that most requests will mean.

    Cost: milliseconds, or some seconds of a compiler at the very first start; searches go on without it meanwhile.
    """
    for served in context.catalog.opened()[:1]:
        try:
            served.compile()
        except (TwindexError, OSError) as error:
            log.warning("%s is searched without the compiled engine: %s", served.name, error)


def _close(context: Context) -> None:
    context.tasks.close()
    context.slow.close()
    context.work.close()
    context.catalog.close()
    if context.traces is not None:
        context.traces.close()


async def _publish(context: Context) -> None:
    """Lets the other processes of a server know this one's measures."""
    while context.shared is not None:
        try:
            await asyncio.to_thread(context.shared.publish, context.measured())
        except OSError as error:
            log.warning("measures could not be written: %s", error)
        await asyncio.sleep(PUBLISH)
