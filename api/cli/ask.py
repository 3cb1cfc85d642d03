"""``twindex ask``: a question, and an answer with citations."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from twindex.api.cli import options
from twindex.api.cli.console import stdout
from twindex.api.cli.generators import generator_from
from twindex.api.cli.plain import emit_json, visible
from twindex.rag.engine import AnswerEngine
from twindex.rag.types import Answer
from twindex.retrieval.engine import Searcher, as_mode


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ask")(ask)


def ask(
    index: options.IndexDir,
    question: Annotated[str, typer.Argument(help="What to answer.", show_default=False)],
    generator: Annotated[
        str | None, typer.Option(help="extractive, openai:MODEL@URL or gguf:FILE.", show_default="extractive")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits may become context.")] = 8,
    mode: options.Mode = "hybrid",
    filter: options.FilterExpression = None,  # noqa: A002, RUF100 - the option's public name
    profile: options.Profile = None,
    json: options.Json = False,
) -> None:
    """Answer a question from an index; every sentence cites the passage that supports it."""
    with Searcher.open(index, profile=profile) as searcher:
        answer = AnswerEngine(searcher, generator_from(generator)).answer(
            question, k=k, mode=as_mode(mode), filter=filter
        )
    if json:
        emit_json(answer.to_dict())
        return
    show_answer(stdout(), answer)


def show_answer(console: Console, answer: Answer) -> None:
    """The answer, then one line a citation."""
    for note in answer.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    console.print(Text(visible(answer.text), style="bold"))
    for citation in answer.citations:
        head = Text(f"[{citation.marker}] ", style="cyan").append(visible(citation.doc_id), style="bold")
        if citation.title:
            head.append(f"  {visible(citation.title)}", style="green")
        console.print(head)
        quote = visible(" ".join(citation.quote.split()))
        console.print(Padding(Text(f"“{quote}”", style="dim"), (0, 0, 0, 4)))
