"""What every adapter reads of a snapshot: the live passages, in the order of their ordinals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from twindex.indexing.errors import QueryError
from twindex.indexing.filters import Filter
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import BoolArray, Int32Array

#: Passages that are read at once.
BATCH: Final = 1024


def live_ords(snapshot: Snapshot) -> Int32Array:
    """Ordinals of the passages that are not deleted: int32[live], ascending."""
    mask = snapshot.allowed(None)
    found = np.arange(snapshot.size) if mask is None else np.flatnonzero(mask)
    return found.astype(np.int32)


def contents(snapshot: Snapshot, ords: Int32Array) -> Iterator[str]:
    """What both legs index of each passage, in the order of ``ords``; only a batch is in memory."""
    for start in range(0, len(ords), BATCH):
        for passage in snapshot.passages(ords[start : start + BATCH]):
            yield passage.contents


def allowed_rows(snapshot: Snapshot, ords: Int32Array, condition: Filter | None) -> BoolArray | None:
    """Which of the passages pass the filter: bool[len(ords)]; None = there is no filter."""
    if condition is None:
        return None
    mask = snapshot.allowed(condition)
    return np.ones(len(ords), np.bool_) if mask is None else mask[ords]


def row_of(snapshot: Snapshot, ords: Int32Array, ord_: int) -> int | None:
    """The place of an ordinal among the live ones, None if it is deleted.

    Raises:
        QueryError: If the snapshot has no such ordinal.
    """
    if not 0 <= ord_ < snapshot.size:
        raise QueryError(f"ordinal {ord_}", expected=f"0 to {snapshot.size - 1}")
    row = int(np.searchsorted(ords, ord_))
    return row if row < len(ords) and int(ords[row]) == ord_ else None
