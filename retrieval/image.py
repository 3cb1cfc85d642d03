"""The snapshot's lists laid out in memory for the compiled engine: derived data, never written to disk.

Lists of all segments are joined (ordinals become global, deleted documents are left out), every posting has
one byte that bounds its contribution, and terms that occur in many documents have a row of one byte a document
besides. BM25's bytes depend on the snapshot's statistics, so an image belongs to one snapshot.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.types import Float32Array, Int64Array, UInt8Array, UInt32Array, UInt64Array
from twindex.retrieval.bm25 import BM25, idf_table, length_codes, length_table, offset, saturation, weights_of

#: A term gets a row if it is in more than one of this many documents. Adding a byte of a row takes about a
#: twentieth of the time of scattering a posting, but reads the bytes of all documents from memory.
ROW_SHARE: Final = 40
#: Bytes for rows at least, and as a multiple of the number of postings.
ROW_BYTES: Final = 64 << 20
ROW_FACTOR: Final = 2
#: Up to so many postings contributions are computed beforehand, at 4 bytes each.
BAKED_POSTINGS: Final = 1 << 27
#: Documents of sets whose frequent terms have rows of contributions, for terms in more than one of WIDE_SHARE of the
#: documents, and bytes for these at most: in small sets adding a row from cache is quicker than so many postings.
WIDE_SIZE: Final = 1 << 15
WIDE_SHARE: Final = 8
WIDE_BYTES: Final = 8 << 20
#: Documents of a block of the scan: their 16-bit sums fill an eighth of a usual second-level cache.
BLOCK: Final = 32_768
#: Lists know where each block begins if they have so many postings a block.
SKIP_POSTINGS: Final = 8
#: Numbers of hits for which each term's k-th greatest value is kept.
RANKS: Final = (10, 100, 1000)

#: Documents stand in the order of their ordinals.
AS_THEY_ARE: Final = np.empty(0, np.uint32)
#: No rows of contributions.
NO_WIDE: Final = (np.empty(0, np.int64), np.empty((0, 0), np.float32))


class Terms(NamedTuple):
    """Terms of queries, one query after the other; within a query ascending and distinct.

    ``weights`` and ``bonuses`` are those of ``bm25.TermWeight``, or an impact's weight times the scale and 0.
    ``scales``: contributions computed beforehand times it are exact, 0 = they are not.
    Shapes: ``ids`` int64[n], the others float32[n].
    """

    ids: Int64Array
    weights: Float32Array
    bonuses: Float32Array
    scales: Float32Array


class Rows(NamedTuple):
    """Rows of frequent terms in bytes and in levels; see :class:`Lists`."""

    rows: UInt8Array
    nibbles: UInt8Array
    levels: UInt8Array


class Lists(NamedTuple):
    """What the kernels read of a snapshot.

    ``values`` are bounds of contributions (BM25) or the impacts themselves; ``rows`` holds them by document for
    frequent terms, ``nibbles`` the level that each belongs to, laid out as ``kernels_strips.py`` reads it, and
    ``levels`` the greatest value of a level. Of BM25 alone: ``tfs``, those of 255 and more in ``big_tf`` with their
    posting numbers in ``big_at``; a code of each document's length and the ``bm25.saturation`` of each code in
    ``table``; ``bm25.offset`` in ``first``; the frequency that a code and a value belong to, 0 = several do, in
    ``inverse``; contributions computed beforehand, or nothing, in ``baked``, and for the most frequent terms of small
    sets once more by document in ``wide``, whose row is ``wide_of``, -1 = none. ``skips``: where each block of BLOCK
    documents begins in a list without a row, counted from its first posting; ``skip_of`` says which line, -1 = none.
    ``original``: the ordinal of the document at each place, where documents stand in another order than that of their
    ordinals, else nothing; all the others know documents by place.

    Shapes: ``ptr`` int64[T + 1], ``docs`` uint32[P], ``values`` uint8[P], ``rows`` uint8[size, R] with ``nibbles``
    uint8[R, S] and ``levels`` uint8[R, 16]; where the processor cannot use those they are empty and ``rows`` uint8[R,
    size]; ``tfs`` uint8[P], ``big_at``, ``big_tf`` uint64[B], ``codes`` uint32[size], ``table`` float32[codes],
    ``inverse`` uint8[codes, 256], ``baked`` float32[P] or float32[0], ``wide_of`` int64[T] and ``wide`` float32[W,
    size], or nothing; ``skip_of`` int64[T] and ``skips`` uint32[S, blocks + 1]; ``original`` uint32[size] or uint32[0].
    """

    ptr: Int64Array
    docs: UInt32Array
    values: UInt8Array
    rows: UInt8Array
    nibbles: UInt8Array
    levels: UInt8Array
    tfs: UInt8Array
    big_at: UInt64Array
    big_tf: UInt64Array
    codes: UInt32Array
    table: Float32Array
    first: np.float32
    inverse: UInt8Array
    baked: Float32Array
    wide_of: Int64Array
    wide: Float32Array
    skip_of: Int64Array
    skips: UInt32Array
    original: UInt32Array
    impact: bool
    size: int


class Plan(NamedTuple):
    """What the scan knows of each term.

    ``row_of``: its row or -1; ``greatest``: its greatest value; ``kth``: the value that k documents reach, 0 = unknown;
    ``norm``: the score that value 255 stands for at weight 1; ``exactly``: 1 if values are exact, 0 if rounded up.
    Shapes: ``row_of`` int64[T], ``greatest`` uint8[T], ``kth`` uint8[T].
    """

    row_of: Int64Array
    greatest: UInt8Array
    kth: UInt8Array
    norm: float
    exactly: int


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Lists, the plan without the choice of k (``kth`` uint8[len(RANKS), T]), and each term's idf: float32[T]."""

    lists: Lists
    row_of: Int64Array
    greatest: UInt8Array
    kth: UInt8Array
    norm: float
    idf: Float32Array

    @property
    def size(self) -> int:
        """Ordinals, deleted ones included."""
        return self.lists.size

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, mapped files included."""
        arrays = [one for one in self.lists if isinstance(one, np.ndarray)]
        return sum(one.nbytes for one in (*arrays, self.row_of, self.greatest, self.kth, self.idf))

    def plan(self, k: int) -> Plan:
        """The plan for k hits: with the values that k documents of each list reach, if they were kept."""
        at = rank_of(k)
        kth = self.kth[at] if at < len(RANKS) else np.zeros(len(self.greatest), np.uint8)
        return Plan(self.row_of, self.greatest, kth, self.norm, int(self.lists.impact))


def rank_of(k: int) -> int:
    """Which of RANKS serves k hits; their number if none does."""
    return bisect_left(RANKS, k)


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """Term frequencies of joined lists; ``big_tf`` are those of 255 and more, ``big_at`` their postings."""

    tfs: UInt8Array
    big_at: UInt64Array
    big_tf: UInt64Array


def bm25_image(
    ptr: Int64Array,
    docs: UInt32Array,
    frequencies: Frequencies,
    *,
    lengths: UInt32Array,
    config: BM25,
    average: float,
    count: int,
    kernels: ModuleType,
    original: UInt32Array = AS_THEY_ARE,
) -> Image:
    """An image for BM25.

    Args:
        ptr: First posting of each term.
        docs: Places, ascending within a term.
        frequencies: Of each posting.
        lengths: Tokens of every document by place, deleted ones included.
        config: Formula.
        average: Mean length of the live documents.
        count: Live documents.
        kernels: ``kernels_image``.
        original: The ordinal at each place; nothing: places are ordinals.

    Shapes: ``ptr`` int64[T + 1]; ``docs`` uint32[P]; ``lengths`` uint32[size].
    Cost: three passes over the postings; 1 byte a posting, 4 more where contributions are computed beforehand.
    """
    codes, table = _codes(lengths, config, average)
    df = np.diff(ptr)
    idf = idf_table(config, count, df)
    weights, bonuses = weights_of(config, idf, np.ones(len(idf), np.int64))
    values = np.empty(len(docs), np.uint8)
    baked = np.empty(len(docs) if len(docs) <= BAKED_POSTINGS else 0, np.float32)
    parts = (frequencies.tfs, frequencies.big_at, frequencies.big_tf, codes, table, offset(config))
    ratio = float(bonuses.max(initial=0)) / (float(weights.max(initial=0)) or 1.0)
    norm = float(kernels.saturate(docs, *parts, ratio, 0.0, values)) * (1 + 1e-6)
    kernels.saturate(docs, *parts, ratio, norm, values)
    inverse = np.zeros((len(table), 256), np.uint8)
    kernels.invert(table, offset(config), ratio, norm, inverse)
    row_of, rows, greatest, kth = summary(ptr, docs, values, len(lengths), kernels)
    wide_of, wide = NO_WIDE
    skip_of, skips = skips_of(ptr, docs, row_of, len(lengths), kernels)
    lists = Lists(
        ptr,
        docs,
        values,
        *rows,
        tfs=frequencies.tfs,
        big_at=frequencies.big_at,
        big_tf=frequencies.big_tf,
        codes=codes,
        table=table,
        first=offset(config),
        inverse=inverse,
        baked=baked,
        wide_of=wide_of,
        wide=wide,
        skip_of=skip_of,
        skips=skips,
        original=original,
        impact=False,
        size=len(lengths),
    )
    if len(baked):
        kernels.bake(frozen(lists), weights, bonuses, baked)
        wide_of, wide = wide_rows(ptr, docs, baked, len(lengths))
        lists = lists._replace(wide_of=wide_of, wide=wide)
    return Image(frozen(lists), row_of, greatest, kth, norm, idf)


def wide_rows(ptr: Int64Array, docs: UInt32Array, baked: Float32Array, size: int) -> tuple[Int64Array, Float32Array]:
    """Row of each term or -1, and the rows; nothing for sets that are not small.

    Args:
        ptr: First posting of each term.
        docs: Ordinals.
        baked: Contributions.
        size: Ordinals, deleted ones included.
    """
    if size > WIDE_SIZE:
        return NO_WIDE
    df = np.diff(ptr)
    frequent = np.flatnonzero(df * WIDE_SHARE > size)
    frequent = np.sort(frequent[np.argsort(-df[frequent], kind="stable")][: WIDE_BYTES // max(4 * size, 1)])
    wide_of = np.full(len(df), -1, np.int64)
    wide_of[frequent] = np.arange(len(frequent))
    wide = np.zeros((len(frequent), size), np.float32)
    for row, term in zip(wide, frequent, strict=True):
        row[docs[ptr[term] : ptr[term + 1]]] = baked[ptr[term] : ptr[term + 1]]
    return wide_of, wide


def impact_image(
    ptr: Int64Array,
    docs: UInt32Array,
    values: UInt8Array,
    *,
    size: int,
    kernels: ModuleType,
    original: UInt32Array = AS_THEY_ARE,
) -> Image:
    """An image for learned-sparse impacts of one byte; the query brings the weights.

    Args:
        ptr: First posting of each term.
        docs: Places, ascending within a term.
        values: Impacts.
        size: Ordinals, deleted ones included.
        kernels: ``kernels_image``.
        original: The ordinal at each place; nothing: places are ordinals.

    Shapes: ``ptr`` int64[T + 1]; ``docs`` uint32[P]; ``values`` uint8[P].
    """
    row_of, rows, greatest, kth = summary(ptr, docs, values, size, kernels)
    byte, wide, real = np.empty(0, np.uint8), np.empty(0, np.uint64), np.empty(0, np.float32)
    codes, inverse = np.empty(0, np.uint32), np.empty((0, 256), np.uint8)
    wide_of, contributions = NO_WIDE
    skip_of, skips = skips_of(ptr, docs, row_of, size, kernels)
    lists = Lists(
        ptr,
        docs,
        values,
        *rows,
        tfs=byte,
        big_at=wide,
        big_tf=wide,
        codes=codes,
        table=real,
        first=np.float32(1),
        inverse=inverse,
        baked=real,
        wide_of=wide_of,
        wide=contributions,
        skip_of=skip_of,
        skips=skips,
        original=original,
        impact=True,
        size=size,
    )
    return Image(frozen(lists), row_of, greatest, kth, 255.0, np.ones(len(ptr) - 1, np.float32))


def summary(
    ptr: Int64Array, docs: UInt32Array, values: UInt8Array, size: int, kernels: ModuleType
) -> tuple[Int64Array, Rows, UInt8Array, UInt8Array]:
    """Row of each term or -1, the rows, each term's greatest value and its values at RANKS.

    Args:
        ptr: First posting of each term.
        docs: Ordinals.
        values: One byte a posting.
        size: Ordinals, deleted ones included.
        kernels: ``kernels_image``.
    """
    df = np.diff(ptr)
    row_of = np.full(len(df), -1, np.int64)
    room = max(ROW_BYTES, ROW_FACTOR * len(docs)) // max(size, 1)
    frequent = np.flatnonzero(df * ROW_SHARE > size)
    frequent = np.sort(frequent[np.argsort(-df[frequent], kind="stable")][:room])
    row_of[frequent] = np.arange(len(frequent))
    rows = np.zeros((len(frequent), size), np.uint8)
    greatest = np.zeros(len(df), np.uint8)
    kth = np.zeros((len(RANKS), len(df)), np.uint8)
    kernels.summarise(ptr, values, row_of, docs, np.array(RANKS), rows, greatest, kth)
    nibbles, levels = kernels.levelled(rows)
    by_document = np.ascontiguousarray(rows.T) if nibbles.size else rows
    return row_of, Rows(by_document, nibbles, levels), greatest, kth


def skips_of(
    ptr: Int64Array, docs: UInt32Array, row_of: Int64Array, size: int, kernels: ModuleType
) -> tuple[Int64Array, UInt32Array]:
    """Line of each term or -1, and where each block begins in its list; see :class:`Lists`.

    Args:
        ptr: First posting of each term.
        docs: Ordinals.
        row_of: Row of each term, or -1.
        size: Ordinals, deleted ones included.
        kernels: ``kernels_image``.
    """
    blocks = -(-size // BLOCK)
    long = (
        np.flatnonzero((row_of < 0) & (np.diff(ptr) >= SKIP_POSTINGS * blocks)) if blocks > 1 else np.empty(0, np.int64)
    )
    skip_of = np.full(len(row_of), -1, np.int64)
    skip_of[long] = np.arange(len(long))
    skips = np.zeros((len(long), blocks + 1), np.uint32)
    kernels.mark_blocks(ptr, docs, long, BLOCK, skips)
    return skip_of, skips


def _codes(lengths: UInt32Array, config: BM25, average: float) -> tuple[UInt32Array, Float32Array]:
    """Code of each document's length, and the saturation of each code."""
    if config.quantised:
        return length_codes(lengths).astype(np.uint32), saturation(config, length_table(), average)
    distinct, codes = np.unique(lengths, return_inverse=True)
    return codes.astype(np.uint32), saturation(config, distinct, average)


def frozen(lists: Lists) -> Lists:
    """The same arrays, none writable.

    Kernels are compiled once for each combination of kinds of arrays, and mapped files are not writable.
    """
    arrays: dict[str, Any] = {
        name: read_only(one) for name, one in zip(lists._fields, lists, strict=True) if isinstance(one, np.ndarray)
    }
    return lists._replace(**arrays)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, contiguous, not writable and of no other class."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view
