"""One collection through every system: index, legs, fusion, tuning, scores; all of it found again when it is there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.eval.addresses import Addresses, locate
from twindex.eval.cached_encoder import CachedEncoder
from twindex.eval.candidates import Candidate, standard_candidates
from twindex.eval.evaluate import Report
from twindex.eval.harness import KEPT_HITS, hit_table, score
from twindex.eval.indexes import cached_path, ensure_index, fingerprint, index_config, leg_bytes, statistics
from twindex.eval.latency import latencies
from twindex.eval.legs import Leg, search, without_self
from twindex.eval.matrix_task import SetTask
from twindex.eval.measures import Float64Array
from twindex.eval.qrels import Qrels
from twindex.eval.registry import drops_self_matches
from twindex.eval.results import Results, RunRecord
from twindex.eval.sweep import score_table
from twindex.eval.tune import Tuned, TuneQueries, oracle, profile_of, tune
from twindex.indexing.encoding import Encoder
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress, no_progress
from twindex.retrieval.engine import Searcher
from twindex.retrieval.fusion import RRF
from twindex.retrieval.profile import DEFAULT, Profile, Recipe
from twindex.retrieval.types import Query, Ranking

#: The systems, in the order of the table. "convex" is the search engine's default, "tuned" is chosen out of fold.
SYSTEMS: Final = ("bm25", "dense", "rrf", "convex", "tuned")


@dataclass(frozen=True, slots=True, eq=False)
class _Legs:
    """The searched legs of one split."""

    queries: TuneQueries
    qrels: Qrels
    texts: tuple[str, ...]
    sparse: Leg
    dense: Leg


@dataclass(frozen=True, slots=True, eq=False)
class _System:
    """The rankings of one system, and the seconds that they took."""

    name: str
    rankings: Sequence[Ranking]
    seconds: float
    latency_ms: float
    config: Mapping[str, Any]


def run_set(task: SetTask, store: Results, encoder: Encoder, *, progress: Progress = no_progress) -> dict[str, Any]:
    """Run what is not in the store yet; the summary of the set, as the report reads it.

    Only queries with a relevant document are run: the others cannot score.

    Raises:
        CorpusError: If the collection cannot be read.
        IndexError_: If a cached index is not usable.
    """
    key = task.key(encoder)
    note = store.note(_note(key))
    if note is not None and all(store.has(run) for run in note["runs"].values()):
        return dict(note)
    started = time.perf_counter()
    config = index_config(encoder, task.analyzer)
    path = cached_path(task.dataset, task.cache, config)
    cached = CachedEncoder(encoder, task.cache / "vectors")
    built = ensure_index(task.dataset, path, config, encoder=cached, progress=progress)
    with Searcher.open(path, encoder=cached) as searcher, Snapshot.open(path) as snapshot:
        bench = _Bench(task, searcher, snapshot, task.cache / "legs" / path.name, progress)
        legs = bench.legs(bench.qrels)
        with Searcher.open(path, encoder=encoder) as plain:
            speed = latencies(plain, legs.texts)
        summary = _run_systems(bench, legs, speed, store, key)
    summary["encoder"] = encoder.info.name
    summary["seconds"] = {"index": built.seconds, "total": time.perf_counter() - started}
    store.put_note(_note(key), summary)
    return summary


def _note(key: str) -> str:
    return f"matrix-set:{key}"


class _Bench:
    """An open index with the judged splits of its collection."""

    def __init__(self, task: SetTask, searcher: Searcher, snapshot: Snapshot, folder: Path, progress: Progress) -> None:
        self.task = task
        self.searcher = searcher
        self.snapshot = snapshot
        self.drop = drops_self_matches(task.dataset)
        self.candidates = standard_candidates()
        self._folder = folder
        self._progress = progress
        splits = {split: _answerable(task.dataset.qrels(split)) for split in (task.split, *task.training)}
        self.qrels = splits[task.split]
        self._training = [splits[split] for split in task.training]
        judged = {d for qrels in splits.values() for documents in qrels.values() for d in documents}
        own = {q for qrels in splits.values() for q in qrels} if self.drop else set()
        self.addresses: Addresses = locate(snapshot, judged | own)

    def legs(self, qrels: Qrels) -> _Legs:
        """Both legs of a split, searched or loaded."""
        queries = self.task.dataset.queries(qrels)
        texts = tuple(q.text for q in queries)
        sparse, dense = (self._leg(mode, texts) for mode in ("sparse", "dense"))
        ids = [q.id for q in queries]
        return _Legs(TuneQueries.of(ids, texts, sparse.rankings, dense.rankings, qrels), qrels, texts, sparse, dense)

    def training(self) -> TuneQueries | None:
        """The queries that settings may be chosen on; None if the collection has no other split."""
        if not self._training:
            return None
        merged = {q: documents for qrels in reversed(self._training) for q, documents in qrels.items()}
        return self.legs(Qrels(merged)).queries

    def table(self, queries: TuneQueries) -> Float64Array:
        """Scores of every candidate."""
        return score_table(
            self.candidates,
            queries.ids,
            queries.legs,
            self.task.tuning.measure,
            qrels=queries.qrels,
            ordinals=self.addresses.ordinals,
            drop_self=self.drop,
        )

    def cut(self, rankings: Sequence[Ranking], ids: Sequence[str]) -> list[Ranking]:
        """Rankings as they are scored: without self-matches where the collection asks for it."""
        if self.drop:
            return without_self(rankings, ids, self.addresses, self.task.depth)[0]
        depth = self.task.depth
        return [r if len(r) <= depth else r.cut(depth) for r in rankings]

    def _leg(self, mode: str, texts: Sequence[str]) -> Leg:
        depth = self.task.depth + self.drop
        path = self._folder / f"{mode}-{fingerprint({'texts': list(texts), 'depth': depth})}.npz"
        found = Leg.load(path)
        if found is not None and len(found.rankings) == len(texts):
            return found
        retriever = self.searcher.retriever("sparse" if mode == "sparse" else "dense")
        queries = [Query(text) for text in texts]
        leg = search(retriever, queries, depth, addresses=self.addresses, progress=partial(self._tell, mode))
        leg.save(path)
        return leg

    def _tell(self, mode: str, stage: str, done: int, total: int | None) -> None:
        self._progress(f"{stage} {mode}", done, total)


def _run_systems(bench: _Bench, legs: _Legs, speed: Mapping[str, float], store: Results, key: str) -> dict[str, Any]:
    task = bench.task
    tuned = tune(bench.candidates, legs.queries, bench.training(), task.tuning, table=bench.table)
    systems = _systems(bench, legs, tuned, speed)
    sizes = leg_bytes(bench.snapshot)
    counts = statistics(bench.snapshot)
    reports: dict[str, Report] = {}
    runs: dict[str, str] = {}
    for system in systems:
        rankings = bench.cut(system.rankings, legs.queries.ids)
        reports[system.name] = score(rankings, bench.qrels, bench.addresses, task.measures)
        record = RunRecord(
            f"{key}-{system.name}",
            task.dataset.name,
            task.split,
            system.name,
            dict(system.config),
            {"set": key},
            counts | {"bytes": _size(sizes, system.name)},
            len(legs.queries.ids),
        )
        timing = {"search_s": system.seconds, "query_ms": system.latency_ms}
        hits = hit_table(legs.queries.ids, rankings, bench.snapshot, KEPT_HITS)
        store.add(record, reports[system.name], timing, hits)
        runs[system.name] = record.run_id
    tuning = _tuning(bench, legs, tuned, reports["tuned"])
    return _summary(task, key, runs, reports, tuning)


def _systems(bench: _Bench, legs: _Legs, tuned: Tuned, speed: Mapping[str, float]) -> list[_System]:
    depth = bench.task.depth + bench.drop
    pairs = legs.queries.legs
    both = legs.sparse.seconds + legs.dense.seconds

    def fused(name: str, recipes: Sequence[Recipe], config: Mapping[str, Any]) -> _System:
        started = time.perf_counter()
        rankings = [recipe.fuse(pair, depth) for recipe, pair in zip(recipes, pairs, strict=True)]
        return _System(name, rankings, both + time.perf_counter() - started, speed["hybrid"], config)

    count = len(pairs)
    rrf, default = Recipe(RRF()), DEFAULT.recipe
    chosen = [bench.candidates[i].recipe for i in tuned.gated.tolist()]
    profile = profile_of(tuned.final, bench.candidates, depth=bench.task.depth, notes=tuned.protocol)
    return [
        _System("bm25", legs.sparse.rankings, legs.sparse.seconds, speed["sparse"], {"leg": "sparse"}),
        _System("dense", legs.dense.rankings, legs.dense.seconds, speed["dense"], _encoder(bench.snapshot)),
        fused("rrf", [rrf] * count, rrf.to_dict()),
        fused("convex", [default] * count, default.to_dict()),
        fused("tuned", chosen, {"protocol": tuned.protocol, "profile": profile.to_dict()}),
    ]


def _encoder(snapshot: Snapshot) -> dict[str, Any]:
    info = snapshot.encoder_info
    return {"leg": "dense"} | ({"encoder": info.name, "fingerprint": info.fingerprint} if info else {})


def _tuning(bench: _Bench, legs: _Legs, tuned: Tuned, gated: Report) -> dict[str, Any]:
    """The row of the tuning table. The oracle reads the judgements of the reported queries, after all is chosen."""
    name = str(bench.task.tuning.measure)
    table = bench.table(legs.queries)
    fixed = table[tuned.fixed, np.arange(len(tuned.fixed))]
    return {
        "dataset": bench.task.dataset.name,
        "protocol": tuned.protocol,
        "chosen": describe(tuned, bench.candidates),
        "out_of_fold": float(fixed.mean()),
        "gated": gated.aggregate("answerable")[name],
        "oracle": float(oracle(table).mean()),
        "gate": sum(choice.gate is not None for choice in tuned.choices),
        "choices": len(tuned.choices),
        "profile": profile_of(tuned.final, bench.candidates, depth=bench.task.depth, notes=tuned.protocol).to_dict(),
    }


def describe(tuned: Tuned, candidates: Sequence[Candidate]) -> str:
    """What was chosen from all training queries, in words."""
    name = candidates[tuned.final.best].name
    gate = tuned.final.gate
    return name if gate is None else f"gate over {len(gate.members)} settings, else {name}"


def _summary(
    task: SetTask, key: str, runs: Mapping[str, str], reports: Mapping[str, Report], tuning: Mapping[str, Any]
) -> dict[str, Any]:
    name = str(task.tuning.measure)
    means = {system: report.aggregate("answerable")[name] for system, report in reports.items()}
    reference = max(("bm25", "dense"), key=lambda s: means[s])
    return {
        "key": key,
        "dataset": task.dataset.name,
        "split": task.split,
        "reference": reference,
        "contrast": "tuned",
        "runs": dict(runs),
        "answerable": [],
        "means": means,
        "tuning": dict(tuning),
    }


def _size(sizes: Mapping[str, int], system: str) -> int:
    """Bytes that a system needs: documents always, and the files of its legs."""
    legs = {"bm25": ("sparse",), "dense": ("dense",)}.get(system, ("sparse", "dense"))
    return sizes["store"] + sum(sizes[leg] for leg in legs)


def _answerable(qrels: Qrels) -> Qrels:
    return qrels.subset(qrels.answerable())


def profile_from(summary: Mapping[str, Any]) -> Profile:
    """The search profile that a set's tuning chose, from its summary."""
    return Profile.from_dict(summary["tuning"]["profile"])
