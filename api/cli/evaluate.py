"""``twindex eval``: did it get better? One module a family of commands."""

from __future__ import annotations

import importlib
from typing import Final

import typer

#: Modules whose ``register`` adds commands, in the order of the help text.
MODULES: Final = (
    "evaluate_beir",
    "evaluate_matrix",
    "evaluate_compare",
    "evaluate_recall",
    "evaluate_expansion",
    "evaluate_rag",
)

HELP: Final = "Score retrieval and answers on judged collections, compare, tune, and write reports."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    family = typer.Typer(no_args_is_help=True, help=HELP)
    for name in MODULES:
        importlib.import_module(f"twindex.api.cli.{name}").register(family)
    app.add_typer(family, name="eval")
