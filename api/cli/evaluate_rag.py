"""``twindex eval rag`` and ``t2rag``: answers against gold answers, gold passages and gold silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from twindex.api.cli import evaluate_options as shared
from twindex.api.cli import options
from twindex.api.cli.console import progress_bars, stdout, table
from twindex.api.cli.generators import generator_from
from twindex.eval.beir import Dataset
from twindex.eval.cached_encoder import CachedEncoder
from twindex.eval.indexes import cached_path, ensure_index, index_config
from twindex.eval.rag_eval import KINDS, ContextKind, RagOptions, RagResult, evaluate_rag
from twindex.eval.registry import find_dataset, report_split
from twindex.eval.t2bench import T2Options, T2Result, run_t2
from twindex.eval.t2data import SUBSETS, as_datasets
from twindex.indexing.types import Progress
from twindex.retrieval.engine import Searcher, as_mode
from twindex.retrieval.profile import Profile

GeneratorName = Annotated[
    str | None,
    typer.Option("--generator", help="extractive, openai:MODEL@URL or gguf:FILE.", show_default="extractive"),
]
Limit = Annotated[int, typer.Option("--limit", help="Questions to answer, a fixed sample; 0 = all.")]
Depth = Annotated[int, typer.Option("-k", help="Hits that may become context.")]
Context = Annotated[
    str,
    typer.Option("--context", metavar="[retrieved|oracle|closed]", help="Passages found, gold ones, or none."),
]
#: What the table of answers shows, with its heading.
COLUMNS: Final[dict[str, str]] = {
    "number_match": "number",
    "number_match_strict": "strict",
    "exact_match": "exact",
    "f1": "F1",
    "contains": "contains",
    "citation_precision": "cit. P",
    "citation_recall": "cit. R",
    "support": "support",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rag")(rag)
    app.command("t2rag")(t2rag)


def rag(
    dataset: Annotated[str, typer.Argument(help="A folder in BEIR's layout, or a name.", show_default=False)],
    split: shared.Split = "",
    context: Context = "retrieved",
    mode: options.Mode = "hybrid",
    k: Depth = 5,
    generator: GeneratorName = None,
    limit: Limit = 0,
    prefix: Annotated[bool, typer.Option("--prefix", help="Put the company before the question.")] = False,
    profile: options.Profile = None,
    encoder: shared.EncoderName = shared.DEFAULT,
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    json: shared.JsonFile = None,
) -> None:
    """Answer a split's questions and score words, numbers, citations, support and silence."""
    folder = shared.cache_folder(cache)
    wanted = RagOptions(
        mode=as_mode(mode), k=k, context=options.chosen(context, KINDS, "--context"), limit=limit, prefix=prefix
    )
    with progress_bars() as progress:
        found = shared.dataset_from(dataset, data, progress=progress)
        part = split or report_split(found)
        result = _run(found, part, wanted, folder, generator, encoder, profile, progress)
    if not shared.tell(result.to_dict(), json):
        _show_answers(stdout(), result)


def t2rag(
    paths: Annotated[
        list[str],
        typer.Argument(help="The benchmark's folder, or related collections by folder or name.", show_default=False),
    ],
    subset: Annotated[
        list[str] | None, typer.Option("--subset", metavar="NAME", help="FinQA, ConvFinQA or TAT-DQA; default all.")
    ] = None,
    split: shared.Split = "",
    context: Annotated[
        list[str] | None,
        typer.Option("--context", metavar="KIND", help="retrieved, oracle or closed; default all; 'none': no answers."),
    ] = None,
    k: Depth = 5,
    generator: GeneratorName = None,
    limit: Limit = 0,
    encoder: shared.EncoderName = shared.DEFAULT,
    data: shared.DataFolder = None,
    cache: shared.CacheFolder = None,
    json: shared.JsonFile = None,
) -> None:
    """Run T²-RAGBench (each subset, and all documents pooled) or its relatives: retrieval and Number Match."""
    folder = shared.cache_folder(cache)
    kinds: tuple[ContextKind, ...] = KINDS
    if context:
        kinds = () if context == ["none"] else tuple(options.chosen(c, KINDS, "--context") for c in context)
    wanted = T2Options(contexts=kinds, k=k, limit=limit, cache=folder)
    model, writer = shared.encoder_from(encoder), generator_from(generator)
    results = []
    with progress_bars() as progress:
        for found, part in _scopes(paths, tuple(subset or ()), split, data, folder):
            results.append(run_t2(found, model, writer, replace(wanted, split=part), progress=progress))
    if not shared.tell({"benchmark": "T2-RAGBench", "collections": [r.to_dict() for r in results]}, json):
        for result in results:
            _show_t2(stdout(), result)


def _run(
    dataset: Dataset,
    split: str,
    wanted: RagOptions,
    folder: Path,
    generator: str | None,
    encoder: str,
    profile: Path | None,
    progress: Progress,
) -> RagResult:
    model = None if wanted.mode == "sparse" else CachedEncoder(shared.encoder_from(encoder), folder / "vectors")
    config = index_config(model)
    path = cached_path(dataset, folder, config)
    ensure_index(dataset, path, config, encoder=model, progress=progress)
    settings = Profile.load(profile) if profile is not None else None
    with Searcher.open(path, encoder=model, profile=settings) as searcher:
        qrels = dataset.qrels(split)
        result = evaluate_rag(dataset, qrels, searcher, generator_from(generator), wanted, progress=progress)
    return replace(result, split=split)


def _scopes(
    paths: list[str], subsets: tuple[str, ...], split: str, data: Path | None, cache: Path
) -> list[tuple[Dataset, str]]:
    """The collections with the split to report; the benchmark's own are reported whole unless a split is asked for."""
    out: list[tuple[Dataset, str]] = []
    for path in paths:
        if any((Path(path) / part / name).is_dir() for name in SUBSETS for part in ("", "data")):
            made = as_datasets(Path(path), cache / "t2", subsets or SUBSETS)
            out += [(dataset, split or "all") for dataset in made]
        else:
            found = find_dataset(path, root=shared.data_folder(data))
            out.append((found, split or report_split(found)))
    return out


def _show_answers(console: Console, result: RagResult) -> None:
    plain = result.to_dict()
    console.print(
        f"{result.dataset} / {result.split}, {result.generator}, context {result.context}, "
        f"{plain['questions']:,} questions"
    )
    rows = table("measure", "mean", "questions", right=("mean", "questions"))
    for name, heading in COLUMNS.items():
        if name in plain["measures"]:
            rows.add_row(heading, f"{plain['measures'][name]:.4f}", f"{plain['measures'][f'n_{name}']:,}")
    console.print(rows)
    silence = plain["abstention"]
    if silence["unanswerable"]:
        console.print(
            f"silence on {silence['unanswerable']:,} unanswerable questions: precision {silence['precision']:.4f}, "
            f"recall {silence['recall']:.4f}, F1 {silence['f1']:.4f}; answered of the others "
            f"{silence['answer_rate']:.4f}"
        )


def _show_t2(console: Console, result: T2Result) -> None:
    plain = result.to_dict()
    console.print(f"\n{result.dataset} / {result.split}: {result.documents:,} documents, {result.encoder}")
    _show_rows(console, plain["retrieval"], "system")
    if plain["answers"]:
        rows = table("queries", "context", "questions", *COLUMNS.values(), right=("questions", *COLUMNS.values()))
        for row in plain["answers"]:
            cells = [f"{row['measures'][m]:.4f}" if m in row["measures"] else "" for m in COLUMNS]
            rows.add_row(row["query_mode"], row["context"], f"{row['questions']:,}", *cells)
        console.print(rows)


def _show_rows(console: Console, found: list[dict[str, Any]], key: str) -> None:
    names = list(found[0]["measures"])
    rows = table("queries", key, *names, right=tuple(names))
    for row in found:
        rows.add_row(row["query_mode"], row[key], *(f"{row['measures'][n]:.4f}" for n in names))
    console.print(rows)
