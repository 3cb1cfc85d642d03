"""Feature hashing into a sparse vocabulary: a learned-sparse encoder without a model, for tests and fixtures.

Each word and each of its character trigrams has a dimension (Weinberger et al. 2009, "Feature Hashing for Large Scale
Multitask Learning", section 2, without signs). A dimension's weight is log(1 + its count), trigrams counting a quarter:
saturated like the weights of trained encoders (Formal et al. 2021, "SPLADE", equation 4), but knowing nothing of
meaning. Queries weigh their words alone, and by a number that the word's hash gives, in the place of a learned one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from twindex.indexing.encoders.word_features import WordFeatures, number, words
from twindex.indexing.encoding import SparseEncoderInfo, SparseRows
from twindex.indexing.types import Float32Array, Int32Array

#: Raised whenever the same text would get another vector.
VERSION: Final = 1
MAX_WEIGHT: Final = 4.0


class SparseHashingEncoder:
    """Unsigned feature hashing of words and character trigrams.

    Args:
        vocabulary: Number of dimensions.

    Raises:
        ConfigError: If ``vocabulary`` is out of range.
    """

    def __init__(self, vocabulary: int = 4096) -> None:
        name, fingerprint = f"sparse-hashing:{vocabulary}", f"sparse-hashing/v{VERSION}/{vocabulary}"
        self._info = SparseEncoderInfo(name, fingerprint, vocabulary, MAX_WEIGHT)
        self._features = WordFeatures(lambda feature, weight: (feature % vocabulary, weight))

    @property
    def info(self) -> SparseEncoderInfo:
        """Identity and shape of the vectors."""
        return self._info

    def encode_documents(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of documents, in the order of ``texts``."""
        rows = [self._document(text) for text in texts]
        pointers = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=pointers[1:])
        ids = [dimension for row in rows for dimension in sorted(row)]
        weights = [row[dimension] for row in rows for dimension in sorted(row)]
        return SparseRows(pointers, np.array(ids, np.int32), np.array(weights, np.float32))

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """The dimensions of the query's words, ascending, and their weights.

        Shapes: int32[m], float32[m].
        """
        found: dict[int, float] = {}
        for word in words(text):
            dimension = self._features.of(word)[0][0]
            found[dimension] = found.get(dimension, 0.0) + 0.5 + number(f"i{word}") % 64 / 32
        ids = sorted(found)
        return np.array(ids, np.int32), np.array([found[dimension] for dimension in ids], np.float32)

    def _document(self, text: str) -> dict[int, float]:
        counts: dict[int, float] = {}
        for word in words(text):
            for dimension, weight in self._features.of(word):
                counts[dimension] = counts.get(dimension, 0.0) + weight
        return {dimension: min(math.log1p(count), MAX_WEIGHT) for dimension, count in counts.items()}
