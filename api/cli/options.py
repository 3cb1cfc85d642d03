"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from twindex.indexing.errors import ConfigError

IndexDir = Annotated[Path, typer.Argument(metavar="DIR", help="Index directory.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Hits = Annotated[int, typer.Option("-k", help="How many hits.")]
Mode = Annotated[str, typer.Option("--mode", help="hybrid, sparse or dense.", metavar="[hybrid|sparse|dense]")]
FilterExpression = Annotated[
    str | None,
    typer.Option("--filter", metavar="EXPR", help="Condition on metadata, as in: year >= 2020 and lang = 'en'"),
]
OnError = Annotated[
    str,
    typer.Option("--on-error", metavar="[fail|skip]", help="What to do with a record that cannot be read."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Corpus format, when the file name does not tell: beir, jsonl, csv, tsv, parquet."),
]
IdField = Annotated[str | None, typer.Option(help="Field or column of the document id.")]
TextField = Annotated[str | None, typer.Option(help="Field or column of the text.")]
TitleField = Annotated[str | None, typer.Option(help="Field or column of the title.")]
Profile = Annotated[
    Path | None, typer.Option("--profile", help="Search profile (JSON), as written by: twindex eval tune")
]

Choice = TypeVar("Choice", bound=str)


def chosen(value: str, choices: tuple[Choice, ...], option: str) -> Choice:
    """The choice that was typed.

    Raises:
        ConfigError: If it is none of them.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise ConfigError(f"{option} {value!r}", expected=f"{', '.join(choices[:-1])} or {choices[-1]}")
