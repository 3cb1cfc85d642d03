"""Short words as numbers, so that thousands are compared, cut and lengthened in one array operation.

A word of at most 16 bytes is one number of 128 bits, its last letter in the lowest byte: to drop n letters is to shift
right by n bytes, and to ask for an ending is to compare the lowest bytes. Nothing stands before the first letter but
zeros, so that two words are equal when their numbers are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.types import BoolArray, Int64Array, UInt8Array, UInt64Array

#: Bytes of a word that can be packed, at most.
PACKED: Final = 16
_HALF: Final = 8
_BIG: Final = np.dtype(">u8")


@dataclass(frozen=True, slots=True)
class PackedWords:
    """Words of 1 to 16 ASCII characters.

    Shapes: uint64[n] each; ``head`` holds the letters before the last eight, ``tail`` the last eight.
    """

    head: UInt64Array
    tail: UInt64Array

    def __len__(self) -> int:
        return len(self.tail)

    @classmethod
    def of(cls, words: list[str]) -> PackedWords:
        """The words as numbers."""
        flat = np.array([word.encode("ascii") for word in words], f"S{PACKED}")
        sizes = np.fromiter(map(len, words), np.int64, len(words))
        halves = flat.view(_BIG).reshape(len(words), 2).astype(np.uint64)
        return cls.aligned(halves[:, 0], halves[:, 1], sizes)

    @classmethod
    def aligned(cls, first: UInt64Array, second: UInt64Array, sizes: Int64Array) -> PackedWords:
        """Words whose first letter stands in the highest byte of ``first``, with zeros behind their last one."""
        return cls(*_right(first, second, PACKED - sizes))

    def __getitem__(self, rows: BoolArray | Int64Array | slice) -> PackedWords:
        """Some of the words: bool[n], int64[m], or a slice."""
        return PackedWords(self.head[rows], self.tail[rows])

    def letters(self) -> UInt8Array:
        """The bytes, zeros before the first letter: uint8[n, 16]."""
        both = np.stack([self.head, self.tail], axis=1).astype(_BIG)
        return both.view(np.uint8)

    def texts(self) -> list[str]:
        """The words."""
        if not len(self):
            return []
        empty = np.count_nonzero(self.letters() == 0, axis=1)
        first, second = _left(self.head, self.tail, empty)
        flat = np.stack([first, second], axis=1).astype(_BIG).view(f"S{PACKED}").ravel()
        # One decoding for all of them: no word holds a line feed.
        return b"\n".join(flat.tolist()).decode("ascii").split("\n")


def _right(head: UInt64Array, tail: UInt64Array, count: Int64Array) -> tuple[UInt64Array, UInt64Array]:
    """Shifts right by 0 to 15 bytes."""
    far = count >= _HALF
    head, tail = np.where(far, 0, head).astype(np.uint64), np.where(far, head, tail)
    bits = (8 * np.where(far, count - _HALF, count)).astype(np.uint64)
    return head >> bits, tail >> bits | head << np.uint64(64) - bits


def _left(head: UInt64Array, tail: UInt64Array, count: Int64Array) -> tuple[UInt64Array, UInt64Array]:
    """Shifts left by 0 to 15 bytes."""
    far = count >= _HALF
    head, tail = np.where(far, tail, head), np.where(far, 0, tail).astype(np.uint64)
    bits = (8 * np.where(far, count - _HALF, count)).astype(np.uint64)
    return head << bits | tail >> np.uint64(64) - bits, tail << bits
