"""Runs as evaluation sees them: for each query its hits by external id, best first.

The order of the hits is the order that is scored. Where a run comes as bare scores (a mapping, or a TREC
file), the order is trec_eval's: scores as float32, descending, ties by document id descending (as bytes).
Where it comes as :class:`~twindex.retrieval.types.Ranking`, the order is the ranking's own, and
:func:`write_run` makes every score strictly smaller than the one before it, by the least float32 step
where they tie. Any tool that sorts by score then reads back exactly our order.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from twindex.eval.lines import open_text
from twindex.indexing.errors import CorpusError, UsageError
from twindex.indexing.types import Float32Array
from twindex.retrieval.types import Run


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The hits of one query, best first.

    Shapes: ``scores`` float32[len(ids)], not increasing.
    """

    ids: tuple[str, ...]
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hits) and self.ids == other.ids and bool((self.scores == other.scores).all())

    __hash__ = None  # type: ignore[assignment]  # holds an array

    def cut(self, k: int) -> Hits:
        """The first k."""
        return Hits(self.ids[:k], self.scores[:k])


#: Query id -> hits. A query that is absent was not run; one with no hits found nothing.
HitTable: TypeAlias = Mapping[str, Hits]


def hits_from_scores(scores: Mapping[str, float]) -> Hits:
    """Hits from document ids and scores, in trec_eval's order.

    Raises:
        UsageError: If a score is not a number.
    """
    values = np.fromiter(scores.values(), np.float32, len(scores))
    if bool(np.isnan(values).any()):
        raise UsageError("a score that is not a number (NaN) in a run", expected="numbers")
    return _trec_order(list(scores), values)


def table_from_scores(run: Mapping[str, Mapping[str, float]]) -> dict[str, Hits]:
    """A run given as query id -> document id -> score, in trec_eval's order."""
    return {query: hits_from_scores(scores) for query, scores in run.items()}


def table_from_run(query_ids: Sequence[str], run: Run) -> dict[str, Hits]:
    """A run of ours, one ranking a query, in its own order.

    Raises:
        UsageError: If the numbers of ids and of rankings differ, or a query id comes twice.
    """
    if len(query_ids) != len(run) or len(set(query_ids)) != len(query_ids):
        raise UsageError(
            f"{len(set(query_ids))} distinct query ids for {len(run)} rankings", expected="one id a ranking"
        )
    return {q: Hits(tuple(run.ids(i)), run[i].scores) for i, q in enumerate(query_ids)}


def drop_self_matches(table: HitTable) -> tuple[dict[str, Hits], int]:
    """The run without hits whose document id is the query's own id, and how many there were."""
    kept: dict[str, Hits] = {}
    dropped = 0
    for query, hits in table.items():
        if query in hits.ids:
            mask = np.fromiter((d != query for d in hits.ids), np.bool_, len(hits))
            dropped += int(len(hits) - mask.sum())
            hits = Hits(tuple(d for d in hits.ids if d != query), hits.scores[mask])
        kept[query] = hits
    return kept, dropped


def strictly_decreasing(scores: Float32Array) -> Float32Array:
    """The scores, each lowered where needed to lie below the one before it, by least float32 steps.

    Shapes: float32[n] -> float32[n]. Scores already strictly decreasing come back unchanged.

    Raises:
        UsageError: If a score is not finite, or there is no room below the lowest float32.
    """
    if not bool(np.isfinite(scores).all()):
        raise UsageError("a score that is not finite in a run", expected="finite scores")
    # Float bits, read as integers with the negative half mirrored, count the representable numbers in order.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    steps = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    places = np.arange(len(steps))
    steps = np.minimum.accumulate(steps + places) - places
    low = np.where(steps < 0, (-steps) | 0x80000000, steps).astype(np.uint32)
    out: Float32Array = low.view(np.float32)
    if not bool(np.isfinite(out).all()):
        raise UsageError("scores at the lower end of float32", expected="room for ties below the lowest score")
    return out


def format_run(table: HitTable, tag: str = "twindex") -> str:
    """A run as TREC lines: ``query Q0 document rank score tag``, ranks from 1, queries as given.

    Nine significant digits give each float32 back exactly.

    Raises:
        UsageError: If an id or the tag is empty or has white space, which the layout cannot hold.
    """
    out = io.StringIO()
    _check_words([tag], "tag")
    _check_words(table, "query id")
    for query, hits in table.items():
        _check_words(hits.ids, "document id")
        scores = strictly_decreasing(hits.scores).tolist()
        for rank, (document, score) in enumerate(zip(hits.ids, scores), 1):
            out.write(f"{query} Q0 {document} {rank} {score:.9g} {tag}\n")
    return out.getvalue()


def write_run(path: Path | str, table: HitTable, tag: str = "twindex") -> None:
    """Write a TREC run file; equal runs give equal bytes. See :func:`format_run`."""
    Path(path).write_bytes(format_run(table, tag).encode())


def read_run(path: Path | str) -> dict[str, Hits]:
    """A TREC run file, sorted as trec_eval sorts it; the rank column is not believed.

    Raises:
        CorpusError: If a line cannot be read or names a document twice; names file and line.
    """
    scores: dict[str, dict[str, float]] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            query, document, score = _run_line(line, str(path), number)
            documents = scores.setdefault(query, {})
            if document in documents:
                raise CorpusError(
                    f"document {document!r} a second time for query {query!r}",
                    path=str(path),
                    line=number,
                    expected="each document once a query",
                )
            documents[document] = score
    return table_from_scores(scores)


def _trec_order(ids: list[str], values: Float32Array) -> Hits:
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    names = [ids[i] for i in order.tolist()]
    ties = np.flatnonzero(ranked[:-1] == ranked[1:])
    for start, stop in _tie_groups(ties.tolist()):
        # trec_eval compares bytes with strcmp; UTF-8 bytes sort as code points do.
        names[start:stop] = sorted(names[start:stop], reverse=True)
    return Hits(tuple(names), ranked)


def _tie_groups(ties: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Half-open spans of equal neighbours, from the positions of the first of each equal pair."""
    start = previous = -2
    for place in ties:
        if place != previous + 1:
            if start >= 0:
                yield start, previous + 2
            start = place
        previous = place
    if start >= 0:
        yield start, previous + 2


def _run_line(line: str, path: str, number: int) -> tuple[str, str, float]:
    columns = line.split()
    if len(columns) != 6:
        raise CorpusError(
            f"{len(columns)} columns", path=path, line=number, expected="query Q0 document rank score tag"
        )
    try:
        score = float(columns[4])
    except ValueError:
        score = math.nan
    if math.isnan(score):
        raise CorpusError(f"score {columns[4]!r}", path=path, line=number, expected="a number")
    return columns[0], columns[2], score


def _check_words(words: Iterable[str], what: str) -> None:
    for word in words:
        if len(word.split()) != 1 or word != word.strip():
            raise UsageError(
                f"{what} {word!r}",
                expected="a word without white space",
                remedy="TREC's layout is split at white space; rename the id",
            )
