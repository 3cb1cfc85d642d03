"""Sentences that stand for a topic: what one shows to a person, or to a language model that is to name it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from twindex.indexing.expansion.sentences import split
from twindex.indexing.expansion.topics import TopicModel

#: Texts whose sentences are looked at together.
BATCH: Final = 256
#: A sample is cut at so many characters, between words.
MAX_CHARS: Final = 240


def topic_samples(model: TopicModel, texts: Iterable[str], count: int = 3) -> list[tuple[str, ...]]:
    """The ``count`` sentences nearest to each topic, nearest first; of equals, and of the same words, the first.

    One pass over the texts; their sentences of no topic are left out.
    """
    best: list[list[tuple[float, int, str]]] = [[] for _ in model.topics]
    number = 0
    stream = iter(texts)
    while batch := list(islice(stream, BATCH)):
        sentences = [split(text, model.config.sentences) for text in batch]
        flat = (sentence for found in sentences for sentence in found)
        for sentence, (topic, cosine) in zip(flat, model.nearest_topics(sentences)):
            number += 1
            if topic < 0 or (len(best[topic]) == count and cosine <= best[topic][-1][0]):
                continue
            text = _shown(sentence)
            if all(text != known for _, _, known in best[topic]):
                best[topic] = sorted([*best[topic], (cosine, -number, text)], reverse=True)[:count]
    return [tuple(text for _, _, text in kept) for kept in best]


def _shown(sentence: str) -> str:
    text = " ".join(sentence.split())
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS].rpartition(" ")[0] + " …"
