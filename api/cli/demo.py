"""``twindex demo``: the whole way from a corpus to a cited answer, on documents that every machine has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from twindex.api.cli.ask import show_answer
from twindex.api.cli.console import progress_bars, stdout, table
from twindex.indexing.config import IndexConfig
from twindex.indexing.corpus import StdlibDocs
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.resolve_sparse import resolve_legs, sparse_side_of
from twindex.indexing.errors import IndexNotFoundError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.writer import IndexWriter
from twindex.rag.engine import AnswerEngine
from twindex.rag.generators.extractive import ExtractiveGenerator
from twindex.retrieval.engine import Searcher, SearchResult
from twindex.retrieval.explain import render_lines
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.view import Mode

#: Asked so that words and meaning disagree: each leg finds something that the other does not.
QUERIES: Final = (
    "temporary file that deletes itself",
    "run a function in another process and get its result",
    "how many days are there between two dates",
)
QUESTION: Final = "What does shutil.copytree do with symbolic links?"
#: What stands side by side; the learned leg only where the index has one.
WAYS: Final[dict[str, tuple[Mode, SearchOptions]]] = {
    "words": ("sparse", SearchOptions(sparse="bm25")),
    "learned words": ("sparse", SearchOptions(sparse="learned")),
    "meaning": ("dense", SearchOptions()),
    "hybrid": ("hybrid", SearchOptions()),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where to put the index.")] = Path("twindex-demo"),
) -> None:
    """Index this Python's own documentation, search it three ways, and answer a question from it."""
    console = stdout()
    _heading(console, "1  A corpus becomes twin indices")
    _build(console, into)
    with Searcher.open(into) as searcher:
        ways = [way for way in WAYS if way != "learned words" or searcher.snapshot.sparse_encoder_info is not None]
        _heading(console, f"2  {'Three' if len(ways) == 3 else 'Four'} ways to search, side by side")
        for query in QUERIES:
            _compare(console, searcher, query, ways)
        _heading(console, "3  Why the first hybrid hit is first")
        _explain(console, searcher, QUERIES[0])
        _heading(console, "4  A question, and an answer that cites")
        console.print(Text(f"? {QUESTION}", style="cyan"))
        show_answer(console, AnswerEngine(searcher, ExtractiveGenerator()).answer(QUESTION))
    _heading(console, "5  What to type next")
    _next(console, into)


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Rule(Text(text, style="bold"), align="left", style="dim"))


def _build(console: Console, into: Path) -> None:
    try:
        with Snapshot.open(into) as snapshot:
            console.print(f"{into} is there already: {snapshot.live_docs:,} documents, taken as it is")
            return
    except IndexNotFoundError:
        pass
    started = time.perf_counter()
    # A twin encoder reads each text once for both of its legs; another one would make a learned leg cost a second pass.
    twin = sparse_side_of(DEFAULT_ENCODER) == DEFAULT_ENCODER
    encoder, learned = resolve_legs(DEFAULT_ENCODER, DEFAULT_ENCODER if twin else None)
    console.print(f"reading the standard library's documentation strings, encoding with {DEFAULT_ENCODER} ...")
    config = IndexConfig(encoder=encoder.info if encoder else None, sparse_encoder=learned.info if learned else None)
    writing = IndexWriter.create(into, config, encoder=encoder, sparse_encoder=learned)
    with writing as writer, progress_bars() as progress:
        report = writer.add(StdlibDocs(), progress=progress)
        writer.commit()
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    words = "inverted files of its words and of learned ones" if learned else "an inverted file"
    console.print(
        f"{report.documents:,} documents in {seconds:.0f} s -> {into}: {words} and "
        f"{report.documents:,} vectors of {encoder.info.dim if encoder else 0} numbers, {size / 1e6:.0f} MB"
    )


def _compare(console: Console, searcher: Searcher, query: str, ways: Sequence[str]) -> None:
    results = {}
    for way in ways:
        mode, options = WAYS[way]
        results[way] = searcher.search(query, k=5, mode=mode, options=options)
    console.print(Text(f"? {query}", style="cyan"))
    side_by_side = table("", *(f"{way} ({results[way].took_ms:.0f} ms)" for way in ways))
    width = console.width // len(ways) - 12
    for rank in range(max(len(result.hits) for result in results.values())):
        side_by_side.add_row(str(rank + 1), *(_cell(results[way], rank, width) for way in ways))
    console.print(side_by_side)
    console.print()


def _cell(result: SearchResult, rank: int, width: int) -> Text:
    if rank >= len(result.hits):
        return Text("")
    hit = result.hits[rank]
    return Text.assemble((f"{hit.score:6.3f} ", "dim"), _tail(hit.id, width))


def _tail(name: str, width: int) -> str:
    """The end of a long name, which tells more than its beginning."""
    return name if len(name) <= width else "…" + name[1 - width :]


def _explain(console: Console, searcher: Searcher, query: str) -> None:
    result = searcher.search(query, k=1, explain=True)
    for hit in result.hits:
        console.print(Text(f"? {query}", style="cyan"))
        console.print(Text(hit.id, style="bold"))
        if hit.explanation is not None:
            console.print(Padding(Text("\n".join(render_lines(hit.explanation))), (0, 0, 0, 2)))


def _next(console: Console, into: Path) -> None:
    steps: list[tuple[str, Any]] = [
        ("search it yourself", f'twindex search {into} "parse a date" --mode hybrid --explain'),
        ("search one module", f'twindex search {into} "open a file" --filter "module = \'pathlib\'"'),
        ("ask it", f'twindex ask {into} "How do I limit the number of worker threads?"'),
        ("serve it, with a page to try", f"twindex serve {into}"),
        ("index your own folder", "twindex index my-folder --into my-index"),
    ]
    listing = table("", "")
    for what, command in steps:
        listing.add_row(what, Text(command, style="green"))
    console.print(listing)
    console.print(Text("twindex is in .venv/bin when scripts/demo made it: . .venv/bin/activate", style="dim"))
