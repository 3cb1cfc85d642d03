"""Hashed features of words, for the encoders that need no model: a word, and its character trigrams.

Source: Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning", section 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

#: Weights are dyadic, so their sums are exact in float64 and the order of addition cannot matter.
WORD_WEIGHT: Final = 1.0
GRAM_WEIGHT: Final = 0.25
GRAM: Final = 3
#: Words whose features are remembered; beyond it the memory starts anew.
MEMORY: Final = 1 << 16

_WORD = re.compile(r"\w+")

#: Dimensions of one word, with what each counts; the word's own comes first.
Features = tuple[tuple[int, float], ...]


class WordFeatures:
    """Features of words, remembered.

    Args:
        place: From a feature's number and weight to its dimension and what it counts there.
    """

    def __init__(self, place: Callable[[int, float], tuple[int, float]]) -> None:
        self._place = place
        self._memory: dict[str, Features] = {}

    def of(self, word: str) -> Features:
        """Dimensions of the word and of its trigrams."""
        known = self._memory.get(word)
        if known is None:
            if len(self._memory) >= MEMORY:
                self._memory = {}
            known = self._memory[word] = tuple(self._place(*feature) for feature in _features(word))
        return known


def words(text: str) -> list[str]:
    """Words in lower case."""
    return _WORD.findall(text.lower())


def number(feature: str) -> int:
    """A number of 64 bits; blake2b, as Python's hash() of strings differs between processes."""
    return int.from_bytes(blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _features(word: str) -> Iterator[tuple[int, float]]:
    yield number(f"w{word}"), WORD_WEIGHT
    padded = f"<{word}>"
    for start in range(len(padded) - GRAM + 1):
        yield number(f"g{padded[start : start + GRAM]}"), GRAM_WEIGHT
