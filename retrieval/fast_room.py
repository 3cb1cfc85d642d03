"""The compiled modules, and the memory that queries work in: kept from one query to the next."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple

from twindex.indexing.types import Int64Array
from twindex.retrieval import image

#: Documents of a window of the exhaustive strategy: their float32 sums fill half of a usual second-level cache.
WINDOW: Final = 66_048
#: Documents that are folded into one; see ``kernels.py``.
LANES: Final = 16
#: Workplaces that are kept for the next queries at most, and hits times terms of the largest such.
ROOMS: Final = 64
LARGEST: Final = 1 << 20


class Kernels(NamedTuple):
    """The compiled modules."""

    batch: ModuleType
    within: ModuleType
    table: ModuleType
    image: ModuleType


@cache
def kernels() -> Kernels:
    """The compiled modules, loaded at the first call.

    Raises:
        MissingExtraError: If numba is not installed.
    """
    names = ("kernels_batch", "kernels_within", "kernels_table", "kernels_image")
    return Kernels(*(importlib.import_module(f"twindex.retrieval.{name}") for name in names))


class Workplace(NamedTuple):
    """Memory for one thread, enough for so many hits and terms; ``table`` has the addresses of ``room``'s arrays."""

    k: int
    terms: int
    room: Any
    table: Int64Array


class Workplaces:
    """Those that are free; any number of threads may ask.

    Args:
        size: Documents.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[Workplace] = []

    def take(self, k: int, terms: int) -> Workplace:
        """One for queries of so many terms with k hits: a free one, or a new one."""
        try:
            free = self._free.pop()
        except IndexError:
            return self._make(k, terms)
        return free if free.k >= k and free.terms >= terms else self._make(k, terms)

    def leave(self, used: Workplace) -> None:
        """Keeps it for the next query. Not after an error: sums must be zeros again."""
        if len(self._free) < ROOMS and used.k * used.terms <= LARGEST:
            self._free.append(used)

    def _make(self, k: int, terms: int) -> Workplace:
        k, terms = max(16, 1 << (k - 1).bit_length()), max(64, 1 << (terms - 1).bit_length())
        span = _rounded(min(self._size, WINDOW))
        table = kernels().table
        room = table.make_room(terms, k, self._size, image.BLOCK, span)
        return Workplace(k, terms, room, table.room_table(room))


def _rounded(window: int) -> int:
    """At least so many documents: whole lanes, whose distance is no multiple of a page of memory.

    Otherwise the documents that are folded together would compete for the same lines of the cache.
    """
    lane = -(-window // LANES)
    return LANES * (lane + 24 if lane % 256 == 0 else lane)
