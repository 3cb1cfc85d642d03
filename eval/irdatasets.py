"""Collections of the ir_datasets package, written once as a folder in BEIR's layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from twindex.eval.beir import Dataset
from twindex.eval.qrels import Qrels, write_qrels
from twindex.indexing import optional
from twindex.indexing.errors import ConfigError

#: Fields that a record may keep its text in, best first; TREC's records name them differently.
TEXT_FIELDS: Final = ("text", "body", "abstract", "contents", "title")
QUERY_FIELDS: Final = ("text", "query", "title", "description")


def from_ir_datasets(name: str, root: Path) -> Dataset:
    """The collection as a folder under ``root``; made on the first call.

    Args:
        name: As in "beir/scifact/test" or "vaswani".
        root: Folder of the collections; the new one is called as ``name`` with dashes for slashes.

    Raises:
        MissingExtraError: If the package is not installed.
        ConfigError: If the package knows no such collection, or it lacks documents, queries or judgements.
    """
    target = root / name.replace("/", "-")
    if target.is_dir():
        return Dataset(target)
    source = _load(name)
    staging = target.with_name(target.name + ".writing")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "qrels").mkdir(parents=True)
    _write(staging / "corpus.jsonl", _documents(source))
    _write(staging / "queries.jsonl", _queries(source))
    rows = ((str(q.query_id), str(q.doc_id), int(q.relevance)) for q in source.qrels_iter())
    write_qrels(staging / "qrels" / "test.tsv", Qrels.from_rows(rows))
    os.replace(staging, target)
    return Dataset(target)


def _load(name: str) -> Any:
    package = optional.load("ir_datasets", purpose=f"the collection {name!r}")
    try:
        source = package.load(name)
    except KeyError as error:
        raise ConfigError(f"collection {name!r}", expected="a name that ir_datasets knows") from error
    for part in ("docs", "queries", "qrels"):
        if not getattr(source, f"has_{part}")():
            raise ConfigError(f"collection {name!r} without {part}", expected="documents, queries, judgements")
    return source


def _documents(source: Any) -> Iterator[dict[str, str]]:
    for record in source.docs_iter():
        title = getattr(record, "title", "") or ""
        text = _first(record, [f for f in TEXT_FIELDS if f != "title" or not title])
        yield {"_id": str(record.doc_id), "title": str(title), "text": text}


def _queries(source: Any) -> Iterator[dict[str, str]]:
    for record in source.queries_iter():
        yield {"_id": str(record.query_id), "text": _first(record, QUERY_FIELDS)}


def _first(record: Any, names: list[str] | tuple[str, ...]) -> str:
    return next((str(v) for n in names if (v := getattr(record, n, ""))), "")


def _write(path: Path, records: Iterator[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
