"""Documents in another order than that of their ordinals, for the compiled engine: similar ones side by side.

The order comes from ``merge --reorder``. It changes neither scores nor ordinals, since keys of hits are made from the
original ordinals; it changes which memory a query touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.types import Int64Array, UInt32Array
from twindex.retrieval.fast_room import kernels
from twindex.retrieval.image import AS_THEY_ARE, Frequencies, read_only


class OrderedSegment(Protocol):
    """What is needed of a segment."""

    @property
    def size(self) -> int:
        """Passages, deleted ones included."""

    @property
    def order(self) -> UInt32Array | None:
        """Local ordinals in the order found, a permutation; None if none was looked for."""


def order_of(segments: Sequence[OrderedSegment], bases: Sequence[int] | NDArray[Any]) -> UInt32Array:
    """The ordinals of a snapshot in the order of its segments' passages; nothing if no segment has an order.

    Args:
        segments: In the order of ordinals.
        bases: First ordinal of each.

    Shapes: result uint32[size] or uint32[0].

    Raises:
        CorruptIndexError: If an order is not a permutation.
    """
    orders = [segment.order for segment in segments]
    if all(order is None for order in orders):
        return AS_THEY_ARE
    own = [np.arange(s.size, dtype=np.uint32) if o is None else o for s, o in zip(segments, orders, strict=True)]
    return np.concatenate([order + np.uint32(base) for order, base in zip(own, bases, strict=True)])


def arranged(ptr: Int64Array, docs: UInt32Array, original: UInt32Array) -> tuple[UInt32Array, Int64Array]:
    """Lists by place instead of by ordinal: the places, ascending within a term, and which posting each was.

    Args:
        ptr: First posting of each term, and the end.
        docs: Ordinals, ascending within a term.
        original: The ordinal at each place.

    Shapes: ``ptr`` int64[T + 1], ``docs`` uint32[P]; results uint32[P], int64[P].
    """
    place_of = np.empty(len(original), np.uint32)
    place_of[original] = np.arange(len(original), dtype=np.uint32)
    places, sources = np.empty(len(docs), np.uint32), np.empty(len(docs), np.int64)
    kernels().image.arrange(read_only(ptr), read_only(docs), place_of, places, sources)
    return places, sources


def frequencies_of(frequencies: Frequencies, sources: Int64Array) -> Frequencies:
    """The frequencies of rearranged postings; ``sources`` as :func:`arranged` gives it."""
    tfs = frequencies.tfs[sources]
    if not len(frequencies.big_at):
        return Frequencies(tfs, frequencies.big_at, frequencies.big_tf)
    large = np.flatnonzero(tfs == 255)
    known = np.searchsorted(frequencies.big_at, sources[large].astype(np.uint64))
    return Frequencies(tfs, large.astype(np.uint64), frequencies.big_tf[known])
