"""Topics and keyword candidates of a document, whoever finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from twindex.indexing.expansion.keyword_queries import keyword_queries
from twindex.indexing.expansion.keywords import KeywordConfig, KeywordSelector
from twindex.indexing.expansion.topics import TopicModel


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
    """A :class:`Guide` from a topic model."""

    def __init__(self, model: TopicModel, config: KeywordConfig | None = None) -> None:
        self._model = model
        self._config = config or KeywordConfig()
        self._selector = KeywordSelector(model, self._config)

    @property
    def fingerprint(self) -> str:
        """The model's, with the settings of the keywords."""
        settings = ",".join(f"{key}={value}" for key, value in sorted(self._config.to_dict().items()))
        return f"{self._model.fingerprint}:{settings}"

    def guide(self, contents: Sequence[str], queries: int = 0) -> list[Guidance]:
        """As :class:`Guide` says."""
        labels = {topic.id: topic.label for topic in self._model.topics}
        return [
            Guidance(
                tuple((number, round(share, 6), labels[number]) for number, share in choice.topics.weights),
                tuple(keyword.text for keyword in choice.candidates),
                tuple(keyword.text for keyword in choice.chosen),
                keyword_queries(choice, queries) if queries else (),
            )
            for choice in self._selector.select_many(contents)
        ]
