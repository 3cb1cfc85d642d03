"""BM25: one function a published variant, all of one shape, so that one kernel serves them.

Every variant here scores a document as the sum, over the query's distinct terms that it holds, of ::

    contribution(tf, length) = weight - weight / (offset + tf * saturation(length)) + bonus

in float32, where only ``weight`` and ``bonus`` depend on the term and only ``saturation`` on the length.
The textbook forms ``weight * tf / (tf + K)`` are equal to it; Lucene computes it this way because it
cannot decrease when tf grows, whatever the rounding.

Sources: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework", 2009, eq. 3.15; C. Kamphuis,
A. de Vries, L. Boytsov, J. Lin, "Which BM25 Do You Mean?", ECIR 2020, table 1 (the variants and their
names); Lucene's BM25Similarity and SmallFloat for the exact arithmetic of "lucene".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array, Int64Array, UInt8Array

Variant = Literal["lucene", "lucene-accurate", "robertson", "atire", "bm25l", "bm25+"]


@dataclass(frozen=True, slots=True)
class BM25:
    """Settings of the lexical score.

    Args:
        k1: Saturation of the term frequency, 0 or more; 0 makes the score binary.
        b: Strength of length normalisation, 0 to 1.
        variant: Formula; "lucene" quantises lengths to 8 bits as Lucene does.
        delta: Floor added for a matching term, 0 or more; None = 0.5 for "bm25l", 1 for "bm25+", unused
            in the others.

    Raises:
        ConfigError: If a value is outside its range.
    """

    k1: float = 0.9
    b: float = 0.4
    variant: Variant = "lucene"
    delta: float | None = None

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ConfigError(f"variant = {self.variant!r}", expected=f"one of {', '.join(get_args(Variant))}")
        if not (math.isfinite(self.k1) and self.k1 >= 0):
            raise ConfigError(f"k1 = {self.k1}", expected="a finite number of 0 or more")
        if not 0 <= self.b <= 1:
            raise ConfigError(f"b = {self.b}", expected="a number from 0 to 1")
        if self.delta is not None and not (math.isfinite(self.delta) and self.delta >= 0):
            raise ConfigError(f"delta = {self.delta}", expected="a finite number of 0 or more")

    @property
    def quantised(self) -> bool:
        """Whether lengths are rounded to one of 256 values."""
        return self.variant == "lucene"


# ---------------------------------------------------------------- inverse document frequency, natural log


def idf_lucene(count: int, df: int) -> float:
    """``ln(1 + (N - df + 0.5) / (df + 0.5))``: never negative. Source: Lucene's BM25Similarity."""
    return math.log(1 + (count - df + 0.5) / (df + 0.5))


def idf_robertson(count: int, df: int) -> float:
    """``max(0, ln((N - df + 0.5) / (df + 0.5)))``. Source: Robertson and Zaragoza 2009, eq. 3.3.

    The floor of 0 is ours: without it a term in more than half of the documents counts against a match.
    """
    return max(0.0, math.log((count - df + 0.5) / (df + 0.5)))


def idf_atire(count: int, df: int) -> float:
    """``ln(N / df)``. Source: Trotman, Jia, Crane, "Towards an Efficient ... Search Engine", 2012."""
    return math.log(count / df)


def idf_bm25l(count: int, df: int) -> float:
    """``ln((N + 1) / (df + 0.5))``. Source: Lv, Zhai, "When Documents Are Very Long, BM25 Fails!", 2011."""
    return math.log((count + 1) / (df + 0.5))


def idf_bm25plus(count: int, df: int) -> float:
    """``ln((N + 1) / df)``. Source: Lv and Zhai, "Lower-Bounding Term Frequency Normalization", 2011."""
    return math.log((count + 1) / df)


IDF: Final[dict[str, Callable[[int, int], float]]] = {
    "lucene": idf_lucene,
    "lucene-accurate": idf_lucene,
    "robertson": idf_robertson,
    "atire": idf_atire,
    "bm25l": idf_bm25l,
    "bm25+": idf_bm25plus,
}


# ---------------------------------------------------------------- the length in 8 bits


def _long_to_int4(value: int) -> int:
    """Four significant bits and an exponent. Source: Lucene's SmallFloat.longToInt4."""
    bits = value.bit_length()
    if bits < 4:
        return value
    shift = bits - 4
    return (value >> shift) & 7 | (shift + 1) << 3


def _int4_to_long(code: int) -> int:
    shift = (code >> 3) - 1
    return code & 7 if shift < 0 else (code & 7 | 8) << shift


#: Lengths below it are exact. Source: SmallFloat.NUM_FREE_VALUES.
EXACT_LENGTHS: Final = 255 - _long_to_int4(2**31 - 1)


def encode_length(length: int) -> int:
    """The byte that Lucene stores for a length. Source: SmallFloat.intToByte4."""
    if length < EXACT_LENGTHS:
        return length
    return EXACT_LENGTHS + _long_to_int4(min(length, 2**31 - 1) - EXACT_LENGTHS)


def decode_length(code: int) -> int:
    """The length that a byte stands for: the smallest that gets this byte."""
    return code if code < EXACT_LENGTHS else EXACT_LENGTHS + _int4_to_long(code - EXACT_LENGTHS)


def length_table() -> Int64Array:
    """Lengths of the 256 bytes, ascending."""
    return np.array([decode_length(code) for code in range(256)], np.int64)


def length_codes(lengths: NDArray[Any]) -> UInt8Array:
    """``encode_length`` of many lengths. Cost: one table look-up each below 65,536."""
    table = length_table()
    small = (np.searchsorted(table, np.arange(1 << 16), side="right") - 1).astype(np.uint8)
    codes: UInt8Array = small[np.minimum(lengths, 0xFFFF)]
    large = np.flatnonzero(lengths > 0xFFFF)
    codes[large] = np.searchsorted(table, lengths[large], side="right") - 1
    return codes


# ---------------------------------------------------------------- a query's constants


@dataclass(frozen=True, slots=True)
class TermWeight:
    """A term's part of the formula, float32 values kept as Python floats."""

    weight: float
    bonus: float
    idf: float


def term_weight(config: BM25, count: int, df: int, boost: int = 1) -> TermWeight:
    """Weight and bonus of a term.

    Args:
        config: Variant and constants.
        count: Live documents.
        df: Live documents with the term, at least 1.
        boost: How often the query repeats the term.
    """
    idf = np.float32(IDF[config.variant](count, df))
    weight = np.float32(boost) * idf
    bonus = np.float32(0)
    if config.variant == "bm25+":
        bonus = weight * np.float32(_delta(config))
    if config.variant in ("atire", "bm25l", "bm25+"):
        weight = weight * np.float32(config.k1 + 1)
    return TermWeight(float(weight), float(bonus), float(idf))


def idf_table(config: BM25, count: int, df: Int64Array) -> Float32Array:
    """The idf of :func:`term_weight` for many terms; logarithms are taken once a distinct frequency.

    Args:
        config: Variant.
        count: Live documents.
        df: Live documents with each term; 0 is taken as 1.

    Shapes: ``df`` int64[n]; result float32[n].
    """
    distinct, where = np.unique(df, return_inverse=True)
    values = np.array([IDF[config.variant](count, max(int(one), 1)) for one in distinct], np.float32)
    out: Float32Array = values[where]
    return out


def weights_of(config: BM25, idf: Float32Array, boosts: Int64Array) -> tuple[Float32Array, Float32Array]:
    """Weights and bonuses of many terms, bit for bit those of :func:`term_weight`.

    Args:
        config: Variant and constants.
        idf: Of each term.
        boosts: How often the query repeats it.

    Shapes: ``idf`` float32[n]; ``boosts`` int64[n]; results float32[n].
    """
    factor, bonus = factors_of(config)
    weights = boosts.astype(np.float32) * idf
    bonuses = weights * np.float32(bonus)
    return weights * np.float32(factor), bonuses


def factors_of(config: BM25) -> tuple[float, float]:
    """What boost times idf is multiplied with for the weight and for the bonus of a term; float32 values."""
    factor = config.k1 + 1 if config.variant in ("atire", "bm25l", "bm25+") else 1.0
    return float(np.float32(factor)), float(np.float32(_delta(config) if config.variant == "bm25+" else 0.0))


def _delta(config: BM25) -> float:
    if config.delta is not None:
        return config.delta
    return {"bm25l": 0.5, "bm25+": 1.0}.get(config.variant, 0.0)


def offset(config: BM25) -> np.float32:
    """What stands before tf in the divisor: 1, or 1 + delta / k1 in BM25L, whose delta raises the tf."""
    if config.variant != "bm25l":
        return np.float32(1)
    return np.float32(1 + _delta(config) / config.k1) if config.k1 else np.float32(np.inf)


def saturation(config: BM25, lengths: NDArray[Any], average: float) -> Float32Array:
    """``1 / (k1 * ((1 - b) + b * length / average))`` in float32, in Lucene's order of operations.

    Args:
        config: Constants.
        lengths: Lengths in tokens, after quantisation if the variant has one.
        average: Mean length of live documents.

    Shapes: result float32 of the shape of ``lengths``.
    """
    k1, b, mean = np.float32(config.k1), np.float32(config.b), np.float32(average or 1.0)
    with np.errstate(divide="ignore", over="ignore"):  # k1 = 0 saturates at once: 1 / 0 = inf is meant
        out: Float32Array = np.float32(1) / (k1 * ((np.float32(1) - b) + b * lengths.astype(np.float32) / mean))
    return out


def contribution(weight: TermWeight, tfs: NDArray[Any], saturations: Float32Array, first: np.float32) -> Float32Array:
    """The formula of this module, in float32 and in this order of operations.

    Args:
        weight: The term's constants.
        tfs: Term frequencies.
        saturations: ``saturation`` of each document's length.
        first: :func:`offset`.
    """
    w = np.float32(weight.weight)
    divisor = first + tfs.astype(np.float32) * saturations
    out: Float32Array = (w - w / divisor) + np.float32(weight.bonus)
    return out
