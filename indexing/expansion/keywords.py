"""Keywords of a text: phrases of its own that stand for it, and phrases of its topics that it may lack.

Own phrases are ranked by their cosine with the text and thinned by MMR, as KeyBERT does (M. Grootendorst, 2020), but
in a :class:`WordSpace`, where phrases cost no encoding. No language model is needed: ``chosen`` is what one takes
without it, ``candidates`` is what one shows to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np

from twindex.indexing.analysis.porter import stem
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.mmr import diverse
from twindex.indexing.expansion.topics import DocumentTopics, TopicModel
from twindex.indexing.expansion.whole_vectors import Int8Array, cosines, whole
from twindex.indexing.expansion.words import phrases
from twindex.indexing.types import Float32Array

Source = Literal["document", "topic"]
#: Digits of scores: the last bits of a square root's quotient need not travel.
DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class KeywordConfig:
    """How keywords are chosen.

    - ``pool``: own phrases that are considered, and ``count`` that are chosen among them;
    - ``diversity``: how much likeness to a chosen phrase counts against one, 0 to 1;
    - ``topics``, ``topic_words``: topics of the text that give phrases, and how many each.

    Raises:
        ConfigError: If a value is out of range.
    """

    pool: int = 20
    count: int = 10
    diversity: float = 0.3
    topics: int = 3
    topic_words: int = 10

    def __post_init__(self) -> None:
        if not 0.0 <= self.diversity <= 1.0:
            raise ConfigError(f"a diversity of {self.diversity}", expected="a number from 0 to 1")
        if not 1 <= self.count <= self.pool:
            raise ConfigError(f"{self.count} keywords of {self.pool}", expected="1 or more, of at least as many")
        if self.topics < 0 or self.topic_words < 0:
            raise ConfigError(f"{self.topic_words} words of {self.topics} topics", expected="numbers of 0 or more")

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A phrase and where it is from.

    ``score``: cosine with the text, or for a phrase of a topic (its number in ``topic``, else -1) that times the
    topic's share and the phrase's standing in it.
    """

    text: str
    score: float
    source: Source
    topic: int = -1


@dataclass(frozen=True, slots=True)
class KeywordChoice:
    """Keywords of one text.

    ``own`` are the chosen phrases of the text, ``topical`` those of its topics, ``fitting`` the topical ones that the
    text has not, each with the best first; ``topics`` are the text's.
    """

    own: tuple[Keyword, ...]
    topical: tuple[Keyword, ...]
    fitting: tuple[Keyword, ...]
    topics: DocumentTopics

    @property
    def candidates(self) -> tuple[Keyword, ...]:
        """What a language model selects from."""
        return self.own + self.fitting

    @property
    def chosen(self) -> tuple[Keyword, ...]:
        """What is taken without one: as many as there are own phrases, every third from the topics."""
        own, fitting = list(self.own), list(self.fitting)
        mixed: list[Keyword] = []
        while len(mixed) < len(self.own) and (own or fitting):
            turn = fitting if (len(mixed) % 3 == 2 and fitting) or not own else own
            mixed.append(turn.pop(0))
        return tuple(mixed)


class KeywordSelector:
    """Chooses keywords by a topic model; safe for threads.

    Args:
        model: Topics and vectors.
        config: None = the defaults.
    """

    def __init__(self, model: TopicModel, config: KeywordConfig | None = None) -> None:
        self.model = model
        self.config = config or KeywordConfig()
        self._topics: dict[int, tuple[tuple[str, ...], Int8Array]] = {}

    def select(self, text: str, vector: Float32Array | None = None) -> KeywordChoice:
        """Keywords of a text, known to the model or new.

        Args:
            text: Contents of a passage.
            vector: float32[dim], the text's vector by the encoder of the model's words, as an index has it. Without it
                the weighted mean of the words' vectors is taken, which finds worse keywords.
        """
        return self.select_many([text], None if vector is None else vector[None, :])[0]

    def select_many(self, texts: Sequence[str], vectors: Float32Array | None = None) -> list[KeywordChoice]:
        """Keywords of texts; each by itself.

        Shapes: ``vectors`` float32[len(texts), dim].

        Raises:
            ConfigError: If the vectors do not fit the texts or the model.
        """
        found = [Counter(phrases(text)) for text in texts]
        if vectors is None:
            centres = self.model.space.of([_repeated(counts) for counts in found], raw=True)
        elif vectors.shape == (len(texts), self.model.space.dim):
            centres = whole(vectors)
        else:
            raise ConfigError(
                f"vectors of shape {vectors.shape} for {len(texts)} texts",
                expected=f"one of {self.model.space.dim} dimensions a text",
                remedy="encode the texts with the encoder that the topics were made with",
            )
        topics = self.model.documents(texts)
        return [self._choice(found[at], centres[at : at + 1], topics[at]) for at in range(len(texts))]

    def _choice(self, counts: Mapping[str, int], centre: Int8Array, topics: DocumentTopics) -> KeywordChoice:
        stems: dict[str, str] = {}
        for name in counts:
            if counts[name] > 1 or self.model.is_phrase(name):
                stems.setdefault(stemmed(name), name)
        own = self._own(list(stems.values()), counts, centre)
        topical = self._topical(topics, centre)
        fitting = tuple(keyword for keyword in topical if stemmed(keyword.text) not in stems)
        return KeywordChoice(own, topical, fitting, topics)

    def _own(self, names: Sequence[str], counts: Mapping[str, int], centre: Int8Array) -> tuple[Keyword, ...]:
        """Phrases by cosine with the text, times what they are said more than once."""
        if not names:
            return ()
        near = np.maximum(cosines(self.model.space.phrases(names, raw=True), centre)[:, 0], 0)
        scores = near * np.array([_saturated(counts[name]) for name in names], np.float32)
        best = np.argsort(-scores, kind="stable")[: self.config.pool]
        best = best[scores[best] > 0]
        if not len(best):
            return ()
        pool = self.model.space.phrases([names[at] for at in best.tolist()])
        relevance = scores[best] / scores[best[0]]
        order = diverse(relevance, np.maximum(cosines(pool, pool), 0), self.config.count, self.config.diversity)
        return tuple(_keyword(names[at], near[at], "document") for at in best[order].tolist())

    def _topical(self, topics: DocumentTopics, centre: Int8Array) -> tuple[Keyword, ...]:
        """Phrases of the top topics by the topic's share, times standing in it, times cosine with the text."""
        found: dict[str, Keyword] = {}
        for number, share in topics.top(self.config.topics):
            names, vectors = self._of_topic(number)
            if not names:
                continue
            near = np.maximum(cosines(vectors, centre)[:, 0], 0).tolist()
            for place, (name, cosine) in enumerate(zip(names, near)):
                key = stemmed(name)
                score = share * (1 - place / (2 * len(names))) * cosine
                if key not in found or score > found[key].score:
                    found[key] = _keyword(name, score, "topic", number)
        return tuple(sorted(found.values(), key=lambda keyword: (-keyword.score, keyword.text)))

    def _of_topic(self, topic: int) -> tuple[tuple[str, ...], Int8Array]:
        """Phrases of a topic and their vectors, made once."""
        known = self._topics.get(topic)
        if known is None:
            names = self.model.topics[topic].words[: self.config.topic_words]
            known = names, self.model.space.phrases(names, raw=True)
            self._topics[topic] = known
        return known


@lru_cache(maxsize=1 << 17)
def stemmed(phrase: str) -> str:
    """The stems of a phrase, by which two are the same."""
    return " ".join(stem(word) for word in phrase.split(" "))


def _repeated(counts: Mapping[str, int]) -> list[str]:
    return [name for name, count in counts.items() if " " not in name for _ in range(count)]


def _saturated(count: int) -> float:
    """BM25's saturation of a count, k1 = 0.9: 1 for the first, below 1.9 for ever so many."""
    return 1.9 * count / (count + 0.9)


def _keyword(text: str, score: float, source: Source, topic: int = -1) -> Keyword:
    return Keyword(text, round(float(score), DIGITS), source, topic)
