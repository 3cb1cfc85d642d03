"""Topics of a collection: what its sentences are about, found without labels.

Sentences become vectors of a :class:`WordSpace`, vectors become clusters, clusters get the phrases that set them apart.
A text has the topics of its sentences. The same texts, encoder and configuration give the same model, byte for byte,
whatever the number of threads.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError, CorpusError
from twindex.indexing.expansion.ctfidf import frequent_pairs, top_phrases
from twindex.indexing.expansion.sentences import split
from twindex.indexing.expansion.spherical_kmeans import Nearest, kmeans, nearest
from twindex.indexing.expansion.topic_config import TopicConfig
from twindex.indexing.expansion.topic_words import describe
from twindex.indexing.expansion.whole_vectors import Int8Array, dots, norms, whole
from twindex.indexing.expansion.word_space import WordSpace, build_space
from twindex.indexing.expansion.word_stream import WordStream, read_words
from twindex.indexing.expansion.words import words
from twindex.indexing.types import Float32Array, Int32Array, Int64Array, Progress, no_progress

#: Raised whenever the same texts would give other topics.
VERSION: Final = 1
#: Nearest topics among which a sentence shares its weight, and how sharply.
SHARED: Final = 3
SHARPNESS: Final = 20.0
#: Phrases of a topic from which its words are chosen.
POOL: Final = 40
#: Digits of weights and shares: the last bits of exp() differ between processors.
DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its number, the phrases that set it apart (best first), a label, and how many sentences it has."""

    id: int
    words: tuple[str, ...]
    label: str
    size: int


@dataclass(frozen=True, slots=True)
class DocumentTopics:
    """Topics of one text.

    ``weights`` has (topic, share) with the largest share first; shares and ``outliers``, the share of sentences of no
    topic, add up to 1. A text without sentences has neither.
    """

    weights: tuple[tuple[int, float], ...]
    outliers: float

    def top(self, count: int) -> tuple[tuple[int, float], ...]:
        """The topics of the largest share."""
        return self.weights[:count]


@dataclass(frozen=True, eq=False)
class TopicModel:
    """Topics and the space in which they are.

    Shapes: ``centres`` int8[topics, dim]; ``pairs`` int64[P], frequent neighbours as first * words + second, ascending.
    ``threshold`` is the least cosine of a sentence and its topic. ``sentences`` and
    ``outliers`` count those of the collection; ``encoder`` is the fingerprint of what gave the words their vectors.
    """

    config: TopicConfig
    space: WordSpace
    centres: Int8Array
    pairs: Int64Array
    topics: tuple[Topic, ...]
    threshold: float
    sentences: int
    outliers: int
    encoder: str

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        encoder: Encoder,
        config: TopicConfig | None = None,
        *,
        cache: Path | None = None,
        progress: Progress = no_progress,
    ) -> TopicModel:
        """The model of a collection.

        One pass over the texts; memory is bounded by the distinct words, the topics and one sample of sentences, while
        sentences are kept as numbers and as vectors in temporary files (about 60 + dim bytes each).

        Args:
            texts: Contents of passages (title and text).
            encoder: Sees each word of the collection once, never a text.
            config: None = the defaults.
            cache: Folder that keeps vectors of words between runs and collections.
            progress: Told of "reading", "words", "sentences" and "topics".

        Raises:
            CorpusError: If no text has a sentence.
        """
        config = config or TopicConfig()
        with tempfile.TemporaryDirectory(prefix="twindex-topics-") as name:
            folder = Path(name)
            stream = read_words(
                texts,
                folder,
                config.sentences,
                min_texts=config.min_texts,
                max_words=config.max_words,
                progress=progress,
            )
            if not len(stream) or not stream.counts:
                raise CorpusError(
                    f"{stream.texts} texts without words for topics",
                    expected=f"sentences with words that at least {config.min_texts} texts share",
                    remedy="give more texts, or prose; the method plain needs no topics",
                )
            space = build_space(stream.counts, stream.texts, encoder, cache=cache, progress=progress)
            rows = _sentence_vectors(stream, space, folder / "sentences.i8", config.context, progress)
            return _clustered(config, stream, space, rows, encoder.info.fingerprint, progress)

    def document(self, text: str) -> DocumentTopics:
        """The topics of a text, known or new. No encoder is needed."""
        return self.documents([text])[0]

    def documents(self, texts: Sequence[str]) -> list[DocumentTopics]:
        """The topics of texts."""
        sentences = [split(text, self.config.sentences) for text in texts]
        label, share = self._shares(self._rows(sentences))
        edges = np.cumsum([0, *map(len, sentences)]).tolist()
        return [_document(label[low:high], share[low:high]) for low, high in pairwise(edges)]

    def nearest_topics(self, sentences: Sequence[Sequence[str]]) -> list[tuple[int, float]]:
        """Nearest topic (-1 = none) and cosine of each sentence; the sentences are given text by text."""
        found = nearest(self._rows(sentences), self.centres)
        label = np.where(found.cosine >= self.threshold, found.label, -1)
        return list(zip(label.tolist(), found.cosine.tolist()))

    def is_phrase(self, phrase: str) -> bool:
        """Whether the phrase is a word, or a pair that the collection has at least three times."""
        if " " not in phrase:
            return phrase in self.space.numbers
        numbers = self.space.numbers
        first, _, second = phrase.partition(" ")
        return numbers.get(first, -1) * len(numbers) + numbers.get(second, -1) in self._pair_set

    @cached_property
    def _pair_set(self) -> frozenset[int]:
        return frozenset(self.pairs.tolist())

    def labelled(self, labels: Mapping[int, str]) -> TopicModel:
        """The same topics under other labels, as a language model refines them.

        Raises:
            ConfigError: If there is no such topic, or a label is empty.
        """
        for number, label in labels.items():
            if not 0 <= number < len(self.topics) or not label.strip():
                raise ConfigError(f"label {label!r} of topic {number}", expected="a text for a topic of this model")
        topics = (replace(topic, label=labels.get(topic.id, topic.label).strip()) for topic in self.topics)
        return replace(self, topics=tuple(topics))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that decides the topics of a text, labels included."""
        facts = [VERSION, self.encoder, self.config.to_dict(), self.threshold, self.space.total]
        digest = sha256(json.dumps(facts).encode())
        digest.update("\0".join(self.space.words).encode("utf-8", "surrogatepass"))
        for part in (self.space.raw, self.space.counts, self.space.texts, self.centres, self.pairs):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(json.dumps([[topic.words, topic.label] for topic in self.topics]).encode())
        return digest.hexdigest()

    def _rows(self, sentences: Sequence[Sequence[str]]) -> Int8Array:
        """Vectors of the sentences of all texts, each drawn to its text."""
        rows = self.space.of([words(sentence) for text in sentences for sentence in text])
        text_of = np.repeat(np.arange(len(sentences), dtype=np.int32), [len(text) for text in sentences])
        return with_context(rows, text_of, self.config.context)

    def _shares(self, rows: Int8Array) -> tuple[Int32Array, Float32Array]:
        """The nearest topics of each sentence and its share in each: int32[n, m], float32[n, m]."""
        width = min(SHARED, len(self.centres))
        cosine = dots(rows, self.centres) / norms(self.centres)[None, :] / norms(rows)[:, None]
        label = np.empty((len(rows), width), np.int32)
        near = np.empty((len(rows), width), np.float32)
        every = np.arange(len(rows))
        for place in range(width):  # the best, then the next; of equals the first
            label[:, place] = best = cosine.argmax(axis=1)
            near[:, place] = cosine[every, best]
            cosine[every, best] = -np.inf
        in_reach = (near >= self.threshold) & rows.any(axis=1, keepdims=True)
        pull = np.where(in_reach, np.exp((near - near[:, :1]) * np.float32(SHARPNESS)), 0)
        total = pull.sum(axis=1, keepdims=True)
        return label, (pull / np.where(total > 0, total, 1)).astype(np.float32)


def _document(label: Int32Array, share: Float32Array) -> DocumentTopics:
    if not len(label):
        return DocumentTopics((), 0.0)
    weights: dict[int, float] = {}
    for topic, part in zip(label.ravel().tolist(), share.ravel().tolist()):
        if part > 0:
            weights[topic] = weights.get(topic, 0.0) + part / len(label)
    rounded = [(topic, round(weight, DIGITS)) for topic, weight in weights.items()]
    ordered = tuple(sorted(rounded, key=lambda pair: (-pair[1], pair[0])))
    return DocumentTopics(ordered, round(max(0.0, 1.0 - sum(weights.values())), DIGITS))


def with_context(rows: Int8Array, text_of: Int32Array, context: float) -> Int8Array:
    """Each sentence with ``context`` times the mean direction of its text's sentences; one without words stays zero.

    Shapes: ``rows`` int8[n, dim]; ``text_of`` int32[n], ascending; result int8[n, dim].
    """
    if not context or not len(rows):
        return rows
    starts = np.flatnonzero(np.concatenate([[True], text_of[1:] != text_of[:-1]]))
    unit = rows / norms(rows).astype(np.float64)[:, None]
    means = np.add.reduceat(unit, starts, axis=0)
    means /= np.maximum(np.sqrt((means * means).sum(axis=1, keepdims=True)), 1e-12)
    drawn = unit + context * np.repeat(means, np.diff(np.append(starts, len(rows))), axis=0)
    return whole(np.where(rows.any(axis=1, keepdims=True), drawn, 0.0))


def _sentence_vectors(
    stream: WordStream, space: WordSpace, path: Path, context: float, progress: Progress
) -> Int8Array:
    rows: Int8Array = np.memmap(path, np.int8, mode="w+", shape=(len(stream), space.dim))
    for span, ids, offsets in stream.blocks():
        before = np.concatenate([[0], np.cumsum(ids >= 0)])
        vectors = space.sums(ids[ids >= 0], before[offsets])
        rows[span] = with_context(vectors, stream.text_of[span], context)
        progress("sentences", span.stop, len(stream))
    return rows


def _clustered(
    config: TopicConfig, stream: WordStream, space: WordSpace, rows: Int8Array, encoder: str, progress: Progress
) -> TopicModel:
    count = config.count(len(rows))
    progress("topics", 0, count)
    centres = kmeans(rows, count, seed=config.seed, rounds=config.rounds)
    found = nearest(rows, centres)
    large = np.flatnonzero(np.bincount(found.label, minlength=len(centres)) >= config.min_size)
    if 0 < len(large) < len(centres):
        centres = centres[large]
        found = nearest(rows, centres)
    threshold = _threshold(found, config.outliers)
    label = np.where(found.cosine >= threshold, found.label, -1).astype(np.int32)
    sizes = np.bincount(label[label >= 0], minlength=len(centres))
    pairs = frequent_pairs(stream)
    topics = []
    for number, pool in enumerate(top_phrases(stream, label, pairs, len(centres), POOL)):
        chosen = describe(pool, space, centres[number], config.words)
        topics.append(Topic(number, chosen.words, chosen.label, int(sizes[number])))
    progress("topics", count, count)
    return TopicModel(
        config, space, centres, pairs, tuple(topics), threshold, len(rows), int((label < 0).sum()), encoder
    )


def _threshold(found: Nearest, outliers: float) -> float:
    """The cosine below which the share ``outliers`` of the sentences lies."""
    ordered = np.sort(found.cosine)
    return float(ordered[int(len(ordered) * outliers)])
