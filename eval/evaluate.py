"""evaluate(run, qrels, measures) -> Report: a value a query, and averages that say what they average over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from twindex.eval.join import Join, Levels, join_hits
from twindex.eval.measures import DEFAULT_MEASURES, Float64Array, Measure
from twindex.eval.runs import Hits, HitTable, hits_from_scores
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import BoolArray

#: Over which queries to average.
#: judged: every query with a judgement (trec_eval -c); a query that was not run counts 0.
#: answerable: those of them with a relevant document; the others cannot score, whatever the system does.
#: retrieved: judged queries that the run contains (trec_eval without -c, and pytrec_eval).
Average = Literal["judged", "answerable", "retrieved"]
AVERAGES: Final[tuple[Average, ...]] = get_args(Average)


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The values of each measure, one a judged query.

    Shapes: ``values`` float64[Q] by measure; ``answerable`` and ``retrieved`` bool[Q], which queries have a
    relevant document, and which the run contains. ``extra`` counts queries of the run that nobody judged.
    """

    queries: tuple[str, ...]
    values: Mapping[Measure, Float64Array]
    answerable: BoolArray
    retrieved: BoolArray
    extra: int = 0

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures, in the order asked for."""
        return tuple(self.values)

    def mask(self, over: Average) -> BoolArray:
        """Which queries an average covers: bool[Q].

        Raises:
            ConfigError: If there is no such average.
        """
        if over not in AVERAGES:
            raise ConfigError(f"average over {over!r}", expected=f"one of {', '.join(AVERAGES)}")
        if over == "judged":
            return np.ones(len(self.queries), np.bool_)
        return self.answerable if over == "answerable" else self.retrieved

    def aggregate(self, over: Average = "judged") -> dict[str, float]:
        """Average of each measure by its text; 0 where there is no query to average over."""
        mask = self.mask(over)
        some = bool(mask.any())
        return {str(m): float(v[mask].mean()) if some else 0.0 for m, v in self.values.items()}

    def per_query(self) -> dict[str, dict[str, float]]:
        """Query id -> measure -> value."""
        columns = {str(m): v.tolist() for m, v in self.values.items()}
        return {q: {m: v[i] for m, v in columns.items()} for i, q in enumerate(self.queries)}

    def counts(self) -> dict[str, int]:
        """Queries by kind, as the averages use them."""
        return {
            "judged": len(self.queries),
            "answerable": int(self.answerable.sum()),
            "retrieved": int(self.retrieved.sum()),
            "not_judged": self.extra,
        }

    def to_dict(self) -> dict[str, Any]:
        """Averages of every kind, counts and values, as plain data."""
        return {
            "averages": {over: self.aggregate(over) for over in AVERAGES},
            "queries": self.counts(),
            "per_query": self.per_query(),
        }


def evaluate(
    run: HitTable | Mapping[str, Mapping[str, float]],
    qrels: Levels,
    measures: Iterable[Measure] = DEFAULT_MEASURES,
) -> Report:
    """Score a run.

    Args:
        run: Query id -> hits, or -> document id -> score (then trec_eval's order applies).
        qrels: Query id -> document id -> level.
        measures: What to compute.

    Raises:
        UsageError: If a query names a document twice, or a score is not a number.
    """
    table = {q: v if isinstance(v, Hits) else hits_from_scores(v) for q, v in run.items()}
    return report_of(join_hits(table, qrels), measures, run_queries=table)


def report_of(join: Join, measures: Iterable[Measure], *, run_queries: Iterable[str]) -> Report:
    """The report of a join; ``run_queries`` are the queries that were run, with hits or without."""
    ran = set(run_queries)
    known = set(join.queries)
    return Report(
        join.queries,
        {m: m.values(join) for m in dict.fromkeys(measures)},
        join.relevant() > 0,
        np.fromiter((q in ran for q in join.queries), np.bool_, len(join)),
        len(ran - known),
    )
