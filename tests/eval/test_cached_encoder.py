from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from twindex.eval.cached_encoder import SHARD, CachedEncoder
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.types import Float32Array


class Recorder:
    """The hashing encoder with prompts that it notes down."""

    def __init__(self, *, invariant: bool = True) -> None:
        self.inner = HashingEncoder(16)
        self.info: EncoderInfo = replace(self.inner.info, query_prompt="query: ", document_prompt="passage: ")
        self.batch_invariant = invariant
        self.asked: list[tuple[str, int]] = []

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        self.asked.append(("document", len(texts)))
        return self.inner.encode_documents([self.info.document_prompt + t for t in texts])

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        self.asked.append(("query", len(texts)))
        return self.inner.encode_documents([self.info.query_prompt + t for t in texts])


TEXTS = [f"text number {i}" for i in range(SHARD + 20)]


def test_the_same_vectors_and_each_text_once(tmp_path: Path) -> None:
    plain = Recorder()
    cached = CachedEncoder(Recorder(), tmp_path)
    assert cached.info == plain.info
    for _ in range(2):
        assert np.array_equal(cached.encode_documents(TEXTS), plain.encode_documents(TEXTS))
        assert np.array_equal(cached.encode_queries(TEXTS[:5]), plain.encode_queries(TEXTS[:5]))
    behind = cached.encoder
    assert isinstance(behind, Recorder)
    assert behind.asked == [("document", SHARD), ("document", 20), ("query", 5)]


def test_another_process_finds_them(tmp_path: Path) -> None:
    CachedEncoder(Recorder(), tmp_path).encode_documents(TEXTS[:30])
    later = Recorder()
    CachedEncoder(later, tmp_path).encode_documents(TEXTS[:40])
    assert later.asked == [("document", 10)]


def test_rows_that_depend_on_neighbours_are_not_remembered(tmp_path: Path) -> None:
    wild = Recorder(invariant=False)
    cached = CachedEncoder(wild, tmp_path)
    assert not cached.batch_invariant
    for _ in range(2):
        cached.encode_documents(TEXTS[:4])
        cached.encode_queries(TEXTS[:4])
    assert wild.asked == [("document", 4), ("query", 4)] * 2
