"""From an exception to one clear message and an exit status."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Final

import typer

from twindex.api.cli.plain import visible
from twindex.indexing.errors import IndexError_, MissingError, ServiceError, TwindexError, UsageError

#: The first class that fits decides.
STATUS: Final[tuple[tuple[type[TwindexError], int], ...]] = (
    (UsageError, 2),
    (IndexError_, 3),
    (MissingError, 4),
    (ServiceError, 5),
)


def exit_status(error: TwindexError) -> int:
    """The exit status that stands for the branch of the error tree."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 1)


def show(error: TwindexError) -> None:
    """The three clauses of an error, one a line, on the error stream."""
    lines = [f"error: {error.given}"]
    if error.expected:
        lines.append(f"  expected: {error.expected}")
    if error.remedy:
        lines.append(f"  try: {error.remedy}")
    typer.echo(visible("\n".join(lines)), err=True)


def run_guarded(action: Callable[[], object], *, debug: bool = False) -> int:
    """Run a command; a user sees a message, never a stack trace (unless with ``--debug``)."""
    try:
        result = action()
    except TwindexError as error:
        if debug:
            traceback.print_exc()
        show(error)
        return exit_status(error)
    except KeyboardInterrupt:
        typer.echo("interrupted; what was committed stays, and running the same command again resumes", err=True)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has left: not an error of ours. Silence the flush at exit as well.
        sys.stderr.close()
        return 0
    except Exception as error:  # the last guard of the process
        return _unforeseen(error, debug=debug)
    return result if isinstance(result, int) else 0


def _unforeseen(error: Exception, *, debug: bool) -> int:
    if hasattr(error, "exit_code"):  # what the command-line library raises on a wrong option
        shower = getattr(error, "show", None)
        if shower is not None:
            shower()
        return int(error.exit_code)
    if isinstance(error, OSError):
        typer.echo(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "), err=True)
        return 1
    if debug:
        traceback.print_exc()
    typer.echo(f"internal error: {type(error).__name__}: {error}\n  try: the same command with --debug", err=True)
    return 1
