"""The formulas: against textbook forms, and Lucene's length bytes against known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twindex.indexing.errors import ConfigError
from twindex.retrieval.bm25 import (
    BM25,
    Variant,
    contribution,
    decode_length,
    encode_length,
    length_codes,
    offset,
    saturation,
    term_weight,
)

VARIANTS: list[Variant] = ["lucene", "lucene-accurate", "robertson", "atire", "bm25l", "bm25+"]


def textbook(config: BM25, n: int, df: int, tf: int, length: float, average: float) -> float:
    """Table 1 of Kamphuis et al. 2020, in double precision."""
    k1, b = config.k1, config.b
    scaled = 1 - b + b * length / average
    match config.variant:
        case "lucene" | "lucene-accurate":
            return math.log(1 + (n - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * scaled)
        case "robertson":
            return max(0.0, math.log((n - df + 0.5) / (df + 0.5))) * tf / (tf + k1 * scaled)
        case "atire":
            return math.log(n / df) * (k1 + 1) * tf / (tf + k1 * scaled)
        case "bm25l":
            c = tf / scaled
            return math.log((n + 1) / (df + 0.5)) * (k1 + 1) * (c + 0.5) / (k1 + c + 0.5)
        case _:
            return math.log((n + 1) / df) * (1 + (k1 + 1) * tf / (k1 * scaled + tf))


@given(
    st.sampled_from(VARIANTS),
    st.floats(0.05, 3),
    st.floats(0, 1),
    st.integers(1, 10_000),
    st.integers(1, 400),
    st.integers(1, 2000),
    st.data(),
)
def test_equals_the_textbook(
    variant: Variant, k1: float, b: float, n: int, tf: int, length: int, data: st.DataObject
) -> None:
    df = data.draw(st.integers(1, n))
    config = BM25(k1, b, variant)
    used = decode_length(encode_length(length)) if config.quantised else length
    sat = saturation(config, np.array([used]), 120.5)
    ours = float(contribution(term_weight(config, n, df), np.array([tf]), sat, offset(config))[0])
    assert ours == pytest.approx(textbook(config, n, df, tf, used, 120.5), rel=2e-5, abs=2e-6)


def test_length_bytes_are_lucenes() -> None:
    # SmallFloat.byte4ToInt: exact below 24, then 3 explicit bits above 24, up to 2^31.
    assert [decode_length(code) for code in range(41)] == [*range(40), 40]
    assert [decode_length(code) for code in (41, 47, 48, 49, 56)] == [42, 54, 56, 60, 88]
    assert decode_length(255) == 2_013_265_944
    assert encode_length(2**32 - 1) == 255


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_many_lengths_as_one_by_one(lengths: list[int]) -> None:
    codes = length_codes(np.array(lengths, np.uint32))
    assert codes.tolist() == [encode_length(length) for length in lengths]
    assert all(decode_length(code) <= length for code, length in zip(codes.tolist(), lengths, strict=True))


def test_k1_of_zero_is_binary() -> None:
    for variant in VARIANTS:
        config = BM25(0.0, 0.4, variant)
        sat = saturation(config, np.array([7, 300]), 20.0)
        got = contribution(term_weight(config, 50, 3), np.array([1, 9]), sat, offset(config))
        assert np.isfinite(got).all()
        assert got[0] == got[1] > 0


@pytest.mark.parametrize(
    "bad",
    [
        {"k1": -1},
        {"k1": math.inf},
        {"k1": math.nan},
        {"b": 1.1},
        {"b": -0.1},
        {"variant": "x"},
        {"delta": -1},
    ],
)
def test_settings_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        BM25(**bad)  # type: ignore[arg-type]
