"""The word segmentation of :mod:`twindex.indexing.analysis.ascii_words`, compiled: one pass over the bytes.

Importing this module imports numba. The code is compiled at the first call and kept on disk; it runs without the
interpreter's lock, so that a thread may analyse while another one stores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from twindex.indexing.analysis.ascii_words import (
    BETWEEN_LETTERS,
    DIGIT,
    FOREIGN,
    JOINER,
    KINDS,
    LETTER,
    LOWER,
    PADDING,
    SPACE,
    Block,
    Tokens,
)
from twindex.indexing.analysis.packed import PACKED
from twindex.indexing.analysis.word_table import HEAD_FACTOR, TAIL_FACTOR, WordTable
from twindex.indexing.analysis.words import MAX_TOKEN
from twindex.indexing.compiled import Stamp, compiled, stamp_of

#: Numba finds the types at the call: arrays, tuples of arrays, numbers.
A: TypeAlias = Any
F = TypeVar("F", bound=Callable[..., Any])

_CORE: Final = LETTER | DIGIT
_WORD: Final = LETTER | DIGIT | JOINER
_KIND: Final = np.frombuffer(KINDS, np.uint8)
_LOWER: Final = np.frombuffer(LOWER, np.uint8)
_BYTE: Final = np.uint64(8)
_TOP: Final = np.uint64(56)
#: Words that a piece can have, at most: the table needs room for so many at each.
_PIECE_WORDS: Final = MAX_TOKEN // 2 + 1
#: Where a call has stopped and the next one goes on: byte, text, tokens, specials, words in the table.
_AT, _TEXT, _TOKENS, _SPECIALS, _SIZE = range(5)


def tokens(block: Block, table: WordTable) -> Tokens:
    """The same as the function of this name there; a call takes a hundredth of a microsecond a byte."""
    data = np.frombuffer(block.data, np.uint8)
    most = (len(data) - PADDING) // 2 + 1
    out = np.empty(most, np.int32), np.zeros(len(block.bounds), np.int64), np.empty((most, 3), np.int64)
    state = np.array([PADDING, 0, 0, 0, len(table)], np.int64)
    while state[_AT] < len(data):
        table.grow(_PIECE_WORDS)
        _scan(data, block.bounds, (table.head, table.tail, table.slots, table.shift), out, state)
        table.size = int(state[_SIZE])
    rows, offsets, specials = out
    return Tokens(rows[: state[_TOKENS]].copy(), offsets, specials[: state[_SPECIALS]].copy())


def _inlined(function: F) -> F:
    """Written into its caller: to hand over a tuple of arrays costs more than these do."""
    return compiled(function, _stamp(), forceinline=True)


@cache
def _stamp() -> Stamp:
    """What the compiled code depends on."""
    here = Path(__file__).parent
    return stamp_of(here / f"{name}.py" for name in ("kernels_words", "ascii_words", "packed", "word_table", "words"))


@_inlined
def _word(data: A, place: A, end: A) -> A:
    """From a letter, digit or "_" to the end of its word: that place, kinds of its bytes, and the word as a number."""
    found, high, low = np.uint8(0), np.uint64(0), np.uint64(0)
    while place < end:
        byte = data[place]
        kind = _KIND[byte]
        if not kind & _WORD:
            # Behind the last byte of a piece stands white space.
            around = _KIND[data[place - 1]] & _KIND[data[place + 1]] & _CORE
            if not around * BETWEEN_LETTERS & kind:
                break
        found |= kind
        high = high << _BYTE | low >> _TOP
        low = low << _BYTE | np.uint64(_LOWER[byte])
        place += 1
    return place, found, high, low


@_inlined
def _row(table: A, size: A, high: A, low: A) -> A:
    """The row of a word, and whether it is new there; ``size`` words are in the table."""
    head, tail, slots, shift = table
    slot = np.int64((low * TAIL_FACTOR + high * HEAD_FACTOR) >> shift)
    row = slots[slot]
    while row >= 0:
        if tail[row] == low and head[row] == high:
            return np.int64(row), 0
        slot = (slot + 1) & (len(slots) - 1)
        row = slots[slot]
    slots[slot] = size
    head[size] = high
    tail[size] = low
    return size, 1


@_inlined
def _put(out: A, count: A, special: A, start: A, end: A) -> None:
    """A special in place of a token."""
    out[0][count] = 0
    out[2][special, 0] = count
    out[2][special, 1] = start
    out[2][special, 2] = end


def _scan(data: A, bounds: A, table: A, out: A, state: A) -> None:
    """Goes on from the state until the texts end, or the table may be too small for the next piece."""
    at, text, count, special, size = state[0], state[1], state[2], state[3], state[4]
    last = len(bounds) - 1
    while at < len(data) and size + _PIECE_WORDS <= len(table[0]):
        place, kinds = at, np.uint8(0)
        while _KIND[data[at]] != SPACE:  # the last byte is one
            kinds |= _KIND[data[at]]
            at += 1
        if kinds & FOREIGN or at - place > MAX_TOKEN:
            _put(out, count, special, place, at)
            count += 1
            special += 1
            place = at
        while place < at:
            if not _KIND[data[place]] & _WORD:
                place += 1
                continue
            first = place
            place, kinds, high, low = _word(data, place, at)
            if not kinds & _CORE:
                continue
            if place - first > PACKED:
                _put(out, count, special, first, place)
                special += 1
            else:
                out[0][count], new = _row(table, size, high, low)
                size += new
            count += 1
        at += 1
        while text < last and at >= bounds[text + 1]:
            text += 1
            out[1][text] = count
    state[0], state[1], state[2], state[3], state[4] = at, text, count, special, size


_scan = compiled(_scan, _stamp())
