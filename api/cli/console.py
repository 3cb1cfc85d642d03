"""What commands share: tables, and progress bars on the error stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from twindex.indexing import types as nouns

#: Columns of output that goes into a file or a pipe.
PIPE_WIDTH: Final = 120


def stdout() -> Console:
    """Standard output; wide enough for a table when it is not a terminal. Square brackets are plain text."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(soft_wrap=False, highlight=False, markup=False, width=width)


def table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style; columns named in ``right`` are right-aligned."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


@contextmanager
def progress_bars() -> Iterator[nouns.Progress]:
    """A progress callback that draws one bar a stage, with rate and time left; silent off a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield nouns.no_progress
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f}{task.fields[of]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    """One rich task a stage."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total, of="", rate="")
        task = self.tasks[stage]
        speed = self.bars.tasks[self.bars.task_ids.index(task)].speed
        self.bars.update(
            task,
            completed=done,
            total=total,
            of=f" of {total:,}" if total else "",
            rate=f"{speed:,.0f}/s" if speed else "",
        )
