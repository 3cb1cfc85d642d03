"""The cache of vectors: equal to no cache, no text twice, torn shards ignored, killed builds resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twindex.indexing import vector_cache
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.errors import ConfigError, FingerprintError
from twindex.indexing.types import Float32Array
from twindex.indexing.vector_cache import VectorCache

DIM = 16


class Counting:
    """The hashing encoder, with a record of what it was asked."""

    def __init__(self, *, prompt: str = "", invariant: bool = True, fingerprint: str = "counting/v1") -> None:
        self.inner = HashingEncoder(DIM)
        self.info = EncoderInfo("counting", fingerprint, DIM, 0, document_prompt=prompt)
        self.batch_invariant = invariant
        self.asked: list[list[str]] = []

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        self.asked.append(list(texts))
        vectors = self.inner.encode_documents([self.info.document_prompt + text for text in texts])
        return vectors if self.batch_invariant else vectors * np.float32(1 + len(texts) / 100)

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        return self.encode_documents(texts)


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.vectors"))


def test_each_text_is_encoded_once(tmp_path: Path) -> None:
    encoder = Counting()
    cache = VectorCache(tmp_path / "deep" / "cache", encoder.info)
    texts = ["a b", "c", "a b", "", "c"]
    assert np.array_equal(cache.encode(texts, encoder), encoder.inner.encode_documents(texts))
    assert encoder.asked == [["a b", "c", ""]]
    cache.encode(["c", "d"], encoder)
    assert encoder.asked[1:] == [["d"]]
    again = VectorCache(tmp_path / "deep" / "cache", encoder.info)
    assert len(again) == 4
    again.encode(["d", "a b"], encoder)
    assert len(encoder.asked) == 2
    assert again.encode([], encoder).shape == (0, DIM)


def test_the_prompt_and_the_encoder_are_part_of_the_key(tmp_path: Path) -> None:
    plain, prompted = Counting(), Counting(prompt="passage: ", fingerprint="counting/v2")
    VectorCache(tmp_path, plain.info).encode(["x"], plain)
    found = VectorCache(tmp_path, prompted.info).encode(["x"], prompted)
    assert np.array_equal(found, plain.inner.encode_documents(["passage: x"]))
    assert len(shards(tmp_path)) == 2
    assert len(VectorCache(tmp_path, plain.info)) == 1
    with pytest.raises(FingerprintError, match="counting/v2"):
        VectorCache(tmp_path, plain.info).encode(["x"], prompted)


def test_an_encoder_that_depends_on_the_batch_is_cached_by_batch(tmp_path: Path) -> None:
    encoder = Counting(invariant=False)
    cache = VectorCache(tmp_path, encoder.info)
    first = cache.encode(["a", "b", "a"], encoder)
    assert np.array_equal(first, cache.encode(["a", "b", "a"], encoder))
    assert encoder.asked == [["a", "b", "a"]]
    assert not np.array_equal(cache.encode(["a"], encoder), first[:1])
    assert encoder.asked[1:] == [["a"]]


@pytest.mark.parametrize(
    "bad", [np.zeros((1, DIM + 1), np.float32), np.zeros((2, DIM), np.float32), np.full((1, DIM), np.nan, np.float32)]
)
def test_bad_vectors_are_not_stored(tmp_path: Path, bad: Float32Array) -> None:
    encoder = Counting()
    encoder.encode_documents = lambda texts: bad  # type: ignore[method-assign]
    cache = VectorCache(tmp_path, encoder.info)
    with pytest.raises(ConfigError):
        cache.encode(["a"], encoder)
    assert list(tmp_path.iterdir()) == []


def test_damage_is_never_returned(tmp_path: Path) -> None:
    """Every byte of a shard, flipped one at a time: the result stays right."""
    encoder = Counting()
    texts = ["one", "two"]
    wanted = VectorCache(tmp_path, encoder.info).encode(texts, encoder)
    (shard,) = shards(tmp_path)
    good = shard.read_bytes()
    for at in range(len(good)):
        broken = bytearray(good)
        broken[at] ^= 0x41
        shard.write_bytes(broken)
        before = len(encoder.asked)
        cache = VectorCache(tmp_path, encoder.info)
        assert np.array_equal(cache.encode(texts, encoder), wanted)
        assert len(encoder.asked) == before + 1, f"byte {at} is not checked"
        assert np.array_equal(cache.encode(texts, encoder), wanted)
        assert len(encoder.asked) == before + 1
        for path in shards(tmp_path):
            path.unlink()


@pytest.mark.parametrize("size", [0, 1, 8, 55, 60, 100, -1])
def test_torn_shards_are_encoded_again(tmp_path: Path, size: int) -> None:
    encoder = Counting()
    texts = ["one", "two", "three"]
    wanted = VectorCache(tmp_path, encoder.info).encode(texts, encoder)
    (shard,) = shards(tmp_path)
    shard.write_bytes(shard.read_bytes()[:size])
    assert np.array_equal(VectorCache(tmp_path, encoder.info).encode(texts, encoder), wanted)
    assert len(encoder.asked) == 2


def test_a_shard_torn_while_the_cache_is_open(tmp_path: Path) -> None:
    encoder = Counting()
    cache = VectorCache(tmp_path, encoder.info)
    wanted = cache.encode(["one", "two"], encoder)
    (shard,) = shards(tmp_path)
    for content in (shard.read_bytes()[:-5], b"", None):
        if content is None:
            shard.unlink()
        else:
            shard.write_bytes(content)
        assert np.array_equal(cache.encode(["one", "two"], encoder), wanted)
        assert np.array_equal(VectorCache(tmp_path, encoder.info).encode(["two"], encoder), wanted[1:])
    # The first tear only hits the second vector; then each text has a shard of its own.
    assert encoder.asked == [["one", "two"], ["two"], ["one"]]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Counting()
    cache = VectorCache(tmp_path, encoder.info)

    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            cache.encode(["a"], encoder)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(cache.encode(["a"], encoder), encoder.inner.encode_documents(["a"]))


def test_abandoned_temporary_files_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / "old.tmp", tmp_path / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"?")
    os.utime(old, (0, 0))
    VectorCache(tmp_path, Counting().info)
    assert not old.exists()
    assert new.exists()


def test_many_shards_and_the_sorted_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_cache, "RECENT", 7)
    encoder = Counting()
    cache = VectorCache(tmp_path, encoder.info)
    texts = [f"text {i}" for i in range(60)]
    for start in range(0, 60, 4):
        cache.encode(texts[start : start + 4], encoder)
    for one in (cache, VectorCache(tmp_path, encoder.info)):
        before = len(encoder.asked)
        assert np.array_equal(one.encode(texts[::-1], encoder), encoder.inner.encode_documents(texts[::-1]))
        assert len(encoder.asked) == before
        assert len(one) == 60


def test_threads_share_a_cache(tmp_path: Path) -> None:
    encoder = Counting()
    cache = VectorCache(tmp_path, encoder.info)
    calls = [[f"t{(i * 7 + j) % 50}" for j in range(10)] for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda texts: cache.encode(texts, encoder), calls))
    for texts, vectors in zip(calls, found):
        assert np.array_equal(vectors, encoder.inner.encode_documents(texts))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(), max_size=3), max_size=6), max_size=6))
def test_equals_encoding_without_a_cache(calls: list[list[str]]) -> None:
    encoder = Counting()
    with tempfile.TemporaryDirectory() as folder:
        cache = VectorCache(Path(folder), encoder.info)
        for texts in calls:
            assert np.array_equal(cache.encode(texts, encoder), encoder.inner.encode_documents(texts))
        again = VectorCache(Path(folder), encoder.info)
        for texts in calls:
            assert np.array_equal(again.encode(texts, encoder), encoder.inner.encode_documents(texts))
    asked = [text for texts in encoder.asked for text in texts]
    assert len(asked) == len(set(asked))


KILLED = """
import sys
from pathlib import Path
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.vector_cache import VectorCache
encoder = HashingEncoder(256)
cache = VectorCache(Path(sys.argv[1]), encoder.info)
for start in range(0, 100_000, 16):
    cache.encode([f"text number {i}" for i in range(start, start + 16)], encoder)
    print(start, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_returned(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        last = int(process.stdout.readline())
    time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    encoder = HashingEncoder(256)
    cache = VectorCache(tmp_path, encoder.info)
    assert len(cache) >= last + 16
    texts = [f"text number {i}" for i in range(last + 16)]
    files = len(shards(tmp_path))
    assert np.array_equal(cache.encode(texts, encoder), encoder.encode_documents(texts))
    assert len(shards(tmp_path)) == files
