"""``twindex eval beir``: one collection, one system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twindex.api.cli import evaluate_options as shared
from twindex.api.cli import options
from twindex.api.cli.console import progress_bars, stdout, table
from twindex.eval.evaluate import AVERAGES
from twindex.eval.harness import BeirOptions, BeirResult, evaluate_beir, store_result
from twindex.eval.measures import parse_all
from twindex.eval.registry import collections
from twindex.eval.results import Results
from twindex.indexing.encoders.cross_encoder import resolve_reranker
from twindex.indexing.errors import ConfigError, CorruptIndexError
from twindex.retrieval.profile import Profile
from twindex.retrieval.rerank import WEIGHT
from twindex.retrieval.view import MODES


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("beir")(beir)


def beir(
    dataset: Annotated[
        str, typer.Argument(help="A folder in BEIR's layout, a collection's name, or irds:NAME.", show_default=False)
    ] = "",
    split: shared.Split = "",
    mode: options.Mode = "hybrid",
    encoder: shared.OwnEncoderName = None,
    device: shared.Device = None,
    learned: shared.SparseEncoderName = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="DIR", help="Index to use, or to make; else one in the cache.")
    ] = None,
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
    k: Annotated[int, typer.Option("-k", help="Documents a query.")] = 1000,
    measures: Annotated[
        str, typer.Option(help="As in 'nDCG@10 R@100 AP RR@10 P(rel=2)@5'.")
    ] = "nDCG@10 R@100 AP RR@10",
    average: Annotated[str, typer.Option(metavar="[judged|answerable|retrieved]", help="Queries to average over.")] = (
        "answerable"
    ),
    keep_self: Annotated[
        bool | None,
        typer.Option("--keep-self/--drop-self", help="Whether a query may find its own id; by default as published."),
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", metavar="FILE", help="Write the run in TREC's layout.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a known collection that is not here.")] = False,
    known: Annotated[bool, typer.Option("--list", help="List the known collections and leave.")] = False,
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    results: shared.ResultsFile = None,
    json: shared.JsonFile = None,
) -> None:
    """Index a collection (once), search every judged query, and score the run."""
    if known:
        _list(stdout())
        return
    if not dataset:
        raise ConfigError("no data set", expected="a folder or a name", remedy="known names: twindex eval beir --list")
    folder = shared.cache_folder(cache)
    wanted = BeirOptions(
        split=split,
        mode=options.chosen(mode, MODES, "--mode"),
        k=k,
        measures=parse_all(measures),
        average=options.chosen(average, AVERAGES, "--average"),
        drop_self=None if keep_self is None else not keep_self,
        profile=Profile.load(profile) if profile is not None else None,
        cache=folder,
        search=options.search_options(
            sparse=sparse,
            rerank=rerank,
            rerank_weight=rerank_weight,
            prune=prune,
            two_phase=two_phase,
            budget=budget,
            recall=recall,
            idf=idf,
            learned_queries=learned_queries,
        ),
    )
    dense, words = shared.index_encoders(index, encoder, learned, dense=wanted.mode != "sparse", device=device)
    scorer = resolve_reranker(reranker) if reranker is not None else None
    with progress_bars() as progress:
        found = shared.dataset_from(dataset, data, download=download, progress=progress)
        result = evaluate_beir(
            found,
            wanted,
            encoder=dense,
            sparse_encoder=words,
            reranker=scorer,
            index_dir=index,
            run_file=run,
            progress=progress,
        )
    keep(result, shared.results_file(results, folder))
    if not shared.tell(result.to_dict(), json):
        show(stdout(), result)


def keep(result: BeirResult, path: Path) -> None:
    """Store the run; a store that another process is writing to is no reason to lose the result."""
    try:
        with Results(path) as store:
            store_result(result, store)
    except CorruptIndexError as error:
        typer.echo(f"note: the run was not stored: {error.given}", err=True)


def show(console: Console, result: BeirResult) -> None:
    """The averages, and what they are of."""
    counts = result.report.counts()
    console.print(f"{result.dataset} / {result.split}, {result.mode}, {counts[result.average]:,} queries")
    rows = table("measure", "mean", right=("mean",))
    for name, value in result.measures.items():
        rows.add_row(name, f"{value:.4f}")
    console.print(rows)
    if result.self_matches:
        console.print(f"{result.self_matches:,} queries had found their own document, which was left out")
    if result.not_indexed:
        console.print(f"{result.not_indexed:,} judgements are of documents that the corpus does not have")
    timing = result.timing
    console.print(
        f"indexing {timing['index_s']:.1f} s, search {timing['search_s']:.1f} s "
        f"({timing['query_ms']:.2f} ms a query), everything else {timing['overhead']:.1%} of the rest"
    )


def _list(console: Console) -> None:
    rows = table("name", "group", "split", "queries", "documents", right=("queries", "documents"))
    for row in collections().values():
        rows.add_row(row.name, row.group, row.split, f"{row.queries:,}", f"{row.documents:,}" if row.documents else "")
    console.print(rows)
