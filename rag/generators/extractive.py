"""Answers without a model: the passages' sentences that answer best, verbatim, each with its citation."""

from __future__ import annotations

from collections.abc import Generator as Stream
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.errors import ConfigError
from twindex.rag.citations import render_markers
from twindex.rag.evidence import Evidence, Sentence
from twindex.rag.generator import check_request
from twindex.rag.prompt import Prompt
from twindex.rag.salience import WEIGHTS, Features, Salience, total
from twindex.rag.terms import Terms
from twindex.rag.tokens import EstimatedTokens
from twindex.rag.types import Binding, Draft, Usage


@dataclass(frozen=True, slots=True)
class ExtractiveConfig:
    """How many sentences, and when none.

    ``max_sentences``: 1 to 3. ``min_support``: below this support of the question (the mean of what the
    best sentence and its whole passage hold of it) the generator abstains; 0.35 keeps 95 % of answerable
    questions of SQuAD 2.0 and turns away three of four whose topic the corpus lacks. ``ratio``: a further
    sentence has at least this share of the best one's score. ``redundancy``: how much likeness to a chosen
    sentence costs (the 1 - lambda of maximal marginal relevance; Carbonell and Goldstein, SIGIR 1998).
    """

    max_sentences: int = 2
    min_support: float = 0.35
    ratio: float = 0.6
    redundancy: float = 0.4
    weights: Features = WEIGHTS

    def __post_init__(self) -> None:
        if not 1 <= self.max_sentences <= 3:
            raise ConfigError(f"max_sentences = {self.max_sentences}", expected="1, 2 or 3")
        for name in ("min_support", "ratio", "redundancy"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} = {getattr(self, name)}", expected="a share in [0, 1]")


@dataclass(frozen=True, slots=True)
class _Scored:
    score: float
    support: float
    order: int
    sentence: Sentence


class ExtractiveGenerator:
    """Picks sentences by :mod:`twindex.rag.salience`; deterministic, needs no model, never invents.

    Temperature and seed have no say. A sentence that holds a stop text is not taken. ``max_tokens`` (as
    estimated) ends the draft between sentences; the first one is never cut.

    Args:
        config: Sizes and thresholds.
        analyzer: What makes terms; the English analyzer if None.
    """

    def __init__(self, config: ExtractiveConfig | None = None, *, analyzer: Analyzer | None = None) -> None:
        self.config = config if config is not None else ExtractiveConfig()
        self._terms = Terms(analyzer)
        self._counter = EstimatedTokens()

    @property
    def name(self) -> str:
        """Always "extractive"."""
        return "extractive"

    def generate(self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int) -> Draft:
        """The draft, its citations bound already. An abstention has no text.

        Raises:
            ConfigError: If ``max_tokens`` or ``temperature`` is out of range.
        """
        check_request(max_tokens=max_tokens, temperature=temperature)
        evidence = Evidence(prompt.context, self._terms)
        ranked = self._ranked(prompt.question, evidence, stop)
        support = ranked[0].support if ranked else 0.0
        if not ranked or support < self.config.min_support:
            return Draft("", usage=Usage(), finish="abstained", bindings=(), support=support)
        return self._draft(self._chosen(ranked, max_tokens), support)

    def stream(
        self, prompt: Prompt, *, max_tokens: int, temperature: float, stop: Sequence[str], seed: int
    ) -> Stream[str, None, Draft]:
        """The draft, a sentence at a time."""
        draft = self.generate(prompt, max_tokens=max_tokens, temperature=temperature, stop=stop, seed=seed)
        done = 0
        for binding in draft.bindings or ():
            end = binding.claim_end + len(f" {render_markers([binding.number])}")
            yield draft.text[done:end]
            done = end
        return draft

    def _ranked(self, question: str, evidence: Evidence, stop: Sequence[str]) -> list[_Scored]:
        salience = Salience(question, evidence)
        scored: list[_Scored] = []
        for order, sentence in enumerate(evidence.sentences):
            if any(text in sentence.text for text in stop if text):
                continue
            features = salience.features(sentence)
            own = evidence.support(salience.terms, sentence.counts)
            if own > 0.0:
                score = total(features, self.config.weights)
                scored.append(_Scored(score, (own + features.passage) / 2, order, sentence))
        return sorted(scored, key=lambda s: (-s.score, s.order))

    def _chosen(self, ranked: Sequence[_Scored], max_tokens: int) -> list[_Scored]:
        chosen = [ranked[0]]
        left = max_tokens - self._counter.count(ranked[0].sentence.text)
        rest = [s for s in ranked[1:] if s.score >= self.config.ratio * ranked[0].score]
        while rest and len(chosen) < self.config.max_sentences:
            best = max(rest, key=lambda s: (self._marginal(s, chosen), -s.order))
            rest.remove(best)
            left -= self._counter.count(best.sentence.text)
            if self._marginal(best, chosen) < self.config.ratio * chosen[0].score * (1 - self.config.redundancy):
                break
            if left < 0:
                break
            chosen.append(best)
        return chosen

    def _marginal(self, scored: _Scored, chosen: Sequence[_Scored]) -> float:
        likeness = max(_cosine(scored.sentence.counts, other.sentence.counts) for other in chosen)
        return (1 - self.config.redundancy) * scored.score - self.config.redundancy * likeness

    def _draft(self, chosen: Sequence[_Scored], support: float) -> Draft:
        text = ""
        bindings: list[Binding] = []
        for scored in chosen:
            sentence = scored.sentence
            start = len(text) + (1 if text else 0)
            end = start + len(sentence.text)
            number = sentence.passage.number
            bindings.append(Binding(start, end, number, sentence.start, sentence.end))
            text += f"{' ' if text else ''}{sentence.text} {render_markers([number])}"
        usage = Usage(completion_tokens=self._counter.count(text))
        return Draft(text, usage=usage, bindings=tuple(bindings), support=support)


def _cosine(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    dot = sum(count * b[term] for term, count in a.items() if term in b)
    norm = sqrt(sum(c * c for c in a.values()) * sum(c * c for c in b.values()))
    return dot / norm if norm else 0.0
