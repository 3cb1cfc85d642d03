"""What a report shows, gathered from the store of results; no layout here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from twindex.eval.compare import interval
from twindex.eval.results import Results, RunRecord

#: Name under which the matrix keeps its summary in the store.
MATRIX_NOTE: Final = "matrix"
#: Points of a plot of differences, at most.
POINTS: Final = 240


@dataclass(frozen=True, slots=True)
class Cell:
    """One system on one set. ``mark`` compares with the set's better leg: "+" better, "-" worse, "" neither."""

    value: float
    low: float
    high: float
    mark: str = ""
    query_ms: float = 0.0
    index_bytes: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetRow:
    """One set with its systems. ``reference`` is the leg that marks compare with.

    ``nonzeros``: dimensions of the learned leg that a passage has, on average; 0 without such a leg.
    """

    dataset: str
    split: str
    queries: int
    documents: int
    reference: str
    cells: Mapping[str, Cell]
    nonzeros: float = 0.0


@dataclass(frozen=True, slots=True)
class Differences:
    """Sorted differences of two systems over the queries of a set, thinned for a plot."""

    dataset: str
    a: str
    b: str
    wins: int
    losses: int
    ties: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that is shown.

    ``changes`` and ``tuning`` are plain values as the matrix wrote them.
    """

    measure: str
    measures: tuple[str, ...]
    systems: tuple[str, ...]
    sets: tuple[SetRow, ...]
    means: Mapping[str, float]
    overall: tuple[Mapping[str, Any], ...] = ()
    differences: tuple[Differences, ...] = ()
    changes: tuple[Mapping[str, Any], ...] = ()
    tuning: tuple[Mapping[str, Any], ...] = ()
    runs: tuple[RunRecord, ...] = ()
    encoders: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The table as plain values."""
        return {
            "measure": self.measure,
            "systems": list(self.systems),
            "encoders": self.encoders,
            "means": dict(self.means),
            "overall": [dict(o) for o in self.overall],
            "sets": [
                {
                    "dataset": s.dataset,
                    "split": s.split,
                    "queries": s.queries,
                    "documents": s.documents,
                    "reference": s.reference,
                    **({"nonzeros": s.nonzeros} if s.nonzeros else {}),
                    "scores": {n: c.value for n, c in s.cells.items()},
                    "intervals": {n: [c.low, c.high] for n, c in s.cells.items()},
                    "marks": {n: c.mark for n, c in s.cells.items() if c.mark},
                }
                for s in self.sets
            ],
            "tuning": [dict(t) for t in self.tuning],
        }


def gather(store: Results) -> ReportData:
    """The report's content, from the summary that the matrix left and the runs that it names.

    Raises:
        ConfigError: If a run that the summary names is not there.
    """
    note: Mapping[str, Any] = store.note(MATRIX_NOTE) or {}
    measure = str(note.get("measure", "nDCG@10"))
    runs = {r.run_id: r for r in store.runs()}
    marks = {
        (d, b): m for d, _, a, b, result in store.comparisons(MATRIX_NOTE) if (m := _mark(result, flip=True)) and a != b
    }
    sets = []
    for entry in note.get("sets", []):
        named = {s: runs[i] for s, i in entry["runs"].items() if i in runs}
        if named:
            sets.append(_set_row(store, entry, named, measure, marks))
    systems = tuple(note.get("systems", []))
    means = {
        s: float(np.mean([row.cells[s].value for row in sets]))
        for s in systems
        if sets and all(s in row.cells for row in sets)
    }
    return ReportData(
        measure,
        tuple(note.get("measures", [measure])),
        systems,
        tuple(sets),
        means,
        tuple(note.get("overall", [])),
        tuple(_differences(store, entry, runs, measure) for entry in note.get("sets", []) if len(entry["runs"]) > 1),
        tuple(note.get("changes", [])),
        tuple(note.get("tuning", [])),
        tuple(runs[i] for entry in note.get("sets", []) for i in entry["runs"].values() if i in runs),
        _encoders(note.get("sets", [])),
    )


def _encoders(entries: Sequence[Mapping[str, Any]]) -> str:
    """The encoder of most sets, and the sets that have another, in words."""
    named = {entry["dataset"]: str(entry["encoder"]) for entry in entries if "encoder" in entry}
    if not named:
        return ""
    usual = Counter(named.values()).most_common(1)[0][0]
    others = [f"{encoder} on {dataset}" for dataset, encoder in named.items() if encoder != usual]
    return "; ".join([usual, *others])


def _set_row(
    store: Results,
    entry: Mapping[str, Any],
    named: Mapping[str, RunRecord],
    measure: str,
    marks: Mapping[tuple[str, str], str],
) -> SetRow:
    cells = {}
    wanted = set(entry["answerable"])
    for system, run in named.items():
        values = store.values(run.run_id, measure)
        kept = np.array([v for q, v in values.items() if not wanted or q in wanted])
        low, high = interval(kept)
        timings = store.timings(run.run_id)
        cells[system] = Cell(
            float(kept.mean()) if len(kept) else 0.0,
            low,
            high,
            marks.get((entry["dataset"], system), ""),
            timings.get("query_ms", 0.0),
            int(run.index.get("bytes", 0)),
            store.scores(run.run_id, "answerable"),
        )
    some = next(iter(named.values()))
    return SetRow(
        entry["dataset"],
        entry["split"],
        len(wanted) or some.queries,
        int(some.index.get("documents", 0)),
        entry["reference"],
        cells,
        some.index.get("impacts", 0) / max(1, some.index.get("passages", 0)),
    )


def _differences(store: Results, entry: Mapping[str, Any], runs: Mapping[str, RunRecord], measure: str) -> Differences:
    a, b = entry["contrast"], entry["reference"]
    first = store.values(entry["runs"][a], measure)
    second = store.values(entry["runs"][b], measure)
    deltas = sorted((first[q] - second[q] for q in first if q in second), reverse=True)
    return Differences(
        entry["dataset"],
        a,
        b,
        sum(d > 1e-9 for d in deltas),
        sum(d < -1e-9 for d in deltas),
        sum(abs(d) <= 1e-9 for d in deltas),
        tuple(_thin(deltas)),
    )


def _thin(values: Sequence[float]) -> list[float]:
    if len(values) <= POINTS:
        return list(values)
    places = np.linspace(0, len(values) - 1, POINTS).round().astype(int)
    return [values[i] for i in places.tolist()]


def _mark(result: Mapping[str, Any], *, flip: bool) -> str:
    """Comparisons are stored as (reference, system), so a positive difference is the reference's."""
    if result["p_adjusted"] >= 0.05 or result["difference"] == 0:
        return ""
    return "+" if (result["difference"] < 0) == flip else "-"
