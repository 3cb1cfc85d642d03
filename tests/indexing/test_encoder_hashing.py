"""The hashing encoder: the kit, a vector by hand, and equal bits in other processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.contracts.encoder_kit import TEXTS, EncoderKit
from twindex.indexing.encoders import word_features
from twindex.indexing.encoders.hashing import HashingEncoder
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError


class TestHashing(EncoderKit):
    @pytest.fixture(params=[8, 256])
    def encoder(self, request: pytest.FixtureRequest) -> Encoder:
        return HashingEncoder(request.param)


def test_one_word_by_hand() -> None:
    """ "ab" has the features w"ab", g"<ab", g"ab>", with weights 1, 1/4, 1/4."""
    wanted = np.zeros(64)
    for feature, weight in (("wab", 1.0), ("g<ab", 0.25), ("gab>", 0.25)):
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
        wanted[(number >> 1) % 64] += weight if number & 1 else -weight
    wanted /= np.sqrt((wanted**2).sum())
    assert np.array_equal(HashingEncoder(64).encode_documents(["AB"])[0], wanted.astype(np.float32))


def test_counts_add_up_and_order_of_words_does_not_matter() -> None:
    encoder = HashingEncoder(128)
    a, b, c = encoder.encode_queries(["to be or not to be", "be be not or to to", "to be or not"])
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_features, "MEMORY", 10)
    encoder, text = HashingEncoder(32), " ".join(f"word{i}" for i in range(35))
    first = encoder.encode_documents([text])
    assert len(encoder._features._memory) <= 10
    assert np.array_equal(first, encoder.encode_documents([text]))


@pytest.mark.parametrize("dim", [-1, 0, 7, 65_537])
def test_impossible_dimensions(dim: int) -> None:
    with pytest.raises(ConfigError, match="dimensions"):
        HashingEncoder(dim)


def test_bits_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib, sys; from twindex.indexing.encoders.hashing import HashingEncoder as E\n"
        f"print(hashlib.sha256(E(64).encode_documents({TEXTS!r}).tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {hashlib.sha256(HashingEncoder(64).encode_documents(TEXTS).tobytes()).hexdigest()}


def test_fingerprints_name_the_dimensions() -> None:
    assert HashingEncoder(64).info.fingerprint != HashingEncoder(128).info.fingerprint
    assert HashingEncoder().info.name == "hashing:256"
