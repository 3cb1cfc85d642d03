"""Generated queries on judged collections: methods times budgets times ways to use them, resumable.

Everything that was searched is kept in one JSON file a collection, method and budget, named by all that shapes it; a
run that was interrupted goes on behind the last file. Indexes are built in the cache and removed when they were
searched, unless they shall stay; vectors are kept by content, so that no query is encoded twice.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from twindex.eval.beir import Dataset
from twindex.eval.expansion_bench import ExpansionBench, Outcome, Searched
from twindex.eval.indexes import BuiltIndex, ensure_index, fingerprint, index_bytes, index_config
from twindex.indexing.chunking import make_chunker
from twindex.indexing.config import IndexConfig
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.expansion.info import QuerySource
from twindex.indexing.expansion.source import StoredQueries
from twindex.indexing.expansion.store import ExpansionStore
from twindex.indexing.types import Document, Progress, no_progress
from twindex.indexing.writer import IndexWriter
from twindex.retrieval.engine import Searcher

#: Version of the kept files: another one is another experiment.
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ExpansionTask:
    """What to run.

    ``methods``: configurations of the store by name. ``budgets``: generated queries a document; 0 is the collection
    without any, and is always run. ``drops``: shares of the scored queries that are filtered out, the least relevant
    ones; each is a method of its own. ``control``: whether texts with the queries appended are encoded anew for the
    dense leg. ``keep``: whether indexes stay.
    """

    datasets: tuple[Dataset, ...]
    store: Path
    methods: tuple[str, ...]
    budgets: tuple[int, ...] = (5, 10, 30, 100)
    drops: tuple[float, ...] = (0.0,)
    cache: Path = Path("twindex-eval")
    control: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        if not self.datasets or not self.methods:
            raise ConfigError("an experiment without a collection or a method", expected="at least one of each")
        if any(budget < 0 for budget in self.budgets) or any(not 0 <= drop < 1 for drop in self.drops):
            raise ConfigError(
                f"budgets {self.budgets}, drops {self.drops}", expected="numbers of 0 or more, shares below 1"
            )


@dataclass(frozen=True, slots=True)
class Cell:
    """One collection with one set of generated queries: what was indexed, and how every way to use it did.

    ``method`` is "" without generated queries. ``queries``, ``words``: that were indexed. Units: ``bytes`` of the whole
    index, and those of them that are for the generated queries; ``seconds`` of building it.
    """

    dataset: str
    method: str
    budget: int
    protocol: str
    documents: int
    queries: int
    words: int
    bytes: int
    expansion_bytes: int
    seconds: float
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        return plain | {"outcomes": {name: outcome.to_dict() for name, outcome in self.outcomes.items()}}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Cell:
        """The cell that plain values stand for."""
        outcomes = {name: Outcome.from_dict(values) for name, values in plain["outcomes"].items()}
        return cls(**{name: plain[name] for name in _PLAIN}, outcomes=outcomes)


_PLAIN: Final = (
    *("dataset", "method", "budget", "protocol", "documents", "queries", "words"),
    *("bytes", "expansion_bytes", "seconds"),
)


def run_expansion(
    task: ExpansionTask, encoder: Encoder | None, *, timed: Encoder | None = None, progress: Progress = no_progress
) -> list[Cell]:
    """Everything that is asked for, run or loaded: first each collection without generated queries.

    Args:
        task: What to run.
        encoder: Of the dense leg; None leaves that and hybrid search out.
        timed: The encoder of queries while latency is measured, if the other remembers them.
        progress: Called with what is being done.

    Raises:
        ConfigError: If the store has no such method.
        CorpusError: If a collection cannot be read.
    """
    cells: list[Cell] = []
    with ExpansionStore.open(task.store) as store:
        for dataset in task.datasets:
            runner = _Runner(task, dataset, encoder, timed, progress)
            plain, legs = runner.plain()
            cells.append(plain)
            cells += [runner.expanded(source, legs) for source in _sources(task, store)]
    return cells


def _sources(task: ExpansionTask, store: ExpansionStore) -> Iterator[StoredQueries]:
    """The sets of generated queries, method by method."""
    for method in task.methods:
        for drop in task.drops:
            threshold = store.threshold(method, drop) if drop else None
            for budget in sorted({budget for budget in task.budgets if budget}):
                name = method if not drop else f"{method}, {drop:.0%} dropped"
                yield _Named(store, method, limit=budget, threshold=threshold, name=name)


class _Named(StoredQueries):
    """Generated queries under the name that the report shows."""

    def __init__(self, store: ExpansionStore, config: str, *, name: str, limit: int, threshold: float | None) -> None:
        super().__init__(store, config, limit=limit, threshold=threshold)
        self.name = name


class _Runner:
    """One collection."""

    def __init__(
        self, task: ExpansionTask, dataset: Dataset, encoder: Encoder | None, timed: Encoder | None, progress: Progress
    ) -> None:
        self._task = task
        self._dataset = dataset
        self._encoder = encoder
        self._timed = timed
        self._progress = progress
        self._folder = task.cache / "expansion"
        self._chunker = make_chunker(index_config(encoder).chunking)
        self._corpus = dataset.digest()

    def plain(self) -> tuple[Cell, dict[str, Searched]]:
        """The collection without generated queries, and its legs, which hybrids of one kind need."""
        config = index_config(self._encoder)
        built = self._build(config, None, "plain")
        with self._open(built.path) as searcher:
            bench = self._bench(searcher)
            modes = {"bm25": "sparse", "dense": "dense"} if self._encoder else {"bm25": "sparse"}
            legs, outcomes = {}, {}
            for name, mode in modes.items():
                outcomes[name], legs[name] = bench.plain(mode, name)  # type: ignore[arg-type]
            if "dense" in legs:
                outcomes["hybrid"] = bench.hybrid(legs["bm25"], legs["dense"], "hybrid")
            cell = self._cell("", 0, bench, built, outcomes)
        return cell, legs

    def expanded(self, source: _Named | StoredQueries, legs: Mapping[str, Searched]) -> Cell:
        """The collection with generated queries; loaded if it was run before."""
        digest, queries, words = self._facts(source)
        key = fingerprint(
            {
                "version": VERSION,
                "files": self._dataset.digests(self._dataset.splits),
                "info": source.info.to_dict(),
                "queries": digest,
                "encoder": self._encoder.info.fingerprint if self._encoder else None,
                "control": self._task.control,
            }
        )
        path = self._folder / f"{self._dataset.name}-{key}.json"
        name = getattr(source, "name", source.info.method)
        if path.exists():
            return replace(Cell.from_dict(json.loads(path.read_text(encoding="utf-8"))), method=name)
        self._say(f"{name}, {source.info.limit} queries a document")
        cell = self._run(source, name, legs, key)
        cell = replace(cell, queries=queries, words=words)
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_suffix(f".{os.getpid()}.part")
        staging.write_text(json.dumps(cell.to_dict(), sort_keys=True) + "\n", encoding="utf-8")
        os.replace(staging, path)
        return cell

    def _run(self, source: StoredQueries, name: str, legs: Mapping[str, Searched], key: str) -> Cell:
        config = replace(index_config(self._encoder), expansion=source.info)
        built = self._build(config, source, key)
        with self._open(built.path) as searcher:
            bench = self._bench(searcher)
            outcomes: dict[str, Outcome] = {}
            outcomes["appended"], _ = bench.appended()
            outcomes["field (bm25f)"], _ = bench.form("bm25f")
            outcomes["field (additive)"], _ = bench.form("additive")
            outcomes["field"], sparse = bench.field()
            if self._encoder is not None:
                outcomes["dual"], dense = bench.dual()
                outcomes["hybrid, field + dual"] = bench.hybrid(sparse, dense, "hybrid, field + dual")
                outcomes["hybrid, field + text"] = bench.hybrid(sparse, legs["dense"], "hybrid, field + text")
                outcomes["hybrid, bm25 + dual"] = bench.hybrid(legs["bm25"], dense, "hybrid, bm25 + dual")
            cell = self._cell(name, source.info.limit, bench, built, outcomes)
        self._remove(built)
        if self._task.control and self._encoder is not None:
            cell = replace(cell, outcomes={**cell.outcomes, "dense, appended": self._control(source, key)})
        return cell

    def _control(self, source: QuerySource, key: str) -> Outcome:
        """Texts with the queries appended, encoded as one."""
        built = self._build(index_config(self._encoder), source, f"{key}-appended", appended=True)
        with self._open(built.path) as searcher:
            outcome, _ = self._bench(searcher).plain("dense", "dense, appended")
        self._remove(built)
        return outcome

    def _build(
        self, config: IndexConfig, source: QuerySource | None, key: str, *, appended: bool = False
    ) -> BuiltIndex:
        path = self._folder / "indexes" / f"{self._dataset.name}-{fingerprint({'key': key, 'corpus': self._corpus})}"
        if source is None:
            named = fingerprint({"corpus": self._corpus, "config": config.to_dict()})
            path = path.with_name(f"{self._dataset.name}-{named}")
            return ensure_index(self._dataset, path, config, encoder=self._encoder, progress=self._progress)
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        given = None if appended else source
        with IndexWriter.create(path, config, encoder=self._encoder, expansions=given) as writer:
            documents: Any = self._dataset.corpus()
            report = writer.add(self._appended(documents, source) if appended else documents, progress=self._progress)
            writer.commit()
        phases = report.phases
        return BuiltIndex(path, phases.analysis + phases.inversion + phases.storing + phases.writing)

    def _appended(self, documents: Iterator[Document], source: QuerySource) -> Iterator[Document]:
        for document in documents:
            queries = [query for passage in self._chunker.chunk(document) for query in source.queries(passage.contents)]
            yield replace(document, text="\n".join([document.text, *queries]))

    def _facts(self, source: QuerySource) -> tuple[str, int, int]:
        """Hash, number and words of all queries that the collection's passages get."""
        state = blake2b(digest_size=16)
        queries = words = 0
        for document in self._dataset.corpus():
            for passage in self._chunker.chunk(document):
                found = source.queries(passage.contents)
                state.update(json.dumps(found).encode())
                queries += len(found)
                words += sum(len(query.split()) for query in found)
        return state.hexdigest(), queries, words

    def _open(self, path: Path) -> Searcher:
        return Searcher.open(path, encoder=self._encoder)

    def _bench(self, searcher: Searcher) -> ExpansionBench:
        return ExpansionBench(self._dataset, searcher, timed=self._timed, progress=self._progress)

    def _cell(
        self, method: str, budget: int, bench: ExpansionBench, built: BuiltIndex, outcomes: Mapping[str, Outcome]
    ) -> Cell:
        snapshot = bench.searcher.snapshot
        extra = [f.bytes for entry in snapshot.manifest.segments for f in entry.files if f.leg.startswith("expansion")]
        return Cell(
            self._dataset.name,
            method,
            budget,
            bench.protocol,
            snapshot.documents,
            0,
            0,
            index_bytes(built.path),
            sum(extra),
            built.seconds,
            outcomes,
        )

    def _remove(self, built: BuiltIndex) -> None:
        if not self._task.keep:
            shutil.rmtree(built.path, ignore_errors=True)

    def _say(self, text: str) -> None:
        self._progress(f"{self._dataset.name}: {text}", 0, None)


def methods_of(store: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """The configurations of a store that have queries, by name; the wanted ones, if some are named.

    Raises:
        ConfigError: If one is not there.
    """
    with ExpansionStore.open(store) as opened:
        if wanted:
            for name in wanted:
                StoredQueries(opened, name)
            return tuple(wanted)
        found = []
        for hash_, facts in opened.configs().items():
            generated = any(record.kind == "queries" for record in opened.all_records(hash_))
            if generated and facts.get("name"):
                found.append(str(facts["name"]))
        return tuple(found)
