"""Where the records of a document lie in the log: one sorted array, and what came since it was sorted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.expansion.records import KINDS
from twindex.indexing.types import UInt64Array

#: New places are kept in a list until there are so many, then sorted into the array.
RECENT: Final = 1 << 15
_ENTRY: Final = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("offset", "<u8"), ("length", "<u4"), ("config", "<u2"), ("kind", "<u2")]
)


class Place(NamedTuple):
    """One record's document, number of configuration, and bytes in the log."""

    document: bytes
    config: int
    kind: str
    offset: int
    length: int


class Places:
    """Places by document, each document's in the order in which they were added. 32 bytes a record."""

    def __init__(self) -> None:
        self._sorted: NDArray[np.void] = np.empty(0, _ENTRY)
        self._highs: UInt64Array = np.empty(0, np.uint64)  # the first halves, side by side for the search
        self._recent: dict[bytes, list[Place]] = {}
        self._recent_count = 0
        self._kinds: set[tuple[int, str]] = set()

    def __len__(self) -> int:
        return len(self._sorted) + self._recent_count

    def add(self, document: bytes, config: int, kind: str, offset: int, length: int) -> None:
        """Takes in one record; offsets only grow."""
        self._recent.setdefault(document, []).append(Place(document, config, kind, offset, length))
        self._recent_count += 1
        self._kinds.add((config, kind))
        if self._recent_count >= max(RECENT, len(self._sorted) // 8):
            self._merge()

    def any(self, config: int, kind: str) -> bool:
        """Whether a configuration has records of a kind."""
        return (config, kind) in self._kinds

    def of(self, document: bytes) -> list[Place]:
        """The places of a document."""
        high = np.frombuffer(document, "<u8")[0]
        start, stop = (int(np.searchsorted(self._highs, high, side)) for side in ("left", "right"))
        found = [place for place in map(_place, self._sorted[start:stop]) if place.document == document]
        return found + self._recent.get(document, [])

    def under(self, config: int) -> Iterator[Place]:
        """The places of a configuration, in the order of the log."""
        self._merge()
        mine = self._sorted[self._sorted["config"] == config]
        for entry in mine[np.argsort(mine["offset"], kind="stable")]:
            yield _place(entry)

    def _merge(self) -> None:
        if not self._recent:
            return
        places = [place for group in self._recent.values() for place in group]
        fresh = np.empty(len(places), _ENTRY)
        halves = np.frombuffer(b"".join(place.document for place in places), "<u8").reshape(-1, 2)
        fresh["high"], fresh["low"] = halves[:, 0], halves[:, 1]
        fresh["offset"] = [place.offset for place in places]
        fresh["length"] = [place.length for place in places]
        fresh["config"] = [place.config for place in places]
        fresh["kind"] = [KINDS.index(place.kind) for place in places]
        both = np.concatenate([self._sorted, fresh])  # stable, so that a document's records keep their order
        self._sorted = both[np.lexsort((both["offset"], both["high"]))]
        self._highs = np.ascontiguousarray(self._sorted["high"])
        self._recent, self._recent_count = {}, 0


def _place(entry: np.void) -> Place:
    document = int(entry["high"]).to_bytes(8, "little") + int(entry["low"]).to_bytes(8, "little")
    return Place(document, int(entry["config"]), KINDS[int(entry["kind"])], int(entry["offset"]), int(entry["length"]))
