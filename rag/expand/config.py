"""What is generated and how: everything that decides on the outcome, and so goes into a configuration's hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from twindex.indexing.errors import ConfigError
from twindex.rag.expand.prompts import DOCUMENT_TOKENS, ExpandPrompt

#: How queries are made: keywords, then drafts that are guided by topics and keywords in turns with plain ones; by plain
#: prompting; from keywords, without a language model; and guided without one of the two, for ablations.
Method = Literal["doc2query++", "plain", "keywords", "no-topics", "no-keywords"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Way:
    """How a draft is asked for: the prompt by its short name, lines, and whether it is told of topics and keywords."""

    prompt: str
    lines: int
    guided: bool


@dataclass(frozen=True, slots=True)
class ExpandConfig:
    """How a document is expanded. The number of queries is not part of it: a store is extended by more.

    ``per_set``: queries that a draft writes; ``line_tokens``: tokens of one query, at most; ``topics``, ``keywords``:
    how many a document has; ``focus``: keywords that a guided draft is about; ``focused``: queries that it writes;
    ``free``: drafts before each guided one that are told of neither; ``opens``: whether keywords are themselves the
    first queries; ``seed``: of all sampling. Defaults as the Doc2Query++ authors' code has them, but for ``top_p``,
    ``focus``, ``focused``, ``free`` and ``opens``, which are ours.

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
    focused: int = 1
    free: int = 1
    opens: bool = True
    keyword_temperature: float = 0.1
    examples: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method {self.method!r}", expected=", ".join(METHODS))
        for name in ("per_set", "line_tokens", "topics", "keywords", "focus", "focused"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}", expected="1 or more")
        if self.free < 0:
            raise ConfigError(f"free = {self.free}", expected="0 or more")
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
    def opening(self) -> int:
        """Queries made of keywords, which are set 0: the chosen ones, and those that only topics have."""
        return 1 + self.shows_topics if self.opens and self.shows_keywords else 0

    @property
    def first(self) -> int:
        """Number of the first set that is a draft."""
        return int(self.opening > 0)

    @property
    def ways(self) -> tuple[Way, ...]:
        """How drafts are asked for, which take turns."""
        plain = Way("plain", self.per_set, guided=False)
        if self.method == "plain":
            return (plain,)
        return (*[plain] * self.free, Way("focus", self.focused, guided=True))

    def way(self, number: int) -> Way:
        """How the draft of set ``number`` is asked for."""
        return self.ways[(number - self.first) % len(self.ways)]

    def turn(self, number: int) -> int:
        """How many drafts are asked for in the way of set ``number`` before it."""
        rounds, place = divmod(number - self.first, len(self.ways))
        way = self.ways[place]
        return rounds * self.ways.count(way) + self.ways[:place].count(way)

    def prompt(self, way: Way) -> ExpandPrompt:
        """What asks for the queries of a draft."""
        return ExpandPrompt.named(way.prompt, examples=self.examples, lines=way.lines)

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
            prompts = [self.prompt(way) for way in self.ways]
            facts |= {
                "generator": generator,
                "prompt": [prompts[-1].name, prompts[-1].fingerprint],
                "document_tokens": DOCUMENT_TOKENS,
                "per_set": self.per_set,
                "line_tokens": self.line_tokens,
                "temperature": self.temperature,
                "top_p": self.top_p,
                "seed": self.seed,
            }
            if self.guided:
                facts |= {"focus": self.focus, "focused": self.focused, "opening": self.opening}
                facts["free"] = [self.free, prompts[0].name, prompts[0].fingerprint] if self.free else [0]
        if self.selects:
            facts["selection"] = [self.selection().name, self.selection().fingerprint, self.keyword_temperature]
        return facts
