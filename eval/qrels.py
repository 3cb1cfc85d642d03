"""Relevance judgements: who said that which document answers which query, and how well.

Two file layouts are read and written: TREC's (``query 0 document level``, any white space) and BEIR's
(a header line, then ``query-id<TAB>corpus-id<TAB>score``). A level above 0 is relevant, 0 is judged
and not relevant, and a negative one counts as not judged (as trec_eval takes it).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twindex.eval.lines import open_text
from twindex.indexing.errors import CorpusError, UsageError

QrelsFormat = Literal["trec", "beir"]
HEADER = ("query-id", "corpus-id", "score")


@dataclass(frozen=True, slots=True, eq=False)
class Qrels(Mapping[str, Mapping[str, int]]):
    """Graded judgements by query and document, in the order in which they were given."""

    table: Mapping[str, Mapping[str, int]]

    def __getitem__(self, query_id: str) -> Mapping[str, int]:
        return self.table[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self.table) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # a mapping, so not a key

    @property
    def judgements(self) -> int:
        """Number of judged pairs."""
        return sum(len(documents) for documents in self.table.values())

    def relevant(self, query_id: str, *, rel: int = 1) -> list[str]:
        """The documents of a query at or above a level, best level first, then as given."""
        found = [(d, level) for d, level in self.table.get(query_id, {}).items() if level >= rel]
        return [d for d, _ in sorted(found, key=lambda pair: -pair[1])]

    def answerable(self, *, rel: int = 1) -> list[str]:
        """The queries with at least one document at or above a level: those that can score."""
        return [q for q, documents in self.table.items() if any(v >= rel for v in documents.values())]

    def subset(self, query_ids: Iterable[str]) -> Qrels:
        """The judgements of some queries, in the order of ``query_ids``; the others are ignored."""
        return Qrels({q: self.table[q] for q in query_ids if q in self.table})

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[str, str, int]]) -> Qrels:
        """Judgements from (query, document, level) triples.

        Raises:
            UsageError: If a pair comes twice with different levels.
        """
        table: dict[str, dict[str, int]] = {}
        for query, document, level in rows:
            documents = table.setdefault(query, {})
            if documents.setdefault(document, level) != level:
                raise UsageError(
                    f"query {query!r} judges document {document!r} as {documents[document]} and as {level}",
                    expected="one level a pair",
                )
        return cls(table)


def read_qrels(path: Path | str, fmt: QrelsFormat | None = None) -> Qrels:
    """Judgements from a file, gzip-compressed if its name ends in .gz.

    Args:
        path: A TREC or BEIR file.
        fmt: Layout; None looks at the first line (three columns are BEIR's, four are TREC's).

    Raises:
        CorpusError: If a line cannot be read, or contradicts an earlier one; names file and line.
    """
    table: dict[str, dict[str, int]] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            if not text.strip() or (number == 1 and _is_header(text)):
                continue
            fmt = fmt or _guess(text)
            query, document, level = _row(text, fmt, str(path), number)
            documents = table.setdefault(query, {})
            if documents.setdefault(document, level) != level:
                raise CorpusError(
                    f"level {level} for {query!r} and {document!r}, before {documents[document]}",
                    path=str(path),
                    line=number,
                    expected="one level a pair",
                )
    return Qrels(table)


def write_qrels(path: Path | str, qrels: Mapping[str, Mapping[str, int]], fmt: QrelsFormat = "beir") -> None:
    """Write judgements, in their own order, as UTF-8 with newlines of one byte."""
    out = io.StringIO()
    if fmt == "beir":
        out.write("\t".join(HEADER) + "\n")
    for query, documents in qrels.items():
        for document, level in documents.items():
            row = (query, document, str(level)) if fmt == "beir" else (query, "0", document, str(level))
            out.write(("\t" if fmt == "beir" else " ").join(row) + "\n")
    Path(path).write_bytes(out.getvalue().encode())


def _guess(text: str) -> QrelsFormat:
    columns = text.split("\t") if "\t" in text else text.split()
    return "trec" if len(columns) == 4 else "beir"


def _is_header(text: str) -> bool:
    columns = text.lower().replace("_", "-").split("\t")
    return len(columns) == 3 and columns[0] in ("query-id", "qid") and not columns[2].lstrip("-").isdigit()


def _row(text: str, fmt: QrelsFormat, path: str, line: int) -> tuple[str, str, int]:
    if fmt == "trec":
        columns, names = text.split(), "query 0 document level"
        fields = (columns[0], columns[2], columns[3]) if len(columns) == 4 else None
    else:
        columns, names = text.split("\t"), "query-id<TAB>corpus-id<TAB>score"
        fields = (columns[0], columns[1], columns[2]) if len(columns) == 3 else None
    if fields is None:
        raise CorpusError(f"{len(columns)} columns", path=path, line=line, expected=names)
    level = _level(fields[2])
    if level is None:
        raise CorpusError(f"level {fields[2]!r}", path=path, line=line, expected="a whole number")
    return fields[0], fields[1], level


def _level(text: str) -> int | None:
    """Some published files write 1.0; a half is nobody's level."""
    try:
        value = float(text)
        return int(value) if value == int(value) else None
    except (ValueError, OverflowError):
        return None
