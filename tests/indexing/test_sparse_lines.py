"""Sparse vectors from files: the same index as from arrays, and clear words for lines that hold none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.indexing.builds import digest, documents
from twindex.indexing.config import IndexConfig
from twindex.indexing.corpus.sparse_lines import sparse_lines
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.errors import CorpusError
from twindex.indexing.types import Document
from twindex.indexing.writer import IndexWriter

MODEL = SparseHashingEncoder(256)


def records() -> list[dict[str, Any]]:
    items = list(documents(30))
    rows = MODEL.encode_documents([item.text for item in items])
    out = []
    for number, item in enumerate(items):
        row = rows.slice(number, number + 1)
        vector = {str(d): float(w) for d, w in reversed(list(zip(row.ids.tolist(), row.weights.tolist())))}
        out.append({"_id": item.id, "vector": vector, "year": 2000 + number})
    return out


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_file_gives_the_index_that_arrays_give(tmp_path: Path, packed: bool, batch: int) -> None:
    data = "".join(json.dumps(record) + "\n" for record in records()).encode()
    path = tmp_path / ("vectors.jsonl.gz" if packed else "vectors.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    config = IndexConfig(sparse_encoder=MODEL.info)
    with IndexWriter.create(tmp_path / "file", config) as writer:
        for items, rows in sparse_lines(path, vocabulary=256, batch=batch):
            assert len(items) <= batch
            writer.add_vectors(items, rows)
        writer.commit()
    with IndexWriter.create(tmp_path / "arrays", config) as writer:
        rows = MODEL.encode_documents([item.text for item in documents(30)])
        writer.add_vectors([Document(f"d{n}", "", "", {"year": 2000 + n}) for n in range(30)], rows)
        writer.commit()
    assert digest(tmp_path / "file") == digest(tmp_path / "arrays")


@pytest.mark.parametrize(
    "line",
    [
        {"_id": "a"},
        {"_id": "a", "vector": [1, 2]},
        {"_id": "a", "vector": {"x": 1.0}},
        {"_id": "a", "vector": {"-1": 1.0}},
        {"_id": "a", "vector": {"256": 1.0}},
        {"_id": "a", "vector": {"1": -0.5}},
        {"_id": "a", "vector": {"1": True}},
        {"_id": "a", "vector": {"1": "2"}},
        {"_id": "a", "vector": {"1": float("nan")}},
        {"_id": "a", "vector": {"1": 1e39}},
        {"_id": "a", "vector": {"7": 1.0, "07": 2.0}},
        {"vector": {"1": 1.0}},
        ["a"],
    ],
)
def test_lines_without_a_sparse_vector(tmp_path: Path, line: Any) -> None:
    path = tmp_path / "vectors.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(CorpusError):
        list(sparse_lines(path, vocabulary=256))
