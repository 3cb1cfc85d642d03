"""T²-RAGBench in its published layout, turned into folders in BEIR's layout.

::

    ROOT/[data/]FinQA/{train,dev,test}/metadata.jsonl
    ROOT/[data/]ConvFinQA/[turn_0/]metadata.jsonl
    ROOT/[data/]TAT-DQA/{train,dev,test}/metadata.jsonl

One row a question: id, context_id, split, question, program_answer, original_answer, context, file_name,
company_name, report_year and more. A document is the context of a row, whole; rows with one ``context_id``
share it. Source: Strich et al., EACL 2026 (arXiv 2506.12071), and the data set's card.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twindex.eval.beir import Dataset
from twindex.eval.lines import json_lines
from twindex.eval.qrels import Qrels, write_qrels
from twindex.indexing.errors import ConfigError, CorpusError

SUBSETS: Final = ("FinQA", "ConvFinQA", "TAT-DQA")
#: Questions and documents of the current version of the benchmark, by subset.
PUBLISHED: Final[Mapping[str, tuple[int, int]]] = {
    "FinQA": (8281, 2789),
    "ConvFinQA": (3458, 1806),
    "TAT-DQA": (11349, 2723),
}
LAYOUT: Final = "a folder with FinQA, ConvFinQA and TAT-DQA, each with metadata.jsonl files"
#: Fields of a row that are kept with its query.
KEPT: Final = ("company_name", "report_year", "company_sector", "program_answer", "original_answer", "file_name")


@dataclass(frozen=True, slots=True)
class T2Row:
    """One question with its document."""

    id: str
    subset: str
    split: str
    question: str
    document_id: str
    context: str
    metadata: Mapping[str, Any]


def read_subset(root: Path, subset: str) -> Iterator[T2Row]:
    """The rows of one subset, file by file in the order of their paths.

    Raises:
        ConfigError: If there is no such subset.
        CorpusError: If the files are missing, or a row lacks a field; names file and line.
    """
    if subset not in SUBSETS:
        raise ConfigError(f"subset {subset!r}", expected=f"one of {', '.join(SUBSETS)}")
    folders = [f for f in (root / subset, root / "data" / subset) if f.is_dir()]
    files = sorted(folders[0].rglob("metadata.jsonl")) if folders else []
    if not files:
        raise CorpusError(f"no metadata.jsonl of {subset}", path=str(root), expected=LAYOUT)
    for file in files:
        for line, record in json_lines(file):
            yield _row(record, subset, file, line)


def counts(rows: Iterable[T2Row]) -> dict[str, tuple[int, int]]:
    """Questions and documents by subset."""
    questions: dict[str, int] = {}
    documents: dict[str, set[str]] = {}
    for row in rows:
        questions[row.subset] = questions.get(row.subset, 0) + 1
        documents.setdefault(row.subset, set()).add(row.document_id)
    return {s: (n, len(documents[s])) for s, n in questions.items()}


def as_datasets(root: Path, into: Path, subsets: Sequence[str] = SUBSETS) -> list[Dataset]:
    """One folder in BEIR's layout a subset, and one of all documents pooled if there are several.

    The judged split of each is called "all", and the published splits beside it. Folders are made once.

    Raises:
        CorpusError: If two rows give one document id to different texts.
    """
    scopes = [(s, (s,)) for s in subsets] + ([("pooled", tuple(subsets))] if len(subsets) > 1 else [])
    out = []
    for name, members in scopes:
        target = into / f"t2-{name.lower()}"
        if not target.is_dir():
            _write(target, [row for s in members for row in read_subset(root, s)])
        out.append(Dataset(target))
    return out


def _row(record: Mapping[str, Any], subset: str, file: Path, line: int) -> T2Row:
    missing = [f for f in ("id", "context_id", "question", "context") if not isinstance(record.get(f), str | int)]
    if missing:
        raise CorpusError(f"a row without {', '.join(missing)}", path=str(file), line=line)
    answer = record.get("program_answer", record.get("original_answer"))
    if answer is None:
        raise CorpusError("a row without program_answer", path=str(file), line=line)
    kept = {name: record[name] for name in KEPT if record.get(name) is not None}
    return T2Row(
        str(record["id"]),
        subset,
        str(record.get("split") or file.parent.name),
        str(record["question"]),
        str(record["context_id"]),
        str(record["context"]),
        kept | {"answers": [str(answer)], "subset": subset},
    )


def _write(target: Path, rows: Sequence[T2Row]) -> None:
    staging = target.with_name(target.name + ".writing")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "qrels").mkdir(parents=True)
    documents: dict[str, str] = {}
    for row in rows:
        if documents.setdefault(row.document_id, row.context) != row.context:
            raise CorpusError(f"two texts for the document {row.document_id!r}", path=str(target))
    _lines(staging / "corpus.jsonl", ({"_id": d, "text": text} for d, text in documents.items()))
    _lines(staging / "queries.jsonl", ({"_id": r.id, "text": r.question, "metadata": dict(r.metadata)} for r in rows))
    for split in dict.fromkeys(["all", *(r.split for r in rows)]):
        judged = [(r.id, r.document_id, 1) for r in rows if split in ("all", r.split)]
        write_qrels(staging / "qrels" / f"{split}.tsv", Qrels.from_rows(judged))
    os.replace(staging, target)


def _lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
