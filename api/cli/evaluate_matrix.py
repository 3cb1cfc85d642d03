"""``twindex eval matrix``, ``tune`` and ``report``: many collections, fusion settings, and the pages that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from twindex.api.cli import evaluate_options as shared
from twindex.api.cli import options
from twindex.api.cli.console import progress_bars, stdout, table
from twindex.eval.matrix import MatrixOptions, run_matrix
from twindex.eval.matrix_set import profile_from, run_set
from twindex.eval.matrix_task import SetTask
from twindex.eval.models import Models
from twindex.eval.recorded import PREFIX
from twindex.eval.registry import report_split
from twindex.eval.report import ReportOptions, write_report
from twindex.eval.results import Results
from twindex.indexing.encoders.cross_encoder import resolve_reranker
from twindex.indexing.encoders.find import DEFAULT_RERANKER
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError

Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one self-contained page.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the tables as Markdown.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("matrix")(matrix)
    app.command("tune")(tune)
    app.command("report")(report)


def matrix(
    data: Annotated[Path | None, typer.Argument(help="Folder of collections.", show_default="$TWINDEX_DATA")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="This set; may be repeated.")] = None,
    encoder: shared.EncoderName = shared.DEFAULT,
    encoder_of: Annotated[
        list[str] | None,
        typer.Option("--encoder-of", metavar="SET=NAME", help="Another encoder for one set; may be repeated."),
    ] = None,
    learned: shared.SparseEncoderName = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="NAME=ENCODER", help="Show another dense encoder's leg beside; repeatable."),
    ] = None,
    model_queries: Annotated[
        bool, typer.Option("--model-queries", help="Show the learned leg once more, its queries read by the model.")
    ] = False,
    rerank: options.Rerank = 0,
    reranker: options.Reranker = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", metavar="N", min=1, help="Queries of a set, at most; a fixed sample.", show_default="all"
        ),
    ] = None,
    device: shared.Device = None,
    html: Html = None,
    markdown: Markdown = None,
    cache: shared.CacheFolder = None,
    results: shared.ResultsFile = None,
    json: shared.JsonFile = None,
) -> None:
    """Run every judged collection through BM25, dense, RRF, convex and tuned fusion, and say what is significant.

    With a sparse encoder also through the learned leg and fusions of three; with --rerank through a reranker.

    Interrupted, it goes on where it was when the same command is run again; what has run is not run again.
    """
    folder = shared.cache_folder(cache)
    store = shared.results_file(results, folder)
    wanted = MatrixOptions(
        shared.needed_data_folder(data), tuple(only or ()), cache=folder, results=store, sample=sample
    )
    with progress_bars() as progress:
        beside = _encoders(also or (), "--also NAME=ENCODER", device)
        dense, words = shared.index_encoders(None, encoder, learned, device=device)
        scorer = resolve_reranker(reranker or DEFAULT_RERANKER) if rerank else None
        timed = not encoder.startswith(PREFIX)
        meaning = dense or shared.encoder_from(encoder, device)
        models = Models(meaning, words, scorer, rerank, beside, timed, model_queries)
        per_set = _encoders(encoder_of or (), "--encoder-of SET=NAME", device)
        others = {name: replace(models, encoder=model) for name, model in per_set.items()}
        run_matrix(wanted, models, others=others, progress=progress)
    report(html=html, markdown=markdown, results=store, json=json)


def tune(
    dataset: Annotated[str, typer.Argument(help="A folder in BEIR's layout, or a name.", show_default=False)],
    profile: Annotated[
        Path | None, typer.Option("--profile", metavar="FILE", help="Write the choice for search and serve.")
    ] = None,
    split: shared.Split = "",
    encoder: shared.EncoderName = shared.DEFAULT,
    learned: shared.SparseEncoderName = None,
    device: shared.Device = None,
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    results: shared.ResultsFile = None,
    json: shared.JsonFile = None,
) -> None:
    """Choose how to fuse on a train or dev split, or by cross-validation, and report it on queries not chosen on."""
    folder = shared.cache_folder(cache)
    with progress_bars() as progress:
        found = shared.dataset_from(dataset, data, progress=progress)
        task = SetTask(found, split or report_split(found), cache=folder)
        with Results(shared.results_file(results, folder)) as store:
            dense, words = shared.index_encoders(None, encoder, learned, device=device)
            models = Models(dense or shared.encoder_from(encoder, device), words)
            summary = run_set(task, store, models, progress=progress)
    if profile is not None:
        profile_from(summary).save(profile)
    if not shared.tell(_tuned(summary), json):
        _show_tuned(stdout(), summary, profile)


def report(
    html: Html = None,
    markdown: Markdown = None,
    cache: shared.CacheFolder = None,
    results: shared.ResultsFile = None,
    json: shared.JsonFile = None,
) -> None:
    """Show the last matrix: a table here, Markdown, or one page with plots."""
    store = shared.results_file(results, shared.cache_folder(cache))
    data = write_report(ReportOptions(store, markdown, html))
    if shared.tell(data.to_dict(), json):
        return
    console = stdout()
    rows = table("set", "queries", *data.systems, right=("queries", *data.systems))
    for row in data.sets:
        cells = [row.cells.get(system) for system in data.systems]
        marks = {"+": "▲", "-": "▼", "": " "}
        rows.add_row(
            row.dataset, f"{row.queries:,}", *(f"{c.value:.4f}{marks[c.mark]}" if c is not None else "" for c in cells)
        )
    rows.add_row("mean", "", *(f"{data.means[s]:.4f} " if s in data.means else "" for s in data.systems))
    console.print(rows)
    console.print(f"{data.measure}; ▲ ▼ significantly above or below the better single leg of the set")
    for result in data.overall:
        console.print(
            f"{result['a']} against {result['b']}: {result['difference']:+.4f} "
            f"[{result['low']:+.4f}, {result['high']:+.4f}], p = {result['p_adjusted']:.4f}"
        )


def _encoders(pairs: Sequence[str], option: str, device: str | None) -> dict[str, Encoder]:
    out = {}
    for pair in pairs:
        name, equals, model = pair.partition("=")
        if not (name and equals and model):
            raise ConfigError(f"{option.split()[0]} {pair!r}", expected=option.split()[1])
        out[name] = shared.encoder_from(model, device)
    return out


def _tuned(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The public form of one set's tuning, for JSON."""
    tuning = dict(summary["tuning"])
    return {
        "dataset": summary["dataset"],
        "split": summary["split"],
        "means": dict(summary["means"]),
        "chosen_on": tuning["protocol"],
        "chosen": tuning["chosen"],
        "out_of_fold": tuning["out_of_fold"],
        "out_of_fold_gated": tuning["gated"],
        "oracle": tuning["oracle"],
        "profile": tuning["profile"],
    }


def _show_tuned(console: Console, summary: Mapping[str, Any], profile: Path | None) -> None:
    rows = table("system", "mean nDCG@10", right=("mean nDCG@10",))
    for system, mean in summary["means"].items():
        rows.add_row(system, f"{mean:.4f}")
    tuning = summary["tuning"]
    rows.add_row("one setting, out of fold", f"{tuning['out_of_fold']:.4f}")
    rows.add_row("oracle (sees the judgements)", f"{tuning['oracle']:.4f}")
    console.print(rows)
    console.print(f"chosen on {tuning['protocol']}: {tuning['chosen']}")
    if profile is not None:
        console.print(f"written: {profile}; try: twindex search DIR QUERY --profile {profile}")
