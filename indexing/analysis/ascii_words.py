"""Word segmentation of ASCII text, many texts at once, as operations on arrays of bytes.

It gives exactly the tokens that :class:`twindex.indexing.analysis.words.WordBreaker` finds in ASCII text: runs of
letters, digits and "_" that hold at least one letter or digit, where one of ``: . '`` between two letters and one of
``. , ; '`` between two digits belongs to the run. What it does not cut itself are *specials*, of which it gives the
places: words of more than 16 bytes, and pieces (what stands between white space) with any other character or of more
than the breaker's limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.analysis.packed import PACKED, PackedWords
from twindex.indexing.analysis.word_table import WordTable
from twindex.indexing.analysis.words import MAX_TOKEN
from twindex.indexing.types import Int32Array, Int64Array, UInt8Array, UInt64Array

#: Kinds of bytes. INNER: belongs to the word it stands in.
LETTER: Final = 1
DIGIT: Final = 2
JOINER: Final = 4
INNER: Final = 8
#: Belongs to a word between two letters; between two digits.
BETWEEN_LETTERS: Final = 16
BETWEEN_DIGITS: Final = 32
SPACE: Final = 64
FOREIGN: Final = 128
#: Bytes before the texts, so that the 16 that end at any place can be read.
PADDING: Final = PACKED


def _table() -> bytes:
    upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    kinds = [FOREIGN if byte > 127 else 0 for byte in range(256)]
    for kind, characters in (
        (LETTER, upper + upper.lower()),
        (DIGIT, "0123456789"),
        (JOINER, "_"),
        (SPACE, " \t\n\r\v\f\x1c\x1d\x1e\x1f"),
        (BETWEEN_LETTERS, ":.'"),
        (BETWEEN_DIGITS, ",;.'"),
    ):
        for byte in characters.encode("ascii"):
            kinds[byte] |= kind
    return bytes(kinds)


KINDS: Final = _table()
#: A letter in lower case, by a letter in either.
LOWER: Final = bytes(range(256)).lower()
#: The last n bytes of a number, n from 0 to 8.
_LAST: Final = np.array([(1 << (8 * n)) - 1 for n in range(9)], np.uint64)


@dataclass(frozen=True, slots=True)
class Block:
    """Texts as bytes: one line feed behind each, and some before the first.

    ``data``: in UTF-8. Shapes: ``bounds`` int64[n + 1], where each text starts and where the last one has ended.
    """

    data: bytes
    bounds: Int64Array

    @classmethod
    def of(cls, texts: Sequence[str]) -> Block:
        """The block of the texts."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        bounds = np.full(len(texts) + 1, PADDING, np.int64)
        np.cumsum([len(each) + 1 for each in encoded], out=bounds[1:])
        bounds[1:] += PADDING
        return cls(b"\n".join([b"\n" * (PADDING - 1), *encoded, b""]), bounds)

    def text(self, start: int, end: int) -> str:
        """What stands between two places."""
        return self.data[start:end].decode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a block of texts.

    Shapes: ``rows`` int32[tokens], rows of a WordTable; ``offsets`` int64[n + 1], text i has the tokens
    ``offsets[i]:offsets[i + 1]``; ``specials`` int64[m, 3]: the token that stands for a special (its row is 0), and
    start and end of the special in the block.
    """

    rows: Int32Array
    offsets: Int64Array
    specials: Int64Array


def tokens(block: Block, table: WordTable) -> Tokens:
    """The tokens of the texts; new words are put into the table, without a number."""
    starts, sizes, pieces = split(block)
    words = np.flatnonzero(sizes <= PACKED)
    rows = np.zeros(len(starts), np.int32)
    rows[words] = table.rows(_packed(block, starts[words] + sizes[words], sizes[words]))
    special = np.flatnonzero(sizes > PACKED)
    places = np.stack([starts[special], starts[special] + sizes[special]], axis=1)
    if len(pieces):
        at = np.searchsorted(starts, pieces[:, 0])
        starts, rows = np.insert(starts, at, pieces[:, 0]), np.insert(rows, at, 0)
        places = np.concatenate([places, pieces])
        places = places[np.argsort(places[:, 0])]
        special = np.searchsorted(starts, places[:, 0])
    return Tokens(rows, np.searchsorted(starts, block.bounds), np.column_stack([special, places]))


def split(block: Block) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Where the tokens are, and the pieces that are left over.

    Shapes: starts int64[words] and sizes int64[words], in order; start and end of pieces int64[p, 2], in order. No
    token lies in a piece.
    """
    kinds = np.frombuffer(bytearray(block.data.translate(KINDS)), np.uint8)
    pieces = _long_or_foreign(kinds)
    for start, end in pieces.tolist():
        kinds[start:end] = 0
    _connect(kinds)
    starts, sizes = _runs(kinds & (LETTER | DIGIT | JOINER | INNER) != 0)
    blank = _of_joiners(kinds, starts, sizes)
    if len(blank):
        starts, sizes = np.delete(starts, blank), np.delete(sizes, blank)
    return starts, sizes, pieces


def _connect(kinds: UInt8Array) -> None:
    """Marks what stands inside a word without being a letter, digit or "_"."""
    places = np.flatnonzero(kinds & (BETWEEN_LETTERS | BETWEEN_DIGITS) != 0)
    around = kinds[places - 1] & kinds[places + 1] & (LETTER | DIGIT)
    kinds[places] = np.where(around * np.uint8(BETWEEN_LETTERS) & kinds[places], INNER, 0)


def _runs(inside: UInt8Array) -> tuple[Int64Array, Int64Array]:
    """Starts and sizes of the runs; neither the first nor the last byte is in one."""
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    return edges[::2], edges[1::2] - edges[::2]


def _of_joiners(kinds: UInt8Array, starts: Int64Array, sizes: Int64Array) -> Int64Array:
    """Numbers of the runs without a letter or digit."""
    maybe = np.flatnonzero(kinds[starts] == JOINER)
    places = zip(maybe.tolist(), starts[maybe].tolist(), sizes[maybe].tolist())
    blank = [number for number, start, size in places if (kinds[start : start + size] == JOINER).all()]
    return np.array(blank, np.int64)


def _long_or_foreign(kinds: UInt8Array) -> Int64Array:
    """Start and end of the pieces with other characters, and of those that are longer than a token: int64[p, 2]."""
    spaces = np.flatnonzero(kinds == SPACE)
    chosen = np.diff(spaces) > MAX_TOKEN + 1
    foreign = np.flatnonzero(kinds == FOREIGN)
    chosen[np.searchsorted(spaces, foreign) - 1] = True
    return np.stack([spaces[:-1][chosen] + 1, spaces[1:][chosen]], axis=1)


def _packed(block: Block, ends: Int64Array, sizes: Int64Array) -> PackedWords:
    """Words that end before these places, in lower case."""
    lower = block.data.translate(LOWER)
    view: UInt64Array = np.ndarray((len(lower) - 7,), ">u8", lower, 0, (1,))
    tail = view[ends - 8].astype(np.uint64) & _LAST.take(np.minimum(sizes, 8))
    head = np.zeros(len(ends), np.uint64)
    long = np.flatnonzero(sizes > 8)
    head[long] = view[ends[long] - 16].astype(np.uint64) & _LAST.take(sizes[long] - 8)
    return PackedWords(head, tail)
