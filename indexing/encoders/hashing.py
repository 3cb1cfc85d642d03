"""Feature hashing: an encoder without a model, for tests, fixtures and machines with no model at hand.

Words and their character trigrams are hashed into signed buckets (Weinberger et al. 2009, "Feature
Hashing for Large Scale Multitask Learning", section 2), so texts that share words or word stems are
close. It knows nothing of meaning: a bag of words in a fixed number of dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from twindex.indexing.encoders.word_features import WordFeatures, words
from twindex.indexing.encoding import EncoderInfo
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array

#: Raised whenever the same text would get another vector.
VERSION: Final = 1
MIN_DIM: Final = 8
MAX_DIM: Final = 65_536


class HashingEncoder:
    """Signed feature hashing of words and character trigrams, L2-normalised.

    Args:
        dim: Number of dimensions, 8 to 65,536.

    Raises:
        ConfigError: If ``dim`` is out of range.
    """

    def __init__(self, dim: int = 256) -> None:
        if not MIN_DIM <= dim <= MAX_DIM:
            raise ConfigError(f"hashing encoder of {dim} dimensions", expected=f"a number from {MIN_DIM} to {MAX_DIM}")
        self._dim = dim
        self._features = WordFeatures(self._bucket)
        # Hashing reads every word; max_length 0 says that there is no limit in tokens.
        self._info = EncoderInfo(name=f"hashing:{dim}", fingerprint=f"hashing/v{VERSION}/{dim}", dim=dim, max_length=0)

    @property
    def info(self) -> EncoderInfo:
        """Identity and shape of the vectors."""
        return self._info

    @property
    def batch_invariant(self) -> bool:
        """True: each text is counted by itself."""
        return True

    def encode_documents(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of documents.

        Shapes: result float32[len(texts), dim].
        """
        out = np.zeros((len(texts), self._dim), np.float32)
        for row, text in enumerate(texts):
            out[row] = self._vector(text)
        return out

    def encode_queries(self, texts: Sequence[str]) -> Float32Array:
        """Vectors of queries: the same as those of documents."""
        return self.encode_documents(texts)

    def _vector(self, text: str) -> Float32Array:
        counts = [0.0] * self._dim
        for word in words(text) or [text]:  # so that nothing encodes to zero
            for bucket, weight in self._features.of(word):
                counts[bucket] += weight
        vector = np.asarray(counts, np.float64)
        norm = float(np.sqrt((vector * vector).sum()))
        if norm == 0.0:  # opposite signs in one bucket can cancel everything
            vector[0], norm = 1.0, 1.0
        return (vector / norm).astype(np.float32)

    def _bucket(self, number: int, weight: float) -> tuple[int, float]:
        return (number >> 1) % self._dim, weight if number & 1 else -weight
