"""Answers over a whole set: from retrieved passages, from the gold document, or from nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from twindex.eval.beir import Dataset, TestQuery
from twindex.eval.qrels import Qrels
from twindex.eval.rag_scores import AnswerScores, GoldAnswer, as_mapping, average, score_answer, silence
from twindex.indexing.errors import ConfigError
from twindex.indexing.filters import Filter
from twindex.indexing.types import Document, Progress, no_progress
from twindex.rag.engine import AnswerEngine, EngineConfig
from twindex.rag.generator import Generator
from twindex.rag.prompt import render
from twindex.rag.source import Mode, PassageRanking, PassageSource
from twindex.rag.types import Answer, Context

#: retrieved: what the search finds. oracle: the relevant documents themselves, the ceiling of any search.
#: closed: no passage at all, what the generator knows by heart.
ContextKind = Literal["retrieved", "oracle", "closed"]
KINDS: Final[tuple[ContextKind, ...]] = get_args(ContextKind)


@dataclass(frozen=True, slots=True)
class RagOptions:
    """What to run.

    ``k``: hits that may become context. ``limit``: questions, 0 for all; fewer are a fixed sample.
    ``prefix``: put the query's company before the question, as T²-RAGBench's own scripts do.

    Raises:
        ConfigError: If a value is out of range.
    """

    split: str = ""
    mode: Mode = "hybrid"
    k: int = 5
    context: ContextKind = "retrieved"
    limit: int = 0
    prefix: bool = False
    engine: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        if self.context not in KINDS:
            raise ConfigError(f"context {self.context!r}", expected=f"one of {', '.join(KINDS)}")
        if self.k < 1 or self.limit < 0:
            raise ConfigError(f"k = {self.k}, limit = {self.limit}", expected="k of 1 or more, limit of 0 or more")


@dataclass(frozen=True, slots=True)
class RagResult:
    """Values of every answer, and their averages."""

    dataset: str
    split: str
    context: ContextKind
    generator: str
    rows: Mapping[str, AnswerScores]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the public form, for JSON."""
        rows = list(self.rows.values())
        return {
            "dataset": self.dataset,
            "split": self.split,
            "context": self.context,
            "generator": self.generator,
            "questions": len(rows),
            "measures": average(rows),
            "abstention": silence(rows).to_dict(),
            "per_query": as_mapping(self.rows),
        }


def evaluate_rag(
    dataset: Dataset,
    qrels: Qrels,
    source: PassageSource,
    generator: Generator,
    options: RagOptions,
    *,
    progress: Progress = no_progress,
) -> RagResult:
    """Answer the questions of a split and score the answers.

    Args:
        dataset: Its queries' metadata hold the gold answers.
        qrels: The split's judgements: relevant documents are what should be cited.
        source: The search engine; not asked for the contexts oracle and closed.
        generator: What writes.
        options: What to run.
        progress: Called after each answer.

    Raises:
        GenerationError: If the generator fails.
    """
    queries = sample(dataset.queries(qrels), options.limit)
    gold_source = GoldSource(_gold_documents(dataset, qrels, queries)) if options.context == "oracle" else None
    engine = AnswerEngine(gold_source or source, generator, options.engine)
    rows: dict[str, AnswerScores] = {}
    for done, query in enumerate(queries, 1):
        relevant = qrels.relevant(query.id)
        question = ask(query, prefix=options.prefix)
        if gold_source is not None:
            gold_source.wanted = tuple(relevant)
        answer = closed_book(engine, question) if options.context == "closed" else _answer(engine, question, options)
        rows[query.id] = score_answer(answer, GoldAnswer.of(query), relevant)
        progress("answer", done, len(queries))
    return RagResult(dataset.name, options.split, options.context, generator.name, rows)


def ask(query: TestQuery, *, prefix: bool) -> str:
    """The question, with its company before it if asked and known.

    Source: T²-RAGBench's retrieval scripts, "company : question".
    """
    company = query.metadata.get("company_name") or query.metadata.get("company") or query.metadata.get("ticker")
    return f"{company}: {query.text}" if prefix and company else query.text


def sample(queries: Sequence[TestQuery], limit: int) -> list[TestQuery]:
    """A sample that depends on the ids alone, in the order of the set."""
    if not limit or limit >= len(queries):
        return list(queries)
    ranked = sorted(queries, key=lambda q: hashlib.sha256(q.id.encode()).digest())
    kept = {q.id for q in ranked[:limit]}
    return [q for q in queries if q.id in kept]


def closed_book(engine: AnswerEngine, question: str) -> Answer:
    """What the generator says without a passage; it has nothing to cite, and is not made to."""
    config = engine.config
    prompt = render(config.template, question, Context())
    draft = engine.generator.generate(
        prompt, max_tokens=config.max_tokens, temperature=config.temperature, stop=config.stop, seed=config.seed
    )
    silent = not draft.text.strip() or config.template.abstain in draft.text or draft.finish == "abstained"
    return Answer(question=question, text=draft.text, abstained=silent, generator=engine.generator.name)


@dataclass(frozen=True, slots=True)
class GoldHit:
    """A relevant document as a hit."""

    id: str
    doc_id: str
    score: float
    title: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GoldRanking:
    """The result of a search that knows the answer."""

    hits: tuple[GoldHit, ...]


class GoldSource:
    """A search engine that returns the documents it is told to want. One question at a time."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self.documents = documents
        self.wanted: tuple[str, ...] = ()

    def search(
        self,
        text: str,
        /,
        *,
        k: int,
        mode: Mode,
        filter: Filter | str | None,  # noqa: A002, RUF100 - the searcher's word for it
        rollup: bool,
    ) -> PassageRanking:
        """The wanted documents, in the order in which they are wanted."""
        found = [self.documents[d] for d in self.wanted if d in self.documents][:k]
        return GoldRanking(
            tuple(GoldHit(d.id, d.id, 1.0 / rank, d.title, d.text, 0, len(d.text)) for rank, d in enumerate(found, 1))
        )


def _answer(engine: AnswerEngine, question: str, options: RagOptions) -> Answer:
    return engine.answer(question, k=options.k, mode=options.mode)


def _gold_documents(dataset: Dataset, qrels: Qrels, queries: Sequence[TestQuery]) -> dict[str, Document]:
    wanted = {d for q in queries for d in qrels.relevant(q.id)}
    return {document.id: document for document in dataset.corpus() if document.id in wanted}
