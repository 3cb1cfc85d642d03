"""Two systems side by side: from run files and judgements, or from the store of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.eval.compare import Change, Comparison, TestOptions, adjust, compare, most_changed
from twindex.eval.evaluate import evaluate
from twindex.eval.join import Levels
from twindex.eval.measures import Float64Array, Measure
from twindex.eval.qrels import read_qrels
from twindex.eval.results import Results
from twindex.eval.runs import read_run
from twindex.indexing.errors import UsageError

#: Hits of a ranking that are shown.
SHOWN: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One system: values of each measure by query, and a way to its first hits.

    ``hits``: query id -> first documents with their levels (None = not judged, or not known).
    """

    name: str
    values: Mapping[str, Mapping[str, float]]
    hits: Mapping[str, Sequence[tuple[str, int | None]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """A against B: one comparison a measure, corrected together, and the queries that changed most."""

    a: str
    b: str
    comparisons: Mapping[str, Comparison]
    measure: str
    changes: Sequence[Change]
    hits_a: Mapping[str, Sequence[tuple[str, int | None]]]
    hits_b: Mapping[str, Sequence[tuple[str, int | None]]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the public form, for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "measures": {name: c.to_dict() for name, c in self.comparisons.items()},
            "changed_most": [
                {
                    "query_id": c.query_id,
                    "measure": self.measure,
                    "a": c.a,
                    "b": c.b,
                    "a_hits": [list(h) for h in self.hits_a.get(c.query_id, ())],
                    "b_hits": [list(h) for h in self.hits_b.get(c.query_id, ())],
                }
                for c in self.changes
            ],
        }


def side_by_side(a: Side, b: Side, *, tests: TestOptions | None = None, limit: int = 10) -> SideBySide:
    """Compare on the queries that both have.

    Raises:
        UsageError: If they have no measure or no query in common.
    """
    found: dict[str, Comparison] = {}
    for name in [m for m in a.values if m in b.values]:
        shared = [q for q in a.values[name] if q in b.values[name]]
        if shared:
            found[name] = compare(_array(a.values[name], shared), _array(b.values[name], shared), tests)
    if not found:
        raise UsageError(f"nothing in common between {a.name} and {b.name}", expected="a measure and a query")
    first = next(iter(found))
    adjusted = dict(zip(found, adjust(list(found.values())), strict=True))
    return SideBySide(
        a.name, b.name, adjusted, first, most_changed(a.values[first], b.values[first], limit), a.hits, b.hits
    )


def side_from_run(path: Path, qrels: Levels, measures: Sequence[Measure]) -> Side:
    """A run file, scored on the queries that have a relevant document.

    Raises:
        CorpusError: If the file cannot be read.
    """
    run = read_run(path)
    report = evaluate(run, qrels, measures)
    answerable = [q for q, keep in zip(report.queries, report.answerable.tolist()) if keep]
    rows = report.per_query()
    values = {str(m): {q: rows[q][str(m)] for q in answerable} for m in measures}
    hits = {q: [(d, qrels[q].get(d)) for d in run[q].ids[:SHOWN]] for q in answerable if q in run}
    return Side(path.name, values, hits)


def sides_from_files(a: Path, b: Path, qrels: Path, measures: Sequence[Measure]) -> tuple[Side, Side]:
    """Two run files with the judgements of a third.

    Raises:
        CorpusError: If a file cannot be read.
    """
    levels = read_qrels(qrels)
    return side_from_run(a, levels, measures), side_from_run(b, levels, measures)


def side_from_store(store: Results, *, dataset: str, split: str, system: str, measures: Sequence[Measure]) -> Side:
    """The latest run of a system on a split.

    Raises:
        ConfigError: If there is none.
    """
    run = store.find(dataset=dataset, split=split, system=system)
    values = {str(m): found for m in measures if (found := store.values(run.run_id, str(m)))}
    hits = {q: [(d, None) for d in documents[:SHOWN]] for q, documents in store.all_hits(run.run_id).items()}
    return Side(system, values, hits)


def _array(values: Mapping[str, float], queries: Sequence[str]) -> Float64Array:
    return np.array([values[q] for q in queries], np.float64)
