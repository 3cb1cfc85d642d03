"""``twindex train``: from folders of documents to a training set, and from that to an encoder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from twindex.api.cli import options
from twindex.api.cli.console import emit_json, progress_bars
from twindex.api.cli.train_search import lexical_search
from twindex.indexing.training.overlap import Guard
from twindex.indexing.training.prepare import prepare
from twindex.indexing.training.sources import SourceSpec


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Train encoders on your own texts (needs twindex[train]).", no_args_is_help=True)
    group.command("prepare")(prepare_command)
    app.add_typer(group, name="train")


def prepare_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="FOLDER[,split=NAME][,sentences=NUMBER][,limit=N]: a BEIR folder; without a split its titles "
            "are the queries; sentences are drawn from the texts as further queries.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Training set to make.", show_default=False)],
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="DIR", help="Evaluation set whose texts must not be trained on; repeatable."),
    ] = None,
    negatives: Annotated[int, typer.Option(help="Hard negatives a query, mined with BM25; 0 = none.")] = 8,
    skip: Annotated[int, typer.Option(help="Best ranks that are never a negative.")] = 0,
    json: options.Json = False,
) -> None:
    """Gather pairs, drop what an evaluation contains, mine hard negatives with BM25, and pack it all as tokens."""
    specs = [SourceSpec.parse(text) for text in sources]
    guard = Guard.of(against or [])
    with ExitStack() as stack, progress_bars() as progress:
        maker = lexical_search(stack) if negatives else None
        made = prepare(specs, guard, maker, negatives=negatives, skip=skip, progress=progress)
    digest = made.save(out)
    if json:
        emit_json({**made.about, "sha256": digest})
        return
    typer.echo(f"{len(made):,} queries over {len(made.passages):,} passages in {out} (sha256 {digest[:16]}...)")
    for name, count in sorted(made.about["refused"].items()):
        typer.echo(f"  refused, since {name} contains it: {count:,}")
