"""A space of words: the vector of a phrase, sentence or document from the vectors of its words.

The encoder sees each word of the collection once, by itself; every longer text is the weighted sum of its words, rare
words first, without what all texts share. So a million sentences cost as many encodings as they have distinct words, a
phrase costs none, and a saved space needs no encoder. Source of the weights a / (a + p(w)): S. Arora, Y. Liang, T. Ma,
"A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoding import Encoder
from twindex.indexing.expansion.whole_vectors import Int8Array, norms, whole
from twindex.indexing.types import Float32Array, Int32Array, Int64Array, Progress, no_progress
from twindex.indexing.vector_cache import VectorCache

#: Weights are whole numbers up to this, so that sums of words are exact.
UNIT: Final = 255
#: Sums of so many words fit 32 bits: 2**31 / (127 * 255).
SMALL: Final = 66_000
#: The share of all words at which a word counts half.
HALF: Final = 1e-3
#: Words that are encoded, and made durable, together.
BATCH: Final = 1024


@dataclass(frozen=True, slots=True)
class WordCount:
    """How often a word occurs, and in how many texts."""

    word: str
    count: int
    texts: int


@dataclass(frozen=True, eq=False)
class WordSpace:
    """Words of a collection with vectors and weights.

    Shapes: ``raw`` int8[V, dim], vectors as the encoder gave them; ``counts`` int64[V], how often the word occurs;
    ``texts`` int64[V], how many texts hold it. Row i belongs to ``words[i]``. ``total`` is the number of texts.
    """

    words: tuple[str, ...]
    raw: Int8Array
    counts: Int64Array
    texts: Int64Array
    total: int

    @cached_property
    def weights(self) -> Int32Array:
        """Of each word, a / (a + p(w)) in 255ths: int32[V], 1 to 255."""
        share = self.counts / max(1, int(self.counts.sum()))
        return np.maximum(1, np.rint(UNIT * HALF / (HALF + share))).astype(np.int32)

    @cached_property
    def vectors(self) -> Int8Array:
        """Vectors without what all words have in common, the mean of the running text: int8[V, dim]."""
        unit = self.raw / norms(self.raw).astype(np.float64)[:, None]
        pull = (self.counts * self.weights).astype(np.float64)
        centre = (unit * pull[:, None]).sum(axis=0) / max(1.0, float(pull.sum()))
        return whole(unit - centre)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Row of each word."""
        return {word: number for number, word in enumerate(self.words)}

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""
        return int(self.raw.shape[1])

    @cached_property
    def idf(self) -> Float32Array:
        """ln(1 + (N - n + 0.5) / (n + 0.5)) of each word: float32[V]."""
        seen = self.texts.astype(np.float64)
        return np.log1p((self.total - seen + 0.5) / (seen + 0.5)).astype(np.float32)

    def ids(self, words: Iterable[str]) -> Int32Array:
        """Rows of the words that the space knows, in order, with repetitions: int32[m]."""
        known = self.numbers
        return np.array([known[word] for word in words if word in known], np.int32)

    def sums(self, ids: Int32Array, offsets: Int64Array, *, raw: bool = False) -> Int8Array:
        """Vectors of texts from the rows of their words; one without words is zero.

        Args:
            ids: int32[total], rows of words.
            offsets: int64[n + 1]; text i has the words ``ids[offsets[i]:offsets[i + 1]]``.
            raw: Whether the encoder's own vectors are summed, to be compared with its vectors of texts, or those
                without the common part, to be compared with each other.

        Shapes: result int8[n, dim].
        """
        weighted = self._weighted_raw if raw else self._weighted
        sums = np.zeros((len(offsets) - 1, self.dim), np.int64)
        filled = np.flatnonzero(np.diff(offsets))
        if len(filled):
            room = np.int32 if int(np.diff(offsets).max()) <= SMALL else np.int64
            sums[filled] = np.add.reduceat(weighted[ids], offsets[filled], axis=0, dtype=room)
        return whole(sums)

    def phrases(self, names: Sequence[str], *, raw: bool = False) -> Int8Array:
        """Vectors of phrases of one or two words: those of :meth:`of`, quicker.

        Shapes: result int8[len(names), dim].
        """
        weighted = self._weighted_raw if raw else self._weighted
        number = self.numbers.get
        parts = [name.partition(" ") for name in names]
        sums = weighted[[number(first, -1) for first, _, _ in parts]].astype(np.int32)
        pairs = [at for at, (_, blank, _) in enumerate(parts) if blank]
        sums[pairs] += weighted[[number(parts[at][2], -1) for at in pairs]]
        return whole(sums)

    @cached_property
    def _weighted_raw(self) -> NDArray[np.int16]:
        return _with_zero(self.raw, self.weights)

    @cached_property
    def _weighted(self) -> NDArray[np.int16]:
        return _with_zero(self.vectors, self.weights)

    def of(self, texts: Sequence[Sequence[str]], *, raw: bool = False) -> Int8Array:
        """Vectors of texts that are given as words.

        Shapes: result int8[len(texts), dim].
        """
        rows = [self.ids(words) for words in texts]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return self.sums(np.concatenate([np.empty(0, np.int32), *rows]), offsets, raw=raw)


def _with_zero(vectors: Int8Array, weights: Int32Array) -> NDArray[np.int16]:
    """Each vector times its weight, and zeros as the last row: what an unknown word, number -1, adds to a sum."""
    table = np.zeros((len(vectors) + 1, vectors.shape[1]), np.int16)
    np.multiply(vectors, weights[:, None], out=table[:-1], casting="unsafe")
    return table


def build_space(
    counts: Sequence[WordCount],
    total: int,
    encoder: Encoder,
    *,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> WordSpace:
    """The space of the counted words.

    Args:
        counts: The words, in the order of their rows.
        total: Number of texts.
        encoder: Sees each word once, as a document.
        cache: Folder that keeps vectors of words between runs and collections.
        progress: Told of "words" encoded.
    """
    words = [entry.word for entry in counts]
    raw = whole(_encoded(words, encoder, cache, progress))
    occurrences = np.array([entry.count for entry in counts], np.int64)
    return WordSpace(tuple(words), raw, occurrences, np.array([entry.texts for entry in counts], np.int64), total)


def _encoded(words: list[str], encoder: Encoder, cache: Path | None, progress: Progress) -> Float32Array:
    kept = VectorCache(cache, encoder.info) if cache is not None and encoder.batch_invariant else None
    vectors = np.zeros((len(words), encoder.info.dim), np.float32)
    for at in range(0, len(words), BATCH):
        part = words[at : at + BATCH]
        fresh = encoder.encode_documents(part) if kept is None else kept.encode(part, encoder)
        vectors[at : at + len(part)] = fresh
        progress("words", at + len(part), len(words))
    return vectors
