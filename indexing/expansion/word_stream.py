"""The words of a collection as numbers on disk: one pass over the texts, then only arrays.

A stream is a flat file of int32: numbers of words in order of the text, and ``GAP`` wherever no phrase may reach
across. Memory is that of the distinct words; the texts themselves are not kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.expansion.sentences import SentenceConfig, split
from twindex.indexing.expansion.word_space import WordCount
from twindex.indexing.expansion.words import segments
from twindex.indexing.types import Int32Array, Int64Array, Progress, no_progress

GAP: Final = -1
#: Sentences that are handled together.
BLOCK: Final = 16_384
_BUFFER: Final = 1 << 20
#: Fewer texts share too few words to do without those of one text.
FEW: Final = 20


@dataclass(frozen=True, eq=False)
class WordStream:
    """Sentences of a collection as numbers.

    Shapes: ``ids`` int32[total], a memory map; ``offsets`` int64[sentences + 1] into it; ``text_of`` int32[sentences],
    the place of the text that holds the sentence. ``counts`` has one entry for each number.
    """

    ids: Int32Array
    offsets: Int64Array
    text_of: Int32Array
    counts: tuple[WordCount, ...]
    texts: int

    def __len__(self) -> int:
        """Number of sentences."""
        return len(self.offsets) - 1

    def blocks(self) -> Iterator[tuple[slice, Int32Array, Int64Array]]:
        """Runs of sentences of whole texts: which, their numbers (with gaps), and offsets into these."""
        stop = 0
        while stop < len(self):
            start = stop
            # to the end of the text in which the block would end
            stop = int(np.searchsorted(self.text_of, self.text_of[min(start + BLOCK, len(self)) - 1], side="right"))
            first, last = int(self.offsets[start]), int(self.offsets[stop])
            yield slice(start, stop), np.asarray(self.ids[first:last]), self.offsets[start : stop + 1] - first


def read_words(
    texts: Iterable[str],
    folder: Path,
    config: SentenceConfig,
    *,
    min_texts: int,
    max_words: int,
    progress: Progress = no_progress,
) -> WordStream:
    """The stream of the texts, written to ``folder``.

    Words of fewer than ``min_texts`` texts become gaps, and so do all but the ``max_words`` that are in most texts.
    Fewer than 20 texts keep every word.
    """
    path = folder / "words.i32"
    reading = _Reading(path)
    number = 0
    for number, text in enumerate(texts, 1):
        reading.add(split(text, config))
        if number % 256 == 0:
            progress("reading", number, None)
    progress("reading", number, number)
    reading.close()
    keep, places = _kept(reading, min_texts if number >= FEW else 1, max_words)
    ids = np.memmap(path, np.int32, mode="r+") if path.stat().st_size else np.empty(0, np.int32)
    for at in range(0, len(ids), _BUFFER):
        block = ids[at : at + _BUFFER]
        ids[at : at + _BUFFER] = np.where(block == GAP, GAP, places[block])
    words = list(reading.numbers)
    counts = tuple(WordCount(words[at], reading.counts[at], reading.texts[at]) for at in keep.tolist())
    offsets = np.frombuffer(reading.offsets, np.int64)
    return WordStream(ids, offsets, np.frombuffer(reading.text_of, np.int32), counts, number)


class _Reading:
    """One pass: numbers in order of appearance, written out as they come."""

    def __init__(self, path: Path) -> None:
        self.numbers: dict[str, int] = {}
        self.counts = array("q")
        self.texts = array("q")
        self.offsets = array("q", [0])
        self.text_of = array("i")
        self._last = array("q")  # the last text that held the word
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._pending = array("i")
        self._written = 0
        self._text = 0

    def add(self, sentences: list[str]) -> None:
        for sentence in sentences:
            for run in segments(sentence):
                self._pending.extend(map(self._number, run))
                self._pending.append(GAP)
            self.offsets.append(self._written + len(self._pending))
            self.text_of.append(self._text)
        self._text += 1
        if len(self._pending) > _BUFFER:
            self._flush()

    def _number(self, word: str) -> int:
        number = self.numbers.get(word)
        if number is None:
            number = self.numbers[word] = len(self.numbers)
            self.counts.append(0)
            self.texts.append(0)
            self._last.append(-1)
        self.counts[number] += 1
        if self._last[number] != self._text:
            self._last[number] = self._text
            self.texts[number] += 1
        return number

    def _flush(self) -> None:
        self._pending.tofile(self._file)
        self._written += len(self._pending)
        self._pending = array("i")

    def close(self) -> None:
        self._flush()
        self._file.close()


def _kept(reading: _Reading, min_texts: int, max_words: int) -> tuple[Int64Array, Int32Array]:
    """The old numbers of the words that stay, ascending, and the new number (or GAP) of each old one."""
    texts = np.frombuffer(reading.texts, np.int64) if len(reading.texts) else np.empty(0, np.int64)
    keep = np.flatnonzero(texts >= min_texts)
    if len(keep) > max_words:
        keep = np.sort(keep[np.argsort(-texts[keep], kind="stable")[:max_words]])
    places = np.full(len(texts), GAP, np.int32)
    places[keep] = np.arange(len(keep), dtype=np.int32)
    return keep, places
