"""What a topic is called: phrases that are telling and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.analysis.porter import stem
from twindex.indexing.expansion.ctfidf import TopicPhrase
from twindex.indexing.expansion.mmr import diverse
from twindex.indexing.expansion.whole_vectors import Int8Array, cosines
from twindex.indexing.expansion.word_space import WordSpace

#: How much unlikeness counts against weight, for words and for the label.
DIVERSITY: Final = 0.3
#: Phrases of a label.
LABEL: Final = 4


@dataclass(frozen=True, slots=True)
class Description:
    """Phrases, best first, and a short label made of them."""

    words: tuple[str, ...]
    label: str


def describe(pool: Sequence[TopicPhrase], space: WordSpace, centre: Int8Array, count: int) -> Description:
    """The description of a topic from its phrases by class-based TF-IDF.

    A phrase's relevance is its weight, as a share of the largest, times its cosine with the topic's centre.

    Shapes: ``centre`` int8[dim].
    """
    names = [" ".join(space.words[number] for number in phrase.words) for phrase in pool]
    kept = _distinct(names)
    if not kept:
        return Description((), "")
    names = [names[at] for at in kept]
    vectors = space.of([name.split(" ") for name in names])
    weights = np.array([pool[at].weight for at in kept], np.float32)
    near = np.maximum(cosines(vectors, centre[None, :])[:, 0], 0)
    relevance = weights / weights.max() * near
    order = diverse(relevance / max(float(relevance.max()), 1e-9), cosines(vectors, vectors), count, DIVERSITY)
    chosen = tuple(names[at] for at in order.tolist())
    return Description(chosen, ", ".join(chosen[:LABEL]))


def _distinct(names: Sequence[str]) -> list[int]:
    """Places of the phrases, without later ones that have the same stems."""
    seen: set[frozenset[str]] = set()
    kept: list[int] = []
    for at, name in enumerate(names):
        stems = frozenset(stem(word) for word in name.split(" "))
        if stems not in seen:
            seen.add(stems)
            kept.append(at)
    return kept
