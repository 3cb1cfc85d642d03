"""The snapshot's lists laid out in memory for the compiled engine: derived data, never written to disk.

Lists of all segments are joined (ordinals become global, deleted documents are left out), every posting gets
one byte that bounds its contribution, and terms that occur in many documents get a row of one byte a document
besides. Everything depends on the snapshot's statistics, so an image belongs to one snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.postings import PostingsReader
from twindex.indexing.types import BoolArray, Float32Array, Int64Array, UInt8Array, UInt32Array, UInt64Array
from twindex.retrieval.bm25 import (
    BM25,
    length_codes,
    length_table,
    offset,
    saturation,
    term_weight,
)

#: A term gets a row if it is in more than one of this many documents. Adding a byte of a row takes about a
#: twentieth of the time of scattering a posting, but reads the bytes of all documents from memory.
ROW_SHARE: Final = 12
#: Bytes for rows at least, and as a multiple of the number of postings.
ROW_BYTES: Final = 64 << 20
ROW_FACTOR: Final = 2
#: Up to so many postings contributions are computed beforehand, at 4 bytes each.
BAKED_POSTINGS: Final = 1 << 26
#: Numbers of hits for which each term's k-th greatest value is kept.
RANKS: Final = (10, 100, 1000)


class Lists(Protocol):
    """One segment's inverted files and what is live of them."""

    @property
    def postings(self) -> PostingsReader:
        """The inverted files."""

    @property
    def live(self) -> BoolArray | None:
        """False = deleted; None = nothing is deleted."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Term-major lists of a whole snapshot. Shapes as in PostingsReader, ``docs`` global ordinals.

    ``terms``: term -> number for several segments; None where the one reader knows.
    """

    ptr: Int64Array
    docs: UInt32Array
    tfs: UInt8Array
    big_at: UInt64Array
    big_tf: UInt64Array
    terms: dict[str, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """What the kernels read.

    ``arrays`` is the tuple described in ``kernels.py``, ``plan`` the one in ``kernels_scan.scan`` without
    the choice of k; ``weights`` and ``bonuses`` float32[T] are those of a term named once.
    """

    arrays: tuple[Any, ...]
    row_of: Int64Array
    greatest: UInt8Array
    kth: UInt8Array
    norm: float
    impact: bool
    weights: Float32Array
    bonuses: Float32Array

    @property
    def size(self) -> int:
        """Ordinals, deleted ones included."""
        return int(self.arrays[3].shape[1])

    def plan(self, k: int) -> tuple[Any, ...]:
        """Tuple for the scan: with the values that k documents of each list reach, if they were kept."""
        at = int(np.searchsorted(RANKS, k))
        kth = self.kth[at] if at < len(RANKS) else np.zeros(len(self.greatest), np.uint8)
        return self.row_of, self.greatest, kth, self.norm, int(self.impact)


def join(segments: Sequence[Lists], bases: Sequence[int]) -> Joined:
    """The lists of all segments as one. A single segment without deletions is not copied."""
    if len(segments) == 1 and segments[0].live is None:
        reader = segments[0].postings
        at, tf = reader.big
        return Joined(reader.ptr.astype(np.int64), reader.docs, reader.tfs, at, tf, None)
    raw = [[term.encode("utf-8", "surrogatepass") for term in s.postings.terms()] for s in segments]
    union = sorted(set().union(*raw))
    rank = {term: i for i, term in enumerate(union)}
    terms, docs, tfs = [], [], []
    for segment, base, own in zip(segments, bases, raw, strict=True):
        reader = segment.postings
        ranks = np.fromiter(map(rank.__getitem__, own), np.int64, len(own))
        number = np.repeat(ranks, np.diff(reader.ptr.astype(np.int64)))
        wide = reader.tfs.astype(np.int64)
        at, tf = reader.big
        wide[at.astype(np.int64)] = tf
        keep = slice(None) if segment.live is None else np.flatnonzero(segment.live[reader.docs])
        terms.append(number[keep])
        docs.append(reader.docs[keep].astype(np.int64) + base)
        tfs.append(wide[keep])
    number = np.concatenate([np.empty(0, np.int64), *terms])
    order = np.argsort(number, kind="stable")  # segments follow each other, so lists stay ascending
    all_tfs = np.concatenate([np.empty(0, np.int64), *tfs])[order]
    large = np.flatnonzero(all_tfs >= 255)
    return Joined(
        np.searchsorted(number[order], np.arange(len(union) + 1)),
        np.concatenate([np.empty(0, np.int64), *docs])[order].astype(np.uint32),
        np.minimum(all_tfs, 255).astype(np.uint8),
        large.astype(np.uint64),
        all_tfs[large].astype(np.uint64),
        {term.decode("utf-8", "surrogatepass"): i for i, term in enumerate(union)},
    )


def bm25_image(
    joined: Joined, lengths: UInt32Array, config: BM25, count: int, average: float, kernels: tuple[ModuleType, ...]
) -> Image:
    """An image for BM25.

    Args:
        joined: Lists.
        lengths: Tokens of every document, deleted ones included.
        config: Formula.
        count: Live documents.
        average: Their mean length.
        kernels: The compiled modules.

    Cost: two passes over the postings; 1 byte a posting, 4 more where they are computed beforehand.
    """
    base = kernels[0]
    codes, table = _lengths(lengths, config, average)
    df = np.diff(joined.ptr)
    weights, bonuses = _weights(config, count, df)
    values = np.empty(len(joined.docs), np.uint8)
    none = np.empty(0, np.float32)
    no_rows = np.zeros((0, len(lengths)), np.uint8)
    head = (joined.ptr, joined.docs, values)
    tail = (joined.tfs, joined.big_at, joined.big_tf, codes, table, offset(config), 0)
    arrays = (*head, no_rows, *tail, none)
    ratio = float(bonuses.max(initial=0)) / (float(weights.max(initial=0)) or 1.0)
    unused = np.empty(0, np.uint8)
    norm = float(base.saturate(arrays, ratio, 0.0, unused)) * (1 + 1e-9)
    base.saturate(arrays, ratio, norm, values)
    baked = none
    if len(values) <= BAKED_POSTINGS:
        baked = np.empty(len(values), np.float32)
        base.bake(joined.ptr, weights, bonuses, arrays, baked)
    row_of, rows, greatest, kth = summary(joined.ptr, joined.docs, values, len(lengths), base)
    return Image((*head, rows, *tail, baked), row_of, greatest, kth, norm, False, weights, bonuses)


def impact_image(ptr: Int64Array, docs: UInt32Array, values: UInt8Array, size: int, base: ModuleType) -> Image:
    """An image for learned sparse impacts of one byte; the query brings the weights."""
    row_of, rows, greatest, kth = summary(ptr, docs, values, size, base)
    byte, wide, real = np.empty(0, np.uint8), np.empty(0, np.uint64), np.empty(0, np.float32)
    arrays = (ptr, docs, values, rows, byte, wide, wide, byte, real, np.float32(1), 1, real)
    ones = np.ones(len(ptr) - 1, np.float32)
    return Image(arrays, row_of, greatest, kth, 255.0, True, ones, np.zeros_like(ones))


def summary(
    ptr: Int64Array, docs: UInt32Array, values: UInt8Array, size: int, base: ModuleType
) -> tuple[Int64Array, UInt8Array, UInt8Array, UInt8Array]:
    """Row of each term or -1, the rows, each term's greatest value and its values at RANKS."""
    df = np.diff(ptr)
    row_of = np.full(len(df), -1, np.int64)
    room = max(ROW_BYTES, ROW_FACTOR * len(docs)) // max(size, 1)
    frequent = np.flatnonzero(df * ROW_SHARE > size)
    frequent = np.sort(frequent[np.argsort(-df[frequent], kind="stable")][:room])
    row_of[frequent] = np.arange(len(frequent))
    rows = np.zeros((len(frequent), size), np.uint8)
    greatest = np.zeros(len(df), np.uint8)
    kth = np.zeros((len(RANKS), len(df)), np.uint8)
    base.summarise(ptr, values, row_of, docs, np.array(RANKS), rows, greatest, kth)
    return row_of, rows, greatest, kth


def _lengths(lengths: UInt32Array, config: BM25, average: float) -> tuple[NDArray[Any], Float32Array]:
    """Code of each document's length, and the saturation of each code."""
    if config.quantised:
        return length_codes(lengths), saturation(config, length_table(), average)
    distinct, codes = np.unique(lengths, return_inverse=True)
    return codes.astype(np.uint32), saturation(config, distinct, average)


def _weights(config: BM25, count: int, df: Int64Array) -> tuple[Float32Array, Float32Array]:
    """Weight and bonus of each term; logarithms are taken once a distinct frequency, as a query would."""
    distinct, where = np.unique(df, return_inverse=True)
    bound = [term_weight(config, count, max(int(one), 1)) for one in distinct]
    weights = np.array([one.weight for one in bound], np.float32)
    bonuses = np.array([one.bonus for one in bound], np.float32)
    return weights[where], bonuses[where]


def boosted(image: Image, ids: NDArray[Any], boosts: NDArray[Any], config: BM25) -> tuple[Any, ...]:
    """Weights and bonuses of query terms, in the order of operations of ``bm25.term_weight``."""
    plain = boosts == 1
    weights, bonuses = image.weights[ids], image.bonuses[ids]
    df = np.diff(image.arrays[0])
    for at in np.flatnonzero(~plain).tolist():
        one = term_weight(config, _count(image), int(df[ids[at]]), int(boosts[at]))
        weights[at], bonuses[at] = one.weight, one.bonus
    return ids, weights, bonuses, plain.astype(np.uint8)


def _count(image: Image) -> int:
    raise NotImplementedError


def ceil_log2(value: int) -> int:
    return math.ceil(math.log2(max(value, 1)))
