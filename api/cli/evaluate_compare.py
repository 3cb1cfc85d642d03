"""``twindex eval compare`` and ``reproduce``: is A better than B, and are we where others are (statistics, scores)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twindex.api.cli import evaluate_options as shared
from twindex.api.cli.console import progress_bars, stdout, table
from twindex.eval.beir import Dataset
from twindex.eval.compare_runs import SideBySide, side_by_side, side_from_store, sides_from_files
from twindex.eval.measures import parse_all
from twindex.eval.registry import find_dataset, report_split
from twindex.eval.reproduce import ReproduceOptions, Reproduction, markdown, reproduce
from twindex.eval.results import Results
from twindex.indexing.errors import ConfigError, CorpusError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare")(compare)
    app.command("reproduce")(run_reproduce)


def compare(
    a: Annotated[str, typer.Argument(help="A run file, or a system that has run.", show_default=False)],
    b: Annotated[str, typer.Argument(help="The other.", show_default=False)],
    qrels: Annotated[Path | None, typer.Option("--qrels", metavar="FILE", help="Judgements, for run files.")] = None,
    dataset: Annotated[str, typer.Option("--dataset", help="The set, for systems.")] = "",
    split: shared.Split = "",
    measures: shared.Measures = shared.MEASURES,
    limit: Annotated[int, typer.Option("--changes", help="Queries to show.")] = 5,
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    results: shared.ResultsFile = None,
    json: shared.JsonFile = None,
) -> None:
    """Compare two systems query by query: intervals, p-values (Holm), wins and losses, what changed most."""
    wanted = parse_all(measures)
    if qrels is not None:
        sides = sides_from_files(Path(a), Path(b), qrels, wanted)
    else:
        if not dataset:
            raise ConfigError("two systems and no data set", expected="--dataset NAME, or --qrels FILE for run files")
        known = _dataset(dataset, data)
        name, part = (known.name, split or report_split(known)) if known else (dataset, split or "test")
        with Results(shared.results_file(results, shared.cache_folder(cache))) as store:
            first, second = (
                side_from_store(store, dataset=name, split=part, system=system, measures=wanted) for system in (a, b)
            )
        sides = (first, second)
    found = side_by_side(*sides, limit=limit)
    if not shared.tell(found.to_dict(), json):
        _show(stdout(), found)


def run_reproduce(
    only: Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="This set; may be repeated.")] = None,
    system: Annotated[list[str] | None, typer.Option("--system", metavar="NAME", help="This system.")] = None,
    write: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write RESULTS.md.")] = None,
    log: Annotated[str, typer.Option("--log", help="A line for the log of the Markdown file.")] = "",
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    json: shared.JsonFile = None,
) -> None:
    """Check reference scores: index statistics first, then every expected score, with a verdict on both sides."""
    wanted = ReproduceOptions(
        shared.needed_data_folder(data), tuple(only or ()), tuple(system or ()), shared.cache_folder(cache)
    )
    with progress_bars() as progress:
        found = reproduce(wanted, resolve=shared.encoder_from, progress=progress)
    if write is not None:
        write.write_text(markdown(found, [*_log(write), *([f"- {log}"] if log else [])]), encoding="utf-8")
    if not shared.tell(found.to_dict(), json):
        _show_verdicts(stdout(), found)
    if not found.passed:
        failed = [f"{o.dataset}/{o.split}/{o.system}" for o in found.outcomes if o.status == "FAIL"]
        typer.echo(f"error: {len(failed)} conditions failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _dataset(name: str, data: Path | None) -> Dataset | None:
    try:
        return find_dataset(name, root=shared.data_folder(data))
    except CorpusError:
        return None


def _log(path: Path) -> list[str]:
    """The reproduction log of an earlier file."""
    if not path.exists():
        return []
    _, _, tail = path.read_text(encoding="utf-8").partition("## Reproduction log\n")
    return [line for line in tail.splitlines() if line.startswith("- ")]


def _show(console: Console, found: SideBySide) -> None:
    columns = ("mean A", "mean B", "A - B", "95 % interval", "effect", "p boot.", "p rand.", "p Holm", "W/L/T")
    rows = table("measure", *columns, title=f"A = {found.a}, B = {found.b}", right=columns)
    for name, c in found.comparisons.items():
        rows.add_row(
            name,
            f"{c.mean_a:.4f}",
            f"{c.mean_b:.4f}",
            f"{c.difference:+.4f}",
            f"[{c.low:+.4f}, {c.high:+.4f}]",
            f"{c.effect:+.2f}",
            f"{c.p_bootstrap:.4f}",
            f"{c.p_randomisation:.4f}",
            f"{c.p_adjusted:.4f}",
            f"{c.wins}/{c.losses}/{c.ties}",
        )
    console.print(rows)
    for change in found.changes:
        console.print(f"\nquery {change.query_id}, {found.measure}: A {change.a:.3f}, B {change.b:.3f}")
        sides = table("A", "B")
        left, right = (_hits(hits.get(change.query_id, ())) for hits in (found.hits_a, found.hits_b))
        for rank in range(max(len(left), len(right))):
            sides.add_row(left[rank] if rank < len(left) else "", right[rank] if rank < len(right) else "")
        console.print(sides)


def _hits(hits: object) -> list[str]:
    pairs = hits if isinstance(hits, list | tuple) else ()
    return [f"{document}{f'  ({level})' if level is not None else ''}" for document, level in pairs]


def _show_verdicts(console: Console, found: Reproduction) -> None:
    rows = table("set", "split", "system", "measure", "expected", "found", "verdict", right=("expected", "found"))
    for outcome in found.outcomes:
        for check in (*outcome.statistics, *outcome.checks):
            if check.verdict != "OK" or check in outcome.checks:
                numbers = (f"{check.expected:.4f}", f"{check.found:.4f}")
                rows.add_row(outcome.dataset, outcome.split, outcome.system, check.name, *numbers, check.verdict)
    console.print(rows)
    console.print(", ".join(f"{count} {status}" for status, count in sorted(found.counts().items())))
