"""One collection through every system: index, legs, fusion, tuning, scores; all of it found again when it is there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.eval.addresses import Addresses, locate
from twindex.eval.candidates import Candidate, standard_candidates
from twindex.eval.evaluate import Report
from twindex.eval.harness import KEPT_HITS, hit_table, score
from twindex.eval.indexes import cached_path, ensure_index, fingerprint, index_config, statistics
from twindex.eval.legs import Leg, search, without_self
from twindex.eval.matrix_systems import (
    MODEL_QUERIES,
    SINGLE,
    Legs,
    Speed,
    System,
    bytes_of,
    measure_speed,
    systems_of,
)
from twindex.eval.matrix_task import SetTask, answerable, roles_of
from twindex.eval.measures import Float64Array
from twindex.eval.models import Models
from twindex.eval.qrels import Qrels
from twindex.eval.registry import drops_self_matches
from twindex.eval.results import Results, RunRecord
from twindex.eval.sweep import score_table
from twindex.eval.tune import Tuned, TuneQueries, oracle, profile_of, tune
from twindex.indexing.encoding import Encoder
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import Progress, no_progress
from twindex.retrieval.base import Retriever
from twindex.retrieval.engine import Searcher
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import Profile, Role
from twindex.retrieval.types import Query, Ranking

#: The systems of two legs, in the order of the table. "convex" is the default, "tuned" is chosen out of fold.
SYSTEMS: Final = ("bm25", "dense", "rrf", "convex", "tuned")


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """The searched legs of one split."""

    queries: TuneQueries
    qrels: Qrels
    legs: Legs


def run_set(
    task: SetTask, store: Results, models: Models | Encoder, *, progress: Progress = no_progress
) -> dict[str, Any]:
    """Run what is not in the store yet; the summary of the set, as the report reads it.

    Only queries with a relevant document are run: the others cannot score.

    Raises:
        CorpusError: If the collection cannot be read.
        IndexError_: If a cached index is not usable.
    """
    models = Models.of(models)
    key = task.key(models)
    note = store.note(_note(key))
    if note is not None and all(store.has(run) for run in note["runs"].values()):
        return dict(note)
    started = time.perf_counter()
    with ExitStack() as stack:
        bench, seconds = _Bench.open(task, models, stack, progress)
        split = bench.split(bench.qrels)
        speed = measure_speed(bench.path, models, split.legs.texts)
        summary = _run_systems(bench, split, speed, store, key)
    summary["encoder"] = models.encoder.info.name
    if models.sparse_encoder is not None:
        summary["sparse_encoder"] = models.sparse_encoder.info.name
    summary["seconds"] = {"index": seconds, "total": time.perf_counter() - started}
    store.put_note(_note(key), summary)
    return summary


def _note(key: str) -> str:
    return f"matrix-set:{key}"


class _Bench:
    """An open index with the judged splits of its collection, and indexes of the encoders that are shown beside."""

    def __init__(
        self,
        task: SetTask,
        models: Models,
        path: Path,
        searchers: Mapping[str, Searcher],
        snapshot: Snapshot,
        progress: Progress,
    ) -> None:
        self.task = task
        self.models = models
        self.path = path
        self.snapshot = snapshot
        self.roles = roles_of(models)
        self.drop = drops_self_matches(task.dataset)
        self.candidates = standard_candidates(self.roles)
        self._searchers = searchers
        self._progress = progress
        self.qrels = task.reported()
        self._training = [answerable(task.dataset.qrels(split)) for split in task.training]
        splits = (self.qrels, *self._training)
        judged = {d for qrels in splits for documents in qrels.values() for d in documents}
        own = {q for qrels in splits for q in qrels} if self.drop else set()
        self.addresses: Addresses = locate(snapshot, judged | own)

    @classmethod
    def open(cls, task: SetTask, models: Models, stack: ExitStack, progress: Progress) -> tuple[_Bench, float]:
        """The bench, and the seconds that building took. Indexes of one corpus have the same ordinals."""
        config = index_config(models.encoder, task.analyzer, models.sparse_encoder)
        path = cached_path(task.dataset, task.cache, config)
        cached = models.cached(task.cache / "vectors")
        built = ensure_index(
            task.dataset, path, config, encoder=cached.encoder, sparse_encoder=cached.sparse_encoder, progress=progress
        )
        # Sparse queries come from the encoder itself: they are not kept, and its model may be asked to read them.
        opened = Searcher.open(path, encoder=cached.encoder, sparse_encoder=models.sparse_encoder)
        searchers = {"": stack.enter_context(opened)}
        seconds = built.seconds
        for name, encoder in cached.others.items():
            other = index_config(encoder, task.analyzer)
            place = cached_path(task.dataset, task.cache, other)
            seconds += ensure_index(task.dataset, place, other, encoder=encoder, progress=progress).seconds
            searchers[name] = stack.enter_context(Searcher.open(place, encoder=encoder))
        snapshot = stack.enter_context(Snapshot.open(path))
        return cls(task, models, path, searchers, snapshot, progress), seconds

    def split(self, qrels: Qrels) -> _Split:
        """The legs of a split, searched or loaded."""
        queries = self.task.dataset.queries(qrels)
        texts = tuple(q.text for q in queries)
        legs = Legs(texts, self.roles, {role: self._leg(role, texts) for role in self.roles})
        rankings = [legs.found[role].rankings for role in self.roles]
        return _Split(TuneQueries.of([q.id for q in queries], texts, *rankings, qrels=qrels), qrels, legs)

    def others(self, texts: Sequence[str]) -> dict[str, Leg]:
        """Single legs that are shown beside: those of other encoders, and that of queries which the model reads."""
        found = {MODEL_QUERIES: self._leg("learned", texts, model=True)} if self.models.model_queries else {}
        return found | {name: self._leg("dense", texts, name) for name in self.models.others}

    def training(self) -> TuneQueries | None:
        """The queries that settings may be chosen on; None if the collection has no other split."""
        if not self._training:
            return None
        merged = {q: documents for qrels in reversed(self._training) for q, documents in qrels.items()}
        return self.split(Qrels(merged)).queries

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
            roles=self.roles,
        )

    def cut(self, rankings: Sequence[Ranking], ids: Sequence[str]) -> list[Ranking]:
        """Rankings as they are scored: without self-matches where the collection asks for it."""
        if self.drop:
            return without_self(rankings, ids, self.addresses, self.task.depth)[0]
        depth = self.task.depth
        return [r if len(r) <= depth else r.cut(depth) for r in rankings]

    def _leg(self, role: Role, texts: Sequence[str], searcher: str = "", *, model: bool = False) -> Leg:
        depth = self.task.depth + self.drop
        opened = self._searchers[searcher]
        folder = self.task.cache / "legs" / opened.snapshot.path.name
        kept = MODEL_QUERIES if model else {"bm25": "sparse"}.get(role, role)  # "sparse": as earlier releases said
        path = folder / f"{kept}-{fingerprint({'texts': list(texts), 'depth': depth})}.npz"
        found = Leg.load(path)
        if found is not None and len(found.rankings) == len(texts):
            return found
        queries = [Query(text) for text in texts]
        tell = partial(self._tell, f"{kept} {searcher}".strip())
        leg = search(leg_of(opened, role, model=model), queries, depth, addresses=self.addresses, progress=tell)
        leg.save(path)
        return leg

    def _tell(self, name: str, stage: str, done: int, total: int | None) -> None:
        self._progress(f"{stage} {name}", done, total)


def leg_of(searcher: Searcher, role: Role, *, model: bool = False) -> Retriever:
    """One leg of a searcher; ``model``: whether the model of a learned one reads queries."""
    if role == "dense":
        return searcher.retriever("dense")
    return searcher.retriever("sparse", SearchOptions(sparse=role, learned_queries="model" if model else "words"))


def _run_systems(bench: _Bench, split: _Split, speed: Speed, store: Results, key: str) -> dict[str, Any]:
    task = bench.task
    tuned = tune(bench.candidates, split.queries, bench.training(), task.tuning, table=bench.table)
    others = bench.others(split.legs.texts)
    depth = task.depth + bench.drop
    systems = systems_of(
        split.legs, others, tuned, bench.candidates, depth=depth, models=bench.models, snapshot=bench.snapshot
    )
    counts = statistics(bench.snapshot)
    reports: dict[str, Report] = {}
    runs: dict[str, str] = {}
    for system in systems:
        rankings = bench.cut(system.rankings, split.queries.ids)
        reports[system.name] = score(rankings, bench.qrels, bench.addresses, task.measures)
        record = RunRecord(
            f"{key}-{system.name}",
            task.dataset.name,
            task.split,
            system.name,
            dict(system.config),
            {"set": key},
            counts | {"bytes": bytes_of(bench.snapshot, system.roles)},
            len(split.queries.ids),
        )
        hits = hit_table(split.queries.ids, rankings, bench.snapshot, KEPT_HITS)
        store.add(record, reports[system.name], _timing(system, speed), hits)
        runs[system.name] = record.run_id
    return _summary(task, key, runs, reports, _tuning(bench, split, tuned, reports["tuned"]))


def _timing(system: System, speed: Speed) -> dict[str, float]:
    taken = speed.get(system.timed)
    milliseconds = {} if taken is None else {"query_ms": taken.p50, "query_ms_p99": taken.p99}
    return {"search_s": system.seconds, **milliseconds}


def _tuning(bench: _Bench, split: _Split, tuned: Tuned, gated: Report) -> dict[str, Any]:
    """The row of the tuning table. The oracle reads the judgements of the reported queries, after all is chosen."""
    name = str(bench.task.tuning.measure)
    table = bench.table(split.queries)
    fixed = table[tuned.fixed, np.arange(len(tuned.fixed))]
    profile = profile_of(tuned.final, bench.candidates, depth=bench.task.depth, notes=tuned.protocol)
    return {
        "dataset": bench.task.dataset.name,
        "protocol": tuned.protocol,
        "chosen": describe(tuned, bench.candidates),
        "out_of_fold": float(fixed.mean()),
        "gated": gated.aggregate("answerable")[name],
        "oracle": float(oracle(table).mean()),
        "gate": sum(choice.gate is not None for choice in tuned.choices),
        "choices": len(tuned.choices),
        "profile": profile.to_dict(),
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
    reference = max((system for system in SINGLE if system in means), key=lambda s: means[s])
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


def profile_from(summary: Mapping[str, Any]) -> Profile:
    """The search profile that a set's tuning chose, from its summary."""
    return Profile.from_dict(summary["tuning"]["profile"])
