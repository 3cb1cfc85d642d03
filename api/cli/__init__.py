"""The command line. Only the module of the command that was typed is imported, so that search starts fast.

Exit status: 0 done, 1 an internal error, 2 a wrong request, 3 the index is not usable,
4 something is not installed, 5 another program failed, 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import Final

import typer

from twindex.api.cli.failure import run_guarded
from twindex.api.cli.plain import take_any_text
from twindex.api.loading import loading

#: Command -> the module whose ``register`` adds it.
COMMANDS: Final[dict[str, str]] = {
    "index": "twindex.api.cli.index",
    "expand": "twindex.api.cli.expand",
    "add": "twindex.api.cli.change",
    "delete": "twindex.api.cli.change",
    "merge": "twindex.api.cli.change",
    "info": "twindex.api.cli.inspect",
    "verify": "twindex.api.cli.inspect",
    "search": "twindex.api.cli.search",
    "ask": "twindex.api.cli.ask",
    "serve": "twindex.api.cli.serve",
    "keys": "twindex.api.cli.keys",
    "snapshot": "twindex.api.cli.snapshot",
    "restore": "twindex.api.cli.snapshot",
    "eval": "twindex.api.cli.evaluate",
    "demo": "twindex.api.cli.demo",
    "train": "twindex.api.cli.train",
    "doctor": "twindex.api.cli.doctor",
}

HELP: Final = "Build twin indices from a corpus, search them, ask them, serve them, and score them."


def build_app(commands: Sequence[str]) -> typer.Typer:
    """The application with the given commands."""
    app = typer.Typer(
        name="twindex", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback()(_root)
    for module in dict.fromkeys(COMMANDS[name] for name in commands):
        importlib.import_module(module).register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from_metadata = importlib.import_module("importlib.metadata").version("twindex")
        typer.echo(f"twindex {from_metadata}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", is_eager=True, callback=_show_version
    ),
) -> None:
    """Options of the program itself."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    typed = next((word for word in arguments if not word.startswith("-")), "")
    with loading():
        app = build_app([typed] if typed in COMMANDS else list(COMMANDS))
        gc.freeze()  # else the first collection would look at all that was loaded, at once (0.08 s)
    take_any_text()
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    sys.exit(run_guarded(lambda: app(arguments, standalone_mode=False), debug=debug))
