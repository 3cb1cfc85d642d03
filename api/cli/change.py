"""``twindex add``, ``delete`` and ``merge``: change an index that exists."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from twindex.api.cli import expansion_options as expanding
from twindex.api.cli import options
from twindex.api.cli.console import progress_bars
from twindex.api.cli.index import corpus_from, summarise, tell
from twindex.api.cli.plain import emit_json
from twindex.indexing.corpus import with_estimate
from twindex.indexing.encoders.resolve_sparse import resolve_legs
from twindex.indexing.encoding import Encoder, SparseEncoder
from twindex.indexing.errors import UsageError
from twindex.indexing.expansion.info import ExpansionInfo
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.transaction import OnDuplicate
from twindex.indexing.writer import IndexWriter

#: What --on-duplicate takes.
DUPLICATE_POLICIES: Final[tuple[OnDuplicate, ...]] = ("replace", "skip", "error")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("add")(add)
    app.command("delete")(delete)
    app.command("merge")(merge)


def add(
    index: options.IndexDir,
    corpus: Annotated[str, typer.Argument(help="Corpus, as for: twindex index", show_default=False)],
    on_duplicate: Annotated[
        str, typer.Option(metavar="[replace|skip|error]", help="What to do with an id that is already there.")
    ] = "replace",
    expansion: expanding.Store = None,
    on_error: options.OnError = "fail",
    format: options.Format = None,  # noqa: A002, RUF100 - the option's public name
    id_field: options.IdField = None,
    text_field: options.TextField = None,
    title_field: options.TitleField = None,
    json: options.Json = False,
) -> None:
    """Add documents; an id that is already there is replaced."""
    policy = options.chosen(on_duplicate, DUPLICATE_POLICIES, "--on-duplicate")
    started = time.perf_counter()
    source = corpus_from(
        corpus,
        on_error=on_error,
        fmt=format,
        id_field=id_field,
        text_field=text_field,
        title_field=title_field,
    )
    encoder, sparse = _encoders_of(index)
    with expanding.queries_like(expansion, _expansion_of(index)) as queries:
        writing = IndexWriter.open(index, encoder=encoder, sparse_encoder=sparse, expansions=queries)
        with writing as writer, progress_bars() as progress:
            report = writer.add(source, on_duplicate=policy, progress=with_estimate(source, progress))
            manifest = writer.commit()
    summary = summarise(report, source, seconds=time.perf_counter() - started)
    summary |= {"index": str(index), "generation": manifest.generation, "segments": len(manifest.segments)}
    tell(summary, json=json, verb="added")


def delete(
    index: options.IndexDir,
    ids: Annotated[list[str] | None, typer.Argument(help="Document ids.", show_default=False)] = None,
    ids_from: Annotated[Path | None, typer.Option(help="File with one document id a line.")] = None,
    json: options.Json = False,
) -> None:
    """Delete documents by id, with all their passages."""
    wanted = list(ids or [])
    if ids_from is not None:
        wanted += [line for line in ids_from.read_text(encoding="utf-8").splitlines() if line]
    if not wanted:
        raise UsageError("no document id was given", remedy="name ids, or a file with --ids-from")
    with IndexWriter.open(index) as writer:
        deleted = writer.delete(wanted)
        manifest = writer.commit()
    unknown = len(set(wanted)) - deleted
    if json:
        emit_json({"deleted": deleted, "unknown": unknown, "generation": manifest.generation})
        return
    typer.echo(f"deleted {deleted:,} documents" + (f"; {unknown:,} ids were not in the index" if unknown else ""))


def merge(
    index: options.IndexDir,
    max_segments: Annotated[int, typer.Option(help="Segments to leave, at most.")] = 1,
    reorder: Annotated[
        bool, typer.Option("--reorder", help="Let similar passages stand together in memory; results stay the same.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Rewrite the segments as fewer ones and drop what was deleted."""
    with IndexWriter.open(index) as writer, progress_bars() as progress:
        writer.merge(max_segments, reorder=reorder, progress=progress)
        manifest = writer.commit()
    if json:
        emit_json({"segments": len(manifest.segments), "generation": manifest.generation})
        return
    typer.echo(f"{index} now has {len(manifest.segments)} segment{'s' if len(manifest.segments) != 1 else ''}")


def _encoders_of(index: Path) -> tuple[Encoder | None, SparseEncoder | None]:
    """The encoders that the index was built with."""
    with Snapshot.open(index) as snapshot:
        dense, sparse = snapshot.encoder_info, snapshot.sparse_encoder_info
    return resolve_legs(dense.name if dense else None, sparse.name if sparse else None)


def _expansion_of(index: Path) -> ExpansionInfo | None:
    """Which generated queries the index holds."""
    with Snapshot.open(index) as snapshot:
        return snapshot.expansion_info
