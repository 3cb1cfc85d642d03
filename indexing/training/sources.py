"""Which texts belong together: judged pairs of a BEIR folder, titles with their texts, sentences with their text.

A folder with judgements gives (query, document) for each relevant pair of a split. A folder that is a corpus
alone gives (title, text). Either gives (sentence, rest of the text) for sentences drawn by a seeded rule
(the inverse cloze task, Lee et al. 2019, arXiv 1906.00300).
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final

from twindex.indexing.corpus import open_corpus
from twindex.indexing.errors import ConfigError, CorpusError
from twindex.indexing.types import Document

#: A sentence ends at . ! or ? before a blank and a capital, digit or bracket.
SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(\[\"'])")
#: Words that a sentence must have to be a query, and may have.
SENTENCE_WORDS: Final = (7, 45)
#: Sentences that a text must have before one is taken out of it.
LEAST_SENTENCES: Final = 3


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One folder to take pairs from.

    ``split`` is a file of judgements, "" = titles. ``sentences`` is how many sentences a text gives on average:
    0.5 = one in every second text. ``limit`` cuts the number of documents, taken by a hash of their ids and not by
    their order; 0 = all.
    """

    path: Path
    split: str = ""
    sentences: float = 0.0
    limit: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.sentences <= 100 or self.limit < 0:
            raise ConfigError(f"sentences = {self.sentences}, limit = {self.limit}", expected="0 to 100, and 0 or more")

    @classmethod
    def parse(cls, text: str) -> SourceSpec:
        """``FOLDER[,split=NAME][,sentences=NUMBER][,limit=N]``.

        Raises:
            ConfigError: If a part is none of these.
        """
        path, *parts = text.split(",")
        values = dict(part.partition("=")[::2] for part in parts)
        unknown = sorted(set(values) - {"split", "sentences", "limit"})
        if unknown or not path:
            raise ConfigError(f"source {text!r}", expected="FOLDER[,split=NAME][,sentences=NUMBER][,limit=N]")
        try:
            share, limit = float(values.get("sentences", 0)), int(values.get("limit", 0))
        except ValueError as error:
            raise ConfigError(f"source {text!r} ({error})", expected="numbers for sentences and limit") from error
        return cls(Path(path), values.get("split", ""), share, limit)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the document that answers it; ``start`` and ``end`` where it lies in the text, -1 = nowhere."""

    query: str
    doc_id: str
    start: int = -1
    end: int = -1


def documents(spec: SourceSpec) -> dict[str, Document]:
    """The documents of a folder by id; those with the smallest hashes if there is a limit.

    Raises:
        CorpusError: If there is no corpus, or it cannot be read.
    """
    found = {document.id: document for document in open_corpus(_file(spec.path, "corpus.jsonl"))}
    if not spec.limit or len(found) <= spec.limit:
        return found
    kept = set(sorted(found, key=lambda name: (draw("limit", name), name))[: spec.limit])
    return {name: document for name, document in found.items() if name in kept}


def pairs(spec: SourceSpec, found: dict[str, Document]) -> Iterator[Pair]:
    """The pairs of a folder: judged ones or titles, then sentences."""
    if spec.split:
        yield from _judged(spec, found)
    else:
        for document in found.values():
            if document.title.strip() and document.text.strip():
                yield Pair(document.title, document.id)
    for document in found.values():
        count = int(spec.sentences + draw("sentence", document.id))
        if count:
            yield from sentence_pairs(document, count)


def sentence_pairs(document: Document, count: int) -> list[Pair]:
    """At most ``count`` sentences of a text as queries for the text, chosen by a hash, in the order of the text."""
    ends = [match.span() for match in SENTENCE_END.finditer(document.text)]
    starts = [0, *(end for _, end in ends)]
    stops = [*(start for start, _ in ends), len(document.text)]
    if len(starts) < LEAST_SENTENCES:
        return []
    low, high = SENTENCE_WORDS
    fit = [(a, b) for a, b in zip(starts, stops) if low <= len(document.text[a:b].split()) <= high]
    chosen = sorted(fit, key=lambda span: draw(f"which {span[0]}", document.id))[:count]
    return [Pair(document.text[start:end], document.id, start, end) for start, end in sorted(chosen)]


def draw(purpose: str, name: str) -> float:
    """A number in [0, 1) that depends on its arguments alone, so that order and hash seed do not matter."""
    digest = blake2b(f"{purpose}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """("query" or "document", text) of everything in a folder, for comparison with what is trained on."""
    for name, kind, fields in (("corpus.jsonl", "document", ("text",)), ("queries.jsonl", "query", ("text",))):
        try:
            file = _file(path, name)
        except CorpusError:
            continue
        for record in _records(file):
            for key in fields:
                if isinstance(record.get(key), str):
                    yield kind, record[key]


def _judged(spec: SourceSpec, found: dict[str, Document]) -> Iterator[Pair]:
    texts = {str(record.get("_id")): record.get("text", "") for record in _records(_file(spec.path, "queries.jsonl"))}
    path = _file(spec.path, f"qrels/{spec.split}.tsv")
    with _open(path) as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) == 3 and row[2].strip().lstrip("-").isdigit() and int(row[2]) > 0 and row[1] in found:
                text = texts.get(row[0], "")
                if text.strip():
                    yield Pair(text, row[1])


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise CorpusError(f"no JSON ({error})", path=str(path), line=number) from error
                if isinstance(record, dict):
                    yield record


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise CorpusError(f"no {name} or {name}.gz", path=str(folder), expected="a folder in BEIR's layout")
