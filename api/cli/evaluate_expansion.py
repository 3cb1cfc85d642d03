"""``twindex eval expansion``: what generated queries are worth, method by method, budget by budget, way by way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twindex.api.cli import evaluate_options as shared
from twindex.api.cli.console import progress_bars
from twindex.eval.cached_encoder import CachedEncoder
from twindex.eval.expansion import ExpansionTask, methods_of, run_expansion
from twindex.eval.expansion_report import markdown as render
from twindex.eval.expansion_report import report
from twindex.eval.expansion_sets import open_set
from twindex.indexing.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("expansion")(expansion)


def expansion(
    sets: Annotated[
        list[str],
        typer.Argument(metavar="SET...", help="Collections; NAME:N takes N documents of one.", show_default=False),
    ],
    store: Annotated[Path, typer.Option(help="Expansion store, as 'twindex expand' makes it.", show_default=False)],
    methods: Annotated[
        str, typer.Option(metavar="NAME,...", help="Configurations of the store.", show_default="all of them")
    ] = "",
    budgets: Annotated[str, typer.Option(metavar="N,...", help="Generated queries a document.")] = "5,10,30,100",
    drops: Annotated[
        str, typer.Option(metavar="SHARE,...", help="Also without this share of the scored queries.")
    ] = "0",
    baseline: Annotated[
        str, typer.Option(metavar="NAME", help="Compare the other methods with this one at equal budgets.")
    ] = "",
    control: Annotated[
        bool, typer.Option("--control", help="Also encode texts with the queries appended (slow).")
    ] = False,
    encoder: Annotated[str, typer.Option(metavar="[NAME|none]", help="Dense encoder.")] = shared.DEFAULT,
    device: shared.Device = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the indexes that were made.")] = False,
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the tables.")] = None,
    json: shared.JsonFile = None,
) -> None:
    """Compare ways to use generated queries: appended, as a field, in an index of their own, alone and fused.

    Weights are chosen on queries that are not reported. Interrupted, it goes on where it stopped.
    """
    folder = shared.cache_folder(cache)
    model = None if encoder == "none" else shared.encoder_from(encoder, device)
    datasets = tuple(open_set(name, root=shared.data_folder(data), cache=folder) for name in sets)
    task = ExpansionTask(
        datasets,
        store,
        methods_of(store, [name.strip() for name in methods.split(",") if name.strip()]),
        tuple(int(number) for number in _numbers(budgets, "--budgets")),
        tuple(_numbers(drops, "--drops")),
        folder,
        control=control,
        keep=keep,
    )
    with progress_bars() as progress:
        cached = None if model is None else CachedEncoder(model, folder / "vectors")
        found = report(run_expansion(task, cached, timed=model, progress=progress), baseline=baseline)
    tables = render(found)
    if markdown is not None:
        markdown.write_text(tables + "\n", encoding="utf-8")
    if not shared.tell(found.to_dict(), json):
        typer.echo(tables)


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ConfigError(f"{option} {text!r}", expected="numbers with commas between them") from error
