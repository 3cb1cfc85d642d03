"""``twindex info`` and ``twindex verify``: what an index holds, and whether its bytes are right."""

from __future__ import annotations

import typer

from twindex.api.cli import options
from twindex.api.cli.console import stdout, table
from twindex.api.cli.plain import emit_json
from twindex.indexing import verify as verifying
from twindex.indexing.errors import CorruptIndexError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("info")(info)
    app.command("verify")(verify)


def info(index: options.IndexDir, json: options.Json = False) -> None:
    """Say what an index holds: settings, counts, segments, sizes."""
    facts = verifying.info(index)
    if json:
        emit_json(facts)
        return
    console = stdout()
    overview = table("", "", right=())
    for key, value in facts.items():
        if key != "segments":
            overview.add_row(key.replace("_", " "), _plain(value))
    console.print(overview)
    segments = facts.get("segments", [])
    if segments:
        columns = tuple(segments[0])
        listing = table(*columns, right=columns[1:])
        for row in segments:
            listing.add_row(*(_plain(row[column]) for column in columns))
        console.print()
        console.print(listing)


def verify(index: options.IndexDir, json: options.Json = False) -> None:
    """Read every byte of an index and compare it with the manifest."""
    report = verifying.verify(index)
    if json:
        emit_json(report.to_dict())
    elif report.ok:
        typer.echo(f"{index}: {report.files:,} files, {report.bytes:,} bytes: every one as the manifest says")
    if not report.ok:
        raise CorruptIndexError(
            "; ".join(report.problems),
            remedy="restore the index from a copy, or build it again from its corpus",
        )


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return str(value)
