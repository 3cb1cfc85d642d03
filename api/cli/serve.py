"""``twindex serve``: an index over REST."""

from __future__ import annotations

from typing import Annotated

import typer
import uvicorn

from twindex.api.app import AppConfig, create_app
from twindex.api.cli import options
from twindex.api.cli.ask import generator_from
from twindex.indexing.snapshot import Snapshot


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
) -> None:
    """Serve an index: POST /v1/search, POST /v1/answer, GET /v1/health, and a page at /."""
    # Opened once here, so that a wrong directory is a message and not a server that fails to start.
    with Snapshot.open(index):
        pass
    config = AppConfig(index=index, generator=generator_from(generator), profile=profile)
    typer.echo(f"serving {index} on http://{host}:{port} (stop with Ctrl-C)", err=True)
    uvicorn.run(create_app(config), host=host, port=port, log_level="warning")
