"""Collections for experiments with expansions: whole, or the part of them for which queries were generated.

``NAME:N`` means N documents of a collection: all that a judgement of its reported split names, then those whose ids
have the lowest hashes, in the order of the corpus. So everybody draws the same part, and every answer is in it.
"""

from __future__ import annotations

import gzip
import json
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from twindex.eval.beir import Dataset
from twindex.eval.lines import json_lines
from twindex.eval.registry import find_dataset, report_split
from twindex.indexing.errors import ConfigError

#: Splits on which settings may be chosen.
TRAINING: Final = ("train", "dev")


def parse_name(text: str) -> tuple[str, int | None]:
    """Collection and number of documents; None for all.

    Raises:
        ConfigError: If the number is none.
    """
    name, _, count = text.rpartition(":")
    if not name or not count.isdigit():
        return text, None
    if int(count) < 1:
        raise ConfigError(f"{text}: {count} documents", expected="at least 1, as in financebench:2000")
    return name, int(count)


def open_set(text: str, *, root: Path | None, cache: Path) -> Dataset:
    """The collection that ``NAME`` or ``NAME:N`` means; a part is written into the cache once.

    Raises:
        CorpusError: If there is no such collection.
        ConfigError: If it has fewer documents than judgements need.
    """
    name, count = parse_name(text)
    dataset = find_dataset(name, root=root)
    return dataset if count is None else part_of(dataset, count, cache / "parts" / f"{dataset.name}-{count}")


def part_of(dataset: Dataset, count: int, folder: Path) -> Dataset:
    """The part of a collection with so many documents, as a folder in BEIR's layout.

    Raises:
        ConfigError: If more documents are judged than wanted.
    """
    if not (folder / "qrels").is_dir():
        chosen = chosen_ids(dataset, count)
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8", newline="\n") as file:
            for _, record in json_lines(dataset.corpus_file):
                if _id(record) in chosen:
                    file.write(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n")
        for path in sorted(dataset.path.glob("queries.jsonl*")):
            shutil.copyfile(path, folder / path.name)
        staging = folder / "qrels.part"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(dataset.path / "qrels", staging)
        staging.rename(folder / "qrels")
    return Dataset(folder, folder.name)


def chosen_ids(dataset: Dataset, count: int) -> frozenset[str]:
    """The documents of a part.

    Raises:
        ConfigError: If more documents are judged than wanted.
    """
    judged = {doc for docs in dataset.qrels(report_split(dataset)).values() for doc in docs}
    ids = [_id(record) for _, record in json_lines(dataset.corpus_file)]
    named = [doc for doc in ids if doc in judged]
    if len(named) > count:
        raise ConfigError(f"{count} documents of {dataset.name}", expected=f"at least the {len(named)} that are judged")
    others = sorted((doc for doc in ids if doc not in judged), key=_hash)
    return frozenset([*named, *others[: count - len(named)]])


def _id(record: dict[str, Any]) -> str:
    return str(record.get("_id", record.get("id")))


def _hash(doc_id: str) -> bytes:
    return blake2b(doc_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
