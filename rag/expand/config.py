"""What is generated and how: everything that decides on the outcome, and so goes into a configuration's hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from twindex.indexing.errors import ConfigError
from twindex.rag.expand.prompts import DOCUMENT_TOKENS, ExpandPrompt

#: How queries are made: guided by topics and keywords; by plain prompting; from keywords, without a language
#: model; and guided without one of the two, for ablations.
Method = Literal["doc2query++", "plain", "keywords", "no-topics", "no-keywords"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
#: The prompt of each method that has one.
_PROMPTS: Final[dict[str, str]] = {
    "doc2query++": "focus",
    "plain": "plain",
    "no-topics": "focus",
    "no-keywords": "focus",
}


@dataclass(frozen=True, slots=True)
class ExpandConfig:
    """How a document is expanded. The number of queries is not part of it: a store is extended by more.

    ``per_set``: queries of one set; ``line_tokens``: tokens of one query, at most; ``topics``, ``keywords``: how many a
    document has; ``focus``: keywords that one draft is about; ``joins``: whether the last query of a set is made of
    keywords instead of being written; ``seed``: of all sampling. Defaults as the Doc2Query++ authors' code has
    them, but for ``top_p``, ``focus`` and ``joins``, which are ours.

    Raises:
        ConfigError: If a value is out of range.
    """

    method: Method = "doc2query++"
    per_set: int = 3
    line_tokens: int = 40
    temperature: float = 0.8
    top_p: float = 0.95
    topics: int = 3
    keywords: int = 10
    focus: int = 2
    joins: bool = True
    keyword_temperature: float = 0.1
    examples: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method {self.method!r}", expected=", ".join(METHODS))
        for name in ("per_set", "line_tokens", "topics", "keywords", "focus"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}", expected="1 or more")
        if self.examples < 0 or self.temperature < 0 or self.keyword_temperature < 0 or not 0 < self.top_p <= 1:
            raise ConfigError("a negative number, or a top_p beyond 0 to 1", expected="numbers in their ranges")

    @property
    def guided(self) -> bool:
        """Whether topics and keywords are needed."""
        return self.method != "plain"

    @property
    def selects(self) -> bool:
        """Whether a language model chooses among keywords."""
        return self.method in ("doc2query++", "no-topics")

    @property
    def writes(self) -> bool:
        """Whether a language model writes the queries."""
        return self.method != "keywords"

    @property
    def shows_topics(self) -> bool:
        """Whether a prompt names topics."""
        return self.method in ("doc2query++", "no-keywords")

    @property
    def shows_keywords(self) -> bool:
        """Whether a prompt names keywords."""
        return self.method in ("doc2query++", "no-topics")

    @property
    def written(self) -> int:
        """Queries of a set that the model writes: all, or all but the last."""
        return self.per_set - (self.joins and self.shows_keywords and self.per_set > 1)

    def prompt(self) -> ExpandPrompt:
        """What asks for queries."""
        return ExpandPrompt.named(_PROMPTS[self.method], examples=self.examples, lines=self.written)

    def selection(self) -> ExpandPrompt:
        """What asks for keywords."""
        return ExpandPrompt.named("select", examples=self.examples)

    def facts(self, *, generator: str, guide: str) -> dict[str, Any]:
        """The configuration as a store keeps it.

        Args:
            generator: Name of the generator, "" if none writes.
            guide: Fingerprint of what gives topics and keyword candidates, "" if none is needed.
        """
        facts: dict[str, Any] = {"name": self.method, "method": self.method}
        if self.guided:
            facts |= {"guide": guide, "topics": self.topics, "keywords": self.keywords}
            if self.writes:
                facts |= {"focus": self.focus, "written": self.written}
        if self.writes:
            facts |= {
                "generator": generator,
                "prompt": [self.prompt().name, self.prompt().fingerprint],
                "document_tokens": DOCUMENT_TOKENS,
                "per_set": self.per_set,
                "line_tokens": self.line_tokens,
                "temperature": self.temperature,
                "top_p": self.top_p,
                "seed": self.seed,
            }
        if self.selects:
            facts["selection"] = [self.selection().name, self.selection().fingerprint, self.keyword_temperature]
        return facts
