"""T²-RAGBench and its relatives: retrieval in both query modes, and answers with retrieved, gold and no context.

The benchmark's protocol: whole documents, the measures below, queries as they are ("question") and with the company
before them ("company", which is the official scripts' mode and gives a part of the metadata away), Number Match in
the official and in a strict definition. Source: Strich et al., EACL 2026 (arXiv 2506.12071), and its library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from twindex.eval.addresses import Addresses, locate
from twindex.eval.beir import Dataset, TestQuery
from twindex.eval.cached_encoder import CachedEncoder
from twindex.eval.compare import TestOptions, adjust, compare
from twindex.eval.evaluate import Report
from twindex.eval.harness import score
from twindex.eval.indexes import cached_path, ensure_index, index_config, statistics
from twindex.eval.legs import search
from twindex.eval.measures import Measure, parse, parse_all
from twindex.eval.qrels import Qrels
from twindex.eval.rag_eval import KINDS, ContextKind, RagOptions, RagResult, ask, evaluate_rag
from twindex.eval.registry import report_split
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress, no_progress
from twindex.rag.generator import Generator
from twindex.retrieval.engine import Searcher
from twindex.retrieval.fusion import RRF
from twindex.retrieval.profile import DEFAULT, Recipe
from twindex.retrieval.types import Query, Ranking

#: question: as it is. company: "company: question".
QueryMode = Literal["question", "company"]
QUERY_MODES: Final[tuple[QueryMode, ...]] = get_args(QueryMode)
MEASURES: Final = parse_all("RR@3 R@1 R@3 R@5 R@10 R@20 nDCG@10 AP")
#: What systems are compared on.
MAIN: Final[Measure] = parse("RR@3")
DEPTH: Final = 1000


@dataclass(frozen=True, slots=True)
class T2Options:
    """What to run.

    ``split``: "" takes the one that is reported. ``contexts``: which answers; none for retrieval alone. ``k``: hits
    that may become context. ``limit``: questions that are answered, 0 for all.

    Raises:
        ConfigError: If there is no such context, or a number is out of range.
    """

    split: str = ""
    contexts: tuple[ContextKind, ...] = KINDS
    k: int = 5
    limit: int = 0
    cache: Path = Path("twindex-eval")
    tests: TestOptions = field(default_factory=TestOptions)

    def __post_init__(self) -> None:
        if not set(self.contexts) <= set(KINDS):
            raise ConfigError(f"contexts {', '.join(self.contexts)}", expected=f"some of {', '.join(KINDS)}")
        if self.k < 1 or self.limit < 0:
            raise ConfigError(f"k = {self.k}, limit = {self.limit}", expected="k of 1 or more, limit of 0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class T2Result:
    """One collection: a report for each query mode and system, and the answers of each query mode and context."""

    dataset: str
    split: str
    documents: int
    encoder: str
    retrieval: Mapping[tuple[QueryMode, str], Report]
    answers: Mapping[tuple[QueryMode, ContextKind], RagResult]
    tests: TestOptions

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the public form, for JSON."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "documents": self.documents,
            "encoder": self.encoder,
            "retrieval": [
                {"query_mode": mode, "system": system, "measures": report.aggregate("answerable")}
                for (mode, system), report in self.retrieval.items()
            ],
            "comparisons": self.comparisons(),
            "answers": [
                {"query_mode": mode, "context": kind, "generator": result.generator, **_answers(result)}
                for (mode, kind), result in self.answers.items()
            ],
        }

    def comparisons(self) -> list[dict[str, Any]]:
        """Every system against BM25 on RR@3, one family a collection (Holm)."""
        named = []
        for (mode, system), report in self.retrieval.items():
            if system != "bm25":
                base = self.retrieval[mode, "bm25"]
                found = compare(report.values[MAIN], base.values[MAIN], self.tests)
                named.append(({"query_mode": mode, "a": system, "b": "bm25", "measure": str(MAIN)}, found))
        return [names | c.to_dict() for (names, _), c in zip(named, adjust([c for _, c in named]), strict=True)]


def run_t2(
    dataset: Dataset,
    encoder: Encoder,
    generator: Generator,
    options: T2Options,
    *,
    progress: Progress = no_progress,
) -> T2Result:
    """Retrieval and answers on one collection.

    Query modes that ask the same (no query names a company) are run once, as "question".

    Raises:
        CorpusError: If the collection cannot be read.
        GenerationError: If the generator fails.
    """
    split = options.split or report_split(dataset)
    every = dataset.qrels(split)
    qrels = every.subset(every.answerable())
    queries = dataset.queries(qrels)
    cached = CachedEncoder(encoder, options.cache / "vectors")
    config = index_config(encoder)
    path = cached_path(dataset, options.cache, config)
    ensure_index(dataset, path, config, encoder=cached, progress=progress)
    retrieval: dict[tuple[QueryMode, str], Report] = {}
    answers: dict[tuple[QueryMode, ContextKind], RagResult] = {}
    with Searcher.open(path, encoder=cached) as searcher, Snapshot.open(path) as snapshot:
        addresses = locate(snapshot, {d for documents in qrels.values() for d in documents})
        for mode in _modes(queries):
            texts = [ask(q, prefix=mode == "company") for q in queries]
            for system, rankings in _rankings(searcher, texts, addresses, progress).items():
                retrieval[mode, system] = score(rankings, qrels, addresses, MEASURES)
            for kind in options.contexts:
                if kind == "retrieved" or mode == QUERY_MODES[0]:
                    answers[mode, kind] = _answer(dataset, qrels, searcher, generator, options, mode, kind, progress)
        documents = statistics(snapshot)["documents"]
    return T2Result(dataset.name, split, documents, encoder.info.name, retrieval, answers, options.tests)


def _modes(queries: Sequence[TestQuery]) -> tuple[QueryMode, ...]:
    differ = any(ask(q, prefix=True) != q.text for q in queries)
    return QUERY_MODES if differ else QUERY_MODES[:1]


def _rankings(
    searcher: Searcher, texts: Sequence[str], addresses: Addresses, progress: Progress
) -> dict[str, list[Ranking]]:
    asked = [Query(text) for text in texts]
    sparse, dense = (
        search(searcher.retriever(leg), asked, DEPTH, addresses=addresses, progress=progress).rankings
        for leg in ("sparse", "dense")
    )
    pairs = list(zip(sparse, dense, strict=True))
    fused = {
        recipe.fusion.name: [recipe.fuse(pair, DEPTH) for pair in pairs]
        for recipe in (Recipe(RRF(60)), Recipe(RRF(10)), DEFAULT.recipe)
    }
    return {"bm25": list(sparse), "dense": list(dense), **fused}


def _answer(
    dataset: Dataset,
    qrels: Qrels,
    searcher: Searcher,
    generator: Generator,
    options: T2Options,
    mode: QueryMode,
    kind: ContextKind,
    progress: Progress,
) -> RagResult:
    wanted = RagOptions(k=options.k, context=kind, limit=options.limit, prefix=mode == "company")
    result = evaluate_rag(dataset, qrels, searcher, generator, wanted, progress=progress)
    return replace(result, split=options.split or report_split(dataset))


def _answers(result: RagResult) -> dict[str, Any]:
    plain = result.to_dict()
    return {"questions": plain["questions"], "measures": plain["measures"], "abstention": plain["abstention"]}
