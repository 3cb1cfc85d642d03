"""``twindex expand show``, ``stats`` and ``export``: what is in an expansion store."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from twindex.api.cli import options
from twindex.api.cli.console import stdout, table
from twindex.api.cli.index import corpus_from
from twindex.api.cli.plain import emit_json, visible
from twindex.indexing.chunking import ChunkConfig, make_chunker
from twindex.indexing.errors import UsageError
from twindex.indexing.expansion.records import HASH_BYTES, Kind, content_hash
from twindex.indexing.expansion.store import ExpansionStore
from twindex.indexing.expansion.writer import export

Store = Annotated[
    Path, typer.Argument(metavar="STORE", help="Folder of the store, or an exported .xz.", show_default=False)
]
Config = Annotated[
    str | None, typer.Option("--config", help="Name or beginning of the hash; left out: all.", show_default=False)
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("show")(show)
    group.command("stats")(stats)
    group.command("export")(export_command)


def show(
    store: Store,
    document: Annotated[
        str, typer.Argument(metavar="DOC", help="A content hash; or an id, with --corpus.", show_default=False)
    ],
    corpus: Annotated[str | None, typer.Option(help="Corpus that has the document.", show_default=False)] = None,
    chunk: Annotated[str, typer.Option(metavar="KIND[:SIZE[:OVERLAP]]", help="As it was expanded.")] = "none",
    config: Config = None,
    limit: Annotated[int | None, typer.Option("-n", help="Queries, at most.")] = None,
    json: options.Json = False,
) -> None:
    """Show topics, keywords and queries of a document."""
    with ExpansionStore.open(store) as opened:
        configs = list(opened.configs()) if config is None else [opened.resolve(config)]
        found = [
            {
                "document": hash_.hex(),
                "expansions": [_facts(opened, hash_, one, limit) for one in configs if opened.records(hash_, one)],
            }
            for hash_ in _hashes(document, corpus, chunk)
        ]
    if json:
        emit_json(found)
        return
    for one in found:
        _print(one)


def stats(store: Store, json: options.Json = False) -> None:
    """Count what is in a store, configuration by configuration."""
    with ExpansionStore.open(store) as opened:
        rows = [_counts(opened, config) for config in opened.configs()]
    if json:
        emit_json(rows)
        return
    made = table("config", "name", "generator", "documents", "sets", "queries", "distinct", "scored", "failed",
                 right=("documents", "sets", "queries", "distinct", "scored", "failed"))  # fmt: skip
    for row in rows:
        made.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    stdout().print(made)


def export_command(
    store: Store,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, ending in .xz.", show_default=False)],
    config: Annotated[
        list[str] | None, typer.Option("--config", help="Name or hash; repeatable; left out: all.")
    ] = None,
) -> None:
    """Write a store, or some of its configurations, into one compressed file, which opens as a store."""
    if file.suffix != ".xz":
        raise UsageError(f"a file named {file.name!r}", expected="a name that ends in .xz")
    with ExpansionStore.open(store) as opened:
        chosen = [opened.resolve(name) for name in config] if config else None
        size = export(opened, file, chosen)
    typer.echo(f"wrote {size:,} bytes into {file}")


def _hashes(document: str, corpus: str | None, chunk: str) -> list[bytes]:
    """Content hashes of the passages that are meant.

    Raises:
        UsageError: If nothing has that id, or it is no hash.
    """
    if corpus is not None:
        source = corpus_from(corpus, on_error="skip", fmt=None, id_field=None, text_field=None, title_field=None)
        chunker = make_chunker(ChunkConfig.parse(chunk))
        base = document.rpartition("#")[0] or document
        mine = (found for found in source if found.id in (document, base))
        passages = [p for found in mine for p in chunker.chunk(found) if document in (p.id, p.doc_id)]
        if not passages:
            raise UsageError(f"no document {document!r} in {corpus}", remedy="check the id; chunks are named ID#NUMBER")
        return [content_hash(passage.contents) for passage in passages]
    try:
        hash_ = bytes.fromhex(document)
    except ValueError:
        hash_ = b""
    if len(hash_) != HASH_BYTES:
        raise UsageError(
            f"document {document!r}",
            expected="a content hash of 32 hexadecimal digits",
            remedy="name the corpus that has the id: --corpus CORPUS",
        )
    return [hash_]


def _facts(store: ExpansionStore, document: bytes, config: bytes, limit: int | None) -> dict[str, Any]:
    """What one configuration made of a document."""
    distinct = set(store.queries(document, config))
    queries: list[dict[str, Any]] = []
    most = len(distinct) if limit is None else limit
    for query, score in store.scored(document, config):
        if query in distinct and len(queries) < most:
            queries.append({"query": query} | ({} if math.isnan(score) else {"score": round(score, 4)}))
            distinct.discard(query)
    return {
        "config": config.hex(),
        "name": store.configs().get(config, {}).get("name", ""),
        "topics": [topic._asdict() for topic in store.topics(document, config)],
        "keywords": list(store.keywords(document, config)),
        "candidates": list(store.candidates(document, config)),
        "queries": queries,
    }


def _print(found: dict[str, Any]) -> None:
    console = stdout()
    console.print(Text(found["document"], style="bold"))
    if not found["expansions"]:
        console.print("  nothing was generated for it")
    for facts in found["expansions"]:
        console.print(Text(f"  {facts['name']} ({facts['config'][:8]})", style="cyan"))
        topics = "; ".join(f"{topic['label']} ({topic['weight']:.2f})" for topic in facts["topics"])
        for name, text in (("topics", topics), ("keywords", ", ".join(facts["keywords"]))):
            if text:
                console.print(Padding(Text(visible(f"{name}: {text}")), (0, 0, 0, 4)))
        for query in facts["queries"]:
            score = f"  {query['score']:.3f}" if "score" in query else ""
            console.print(Padding(Text(visible(query["query"])).append(score, style="dim"), (0, 0, 0, 4)))


def _counts(store: ExpansionStore, config: bytes) -> dict[str, Any]:
    """Numbers of one configuration."""
    kinds: Counter[Kind] = Counter()
    queries = scored = 0
    for record in store.all_records(config):
        kinds[record.kind] += 1
        queries += len(record.value) if record.kind == "queries" else 0
        scored += len(record.value["values"]) if record.kind == "scores" else 0
    documents = list(store.documents(config))
    facts = store.configs().get(config, {})
    return {
        "config": config.hex()[:8],
        "name": facts.get("name", ""),
        "generator": facts.get("generator", ""),
        "documents": len(documents),
        "sets": kinds["queries"],
        "queries": queries,
        "distinct": sum(len(store.queries(document, config)) for document in documents),
        "scored": scored,
        "failed": kinds["failed"],
    }
