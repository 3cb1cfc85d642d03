"""Words that set a topic apart: class-based TF-IDF over words and pairs of words.

The sentences of a topic are read as one document: weight = (count in the topic / words of the topic) *
ln(1 + A / count in all topics), where A is the mean number of words of a topic. Counting is by sorted numbers in blocks
of sentences, so memory is that of the distinct (topic, phrase) pairs. Source: M. Grootendorst, "BERTopic: Neural topic
modeling with a class-based TF-IDF procedure", 2022, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.expansion.word_stream import WordStream
from twindex.indexing.types import Int32Array, Int64Array

#: A pair of words that is rarer in the collection is chance.
MIN_PAIR: Final = 3
#: Distinct pairs at which rare ones are let go, so that memory stays bounded.
MOST_PAIRS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class TopicPhrase:
    """A phrase of one topic: numbers of its one or two words, its weight, and how often it is there."""

    words: tuple[int, ...]
    weight: float
    count: int


def top_phrases(
    stream: WordStream, label: Int32Array, pairs: Int64Array, topics: int, most: int
) -> list[list[TopicPhrase]]:
    """The ``most`` phrases of the largest weight of each topic, which have been there at least twice.

    Shapes: ``label`` int32[sentences], below 0 = of no topic; ``pairs`` as of :func:`frequent_pairs`.
    """
    size = len(stream.counts)
    terms = size + len(pairs)
    keys, counts = _count_by_topic(stream, label, pairs, size)
    topic, term = np.divmod(keys, max(1, terms))
    everywhere = np.bincount(term, weights=counts, minlength=terms)
    # Length of a topic in words: pairs repeat them.
    length = np.bincount(topic, weights=np.where(term < size, counts, 0), minlength=topics)
    mean = float(length.sum()) / max(1, topics)
    weight = counts / np.maximum(1.0, length[topic]) * np.log1p(mean / everywhere[term])
    found: list[list[TopicPhrase]] = []
    edges = np.searchsorted(topic, np.arange(topics + 1))
    for number in range(topics):
        low, high = int(edges[number]), int(edges[number + 1])
        rows = low + np.flatnonzero(counts[low:high] > 1)
        best = rows[np.argsort(-weight[rows], kind="stable")[:most]]
        found.append(
            [
                TopicPhrase(_split(int(term[row]), size, pairs), float(weight[row]), int(counts[row]))
                for row in best.tolist()
            ]
        )
    return found


def _split(term: int, size: int, pairs: Int64Array) -> tuple[int, ...]:
    if term < size:
        return (term,)
    first, second = divmod(int(pairs[term - size]), size)
    return first, second


def _pair_keys(ids: Int32Array, size: int) -> tuple[Int64Array, Int64Array]:
    """Numbers of neighbouring words as one number, and where the first of them stands."""
    first, second = ids[:-1].astype(np.int64), ids[1:].astype(np.int64)
    at = np.flatnonzero((first >= 0) & (second >= 0) & (first != second))
    return first[at] * size + second[at], at


def frequent_pairs(stream: WordStream) -> Int64Array:
    """Pairs of neighbouring words that the collection has at least three times.

    Shapes: result int64[P], first * words + second, ascending.
    """
    size = len(stream.counts)
    keys, counts, floor = np.empty(0, np.int64), np.empty(0, np.int64), 1
    for _, ids, _ in stream.blocks():
        fresh, times = np.unique(_pair_keys(ids, size)[0], return_counts=True)
        keys, counts = _merged(keys, counts, fresh, times)
        while len(keys) > MOST_PAIRS:
            keep = counts > floor
            keys, counts, floor = keys[keep], counts[keep], floor + 1
    return keys[counts >= MIN_PAIR]


def _count_by_topic(
    stream: WordStream, label: Int32Array, pairs: Int64Array, size: int
) -> tuple[Int64Array, Int64Array]:
    """Counts by topic * terms + term, ascending."""
    terms = size + len(pairs)
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for span, ids, offsets in stream.blocks():
        topic = np.repeat(label[span], np.diff(offsets)).astype(np.int64)
        single = np.flatnonzero((ids >= 0) & (topic >= 0))
        pair, at = _pair_keys(ids, size)
        place = np.searchsorted(pairs, pair)
        known = np.flatnonzero(place < len(pairs)) if len(pairs) else np.empty(0, np.int64)
        known = known[(pairs[place[known]] == pair[known]) & (topic[at[known]] >= 0)]
        both = [topic[single] * terms + ids[single], topic[at[known]] * terms + size + place[known]]
        fresh, times = np.unique(np.concatenate(both), return_counts=True)
        keys, counts = _merged(keys, counts, fresh, times)
    return keys, counts


def _merged(
    keys: Int64Array, counts: Int64Array, fresh: Int64Array, times: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """Two ascending lists of keys with counts as one."""
    both = np.concatenate([keys, fresh])
    order = np.argsort(both, kind="stable")
    both, number = both[order], np.concatenate([counts, times])[order]
    starts = np.flatnonzero(np.concatenate([[True], both[1:] != both[:-1]])) if len(both) else np.empty(0, np.int64)
    if not len(starts):
        return both, number
    return both[starts], np.add.reduceat(number, starts)
