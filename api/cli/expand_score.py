"""``twindex expand score``: how near each generated query is to its document, for a filter when an index is built."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from twindex.api.cli import options
from twindex.api.cli.console import progress_bars
from twindex.api.cli.expand_store import Config, Store
from twindex.api.cli.expand_topics import VECTORS
from twindex.api.cli.index import corpus_from, passages_of
from twindex.api.cli.plain import emit_json
from twindex.eval.cached_encoder import CachedEncoder
from twindex.indexing.chunking import ChunkConfig
from twindex.indexing.encoders.find import DEFAULT_ENCODER
from twindex.indexing.encoders.resolve import resolve_encoder
from twindex.indexing.expansion.scoring import score_queries
from twindex.indexing.expansion.writer import ExpansionWriter


def score(
    store: Store,
    corpus: Annotated[str, typer.Argument(help="The corpus that was expanded.", show_default=False)],
    config: Config = None,
    encoder: Annotated[str, typer.Option(help="What the queries are compared with their documents by.")] = (
        DEFAULT_ENCODER
    ),
    chunk: Annotated[str, typer.Option(metavar="KIND[:SIZE[:OVERLAP]]", help="As it was expanded.")] = "none",
    on_error: options.OnError = "fail",
    format: options.Format = None,  # noqa: A002, RUF100 - the option's public name
    id_field: options.IdField = None,
    text_field: options.TextField = None,
    title_field: options.TitleField = None,
    json: options.Json = False,
) -> None:
    """Score the queries of a store; 'twindex index --drop-queries' goes by it. Interrupted, it goes on."""
    source = corpus_from(
        corpus, on_error=on_error, fmt=format, id_field=id_field, text_field=text_field, title_field=title_field
    )
    passages = passages_of(source, ChunkConfig.parse(chunk))()
    with ExpansionWriter(store) as writer, progress_bars() as progress:
        kept = CachedEncoder(resolve_encoder(encoder), store / VECTORS)
        report = score_queries(writer, passages, kept, config=config, progress=progress)
    if json:
        emit_json(asdict(report))
        return
    typer.echo(
        f"{report.queries:,} queries in {report.sets:,} sets scored by {kept.info.name}; "
        f"{report.already:,} sets had scores already"
    )
