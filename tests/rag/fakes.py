"""Small stand-ins: an analyzer, hits, a search engine, a generator that writes what it is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from twindex.indexing.analysis.base import TermBatch, Vocabulary
from twindex.indexing.filters import Filter
from twindex.rag.prompt import Prompt
from twindex.rag.source import Mode
from twindex.rag.terms import Terms
from twindex.rag.types import Context, ContextPassage, Draft, Part, Usage


class PlainAnalyzer:
    """Lower-case words, plural s cut off."""

    name = "plain"
    fingerprint = "plain-1"

    def terms(self, text: str) -> list[str]:
        words = re.findall(r"\w+(?:[.,']\w+)*", text.lower())
        return [w[:-1] if len(w) > 3 and w.endswith("s") and not w[0].isdigit() else w for w in words]

    def analyze(self, texts: Iterable[str], vocabulary: Vocabulary) -> TermBatch:
        rows = [[vocabulary.add(term) for term in self.terms(text)] for text in texts]
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return TermBatch(np.array([i for row in rows for i in row], dtype=np.int32), offsets)


TERMS = Terms(PlainAnalyzer())


@dataclass(frozen=True)
class FakeHit:
    id: str
    text: str
    doc_id: str = ""
    title: str = ""
    score: float = 1.0
    start: int = 0
    end: int = -1

    def __post_init__(self) -> None:
        if not self.doc_id:
            object.__setattr__(self, "doc_id", self.id)
        if self.end < 0:
            object.__setattr__(self, "end", self.start + len(self.text))


@dataclass(frozen=True)
class FakeRanking:
    hits: Sequence[FakeHit]


@dataclass
class FakeSource:
    """Gives the same hits to everybody, and remembers how it was asked."""

    hits: Sequence[FakeHit]
    asked: list[tuple[str, int, str, object, bool]] = field(default_factory=list)

    def search(
        self,
        text: str,
        /,
        *,
        k: int,
        mode: Mode,
        filter: Filter | str | None,  # noqa: A002, RUF100 - the protocol's word
        rollup: bool,
    ) -> FakeRanking:
        self.asked.append((text, k, mode, filter, rollup))
        return FakeRanking(self.hits[:k])


@dataclass
class Scripted:
    """Writes what it is told, in bits of three characters."""

    text: str
    usage: Usage | None = None
    prompts: list[Prompt] = field(default_factory=list)
    name: str = "scripted"

    def generate(self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> Draft:
        self.prompts.append(prompt)
        return Draft(self.text, usage=self.usage)

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> Iterator[str]:
        self.prompts.append(prompt)
        return iter([self.text[i : i + 3] for i in range(0, len(self.text), 3)])


def context_of(*texts: str, starts: Sequence[int] = ()) -> Context:
    """A context of these passages, in this order."""
    passages = []
    for i, text in enumerate(texts, 1):
        start = starts[i - 1] if starts else 0
        end = start + len(text)
        passages.append(
            ContextPassage(
                number=i,
                id=f"p{i}",
                doc_id=f"d{i}",
                title="",
                text=text,
                start=start,
                end=end,
                rank=i,
                score=1.0 / i,
                tokens=len(text),
                parts=(Part(start, end, f"p{i}"),),
            )
        )
    return Context(tuple(passages), tokens=sum(map(len, texts)), budget=10**6)
