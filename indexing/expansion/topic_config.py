"""How topics are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.sentences import SentenceConfig

#: Bounds of the number of topics that is chosen by the size of the collection.
FEWEST: Final = 2
MOST: Final = 1024


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """How topics are found.

    - ``topics``: how many; None = one for each ``sentences_per_topic`` sentences, from 2 to 1,024;
    - ``context``: how much of the text around a sentence counts beside the sentence itself, which counts 1;
    - ``min_size``: a topic of fewer sentences is dissolved;
    - ``outliers``: share of the sentences that are farthest from their topics and belong to none;
    - ``min_texts``, ``max_words``: words of fewer texts are left out (in a collection of 20 texts or more), and the
      rarest beyond that number;
    - ``words``: words that describe a topic.

    Raises:
        ConfigError: If a value is out of range.
    """

    seed: int = 0
    topics: int | None = None
    sentences_per_topic: int = 50
    context: float = 0.5
    min_size: int = 5
    outliers: float = 0.1
    min_texts: int = 2
    max_words: int = 50_000
    words: int = 10
    rounds: int = 20
    sentences: SentenceConfig = field(default_factory=SentenceConfig)

    def __post_init__(self) -> None:
        if self.topics is not None and self.topics < 1:
            raise ConfigError(f"{self.topics} topics", expected="a number of 1 or more, or None")
        if not 0.0 <= self.outliers < 1.0:
            raise ConfigError(f"a share of outliers of {self.outliers}", expected="a number from 0 to below 1")
        if not self.context >= 0:
            raise ConfigError(f"context = {self.context}", expected="a number of 0 or more")
        for name in ("sentences_per_topic", "min_size", "min_texts", "max_words", "words", "rounds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}", expected="a number of 1 or more")

    def count(self, sentences: int) -> int:
        """The number of topics for so many sentences."""
        if self.topics is not None:
            return self.topics
        return max(FEWEST, min(MOST, round(sentences / self.sentences_per_topic)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TopicConfig:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**values, "sentences": SentenceConfig(**values["sentences"])})
