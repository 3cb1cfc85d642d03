"""``twindex expand``: queries, keywords and topics for a corpus, into a store that indices are built from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from twindex.api.cli import expand_store, options
from twindex.api.cli.console import progress_bars
from twindex.api.cli.expand_score import score
from twindex.api.cli.expand_topics import guide_for
from twindex.api.cli.index import corpus_from, passages_of
from twindex.api.cli.plain import emit_json
from twindex.api.settings import Settings
from twindex.indexing.chunking import ChunkConfig
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.expansion.writer import ExpansionWriter
from twindex.indexing.types import Passage
from twindex.rag.expand.config import METHODS, ExpandConfig
from twindex.rag.expand.estimate import estimate
from twindex.rag.expand.report import Estimate, ExpandReport
from twindex.rag.expand.resolve import resolve_batch_generator
from twindex.rag.expand.stage import Budget, Expansion

#: Passages that are expanded first, to tell how long the rest takes.
TRIAL: Final = 32


class _RunByDefault(TyperGroup):
    """A group whose command may be left out: ``expand CORPUS`` is ``expand run CORPUS``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the command put in where none is named."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        cls=_RunByDefault,
        no_args_is_help=True,
        help="Write queries for the documents of a corpus into a store, for 'twindex index --expansion'. "
        "'twindex expand CORPUS' is short for 'twindex expand run CORPUS'.",
    )
    group.command("run")(run)
    group.command("score")(score)
    expand_store.register(group)
    app.add_typer(group, name="expand")


def run(
    corpus: Annotated[str, typer.Argument(help="As 'twindex index' takes it.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", metavar="STORE", help="Folder of the store; made if absent.", show_default=False)
    ],
    method: Annotated[
        str,
        typer.Option(metavar="[" + "|".join(METHODS) + "]", help="How queries are made; 'keywords' needs no model."),
    ] = "doc2query++",
    generator: Annotated[
        str | None,
        typer.Option(help="openai:MODEL@URL, gguf:FILE, or torch:FILE for a GPU.", show_default="TWINDEX_GENERATOR"),
    ] = None,
    queries_per_doc: Annotated[int, typer.Option(help="Distinct queries wanted of each passage.")] = 30,
    workers: Annotated[int, typer.Option(help="Requests in flight, for an endpoint.")] = 4,
    rows: Annotated[int, typer.Option(help="Samples in work at a time, for torch.")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for torch.")] = "auto",
    temperature: Annotated[float, typer.Option(help="Of the queries.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Of all sampling.")] = 0,
    topics: Annotated[
        Path | None, typer.Option(help="Folder of the topics; made if absent.", show_default="STORE/topics")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Encoder of words and texts, for topics and keywords.")
    ] = DEFAULT_ENCODER,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after so long; run again, it goes on.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Stop after so many tokens, read and written.")] = None,
    max_drafts: Annotated[int | None, typer.Option(help="Stop after so many drafts.")] = None,
    price_in: Annotated[float, typer.Option(help="Price of a million tokens read, for the estimate.")] = 0.0,
    price_out: Annotated[float, typer.Option(help="Price of a million tokens written.")] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is to be done.")] = False,
    chunk: Annotated[str, typer.Option(metavar="KIND[:SIZE[:OVERLAP]]", help="As the index will have it.")] = "none",
    on_error: options.OnError = "fail",
    format: options.Format = None,  # noqa: A002, RUF100 - the option's public name
    id_field: options.IdField = None,
    text_field: options.TextField = None,
    title_field: options.TitleField = None,
    json: options.Json = False,
) -> None:
    """Expand a corpus. Interrupted, or told to write more queries, it goes on from what the store has."""
    source = corpus_from(
        corpus, on_error=on_error, fmt=format, id_field=id_field, text_field=text_field, title_field=title_field
    )
    config = ExpandConfig(method=options.chosen(method, METHODS, "--method"), temperature=temperature, seed=seed)
    settings = Settings.from_environment()
    writes = resolve_batch_generator(
        generator or settings.generator, workers=workers, rows=rows, device=device, api_key=settings.api_key
    ) if config.writes else None  # fmt: skip
    passages = passages_of(source, ChunkConfig.parse(chunk))
    with ExitStack() as stack:
        close = getattr(writes, "close", None)
        if close is not None:
            stack.callback(close)
        writer = stack.enter_context(ExpansionWriter(out))
        progress = stack.enter_context(progress_bars())
        guide = None
        if config.guided:
            guide = guide_for(
                passages, topics or out / "topics", encoder, generator=writes, store=out, progress=progress
            )
        expansion = Expansion(writer, config, generator=writes, guide=guide, queries=queries_per_doc)
        todo = estimate(expansion, passages())
        price = todo.cost(price_in, price_out)
        if not json:
            say_estimate(todo, price)
        report = expansion.report
        if not dry_run:
            budget = Budget(max_seconds, max_drafts, max_tokens)
            report = _expanded(expansion, passages(), todo, budget, progress, quiet=json)
    tell(out, expansion.hash, config.method, todo, price, report, json=json, dry=dry_run)


def say_estimate(todo: Estimate, price: float) -> None:
    """What is to be done, on the error stream."""
    text = f"{todo.pending:,} of {todo.documents:,} passages to expand"
    if todo.requests:
        text += (
            f"; about {todo.requests:,} requests, {todo.prompt_tokens:,} tokens to read "
            f"({todo.shared_tokens:,} of them common to all), {todo.completion_tokens:,} to write"
        )
    typer.echo(text + (f", price {price:,.2f}" if price else ""), err=True)


def _expanded(
    expansion: Expansion, passages: Iterator[Passage], todo: Estimate, budget: Budget, progress: Any, *, quiet: bool
) -> ExpandReport:
    """Runs the trial, tells how long the rest takes, runs the rest."""
    begun = time.monotonic()
    report = expansion.run(islice(passages, TRIAL), budget=budget, total=todo.documents)
    left = todo.seconds(report)
    if left > 60 and not quiet and not report.stopped:
        typer.echo(f"about {_duration(left)} to go, by the first {report.documents:,} passages", err=True)
    if not report.stopped:
        rest = Budget(
            None if budget.seconds is None else max(0.0, budget.seconds - (time.monotonic() - begun)),
            budget.drafts,
            budget.tokens,
        )
        report = expansion.run(passages, budget=rest, progress=progress, total=todo.documents)
    return report


def tell(
    store: Path,
    config: bytes,
    method: str,
    todo: Estimate,
    price: float,
    report: ExpandReport,
    *,
    json: bool,
    dry: bool,
) -> None:
    """The report, as JSON or as a few lines."""
    if json:
        facts = {"store": str(store), "config": config.hex(), "method": method, "price": price}
        emit_json(facts | {"estimate": todo.to_dict()} | ({} if dry else {"report": report.to_dict()}))
        return
    if dry:
        return
    rate = report.queries / report.seconds if report.seconds else 0.0
    typer.echo(
        f"{report.complete:,} of {report.documents:,} passages have their queries; {report.queries:,} written in "
        f"{report.seconds:.1f} s ({rate:,.0f} queries/s) into {store} as {method} ({config.hex()[:8]})"
    )
    if report.duplicates or report.failed or report.short or report.fallbacks:
        typer.echo(
            f"  near-duplicates: {report.duplicates:,}; drafts without a query: {report.failed:,}; "
            f"with too few: {report.short:,}; keywords nobody could choose: {report.fallbacks:,}"
        )
    for why in report.failures:
        typer.echo(f"    {why}", err=True)
    if report.stopped:
        typer.echo(f"stopped after {report.stopped}; the same command goes on", err=True)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
