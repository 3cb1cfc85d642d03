"""Word segmentation of ASCII text, many texts at once, as operations on arrays of bytes.

It gives exactly the tokens that :class:`twindex.indexing.analysis.words.WordBreaker` finds in ASCII text: runs of
letters, digits and "_" that hold at least one letter or digit, where one of ``: . '`` between two letters and one of
``. , ; '`` between two digits belongs to the run. Pieces (what stands between white space) with any other character, or
with a run beyond the breaker's limit, are left to it: their places are given instead of their tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.analysis.words import MAX_TOKEN
from twindex.indexing.types import BoolArray, Int64Array, UInt8Array, UInt64Array

_LETTER: Final = 1
_DIGIT: Final = 2
_JOINER: Final = 4
_INNER: Final = 8
#: Bytes that follow the texts, so that 16 can be read at any place.
_PADDING: Final = 16
#: Longer words are told apart one by one; of the others 16 bytes are compared.
PACKED: Final = 16


def _table(kinds: dict[int, str]) -> UInt8Array:
    out = np.zeros(256, np.uint8)
    for kind, characters in kinds.items():
        out[list(characters.encode())] = kind
    return out


_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KINDS: Final = _table({_LETTER: _UPPER + _UPPER.lower(), _DIGIT: "0123456789", _JOINER: "_"})
_LOWER: Final = np.arange(256, dtype=np.uint8)
_LOWER[list(_UPPER.encode())] += 32
#: Bit 1: stands between letters; bit 2: between digits.
_BETWEEN: Final = _table({_LETTER: ":", _DIGIT: ",;", _LETTER | _DIGIT: ".'"})
_SPACES: Final = _table({1: " \t\n\r\v\f\x1c\x1d\x1e\x1f"}).astype(np.bool_)
#: The first n bytes of a number, n from 0 to 8.
_FIRST: Final = np.array([(1 << (8 * n)) - 1 for n in range(9)], np.uint64)
#: An odd number with bits all over (2**64 over the golden ratio): multiplying by it loses nothing.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Split:
    """Tokens of several texts, by their places in one array of bytes.

    ``data``: the texts in UTF-8, ASCII in lower case, with a line feed behind each. ``bounds`` int64[n + 1]: where each
    text starts. ``starts``, ``sizes`` int64[words]: the tokens in order. ``pieces`` int64[p, 2]: start and end of what
    was left over, in order; no token lies in it.
    """

    data: UInt8Array
    bounds: Int64Array
    starts: Int64Array
    sizes: Int64Array
    pieces: Int64Array

    def word(self, number: int) -> str:
        """The token of that number."""
        start = int(self.starts[number])
        return self.data[start : start + int(self.sizes[number])].tobytes().decode("ascii")

    def distinct(self, low: UInt64Array, high: UInt64Array, keys: UInt64Array) -> tuple[Int64Array, Int64Array]:
        """Each different word once, and which one each token is.

        Args:
            low: See :meth:`packed`.
            high: See :meth:`packed`.
            keys: See :meth:`packed`.

        Shapes: numbers of tokens int64[distinct], by first occurrence; int64[words] into those. A word may be there
        twice if it is longer than 16 bytes, or shares its key with another one.
        """
        order = np.argsort(keys)
        new = np.diff(keys[order], prepend=~keys[order[:1]]) != 0
        firsts = np.minimum.reduceat(order, np.flatnonzero(new)) if len(order) else order
        group = np.empty(len(order), np.int64)
        group[order] = np.cumsum(new) - 1
        representative = firsts[group]
        odd = (low[representative] != low) | (high[representative] != high)
        odd |= np.maximum(self.sizes, self.sizes[representative]) > PACKED
        if odd.any():
            firsts, group = _apart(firsts, group, np.flatnonzero(odd))
        rank = np.argsort(firsts, kind="stable")
        place = np.empty(len(rank), np.int64)
        place[rank] = np.arange(len(rank))
        return firsts[rank], place[group]

    def packed(self) -> tuple[UInt64Array, UInt64Array, UInt64Array]:
        """The first 16 bytes of each token as two numbers, zeros behind shorter ones, and a key made of both.

        Shapes: three times uint64[words].
        """
        view = np.ndarray((len(self.data) - 7,), "<u8", self.data, 0, (1,))
        low = view[self.starts] & _FIRST[np.minimum(self.sizes, 8)]
        high = view[self.starts + 8] & _FIRST[np.clip(self.sizes - 8, 0, 8)]
        return low.astype(np.uint64), high.astype(np.uint64), low * _SPREAD ^ high


def split(texts: Sequence[str]) -> Split:
    """The tokens of the texts."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    data = np.frombuffer(b"\n".join([*encoded, bytes(_PADDING)]), np.uint8)
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(each) + 1 for each in encoded], out=bounds[1:])
    kinds = _KINDS[data]
    _connect(data, kinds)
    foreign = np.flatnonzero(data > 127)
    pieces = _pieces_at(data, foreign)
    _clear(kinds, pieces)
    starts, sizes = _runs(kinds)
    if len(sizes) and int(sizes.max()) > MAX_TOKEN:
        pieces = _pieces_at(data, np.union1d(foreign, starts[sizes > MAX_TOKEN]))
        _clear(kinds, pieces)
        starts, sizes = _runs(kinds)
    lower = _LOWER[data]
    kept = _worded(kinds, starts, sizes)
    return Split(lower, bounds, starts[kept], sizes[kept], pieces)


def _connect(data: UInt8Array, kinds: UInt8Array) -> None:
    """Marks what stands inside a word without being a letter, digit or "_"."""
    places = np.flatnonzero(_BETWEEN[data])
    places = places[places > 0]  # the padding keeps the last one from the end
    around = kinds[places - 1] & kinds[places + 1] & (_LETTER | _DIGIT)
    kinds[places[(around & _BETWEEN[data[places]]) != 0]] = _INNER


def _runs(kinds: UInt8Array) -> tuple[Int64Array, Int64Array]:
    inside = np.zeros(len(kinds) + 1, np.bool_)
    inside[1:] = kinds != 0  # the padding ends the last run
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    return edges[::2], edges[1::2] - edges[::2]


def _worded(kinds: UInt8Array, starts: Int64Array, sizes: Int64Array) -> BoolArray:
    """Which runs hold a letter or digit: all but those of "_" alone."""
    kept = np.ones(len(starts), np.bool_)
    for number in np.flatnonzero(kinds[starts] == _JOINER).tolist():
        start = int(starts[number])
        kept[number] = bool((kinds[start : start + int(sizes[number])] != _JOINER).any())
    return kept


def _pieces_at(data: UInt8Array, places: Int64Array) -> Int64Array:
    """Start and end of the pieces that hold these places: int64[p, 2]."""
    if not len(places):
        return np.empty((0, 2), np.int64)
    spaces = np.concatenate([[-1], np.flatnonzero(_SPACES[data]), [len(data)]])
    after = np.unique(np.searchsorted(spaces, places))
    return np.stack([spaces[after - 1] + 1, spaces[after]], axis=1)


def _clear(kinds: UInt8Array, pieces: Int64Array) -> None:
    for start, end in pieces.tolist():
        kinds[start:end] = 0


def _apart(firsts: Int64Array, group: Int64Array, odd: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Gives each odd token a group of its own, and drops groups that are empty then."""
    group[odd] = len(firsts) + np.arange(len(odd))
    firsts = np.concatenate([firsts, odd])
    used = np.zeros(len(firsts), np.bool_)
    used[group] = True
    place = np.cumsum(used) - 1
    return firsts[used], place[group]
