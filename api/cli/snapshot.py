"""``twindex snapshot`` and ``restore``: copies of an index, also while others search and write it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twindex.api.cli import options
from twindex.api.cli.console import progress_bars
from twindex.api.cli.plain import emit_json
from twindex.api.service.backup import restore_new, restore_over, take_snapshot
from twindex.indexing.errors import IndexExistsError
from twindex.indexing.manifest import MANIFEST_FILE, Manifest


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("snapshot")(snapshot)
    app.command("restore")(restore)


def snapshot(
    index: options.IndexDir,
    into: Annotated[Path, typer.Option("--into", metavar="COPY", help="Folder of the copy.", show_default=False)],
    json: options.Json = False,
) -> None:
    """Copy the last commit of an index, verified; the copy is an index itself."""
    with progress_bars() as progress:
        manifest = take_snapshot(index, into, progress=progress)
    _tell(f"snapshot of {index} in {into}", manifest, json=json)


def restore(
    copy: Annotated[Path, typer.Argument(metavar="COPY", help="Folder of the copy.", show_default=False)],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Index to make or replace.", show_default=False)],
    over: Annotated[bool, typer.Option("--over", help="Replace the content of an index that is there.")] = False,
    json: options.Json = False,
) -> None:
    """Make an index of a copy; with --over, an index that is there takes the copy's content in one step."""
    exists = (into / MANIFEST_FILE).exists()
    if exists and not over:
        raise IndexExistsError(
            f"there is an index at {into}", expected="a new folder", remedy="add --over to replace its content"
        )
    with progress_bars() as progress:
        manifest = (restore_over if exists else restore_new)(copy, into, progress=progress)
    _tell(f"{into} has the content of {copy}", manifest, json=json)


def _tell(what: str, manifest: Manifest, *, json: bool) -> None:
    if json:
        emit_json({"generation": manifest.generation, "documents": manifest.documents})
        return
    typer.echo(f"{what}: {manifest.documents:,} documents, generation {manifest.generation}")
