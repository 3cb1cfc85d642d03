"""One data set, one system: index what is not indexed, search every judged query, score, and say how long it took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.eval.addresses import Addresses, locate
from twindex.eval.beir import Dataset
from twindex.eval.cached_encoder import CachedEncoder, CachedSparse
from twindex.eval.evaluate import AVERAGES, Average, Report, report_of
from twindex.eval.indexes import cached_path, ensure_index, fingerprint, index_bytes, index_config, statistics
from twindex.eval.join import Levels, join_rankings
from twindex.eval.legs import Leg, search, without_self
from twindex.eval.measures import DEFAULT_MEASURES, Measure
from twindex.eval.registry import drops_self_matches, report_split
from twindex.eval.results import Results, RunRecord
from twindex.eval.runs import Hits, HitTable, write_run
from twindex.indexing.encoding import Encoder, PairScorer, SparseEncoder
from twindex.indexing.errors import ConfigError
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress, no_progress
from twindex.retrieval.engine import Searcher
from twindex.retrieval.options import DEFAULT_OPTIONS, SearchOptions
from twindex.retrieval.profile import DEFAULT, Profile
from twindex.retrieval.types import Query, Ranking
from twindex.retrieval.view import MODES, Mode

#: Hits a query that are kept with the scores.
KEPT_HITS: Final = 10


@dataclass(frozen=True, slots=True)
class BeirOptions:
    """What to run.

    ``split``: "" takes the one that the literature reports. ``k``: documents a query. ``average``: which
    queries count. ``drop_self``: whether a query may find the document of its own id; None follows the
    collection's rule. ``profile``: how several legs are fused, None for the default. ``cache``: folder for indexes and
    vectors that are made on the way. ``search``: which sparse legs, how learned queries are cut, how many hits are
    reranked.

    Raises:
        ConfigError: If a value is out of range.
    """

    split: str = ""
    mode: Mode = "hybrid"
    k: int = 1000
    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    average: Average = "answerable"
    drop_self: bool | None = None
    analyzer: str = "english"
    profile: Profile | None = None
    cache: Path = Path("twindex-eval")
    search: SearchOptions = DEFAULT_OPTIONS

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode {self.mode!r}", expected=f"one of {', '.join(MODES)}")
        if self.average not in AVERAGES:
            raise ConfigError(f"average {self.average!r}", expected=f"one of {', '.join(AVERAGES)}")
        if self.k < 1:
            raise ConfigError(f"k = {self.k}", expected="a number of documents of 1 or more")
        if not self.measures:
            raise ConfigError("no measure", expected="at least one")


@dataclass(frozen=True, slots=True)
class BeirResult:
    """What came out. ``timing`` is in seconds, but for those named ``_ms``; ``overhead`` is a share."""

    dataset: str
    split: str
    mode: str
    average: Average
    report: Report
    timing: Mapping[str, float]
    index: Mapping[str, Any]
    self_matches: int
    not_indexed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    hits: HitTable = field(default_factory=dict)

    @property
    def measures(self) -> dict[str, float]:
        """The averages that are reported."""
        return self.report.aggregate(self.average)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the public form, for JSON."""
        full = self.report.to_dict()
        return {
            "dataset": self.dataset,
            "split": self.split,
            "mode": self.mode,
            "measures": self.measures,
            "averaged_over": self.average,
            "averages": full["averages"],
            "queries": full["queries"],
            "self_matches_dropped": self.self_matches,
            "judged_documents_not_indexed": self.not_indexed,
            "config": dict(self.config),
            "index": dict(self.index),
            "timing": dict(self.timing),
            "per_query": full["per_query"],
        }


def evaluate_beir(
    dataset: Dataset | Path,
    options: BeirOptions | None = None,
    *,
    encoder: Encoder | None = None,
    sparse_encoder: SparseEncoder | None = None,
    reranker: PairScorer | None = None,
    index_dir: Path | None = None,
    run_file: Path | None = None,
    progress: Progress = no_progress,
) -> BeirResult:
    """Index (if need be), search and score one data set.

    Args:
        dataset: A folder in BEIR's layout.
        options: What to run.
        encoder: Encoder of the dense leg; the modes dense and hybrid need it. None = that of ``index_dir``, if there is
            an index.
        sparse_encoder: Encoder of the learned leg, likewise.
        reranker: What reranks, if hits are to be; None = the package's own.
        index_dir: The index to use, or to build; None keeps one a corpus and setting under the cache.
        run_file: Where to write the run in TREC's layout.
        progress: Called while indexing and searching.

    Raises:
        CorpusError: If the folder or a file of it cannot be read.
        ConfigError: If there is no such split, or a mode lacks its encoder.
        IndexError_: If the index is not usable.
    """
    options = options or BeirOptions()
    started = time.perf_counter()
    dataset = dataset if isinstance(dataset, Dataset) else Dataset(dataset)
    options = replace(options, split=options.split or report_split(dataset))
    qrels = dataset.qrels(options.split)
    queries = dataset.queries(qrels)
    dense = encoder if options.mode != "sparse" else None
    config = index_config(dense, options.analyzer, sparse_encoder)
    path = index_dir or cached_path(dataset, options.cache, config)
    built = ensure_index(
        dataset,
        path,
        config,
        encoder=_builder(dense, options),
        sparse_encoder=None if sparse_encoder is None else CachedSparse(sparse_encoder, options.cache / "vectors"),
        progress=progress,
    )
    drop = drops_self_matches(dataset) if options.drop_self is None else options.drop_self
    opened = Searcher.open(
        path, encoder=dense, sparse_encoder=sparse_encoder, reranker=reranker, profile=options.profile
    )
    with opened as searcher, Snapshot.open(path) as snapshot:
        addresses = locate(snapshot, _named(qrels))
        texts = [Query(q.text) for q in queries]
        retriever = searcher.retriever(options.mode, options.search)
        leg = search(retriever, texts, options.k + drop, addresses=addresses, progress=progress)
        rankings, dropped = cut(leg, list(qrels), addresses, options.k, drop=drop)
        report = score(rankings, qrels, addresses, options.measures)
        if run_file is not None:
            write_run(run_file, hit_table(list(qrels), rankings, snapshot), f"twindex-{options.mode}")
        hits = hit_table(list(qrels), rankings, snapshot, KEPT_HITS)
        index = {"path": str(path), "bytes": index_bytes(path), **statistics(snapshot)}
    return BeirResult(
        dataset.name,
        options.split,
        options.mode,
        options.average,
        report,
        timing(leg, len(queries), built.seconds, time.perf_counter() - started),
        index,
        dropped,
        sum(d not in addresses.ordinals for documents in qrels.values() for d in documents),
        _config(options, drop, snapshot),
        dataset.digests([options.split]),
        hits,
    )


def store_result(result: BeirResult, store: Results) -> str:
    """Keep a result in a store; the id of the run, which is the same for the same files and settings."""
    name = {"dataset": result.dataset, "split": result.split, "config": dict(result.config)}
    run_id = fingerprint(name | {"hashes": dict(result.hashes)})
    record = RunRecord(
        run_id,
        result.dataset,
        result.split,
        result.mode,
        result.config,
        result.hashes,
        {k: v for k, v in result.index.items() if k != "path"},
        len(result.report.queries),
    )
    store.add(record, result.report, result.timing, result.hits)
    return run_id


def _builder(encoder: Encoder | None, options: BeirOptions) -> Encoder | None:
    """What encodes documents: vectors that any run has made are not made again."""
    return None if encoder is None else CachedEncoder(encoder, options.cache / "vectors")


def _config(options: BeirOptions, drop: bool, snapshot: Snapshot) -> dict[str, Any]:
    """Everything besides the files that shapes the values; what an index may lack is named only where it is."""
    learned = snapshot.sparse_encoder_info
    hybrid = (options.profile or DEFAULT).to_dict() if options.mode == "hybrid" or learned is not None else None
    encoder = snapshot.encoder_info if options.mode != "sparse" else None
    return {
        "mode": options.mode,
        "k": options.k,
        "analyzer": options.analyzer,
        "drop_self": drop,
        "measures": [str(m) for m in options.measures],
        "encoder": encoder.to_dict() if encoder is not None else None,
        "profile": hybrid,
        **({} if learned is None else {"sparse_encoder": learned.to_dict()}),
        **({} if options.search == DEFAULT_OPTIONS else {"search": options.search.to_dict()}),
    }


def cut(leg: Leg, query_ids: Sequence[str], addresses: Addresses, k: int, *, drop: bool) -> tuple[list[Ranking], int]:
    """The k best of each query, without self-matches if asked, and how many of those there were."""
    if drop:
        return without_self(leg.rankings, query_ids, addresses, k)
    return [r if len(r) <= k else r.cut(k) for r in leg.rankings], 0


def score(rankings: Sequence[Ranking], qrels: Levels, addresses: Addresses, measures: Sequence[Measure]) -> Report:
    """The report of one ranking a judged query, in the order of ``qrels``."""
    names = list(qrels)
    return report_of(join_rankings(names, rankings, addresses.ordinals, qrels), measures, run_queries=names)


def hit_table(
    query_ids: Sequence[str], rankings: Sequence[Ranking], snapshot: Snapshot, k: int | None = None
) -> dict[str, Hits]:
    """The first k of each ranking (None = all) with external ids of documents; each id is read once."""
    parts = [r.ords[:k] for r in rankings]
    flat = np.concatenate(parts or [np.empty(0, np.int32)])
    ords, places = np.unique(flat, return_inverse=True)
    names = np.array(snapshot.doc_ids(ords), object)[places].tolist()
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return {
        q: Hits(tuple(names[end - len(part) : end]), r.scores[:k])
        for q, r, part, end in zip(query_ids, rankings, parts, ends, strict=True)
    }


def timing(leg: Leg, queries: int, index_seconds: float, total: float) -> dict[str, float]:
    """Seconds by stage. Overhead is everything but indexing and searching, as a share of the total without indexing."""
    run = total - index_seconds
    return {
        "total_s": total,
        "index_s": index_seconds,
        "search_s": leg.seconds,
        "overhead_s": run - leg.seconds,
        "overhead": (run - leg.seconds) / run if run > 0 else 0.0,
        "query_ms": 1000 * leg.seconds / queries if queries else 0.0,
    }


def _named(qrels: Levels) -> set[str]:
    """Documents that are judged, and those that have a query's id."""
    return {d for documents in qrels.values() for d in documents} | set(qrels)
