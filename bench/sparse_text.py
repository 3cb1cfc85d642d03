"""The real corpora of the sparse bench: BEIR folders, analysed once by the "english" analyzer."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from sparse_store import Array, Corpus, CorpusWriter, exists

from twindex.indexing.analysis import Vocabulary, get_analyzer

ANALYZER = "english"
BATCH = 5_000
MOST_QUERIES = 2_000
SEED = 20_26


def texts(folder: Path) -> Iterator[str]:
    """The documents of one BEIR folder: title, a blank, text."""
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield " ".join(part for part in (record.get("title", ""), record["text"]) if part)


def questions(folder: Path) -> list[str]:
    """The queries of one BEIR folder."""
    path = folder / "queries.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def folders(data: Path, name: str) -> list[Path]:
    """The folders that make up a corpus: one of that name, or for "all" every one that has documents."""
    if name != "all":
        return [data / name]
    return sorted(path.parent for path in data.glob("*/corpus.jsonl.gz"))


def prepare(data: Path, name: str, folder: Path) -> Corpus:
    """Write the corpus, unless it is there."""
    if exists(folder):
        return Corpus(folder)
    from sparse_kernels import counted  # numba: only where corpora are made

    analyzer, vocabulary = get_analyzer(ANALYZER), Vocabulary()
    parts = folders(data, name)
    batches = []
    for part in parts:
        source = texts(part)
        while batch := list(islice(source, BATCH)):
            analysed = analyzer.analyze(batch, vocabulary)
            batches.append(counted(analysed.ids, analysed.offsets))
    writer = CorpusWriter(folder, name, "bm25", len(vocabulary))
    for chunk in batches:
        writer.add(chunk)
    queries = [query for part in parts for query in _queries(part, vocabulary)]
    random.Random(SEED).shuffle(queries)
    return writer.finish(queries[:MOST_QUERIES], analyzer=analyzer.fingerprint, sources=[part.name for part in parts])


def _queries(folder: Path, vocabulary: Vocabulary) -> Iterator[tuple[Array, Array]]:
    """Queries as term numbers; terms that no document has are dropped, as are queries without any."""
    analyzer = get_analyzer(ANALYZER)
    for text in questions(folder):
        ids = [vocabulary.ids[term] for term in analyzer.terms(text) if term in vocabulary.ids]
        if ids:
            yield np.array(ids, np.int32), np.ones(len(ids), np.int32)
