"""Both sides of a twin encoder share its passes: a build reads each text once, and gets what each gives alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from twindex.indexing import Document, HashingEncoder, IndexConfig, IndexWriter, Snapshot
from twindex.indexing.encoders import twin_sides
from twindex.indexing.encoders.sparse_hashing import SparseHashingEncoder
from twindex.indexing.encoders.twin import SparseVectors
from twindex.indexing.encoders.twin_sides import TwinDense, TwinPass, as_rows
from twindex.indexing.encoding import Encoder, SparseEncoderInfo, SparseRows
from twindex.indexing.types import Float32Array, Int32Array

TEXTS = [f"bees keep hive number {i % 5} warm" for i in range(12)]


class Counted:
    """Both vectors in one pass, as a twin encoder gives them; counts the texts that went through."""

    def __init__(self) -> None:
        self.dense, self.sparse = HashingEncoder(16), SparseHashingEncoder(256)
        self.info = self.dense.info
        self.passes: list[str] = []

    def encode_twins(self, texts: Sequence[str]) -> tuple[Float32Array, SparseVectors]:
        self.passes += texts
        rows = self.sparse.encode_documents(texts)
        pairs = [(rows.slice(i, i + 1).ids, rows.slice(i, i + 1).weights) for i in range(len(texts))]
        return self.dense.encode_documents(texts), SparseVectors.of(pairs)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self.dense.encode_queries(texts)


class Sparse:
    """The sparse side over a pass, as TwinSparse is one over a folder."""

    def __init__(self, shared: TwinPass, counted: Counted) -> None:
        self.shared, self.counted = shared, counted

    @property
    def info(self) -> SparseEncoderInfo:
        return self.counted.sparse.info

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        return self.shared.sparse(texts)

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        return self.counted.sparse.encode_query(text)


def sides() -> tuple[Counted, TwinDense, Sparse]:
    counted = Counted()
    shared = TwinPass(cast(Any, counted))
    return counted, TwinDense(shared), Sparse(shared, counted)


def same(a: SparseRows, b: SparseRows) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.ptr, b.ptr), (a.ids, b.ids), (a.weights, b.weights)))


def test_what_the_dense_side_encodes_the_sparse_side_is_given() -> None:
    counted, dense, sparse = sides()
    assert isinstance(dense, Encoder)
    unique = list(dict.fromkeys(TEXTS))
    vectors = dense.encode_documents(unique)
    rows = sparse.encode_documents(TEXTS)  # with repetitions, in another order of first occurrence
    assert counted.passes == unique
    assert np.array_equal(vectors, counted.dense.encode_documents(unique))
    assert same(rows, counted.sparse.encode_documents(TEXTS))
    again = sparse.encode_documents(TEXTS[:3])  # given once; asked for again it is encoded again
    assert counted.passes == [*unique, *TEXTS[:3]]
    assert same(again, counted.sparse.encode_documents(TEXTS[:3]))
    assert len(sparse.encode_documents([])) == 0


def test_few_rows_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin_sides, "WAITING", 2)
    counted, dense, sparse = sides()
    texts = ["one", "two", "three"]
    dense.encode_documents(texts)
    rows = sparse.encode_documents(texts)
    assert counted.passes == [*texts, "one"]
    assert same(rows, counted.sparse.encode_documents(texts))


def test_a_build_reads_each_text_once(tmp_path: Path) -> None:
    counted, dense, sparse = sides()
    config = IndexConfig(encoder=dense.info, sparse_encoder=sparse.info, segment_docs=5)
    with IndexWriter.create(tmp_path / "i", config, encoder=dense, sparse_encoder=sparse) as writer:
        writer.add(Document(f"d{i}", f"{text} {i}") for i, text in enumerate(TEXTS))
        writer.commit()
    assert sorted(counted.passes) == sorted(f"{text} {i}" for i, text in enumerate(TEXTS))
    apart = IndexConfig(encoder=counted.dense.info, sparse_encoder=counted.sparse.info, segment_docs=5)
    with IndexWriter.create(tmp_path / "j", apart, encoder=counted.dense, sparse_encoder=counted.sparse) as writer:
        writer.add(Document(f"d{i}", f"{text} {i}") for i, text in enumerate(TEXTS))
        writer.commit()
    with Snapshot.open(tmp_path / "i") as one, Snapshot.open(tmp_path / "j") as two:
        for a, b in zip(one.segments, two.segments, strict=True):
            assert a.impacts is not None
            assert b.impacts is not None
            assert a.impacts.impacts.tobytes() == b.impacts.impacts.tobytes()
            assert a.vectors is not None


def test_rows_of_nothing() -> None:
    rows = as_rows([(np.empty(0, np.int32), np.empty(0, np.float32))])
    rows.check(10, 1)
    assert len(as_rows([])) == 0
