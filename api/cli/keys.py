"""``twindex keys``: who may use a server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from twindex.api.cli import options
from twindex.api.cli.console import stdout, table
from twindex.api.cli.plain import emit_json
from twindex.api.service.catalog import NAME
from twindex.api.service.keys import SCOPES, KeyStore
from twindex.api.service.served import STATE_FOLDER
from twindex.indexing.errors import ConfigError, UsageError


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Make, list and revoke the API keys of a server.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_keys)
    group.command("revoke")(revoke)
    app.add_typer(group, name="keys")


def create(
    index: options.IndexDir,
    name: Annotated[str, typer.Option(help="Whom or what it is for.")] = "",
    scope: Annotated[str, typer.Option(metavar="[read|write|admin]", help="What it allows.")] = "read",
    only: Annotated[list[str] | None, typer.Option("--index", help="Index that it is good for; repeatable.")] = None,
    days: Annotated[float, typer.Option(min=0, help="Days that it is good for; 0 = until it is revoked.")] = 0.0,
    json: options.Json = False,
) -> None:
    """Make a key. It is shown this once; the server keeps only a hash of it."""
    chosen = options.chosen(scope, SCOPES, "--scope")
    for wanted in only or ():
        if not NAME.fullmatch(wanted):
            raise ConfigError(f"--index {wanted!r}", expected="the name of an index")
    key, text = _store(index).create(name=name, scope=chosen, indexes=tuple(only or ("*",)), days=days)
    if json:
        emit_json({"key": text, **key.shown()})
        return
    typer.echo(text)
    typer.echo(f"key {key.id}: {key.scope} of {', '.join(key.indexes)}. It is not shown again.", err=True)


def list_keys(index: options.IndexDir, json: options.Json = False) -> None:
    """List the keys, without their secrets."""
    rows = [key.shown() for key in _store(index).all()]
    if json:
        emit_json(rows)
        return
    listing = table("id", "name", "scope", "indexes", "created", "state")
    for row in rows:
        state = "active" if row["active"] else "revoked" if row["revoked"] else "expired"
        listing.add_row(row["id"], row["name"], row["scope"], ", ".join(row["indexes"]), _day(row["created"]), state)
    stdout().print(listing)


def revoke(
    index: options.IndexDir,
    key: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Make a key useless. A running server notices within a second."""
    gone = _store(index).revoke(key)
    if json:
        emit_json(gone.shown())
        return
    typer.echo(f"key {gone.id} is revoked")


def _store(index: Path) -> KeyStore:
    if not index.is_dir():
        raise UsageError(f"no folder {index}", expected="an index, or a folder of indexes", remedy="make it first")
    return KeyStore(index / STATE_FOLDER)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
