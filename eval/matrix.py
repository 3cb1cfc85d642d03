"""All judged collections of a folder times all systems, with the tests that say which differences are real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.eval.beir import Dataset
from twindex.eval.compare import Comparison, TestOptions, adjust, compare, compare_mean, most_changed
from twindex.eval.indexes import fingerprint
from twindex.eval.matrix_set import run_set
from twindex.eval.matrix_systems import MODEL_QUERIES, TIMED
from twindex.eval.matrix_task import TRAINING, SetTask
from twindex.eval.measures import DEFAULT_MEASURES, Float64Array, Measure
from twindex.eval.models import Models
from twindex.eval.registry import report_split
from twindex.eval.report_data import MATRIX_NOTE
from twindex.eval.results import Results
from twindex.eval.tune import TuneOptions
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import ConfigError, CorpusError
from twindex.indexing.types import Progress, no_progress
from twindex.retrieval.profile import DEPTH

#: Family of comparisons over the means of all sets: these with the better leg of each set, and these pairs.
OVERALL: Final = ("tuned", "convex", "rrf", "rerank")
PAIRS: Final = (
    ("tuned", "bm25"),
    ("tuned", "dense"),
    ("tuned", "convex"),
    ("convex", "rrf"),
    ("learned", "bm25"),
    (MODEL_QUERIES, "bm25"),
    (MODEL_QUERIES, "learned"),
    ("convex", "bm25"),
    ("convex", "learned"),
    ("convex", "dense"),
    ("convex", "bm25+dense"),
    ("convex", "learned+dense"),
    ("rerank", "convex"),
)
#: Pairs that are told where there are two legs alone.
TWO_LEG_PAIRS: Final = PAIRS[:4]
#: Systems that are not another encoder's.
KNOWN: Final = frozenset({*TIMED, *OVERALL})
#: Queries whose rankings are shown, a set.
CHANGES: Final = 2
#: The better single leg of each set, as if it were a system.
BEST_LEG: Final = "better leg of each set"


@dataclass(frozen=True, slots=True)
class MatrixOptions:
    """What to run.

    ``data``: folder of collections. ``sets``: only these, by name; empty = all that are judged. ``cache``: folder for
    indexes and legs. ``results``: the store. ``sample``: queries of a set, at most; None = all.
    """

    data: Path
    sets: tuple[str, ...] = ()
    cache: Path = Path("twindex-eval")
    results: Path = Path("twindex-eval/results.duckdb")
    measures: tuple[Measure, ...] = DEFAULT_MEASURES
    tuning: TuneOptions = field(default_factory=TuneOptions)
    tests: TestOptions = field(default_factory=TestOptions)
    analyzer: str = "english"
    depth: int = DEPTH
    sample: int | None = None


def judged_sets(root: Path, names: Sequence[str] = ()) -> list[tuple[Dataset, str]]:
    """The collections of a folder that can be reported, with their splits, by name.

    A collection without a corpus, or of which only a training split is judged, is left out.

    Raises:
        CorpusError: If a collection that was asked for is not there, or cannot be reported.
        ConfigError: If there is none at all.
    """
    found = []
    for folder in [root / name for name in names] if names else sorted(p for p in root.iterdir() if p.is_dir()):
        try:
            dataset = Dataset(folder)
            if not dataset.has_corpus or not set(dataset.splits) - {TRAINING[0]}:
                raise CorpusError("no corpus, or nothing but training judgements", path=str(folder))
            found.append((dataset, report_split(dataset)))
        except CorpusError:
            if names:
                raise
    if not found:
        raise ConfigError(f"no judged collection in {root}", expected="folders in BEIR's layout")
    return found


def run_matrix(
    options: MatrixOptions,
    models: Models | Encoder,
    *,
    others: Mapping[str, Models | Encoder] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Run what is missing, compare, and leave the summary in the store; the summary.

    Each set is stored when it is done, so that an interrupted run goes on where it was.

    Args:
        options: What to run.
        models: What encodes and reranks; an encoder is one without further legs.
        others: Those of some sets, by name, in its place.
        progress: Called while it runs.

    Raises:
        CorpusError: If a collection cannot be read.
        CorruptIndexError: If the result store cannot be opened.
    """
    sets = judged_sets(options.data, options.sets)
    with Results(options.results) as store:
        summaries = []
        for done, (dataset, split) in enumerate(sets):
            progress("sets", done, len(sets))
            task = SetTask(
                dataset,
                split,
                options.measures,
                options.tuning,
                options.analyzer,
                options.depth,
                options.cache,
                options.sample,
            )
            used = (others or {}).get(dataset.name, models)
            summaries.append(run_set(task, store, used, progress=progress))
        progress("sets", len(sets), len(sets))
        return summarise(store, summaries, options)


def summarise(store: Results, summaries: Sequence[Mapping[str, Any]], options: MatrixOptions) -> dict[str, Any]:
    """Comparisons and summary of sets that have run, from the store if they are the same as last time."""
    key = fingerprint({"sets": [s["key"] for s in summaries], "tests": repr(options.tests), "version": 1})
    last = store.note(MATRIX_NOTE)
    if last is not None and last.get("key") == key:
        return dict(last)
    measure = str(options.tuning.measure)
    values = [_values(store, s["runs"], measure) for s in summaries]
    rows, overall = _comparisons(summaries, values, options.tests)
    store.put_comparisons(MATRIX_NOTE, [(d, measure, a, b, c.to_dict()) for d, a, b, c in rows])
    note = {
        "key": key,
        "measure": measure,
        "measures": [str(m) for m in options.measures],
        "systems": _systems(summaries),
        "sets": [dict(s) for s in summaries],
        "overall": overall,
        "changes": [change for s, v in zip(summaries, values) for change in _changes(store, s, v, options)],
        "tuning": [s["tuning"] for s in summaries],
    }
    store.put_note(MATRIX_NOTE, note)
    return note


def _systems(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The systems of all sets, in the order of the first set that has most of them."""
    most = max((list(summary["runs"]) for summary in summaries), key=len, default=[])
    return [*most, *(name for summary in summaries for name in summary["runs"] if name not in most)]


def _values(store: Results, runs: Mapping[str, str], measure: str) -> dict[str, dict[str, float]]:
    return {system: store.values(run, measure) for system, run in runs.items()}


def _array(values: Mapping[str, float]) -> Float64Array:
    return np.fromiter(values.values(), np.float64, len(values))


def _comparisons(
    summaries: Sequence[Mapping[str, Any]], values: Sequence[Mapping[str, Mapping[str, float]]], tests: TestOptions
) -> tuple[list[tuple[str, str, str, Comparison]], list[dict[str, Any]]]:
    """Every system against the better leg of its set, as one family; and means over all sets, as another."""
    rows = []
    for summary, found in zip(summaries, values):
        reference = summary["reference"]
        for system in summary["runs"]:
            if system != reference:
                pair = (_array(found[reference]), _array(found[system]))
                rows.append((summary["dataset"], reference, system, compare(*pair, tests)))
    adjusted = adjust([c for *_, c in rows])
    best = [_array(found[s["reference"]]) for s, found in zip(summaries, values)]
    named = [
        (system, BEST_LEG, compare_mean([(_array(f[system]), b) for f, b in zip(values, best)], tests))
        for system in OVERALL
        if all(system in found for found in values)
    ]
    named += [
        (a, b, compare_mean([(_array(found[a]), _array(found[b])) for found in values], tests))
        for a, b in _pairs(values)
    ]
    overall = [
        {"a": a, "b": b} | c.to_dict() for (a, b, _), c in zip(named, adjust([c for _, _, c in named]), strict=True)
    ]
    return [(d, a, b, c) for (d, a, b, _), c in zip(rows, adjusted, strict=True)], overall


def _pairs(values: Sequence[Mapping[str, Mapping[str, float]]]) -> list[tuple[str, str]]:
    """The pairs whose systems ran on every set; other dense encoders are compared with the index's own."""
    everywhere = set.intersection(*(set(found) for found in values)) if values else set()
    wanted = PAIRS if "learned" in everywhere or "rerank" in everywhere else TWO_LEG_PAIRS
    beside = [("dense", name) for name in sorted(everywhere - KNOWN)]
    return [*((a, b) for a, b in wanted if {a, b} <= everywhere), *beside]


def _changes(
    store: Results,
    summary: Mapping[str, Any],
    values: Mapping[str, Mapping[str, float]],
    options: MatrixOptions,
) -> list[dict[str, Any]]:
    """The queries that differ most between the contrast and the better leg, with both rankings."""
    a, b = summary["contrast"], summary["reference"]
    dataset = Dataset(options.data / summary["dataset"])
    found = most_changed(values[a], values[b], CHANGES)
    if not found:
        return []
    qrels = dataset.qrels(summary["split"])
    texts = {q.id: q.text for q in dataset.queries([c.query_id for c in found])}
    out = []
    for change in found:
        levels = qrels[change.query_id]
        sides = {
            f"{side}_hits": [[d, levels.get(d)] for d, _ in store.hits(summary["runs"][system], change.query_id)]
            for side, system in (("a", a), ("b", b))
        }
        out.append({
            "dataset": summary["dataset"], "query_id": change.query_id, "text": texts[change.query_id],
            "a": a, "b": b, "a_value": change.a, "b_value": change.b, **sides,
        })  # fmt: skip
    return out
