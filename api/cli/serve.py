"""``twindex serve``: an index, or a folder of indexes, over REST."""

from __future__ import annotations

import gc
import ipaddress
import logging
import multiprocessing
import signal
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer
import uvicorn

from twindex.api import logs
from twindex.api.app import AppConfig, create_app
from twindex.api.cli import options
from twindex.api.cli.generators import generator_if_any
from twindex.api.corked import CorkedProtocol
from twindex.api.gate import GateConfig
from twindex.api.limits import Limits
from twindex.api.service.catalog import place_of
from twindex.api.service.keys import KeyStore
from twindex.api.service.metrics import Shared
from twindex.api.service.workers import Workers, listen
from twindex.api.tracing import Traces
from twindex.indexing.encoders.find import DEFAULT_RERANKER
from twindex.indexing.errors import ConfigError, UsageError
from twindex.indexing.parent import end_with_parent

#: Names of this machine for itself.
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
#: Seconds that requests have to finish when the server is told to stop.
GRACE: Final = 30


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker process has to know; it can be sent to one."""

    index: Path
    root: bool
    default: str
    generator: str | None
    profile: Path | None
    reranker: str
    gate: GateConfig
    limits: Limits
    workers: int
    behind_proxy: bool
    log_requests: bool
    traces: bool
    certificate: Path | None
    private_key: Path | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    index: options.IndexDir,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8080,
    generator: Annotated[
        str | None, typer.Option(help="extractive, openai:MODEL@URL or gguf:FILE.", show_default="extractive")
    ] = None,
    profile: options.Profile = None,
    reranker: Annotated[
        str, typer.Option(metavar="[NAME|FOLDER]", help="Model that orders hits anew where a search asks for it.")
    ] = DEFAULT_RERANKER,
    root: Annotated[bool, typer.Option("--root", help="DIR is a folder of indexes, perhaps still empty.")] = False,
    default: Annotated[str, typer.Option(help="Index that requests mean which name none.")] = "",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the work.")] = 1,
    auth: Annotated[bool, typer.Option("--auth", help="Require an API key on loopback, too.")] = False,
    allow_host: Annotated[list[str] | None, typer.Option(help="Name that clients know this server by.")] = None,
    cors: Annotated[list[str] | None, typer.Option(help="Web origin whose pages may call the server.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second of one caller; 0 = no limit.")] = 0.0,
    burst: Annotated[int, typer.Option(min=1, help="Requests at once of one caller.")] = 100,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 30.0,
    max_rerank: Annotated[int, typer.Option(min=1, help="Hits that a reranker may read for one request.")] = 200,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="Trust X-Forwarded-For of this host.")] = False,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="One line of JSON a request.")] = False,
    traces: Annotated[bool, typer.Option("--traces", help="Send OpenTelemetry traces (needs twindex[otel]).")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate file (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key file (PEM).")] = None,
) -> None:
    """Serve an index: search, answers, documents and more under /v1, and a page at /.

    Listens on loopback only, unless told otherwise; on any other address an API key is required
    (twindex keys create DIR).
    """
    place = place_of(index, root=root, default=default)  # a wrong directory is a message, not a failing server
    local = is_loopback(host)
    plan = Plan(
        index=index,
        root=root,
        default=default,
        generator=generator,
        profile=profile,
        reranker=reranker,
        gate=GateConfig(auth or not local, _hosts(host, local, tuple(allow_host or ())), tuple(cors or ())),
        limits=Limits(rate=rate, burst=burst, seconds=timeout, rerank=max_rerank),
        workers=workers,
        behind_proxy=behind_proxy,
        log_requests=log_requests,
        traces=traces,
        certificate=tls_cert,
        private_key=tls_key,
    )
    generator_if_any(generator)
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("one of --tls-cert and --tls-key", expected="both, or none")
    if plan.gate.auth:
        _check_keys(KeyStore(place.state), index, host)
    try:
        listener = listen(host, port)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: {error.strerror}", remedy="choose another --host or --port") from error
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if tls_cert else "http"
    typer.echo(f"serving {index} on {scheme}://{shown}:{listener.getsockname()[1]} (stop with Ctrl-C)", err=True)
    if not local and not tls_cert and not behind_proxy:
        typer.echo("note: keys and texts travel in the clear; put a TLS proxy in front, or give --tls-cert", err=True)
    run(plan, listener)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(plan: Plan, listener: socket.socket) -> None:
    """Serves until a signal."""
    logs.set_up(requests=plan.log_requests)
    gc.freeze()  # what is loaded stays: full collections need not look at it, nor forks copy it
    if plan.workers == 1:
        work(plan, listener)
        return
    Shared(place_of(plan.index, root=plan.root).state / "metrics").clear()
    Workers(partial(work, plan), listener, plan.workers).run()


def work(plan: Plan, listener: socket.socket) -> None:
    """One process of the server."""
    logs.set_up(requests=plan.log_requests)
    if multiprocessing.parent_process() is not None:
        end_with_parent()
    signal.signal(signal.SIGTERM, _leave)
    config = AppConfig(
        index=plan.index,
        generator=generator_if_any(plan.generator),
        profile=plan.profile,
        reranker=plan.reranker,
        root=plan.root,
        default=plan.default,
        gate=plan.gate,
        limits=plan.limits,
        workers=plan.workers,
        compiled=True,
        traces=Traces() if plan.traces else None,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            http=CorkedProtocol,
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            proxy_headers=plan.behind_proxy,
            timeout_graceful_shutdown=GRACE,
            ssl_certfile=plan.certificate,
            ssl_keyfile=plan.private_key,
        )
    )
    server.run(sockets=[listener])


def _leave(number: int, frame: FrameType | None) -> None:
    """What SIGTERM does before the server runs, and, once more, after it has finished its requests."""
    raise SystemExit(0)


def _hosts(host: str, local: bool, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Names that the Host header may have; any where the server is meant for others, unless some are named."""
    if local:
        return tuple(dict.fromkeys((*LOOPBACK_NAMES, host, *allowed)))
    return allowed


def _check_keys(keys: KeyStore, index: Path, host: str) -> None:
    if not any(row["active"] for row in (key.shown() for key in keys.all())):
        raise UsageError(
            f"serving on {host}, which others can reach, without any API key",
            expected="at least one key, since whoever reaches the server could read and change everything",
            remedy=f"run: twindex keys create {index} --scope read; or leave --host out",
        )
