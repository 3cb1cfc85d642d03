"""Topics and keyword candidates of a document, whoever finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twindex.indexing.expansion.keyword_queries import keyword_queries
from twindex.indexing.expansion.keywords import KeywordConfig, KeywordSelector
from twindex.indexing.expansion.topics import TopicModel
from twindex.indexing.types import Float32Array


@dataclass(frozen=True, slots=True)
class Guidance:
    """What guides the queries of one document.

    ``topics`` are (number, weight, label), the weightiest first; ``candidates`` is the pool to choose from and
    ``chosen`` what is taken where nobody chooses; ``queries`` are made of keywords alone, the most telling first.
    """

    topics: tuple[tuple[int, float, str], ...]
    candidates: tuple[str, ...]
    chosen: tuple[str, ...]
    queries: tuple[str, ...] = ()


class Guide(Protocol):
    """Finds topics and keywords."""

    @property
    def fingerprint(self) -> str:
        """Equal for guides that give equal guidance."""

    def guide(self, contents: Sequence[str], queries: int = 0) -> list[Guidance]:
        """Guidance for each text.

        Args:
            contents: Titles and texts (:attr:`Passage.contents`).
            queries: How many queries of keywords are wanted.
        """


class TopicGuide:
    """A :class:`Guide` from a topic model.

    Args:
        model: Topics of the collection.
        vectors: Gives float32[n, dim] for n texts, by the encoder that the model was made with (as the index has
            them, so a cache of vectors makes this free); None = means of words, which find worse keywords.
        config: How keywords are chosen; None = the defaults.
    """

    def __init__(
        self,
        model: TopicModel,
        vectors: Callable[[Sequence[str]], Float32Array] | None = None,
        config: KeywordConfig | None = None,
    ) -> None:
        self._model = model
        self._vectors = vectors
        self._config = config or KeywordConfig()
        self._selector = KeywordSelector(model, self._config)

    @property
    def fingerprint(self) -> str:
        """The model's, with the settings of the keywords."""
        settings = ",".join(f"{key}={value}" for key, value in sorted(self._config.to_dict().items()))
        return f"{self._model.fingerprint}:{settings}:{'texts' if self._vectors else 'words'}"

    def guide(self, contents: Sequence[str], queries: int = 0) -> list[Guidance]:
        """As :class:`Guide` says."""
        vectors = self._vectors(contents) if self._vectors else None
        labels = {topic.id: topic.label for topic in self._model.topics}
        return [
            Guidance(
                tuple((number, round(share, 6), labels[number]) for number, share in choice.topics.weights),
                tuple(keyword.text for keyword in choice.candidates),
                tuple(keyword.text for keyword in choice.chosen),
                keyword_queries(choice, queries) if queries else (),
            )
            for choice in self._selector.select_many(contents, vectors)
        ]
