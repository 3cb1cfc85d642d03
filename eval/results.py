"""Every run in one DuckDB file: settings, hashes, values a query, timings. Anyone can ask it in SQL.

::

    runs(run_id, dataset, split, system, measure_set, config, hashes, index, queries, finished_at)
    scores(run_id, average, measure, value)
    per_query(run_id, query_id, measure, value)
    hits(run_id, query_id, rank, document_id, score)
    timings(run_id, stage, value)
    comparisons(family, dataset, measure, a, b, result)
    notes(name, value)

``run_id`` is a hash of everything that shapes the values, so a run that is there need not be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from twindex.eval.evaluate import AVERAGES, Report
from twindex.eval.measures import Float64Array
from twindex.eval.runs import HitTable
from twindex.indexing import optional
from twindex.indexing.errors import ConfigError, CorruptIndexError, UsageError

SCHEMA: Final = """
create table if not exists runs(
  run_id varchar primary key, dataset varchar not null, split varchar not null, system varchar not null,
  config json not null, hashes json not null, index json not null, queries integer not null,
  finished_at timestamp not null default current_timestamp);
create table if not exists scores(run_id varchar, average varchar, measure varchar, value double);
create table if not exists per_query(run_id varchar, query_id varchar, measure varchar, value double);
create table if not exists hits(
  run_id varchar, query_id varchar, rank integer, document_id varchar, score float);
create table if not exists timings(run_id varchar, stage varchar, value double);
create table if not exists comparisons(
  family varchar, dataset varchar, measure varchar, a varchar, b varchar, result json not null);
create table if not exists notes(name varchar primary key, value json not null);
"""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one system on one split."""

    run_id: str
    dataset: str
    split: str
    system: str
    config: Mapping[str, Any]
    hashes: Mapping[str, str] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)
    queries: int = 0


class Results:
    """The store of results at a path; a context manager.

    Raises:
        CorruptIndexError: If the file is not such a store, or another process has it open for writing.
    """

    def __init__(self, path: Path | str) -> None:
        duckdb = optional.load("duckdb", purpose="storing results")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = duckdb.connect(str(path))
            self._db.execute(SCHEMA)
        except duckdb.Error as error:
            raise CorruptIndexError(
                f"the result file {path} cannot be opened ({str(error).splitlines()[0]})",
                remedy="close the other program that has it open, or name another file",
            ) from error
        self._error = duckdb.Error

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write everything out and let go of the file."""
        self._db.close()

    def has(self, run_id: str) -> bool:
        """Whether the run is there."""
        return bool(self._db.execute("select 1 from runs where run_id = ?", [run_id]).fetchall())

    def add(self, record: RunRecord, report: Report, timing: Mapping[str, float], hits: HitTable | None = None) -> None:
        """Store a run, replacing one of the same id, in one transaction; ``hits`` are the first hits of each query."""
        self._db.execute("begin")
        try:
            self._delete(record.run_id)
            self._insert(record, report, timing)
            self._insert_hits(record.run_id, hits or {})
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def runs(self) -> list[RunRecord]:
        """All runs, by data set, split and system."""
        rows = self._db.execute(
            "select run_id, dataset, split, system, config, hashes, index, queries from runs"
            " order by dataset, split, system, run_id"
        ).fetchall()
        return [
            RunRecord(r, d, s, y, json.loads(c), json.loads(h), json.loads(i), n) for r, d, s, y, c, h, i, n in rows
        ]

    def find(self, *, dataset: str, split: str, system: str) -> RunRecord:
        """The latest run of a system on a split.

        Raises:
            ConfigError: If there is none; the message lists the systems that ran there.
        """
        rows = self._db.execute(
            "select run_id from runs where dataset = ? and split = ? and system = ? order by finished_at desc",
            [dataset, split, system],
        ).fetchall()
        if rows:
            return next(r for r in self.runs() if r.run_id == rows[0][0])
        there = sorted({r.system for r in self.runs() if (r.dataset, r.split) == (dataset, split)})
        raise ConfigError(
            f"no run of {system!r} on {dataset}/{split}", expected=f"one of: {', '.join(there) or 'none ran yet'}"
        )

    def values(self, run_id: str, measure: str) -> dict[str, float]:
        """Query id -> value, by query id."""
        rows = self._db.execute(
            "select query_id, value from per_query where run_id = ? and measure = ? order by query_id",
            [run_id, measure],
        ).fetchall()
        return dict(rows)

    def hits(self, run_id: str, query_id: str) -> list[tuple[str, float]]:
        """The first documents of a query with their scores, best first."""
        rows: list[tuple[str, float]] = self._db.execute(
            "select document_id, score from hits where run_id = ? and query_id = ? order by rank", [run_id, query_id]
        ).fetchall()
        return rows

    def all_hits(self, run_id: str) -> dict[str, list[str]]:
        """The first documents of every query, best first."""
        rows = self._db.execute(
            "select query_id, document_id from hits where run_id = ? order by query_id, rank", [run_id]
        ).fetchall()
        out: dict[str, list[str]] = {}
        for query, document in rows:
            out.setdefault(query, []).append(document)
        return out

    def scores(self, run_id: str, average: str) -> dict[str, float]:
        """Measure -> average over the given queries."""
        rows = self._db.execute(
            "select measure, value from scores where run_id = ? and average = ?", [run_id, average]
        ).fetchall()
        return dict(rows)

    def timings(self, run_id: str) -> dict[str, float]:
        """Stage -> value."""
        return dict(self._db.execute("select stage, value from timings where run_id = ?", [run_id]).fetchall())

    def put_comparisons(self, family: str, rows: Sequence[tuple[str, str, str, str, Mapping[str, Any]]]) -> None:
        """Replace the comparisons of a family by (data set, measure, a, b, result) rows."""
        self._db.execute("delete from comparisons where family = ?", [family])
        for dataset, measure, a, b, result in rows:
            self._db.execute(
                "insert into comparisons values (?, ?, ?, ?, ?, ?)",
                [family, dataset, measure, a, b, json.dumps(result)],
            )

    def comparisons(self, family: str) -> list[tuple[str, str, str, str, dict[str, Any]]]:
        """The (data set, measure, a, b, result) rows of a family, as they were put."""
        rows = self._db.execute(
            "select dataset, measure, a, b, result from comparisons where family = ?", [family]
        ).fetchall()
        return [(d, m, a, b, json.loads(r)) for d, m, a, b, r in rows]

    def put_note(self, name: str, value: Any) -> None:
        """Keep a value under a name, in place of the one before."""
        self._db.execute("insert or replace into notes values (?, ?)", [name, json.dumps(value)])

    def note(self, name: str) -> Any:
        """The value under a name; None if there is none."""
        rows = self._db.execute("select value from notes where name = ?", [name]).fetchall()
        return json.loads(rows[0][0]) if rows else None

    def sql(self, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of any query.

        Raises:
            UsageError: If the database refuses it.
        """
        try:
            cursor = self._db.execute(query)
            return [c[0] for c in cursor.description or []], cursor.fetchall()
        except self._error as error:
            raise UsageError(f"SQL that cannot be run ({str(error).splitlines()[0]})") from error

    def _delete(self, run_id: str) -> None:
        for table in ("runs", "scores", "per_query", "hits", "timings"):
            self._db.execute(f"delete from {table} where run_id = ?", [run_id])

    def _insert(self, record: RunRecord, report: Report, timing: Mapping[str, float]) -> None:
        texts = [json.dumps(dict(v)) for v in (record.config, record.hashes, record.index)]
        self._db.execute(
            "insert into runs(run_id, dataset, split, system, config, hashes, index, queries)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            [record.run_id, record.dataset, record.split, record.system, *texts, record.queries],
        )
        for average in AVERAGES:
            for measure, value in report.aggregate(average).items():
                self._db.execute("insert into scores values (?, ?, ?, ?)", [record.run_id, average, measure, value])
        for measure_, values in report.values.items():
            self._insert_values(record.run_id, str(measure_), report.queries, values)
        for stage, seconds in timing.items():
            self._db.execute("insert into timings values (?, ?, ?)", [record.run_id, stage, seconds])

    def _insert_values(self, run_id: str, measure: str, queries: Sequence[str], values: Float64Array) -> None:
        """One statement a measure: a row at a time would take longer than the search."""
        self._db.execute(
            "insert into per_query select ?, unnest(?::varchar[]), ?, unnest(?::double[])",
            [run_id, list(queries), measure, np.asarray(values).tolist()],
        )

    def _insert_hits(self, run_id: str, table: HitTable) -> None:
        columns: tuple[list[str], list[int], list[str], list[float]] = ([], [], [], [])
        for query, hits in table.items():
            columns[0].extend([query] * len(hits))
            columns[1].extend(range(1, len(hits) + 1))
            columns[2].extend(hits.ids)
            columns[3].extend(hits.scores.tolist())
        if columns[0]:
            self._db.execute(
                "insert into hits select ?, unnest(?::varchar[]), unnest(?::integer[]), unnest(?::varchar[]),"
                " unnest(?::float[])",
                [run_id, *columns],
            )
