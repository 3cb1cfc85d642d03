"""``twindex eval recall``: the least work that finds most of the learned leg's exact lists, kept in a profile."""

from __future__ import annotations

import json as json_
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twindex.api.cli import evaluate_options as shared
from twindex.api.cli import options
from twindex.api.cli.console import stdout
from twindex.indexing.errors import CorpusError
from twindex.retrieval.budgeted import BudgetedRetriever
from twindex.retrieval.calibration import Calibration
from twindex.retrieval.engine import Searcher
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import DEFAULT, Profile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("recall")(recall)


def recall(
    index: options.IndexDir,
    wanted: Annotated[float, typer.Option("--recall", metavar="SHARE", help="Of the exact list, on average.")] = 0.95,
    k: options.Hits = 10,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            metavar="FILE",
            help="Queries like those to come: one a line, or BEIR's queries.jsonl.",
            show_default="words of the passages",
        ),
    ] = None,
    profile: options.Profile = None,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the profile with the budget in it.")
    ] = None,
    json: shared.JsonFile = None,
) -> None:
    """Find the budget that reaches a recall of the learned leg; searches with --recall and the profile use it."""
    known = DEFAULT if profile is None else Profile.load(profile)
    texts = None if queries is None else read_queries(queries)
    with Searcher.open(index, profile=replace(known, calibrations=())) as searcher:
        leg = searcher.retriever("sparse", SearchOptions(sparse="learned", recall=wanted, expansion=False))
        if not isinstance(leg, BudgetedRetriever):
            raise TypeError(f"a leg of {type(leg).__name__}")
        found = leg.calibration(k, texts)
    if write is not None:
        others = [one for one in known.calibrations if (one.recall, one.k) != (wanted, k)]
        replace(known, calibrations=(*others, found)).save(write)
    if not shared.tell(found.to_dict(), json):
        show(stdout(), found)


def read_queries(path: Path) -> list[str]:
    """Texts of a file: one a line, or the field ``text`` of JSON lines.

    Raises:
        CorpusError: If it cannot be read.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if path.suffix != ".jsonl":
            return lines
        return [str(json_.loads(line)["text"]) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"queries {path}: {error}", expected="one query a line, or JSON lines with a text") from error


def show(console: Console, found: Calibration) -> None:
    """The budget and what says so."""
    if found.postings is None:
        console.print(f"recall {found.recall:g} at {found.k}: exact search only")
    else:
        console.print(f"recall {found.recall:g} at {found.k}: {found.postings:,} postings a query")
        console.print(f"chosen on {found.chosen_on} queries, mean recall {found.chosen:.4f}")
    if found.told_of:
        console.print(f"on {found.told_of} others {found.reached:.4f}, {found.proven:.0%} of them proven exact")
