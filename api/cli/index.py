"""``twindex index``: a corpus becomes an index directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from twindex.api.cli import expansion_options as expanding
from twindex.api.cli import options
from twindex.api.cli.console import progress_bars
from twindex.api.cli.plain import emit_json
from twindex.indexing.analysis import get_analyzer
from twindex.indexing.chunking import ChunkConfig, make_chunker
from twindex.indexing.config import SEGMENT_DOCS, VECTOR_KINDS, IndexConfig
from twindex.indexing.corpus import Corpus, OnError, StdlibDocs, open_corpus, with_estimate
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.resolve_sparse import resolve_legs, sparse_side_of
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.report import AddReport
from twindex.indexing.types import Passage
from twindex.indexing.writer import IndexWriter

#: What --on-error takes.
ERROR_POLICIES: Final[tuple[OnError, ...]] = ("fail", "skip")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("index")(index)


def index(
    corpus: Annotated[
        str,
        typer.Argument(
            help="A BEIR folder, a .jsonl[.gz], .csv, .tsv or .parquet file, a folder of .txt .md .html "
            ".pdf, or 'stdlib:' for the documentation of this Python's standard library.",
            show_default=False,
        ),
    ],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Index directory to make.", show_default=False)],
    encoder: Annotated[
        str, typer.Option(metavar="[NAME|none]", help="Dense encoder; 'none' builds a sparse index only.")
    ] = DEFAULT_ENCODER,
    sparse: Annotated[
        str,
        typer.Option(
            metavar="[bm25|bm25,learned]", help="Sparse legs. BM25 is always there; a learned one may stand beside it."
        ),
    ] = "bm25",
    sparse_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="Encoder of the learned leg. A twin encoder that is the dense one too reads each text once.",
            show_default="the dense one, if it is a twin; else the one that comes with twindex",
        ),
    ] = None,
    analyzer: Annotated[str, typer.Option(help="Analyzer of the sparse leg.")] = "english",
    chunk: Annotated[
        str, typer.Option(metavar="KIND[:SIZE[:OVERLAP]]", help="none, words:200:40 or sentences:200:1.")
    ] = "none",
    vectors: Annotated[str, typer.Option(metavar="[flat|hnsw]", help="Dense index: exact, or a graph.")] = "flat",
    expansion: expanding.Store = None,
    expansion_config: expanding.Config = None,
    queries_per_doc: expanding.Limit = expanding.LIMIT,
    drop_queries: expanding.Drop = 0.0,
    segment_docs: Annotated[int | None, typer.Option(help="Passages a segment, at most.")] = None,
    on_error: options.OnError = "fail",
    format: options.Format = None,  # noqa: A002, RUF100 - the option's public name
    id_field: options.IdField = None,
    text_field: options.TextField = None,
    title_field: options.TitleField = None,
    json: options.Json = False,
) -> None:
    """Build an index from a corpus. Interrupted, it resumes when the same command is run again."""
    started = time.perf_counter()
    source = corpus_from(
        corpus,
        on_error=on_error,
        fmt=format,
        id_field=id_field,
        text_field=text_field,
        title_field=title_field,
    )
    model, learned = encoders_from(encoder, sparse, sparse_encoder)
    config = IndexConfig(
        analyzer=get_analyzer(analyzer).name,
        encoder=model.info if model else None,
        sparse_encoder=learned.info if learned else None,
        chunking=ChunkConfig.parse(chunk),
        vector_kind=options.chosen(vectors, VECTOR_KINDS, "--vectors"),
        segment_docs=SEGMENT_DOCS if segment_docs is None else segment_docs,
    )
    chosen = expanding.queries_from(expansion, config=expansion_config, limit=queries_per_doc, drop=drop_queries)
    with chosen as queries:
        config = replace(config, expansion=queries.info if queries else None)
        writing = IndexWriter.create(into, config, encoder=model, sparse_encoder=learned, expansions=queries)
        with writing as writer, progress_bars() as progress:
            report = writer.add(source, progress=with_estimate(source, progress))
            manifest = writer.commit()
    summary = summarise(report, source, seconds=time.perf_counter() - started)
    summary |= {"index": str(into), "generation": manifest.generation, "segments": len(manifest.segments)}
    tell(summary, json=json, verb="indexed")


def corpus_from(
    name: str,
    *,
    on_error: str,
    fmt: str | None,
    id_field: str | None,
    text_field: str | None,
    title_field: str | None,
) -> Corpus:
    """The corpus that the command line names.

    Raises:
        ConfigError: If ``on_error`` is neither fail nor skip.
        CorpusError: If there is no such corpus or its format is unknown.
    """
    policy = options.chosen(on_error, ERROR_POLICIES, "--on-error")
    if name == "stdlib:":
        return StdlibDocs()
    fields = {"id_field": id_field, "text_field": text_field, "title_field": title_field}
    given = {key: value for key, value in fields.items() if value is not None}
    return open_corpus(Path(name), on_error=policy, fmt=fmt, **given)


def encoders_from(encoder: str, sparse: str, sparse_encoder: str | None) -> tuple[Encoder | None, SparseEncoder | None]:
    """The encoders of an index from what was typed; None where it has no such leg.

    Raises:
        ConfigError: If there are no such sparse legs, or a sparse encoder is named without its leg.
        ModelNotFoundError: If an encoder is not here.
    """
    legs = [leg.strip() for leg in sparse.split(",")]
    if "bm25" not in legs or not set(legs) <= {"bm25", "learned"}:
        raise ConfigError(f"--sparse {sparse!r}", expected="bm25, or bm25,learned")
    if sparse_encoder is not None and "learned" not in legs:
        raise ConfigError(
            f"--sparse-encoder {sparse_encoder!r} for an index without a learned leg",
            expected="both or neither",
            remedy="add --sparse bm25,learned",
        )
    dense = None if encoder == "none" else encoder
    return resolve_legs(dense, (sparse_encoder or sparse_side_of(dense)) if "learned" in legs else None)


def passages_of(source: Corpus, chunking: ChunkConfig) -> Callable[[], Iterator[Passage]]:
    """The passages of a corpus, as an index of it has them, from the beginning at each call."""
    chunker = make_chunker(chunking)

    def passages() -> Iterator[Passage]:
        for document in source:
            yield from chunker.chunk(document)

    return passages


def summarise(report: AddReport, source: Corpus, *, seconds: float) -> dict[str, Any]:
    """What an adding command reports."""
    return report.to_dict() | {
        "skipped_records": source.skipped_count,
        "skipped": [str(record) for record in source.skipped[:20]],
        "seconds": round(seconds, 3),
    }


def expansion_line(counts: dict[str, int], passages: int) -> str:
    """What was indexed of generated queries, and what to do where there were none."""
    text = f"with {counts['queries']:,} generated queries of {counts['passages']:,} passages"
    if counts["passages"] < passages:
        text += f"; the store has none for {passages - counts['passages']:,}, whose texts it does not know"
    return text


def tell(summary: dict[str, Any], *, json: bool, verb: str) -> None:
    """The report of an adding command, as JSON or as a few lines."""
    if json:
        emit_json(summary)
        return
    rate = summary["documents"] / summary["seconds"] if summary["seconds"] else 0.0
    typer.echo(
        f"{verb} {summary['documents']:,} documents ({summary['passages']:,} passages) in "
        f"{summary['seconds']:.1f} s ({rate:,.0f} documents/s) into {summary['index']}"
    )
    if "expansion" in summary:
        typer.echo(expansion_line(summary["expansion"], summary["passages"]))
    if summary["skipped_records"]:
        typer.echo(f"skipped {summary['skipped_records']:,} records that could not be read:", err=True)
        for line in summary["skipped"]:
            typer.echo(f"  {line}", err=True)
