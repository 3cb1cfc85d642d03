"""From a question to a validated answer: search, context, prompt, draft, check, abstention.

Every step is an argument: the source of passages, the generator, and what the configuration holds. Stages
of other kinds come in by wrapping one of them: query rewriting and expansion, or several searches for one
question, is a :class:`~twindex.rag.source.PassageSource` around another one; selection of passages by a model
sits in a source too, after its search; a critic that has a draft rewritten is a generator around another one.
A financial pipeline of three phases (expand the query; retrieve with both indices and fuse; rerank, select,
generate) is thus two wrappers and this engine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator as Stream
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.errors import ConfigError, QueryError
from twindex.indexing.filters import Filter
from twindex.rag import events
from twindex.rag.citations import Checked, CitationConfig, check_draft
from twindex.rag.context import ContextBuilder, ContextConfig
from twindex.rag.evidence import Evidence
from twindex.rag.generator import Generator, check_request, drain
from twindex.rag.prompt import CITED, Prompt, PromptTemplate, render
from twindex.rag.source import Mode, PassageSource
from twindex.rag.terms import Terms
from twindex.rag.tokens import EstimatedTokens, TokenCounter
from twindex.rag.types import Answer, Context, Draft, RankedId, Usage

ABSTENTION: Final = "The indexed documents do not hold enough support for an answer to this question."
_THINKING: Final = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything about an answer but the index and the generator.

    ``min_support``: the engine abstains if the sentences of the draft are supported less than this, on the
    mean (:class:`twindex.rag.citations.Checked`). ``max_question``: characters of a question, at most.
    """

    context: ContextConfig = field(default_factory=ContextConfig)
    template: PromptTemplate = CITED
    citations: CitationConfig = field(default_factory=CitationConfig)
    min_support: float = 0.3
    max_tokens: int = 400
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    max_question: int = 4000
    abstention: str = ABSTENTION

    def __post_init__(self) -> None:
        check_request(max_tokens=self.max_tokens, temperature=self.temperature)
        if not 0.0 <= self.min_support <= 1.0:
            raise ConfigError(f"min_support = {self.min_support}", expected="a share in [0, 1]")
        if self.max_question < 1:
            raise ConfigError(f"max_question = {self.max_question}", expected="1 or more")


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known before a word is written."""

    question: str
    ranking: tuple[RankedId, ...]
    context: Context
    started: float


class AnswerEngine:
    """Answers questions from one source of passages. Holds no state: safe to share between threads.

    Args:
        source: The search engine, as in :class:`twindex.retrieval.engine.Searcher`.
        generator: What writes.
        config: The rest.
        analyzer: What words are compared by; the English analyzer if None.
        counter: Counts tokens; an estimate on the safe side if None.
    """

    def __init__(
        self,
        source: PassageSource,
        generator: Generator,
        config: EngineConfig | None = None,
        *,
        analyzer: Analyzer | None = None,
        counter: TokenCounter | None = None,
    ) -> None:
        self.source = source
        self.generator = generator
        self.config = config if config is not None else EngineConfig()
        self._terms = Terms(analyzer)
        self._counter: TokenCounter = counter if counter is not None else EstimatedTokens()
        self._builder = ContextBuilder(self.config.context, terms=self._terms, counter=self._counter)

    def answer(
        self,
        question: str,
        *,
        k: int = 8,
        mode: Mode = "hybrid",
        filter: Filter | str | None = None,  # noqa: A002, RUF100 - the searcher's word for it
    ) -> Answer:
        """A validated answer, or an abstention that carries the ranking.

        Args:
            question: What to answer. A blank one is abstained from.
            k: How many hits may become context.
            mode: Which index finds them.
            filter: A condition on metadata.

        Raises:
            QueryError: If the question is longer than ``max_question``, or the source cannot run it.
            GenerationError: If the generator fails.
        """
        found = self._find(question, k, mode, filter)
        if not found.context.passages:
            return self._nothing(found)
        prompt = render(self.config.template, found.question, found.context)
        return self._finish(found, prompt, self.generator.generate(prompt, **self._request()))

    def stream(
        self,
        question: str,
        *,
        k: int = 8,
        mode: Mode = "hybrid",
        filter: Filter | str | None = None,  # noqa: A002, RUF100 - the searcher's word for it
    ) -> Iterator[events.Event]:
        """The same as events while it comes about; the final one equals :meth:`answer` up to its times.

        Raises:
            QueryError: As above.
            GenerationError: As above, also in the middle.
        """
        found = self._find(question, k, mode, filter)
        yield events.Retrieved(found.context, found.ranking, _since(found.started))
        if not found.context.passages:
            yield events.Final(self._nothing(found))
            return
        prompt = render(self.config.template, found.question, found.context)
        draft = yield from _tokens(drain(self.generator.stream(prompt, **self._request())))
        answer = self._finish(found, prompt, draft)
        for citation in answer.citations:
            yield events.Cited(citation)
        yield events.Final(answer)

    def _find(self, question: str, k: int, mode: Mode, filter_: Filter | str | None) -> _Found:
        started = time.perf_counter()
        if len(question) > self.config.max_question:
            raise QueryError(
                f"a question of {len(question)} characters",
                expected=f"at most {self.config.max_question}",
                remedy="ask shorter, or raise max_question",
            )
        if not question.strip():
            return _Found(question, (), Context(budget=self.config.context.budget), started)
        hits = self.source.search(question, k=k, mode=mode, filter=filter_, rollup=False).hits
        ranking = tuple(RankedId(hit.id, hit.doc_id, float(hit.score)) for hit in hits)
        return _Found(question, ranking, self._builder.build(question, hits), started)

    def _request(self) -> dict[str, Any]:
        config = self.config
        return {
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "stop": config.stop,
            "seed": config.seed,
        }

    def _finish(self, found: _Found, prompt: Prompt, draft: Draft) -> Answer:
        usage = self._usage(prompt, draft)
        shown = _shown(draft, prompt.key)
        if shown.finish == "abstained" or self._declined(shown):
            support = draft.support or 0.0
            return self._abstain(found, draft, usage, support, "the generator found no answer in the passages")
        checked = check_draft(shown, Evidence(found.context, self._terms), self.config.citations)
        support = draft.support if draft.support is not None else checked.support
        missing = self._missing(checked)
        if missing:
            return self._abstain(found, draft, usage, support, missing, *checked.notes)
        cut = ("the draft was cut off at max_tokens",) if draft.finish == "length" else ()
        return Answer(
            question=found.question,
            text=checked.text,
            citations=checked.citations,
            support=support,
            context=found.context,
            ranking=found.ranking,
            usage=usage,
            generator=self.generator.name,
            took_ms=_since(found.started),
            notes=(*found.context.notes, *checked.notes, *cut),
            raw=draft.text,
        )

    def _declined(self, draft: Draft) -> bool:
        """Whether the model wrote that there is no answer, and nothing of weight besides."""
        if draft.bindings is not None:
            return False
        text = draft.text.strip().strip("\"'`*[]().").casefold()
        return not text or text.startswith(self.config.template.abstain.casefold())

    def _missing(self, checked: Checked) -> str:
        """Why the draft cannot stand, "" if it can."""
        if not checked.citations:
            return "no sentence of the draft has a valid citation"
        if checked.support < self.config.min_support:
            return f"support {checked.support:.2f} of the draft is below {self.config.min_support:.2f}"
        return ""

    def _nothing(self, found: _Found) -> Answer:
        why = "the search found no passages" if found.question.strip() else "the question is blank"
        return self._abstain(found, Draft(""), Usage(), 0.0, why)

    def _abstain(self, found: _Found, draft: Draft, usage: Usage, support: float, *why: str) -> Answer:
        return Answer(
            question=found.question,
            text=self.config.abstention,
            abstained=True,
            support=support,
            context=found.context,
            ranking=found.ranking,
            usage=usage,
            generator=self.generator.name,
            took_ms=_since(found.started),
            notes=(*found.context.notes, *why),
            raw=draft.text,
        )

    def _usage(self, prompt: Prompt, draft: Draft) -> Usage:
        if draft.usage is not None:
            return draft.usage
        return Usage(self._counter.count(prompt.text), self._counter.count(draft.text), estimated=True)


def _tokens(bits: Stream[str, None, Draft]) -> Stream[events.Event, None, Draft]:
    while True:
        try:
            yield events.Token(next(bits))
        except StopIteration as end:
            draft: Draft = end.value
            return draft


def _shown(draft: Draft, key: str) -> Draft:
    """The draft without its thinking aloud and without fence lines that the model repeated."""
    if draft.bindings is not None:
        return draft
    text = _THINKING.sub("", draft.text)
    lines: Sequence[str] = [line for line in text.split("\n") if key not in line]
    return Draft("\n".join(lines).strip(), usage=draft.usage, finish=draft.finish, support=draft.support)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
