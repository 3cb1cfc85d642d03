"""Folders in BEIR's layout: a corpus, queries, and judgements by split.

::

    NAME/corpus.jsonl[.gz]      one object a line: _id, title, text, metadata
    NAME/queries.jsonl[.gz]     one object a line: _id, text, metadata
    NAME/qrels/SPLIT.tsv        a header line, then query-id, corpus-id, score
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from twindex.eval.lines import json_lines
from twindex.eval.qrels import Qrels, read_qrels
from twindex.indexing.corpus import Corpus, open_corpus
from twindex.indexing.errors import ConfigError, CorpusError

LAYOUT: Final = "a folder with corpus.jsonl[.gz], queries.jsonl[.gz] and qrels/SPLIT.tsv"
#: Judgements may be compressed too.
SUFFIXES: Final = (".tsv", ".tsv.gz")


@dataclass(frozen=True, slots=True)
class TestQuery:
    """A query with its id, and what else the set says of it (answers, for instance)."""

    __test__ = False  # it is no test, whatever its name says to pytest

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """One folder in BEIR's layout.

    Raises:
        CorpusError: If the folder, its queries or its judgements are missing.
    """

    path: Path
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "name", self.name or self.path.resolve().name)
        if not self.path.is_dir():
            raise CorpusError("no such folder", path=str(self.path), expected=LAYOUT)
        self._file("queries.jsonl")
        if not self.splits:
            raise CorpusError("no judgements", path=str(self.path), expected=LAYOUT)

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the judged splits, sorted."""
        found = {p.name.removesuffix(suffix) for suffix in SUFFIXES for p in (self.path / "qrels").glob(f"*{suffix}")}
        return tuple(sorted(found))

    @property
    def corpus_file(self) -> Path:
        """The corpus.

        Raises:
            CorpusError: If there is none; some collections share only queries and judgements.
        """
        return self._file("corpus.jsonl")

    @property
    def has_corpus(self) -> bool:
        """Whether there is a corpus."""
        return any((self.path / f"corpus.jsonl{end}").exists() for end in ("", ".gz"))

    def corpus(self) -> Corpus:
        """The documents, as a stream."""
        return open_corpus(self.corpus_file)

    def qrels(self, split: str = "test") -> Qrels:
        """The judgements of a split, with queries in the order of the file.

        Raises:
            ConfigError: If there is no such split; the message lists those that are there.
        """
        return read_qrels(self._qrels_file(split), "beir")

    def queries(self, wanted: Iterable[str] | None = None) -> list[TestQuery]:
        """The queries, in the order of ``wanted``; all, in the order of the file, for None.

        Raises:
            CorpusError: If a line cannot be read, an id comes twice, or a wanted query has no text.
        """
        path = self._file("queries.jsonl")
        found: dict[str, TestQuery] = {}
        for line, record in json_lines(path):
            query = _query(record, path, line)
            if query.id in found:
                raise CorpusError(f"query {query.id!r} a second time", path=str(path), line=line)
            found[query.id] = query
        if wanted is None:
            return list(found.values())
        names = list(wanted)
        missing = [name for name in names if name not in found]
        if missing:
            raise CorpusError(
                f"no text for {len(missing)} of {len(names)} judged queries, {missing[0]!r} among them",
                path=str(path),
                expected="every judged query",
            )
        return [found[name] for name in names]

    def digest(self) -> str:
        """sha256 of the corpus file's bytes, as hexadecimal digits."""
        return _sha256(self.corpus_file)

    def digests(self, splits: Iterable[str]) -> dict[str, str]:
        """sha256 of the corpus, of the queries and of the judgements of some splits, by their names.

        Raises:
            ConfigError: If there is no such split.
        """
        files = {"corpus": self.corpus_file, "queries": self._file("queries.jsonl")}
        files |= {f"qrels/{split}": self._qrels_file(split) for split in splits}
        return {name: _sha256(path) for name, path in files.items()}

    def _qrels_file(self, split: str) -> Path:
        if split not in self.splits:
            raise ConfigError(f"split {split!r} of {self.name}", expected=f"one of {', '.join(self.splits)}")
        names = [self.path / "qrels" / f"{split}{suffix}" for suffix in SUFFIXES]
        return next(p for p in names if p.exists())

    def _file(self, name: str) -> Path:
        for candidate in (self.path / name, self.path / f"{name}.gz"):
            if candidate.exists():
                return candidate
        raise CorpusError(f"no {name} or {name}.gz", path=str(self.path), expected=LAYOUT)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _query(record: Mapping[str, Any], path: Path, line: int) -> TestQuery:
    number, text = record.get("_id", record.get("id")), record.get("text")
    if not isinstance(number, str | int) or not isinstance(text, str):
        raise CorpusError("a query without _id or text", path=str(path), line=line, expected="both")
    metadata = record.get("metadata")
    return TestQuery(str(number), text, metadata if isinstance(metadata, dict) else {})
