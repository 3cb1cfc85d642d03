"""``twindex search``: one query against an index."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from twindex.api.cli import options
from twindex.api.cli.console import stdout
from twindex.api.cli.plain import emit_json, visible
from twindex.retrieval.engine import Hit, Searcher, SearchResult, as_mode
from twindex.retrieval.explain import render_lines
from twindex.retrieval.rerank import WEIGHT


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("search")(search)


def search(
    index: options.IndexDir,
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    k: options.Hits = 10,
    mode: options.Mode = "hybrid",
    filter: options.FilterExpression = None,  # noqa: A002, RUF100 - the option's public name
    explain: Annotated[bool, typer.Option("--explain", help="Show why each hit has its score.")] = False,
    profile: options.Profile = None,
    sparse: options.Sparse = None,
    rerank: options.Rerank = 0,
    rerank_weight: options.RerankWeight = WEIGHT,
    reranker: options.Reranker = None,
    prune: options.Prune = 0.0,
    two_phase: options.TwoPhase = 0.0,
    budget: options.Budget = 1.0,
    recall: options.Recall = None,
    idf: options.Idf = None,
    learned_queries: options.LearnedQueries = "words",
    expansion: options.Expansion = None,
    alpha: options.Alpha = None,
    aggregate: options.Aggregate = None,
    field_weight: options.FieldWeight = None,
    field_form: options.FieldFormName = None,
    json: options.Json = False,
) -> None:
    """Search an index by words, by meaning, or by both."""
    wanted = options.search_options(
        sparse=sparse,
        rerank=rerank,
        rerank_weight=rerank_weight,
        prune=prune,
        two_phase=two_phase,
        budget=budget,
        recall=recall,
        idf=idf,
        learned_queries=learned_queries,
        expansion=expansion,
        alpha=alpha,
        aggregate=aggregate,
        field_weight=field_weight,
        field_form=field_form,
    )
    with Searcher.open(index, profile=profile, reranker=reranker) as searcher:
        result = searcher.search(query, k=k, mode=as_mode(mode), filter=filter, explain=explain, options=wanted)
    if json:
        emit_json(result.to_dict())
        return
    show_result(stdout(), result)


def show_result(console: Console, result: SearchResult) -> None:
    """A result as numbered hits."""
    for note in result.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    if not result.hits:
        console.print("no hits")
    for rank, hit in enumerate(result.hits, 1):
        console.print(render_hit(rank, hit))
    said = f", {result.reranked['depth']} reranked by {result.reranked['name']}" if result.reranked else ""
    console.print(Text(f"{len(result.hits)} hits, {result.mode}{said}, {result.took_ms:.1f} ms", style="dim"))


def render_hit(rank: int, hit: Hit, *, width: int = 200) -> Group:
    """One hit: rank, score, id, title, the head of its text, and its explanation if there is one."""
    head = Text.assemble((f"{rank:>3}  ", "bold"), (f"{hit.score:.4f}  ", "cyan"), (visible(hit.id), "bold"))
    if hit.title:
        head.append(f"  {visible(hit.title)}", style="green")
    body = visible(" ".join(hit.text.split()))
    parts: list[Text | Padding] = [head]
    if body:
        parts.append(Padding(Text(body if len(body) <= width else body[: width - 1] + "…", style="dim"), (0, 0, 0, 5)))
    if hit.explanation is not None:
        parts.append(Padding(Text(visible("\n".join(render_lines(hit.explanation)))), (0, 0, 0, 5)))
    return Group(*parts)
