"""Joins the lists of all segments of a snapshot into one set of lists, deleted documents left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.postings import ImpactReader, PostingsReader
from twindex.indexing.types import BoolArray, Int64Array, UInt8Array, UInt32Array, UInt64Array
from twindex.retrieval.image import Frequencies


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One segment's lists: ordinals are local, ``numbers`` says which joined term each list belongs to.

    Shapes: ``ptr`` int64[t + 1]; ``docs`` uint32[p]; ``values`` of any dtype [p]; ``live`` bool[documents] or None;
    ``numbers`` int64[t], ascending.
    """

    ptr: Int64Array
    docs: UInt32Array
    values: NDArray[Any]
    live: BoolArray | None
    base: int
    numbers: Int64Array


def join(parts: Sequence[Part], terms: int) -> tuple[Int64Array, UInt32Array, NDArray[Any]]:
    """Pointers, global ordinals and values of the joined lists.

    A single part without deletions is not copied. Otherwise each posting is copied once: no sorting, since
    segments follow each other and so do their postings within a list.

    Args:
        parts: In the order of ordinals.
        terms: Number of joined terms.
    """
    if len(parts) == 1 and parts[0].live is None and parts[0].base == 0 and len(parts[0].numbers) == terms:
        return parts[0].ptr, parts[0].docs, parts[0].values
    kept = [_live_only(part) for part in parts]
    counts = np.zeros(terms, np.int64)
    for part in kept:
        counts[part.numbers] += np.diff(part.ptr)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    free = ptr[:-1].copy()
    docs = np.empty(int(ptr[-1]), np.uint32)
    values = np.empty(int(ptr[-1]), parts[0].values.dtype if parts else np.uint8)
    for part in kept:
        df = np.diff(part.ptr)
        target = np.repeat(free[part.numbers] - part.ptr[:-1], df) + np.arange(len(part.docs))
        docs[target] = part.docs + np.uint32(part.base)
        values[target] = part.values
        free[part.numbers] += df
    return ptr, docs, values


def _live_only(part: Part) -> Part:
    if part.live is None:
        return part
    keep = part.live[part.docs]
    before = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
    return Part(before[part.ptr], part.docs[keep], part.values[keep], None, part.base, part.numbers)


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Lists of a whole snapshot. ``terms``: the number of each term; None where the one reader knows.

    Shapes: ``ptr`` int64[T + 1]; ``docs`` uint32[P].
    """

    ptr: Int64Array
    docs: UInt32Array
    frequencies: Frequencies
    terms: dict[str, int] | None


def join_postings(
    readers: Sequence[PostingsReader], lives: Sequence[BoolArray | None], bases: Sequence[int] | NDArray[Any]
) -> Joined:
    """The inverted files of all segments as one, terms in the order of their UTF-8 bytes.

    Args:
        readers: Of each segment.
        lives: What is live of each; None = everything.
        bases: First ordinal of each.

    Raises:
        CorruptIndexError: If lists name passages or postings that are not there: compiled code does not look.
    """
    for reader in readers:
        check_lists(reader)
    if len(readers) == 1:
        reader, numbers = readers[0], [np.arange(readers[0].num_terms)]
        terms, count = None, reader.num_terms
        if lives[0] is None:
            frequencies = Frequencies(reader.tfs, *reader.big)
            return Joined(reader.ptr.astype(np.int64), reader.docs, frequencies, None)
    else:
        terms, numbers = _union(readers)
        count = len(terms)
    parts = [
        Part(reader.ptr.astype(np.int64), reader.docs, _wide(reader), live, int(base), own)
        for reader, live, base, own in zip(readers, lives, bases, numbers, strict=True)
    ]
    ptr, docs, tfs = join(parts, count)
    large = np.flatnonzero(tfs >= 255)
    narrow: UInt8Array = np.minimum(tfs, 255).astype(np.uint8)
    return Joined(ptr, docs, Frequencies(narrow, large.astype(np.uint64), tfs[large].astype(np.uint64)), terms)


def check_lists(reader: PostingsReader) -> None:
    """Nothing, if every number in the inverted files is within its bounds. Cost: one pass over the ordinals.

    Raises:
        CorruptIndexError: If one is not.
    """
    large, _ = reader.big
    _check(reader.ptr, reader.docs, len(reader.lengths), not len(large) or int(large.max()) < len(reader.docs))


def check_impact_lists(reader: ImpactReader) -> None:
    """The same of a learned-sparse inverted file, whose impacts must be 1 or more.

    Raises:
        CorruptIndexError: If a number is out of its bounds.
    """
    _check(reader.ptr, reader.docs, reader.num_docs, bool(reader.impacts.all()))


def _check(ptr: UInt64Array, docs: UInt32Array, size: int, fine: bool) -> None:
    inside = not len(docs) or int(docs.max()) < size
    pointers = ptr.astype(np.int64)
    whole = int(pointers[0]) == 0 and int(pointers[-1]) == len(docs) and not bool((np.diff(pointers) < 0).any())
    if not (inside and whole and fine):
        raise CorruptIndexError(
            "postings name passages that are not there, or hold what no writer writes",
            expected="passages of the segment, in ascending lists",
            remedy="run: twindex verify; then restore the index from a copy, or build it again",
        )


def _union(readers: Sequence[PostingsReader]) -> tuple[dict[str, int], list[Int64Array]]:
    """The number of each term of any segment, and for each segment the numbers of its terms."""
    own = [list(reader.terms()) for reader in readers]
    union = sorted({term for terms in own for term in terms}, key=lambda term: term.encode("utf-8", "surrogatepass"))
    number = {term: i for i, term in enumerate(union)}
    return number, [np.fromiter(map(number.__getitem__, terms), np.int64, len(terms)) for terms in own]


def _wide(reader: PostingsReader) -> NDArray[Any]:
    """All frequencies; of one byte each if none is larger."""
    at, tf = reader.big
    if not len(at):
        return reader.tfs
    wide = reader.tfs.astype(np.uint64)
    wide[at.astype(np.int64)] = tf
    return wide
