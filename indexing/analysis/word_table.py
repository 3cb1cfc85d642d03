"""Numbers of words that were met before, found for thousands of words in one array operation.

Words of at most 16 bytes are two 64-bit numbers, so that comparing them is comparing the words.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.types import Int32Array, UInt64Array

#: What a word that is not in the table gets.
UNKNOWN: Final = -2
#: Words that are kept; beyond it the table starts anew. Units: 28 bytes each.
MOST: Final = 1 << 19


class WordTable:
    """A table of words and their numbers, sorted by key."""

    def __init__(self) -> None:
        self._keys: UInt64Array = np.empty(0, np.uint64)
        self._low: UInt64Array = np.empty(0, np.uint64)
        self._high: UInt64Array = np.empty(0, np.uint64)
        self._numbers: Int32Array = np.empty(0, np.int32)

    def __len__(self) -> int:
        """Words in the table."""
        return len(self._keys)

    def find(self, keys: UInt64Array, low: UInt64Array, high: UInt64Array) -> Int32Array:
        """The number of each word, :data:`UNKNOWN` where it is not known: int32[n].

        Shapes: ``keys``, ``low`` and ``high`` uint64[n]; equal words have equal keys.
        """
        if not len(self._keys):
            return np.full(len(keys), UNKNOWN, np.int32)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        same = (self._keys[at] == keys) & (self._low[at] == low) & (self._high[at] == high)
        return np.where(same, self._numbers[at], UNKNOWN).astype(np.int32)

    def learn(self, keys: UInt64Array, low: UInt64Array, high: UInt64Array, numbers: Int32Array) -> None:
        """Adds words that are not there. Of two words with one key only the earlier one will be found."""
        kept = (self._keys, self._low, self._high, self._numbers)
        if len(self) + len(keys) > MOST:
            kept = (self._keys[:0], self._low[:0], self._high[:0], self._numbers[:0])
        both: list[NDArray[Any]] = [np.concatenate([a, b]) for a, b in zip(kept, (keys, low, high, numbers))]
        order = np.argsort(both[0], kind="stable")
        self._keys, self._low, self._high, self._numbers = (values[order] for values in both)
