"""A run joined with judgements, as arrays: everything that a measure may look at.

Only judged hits matter to a measure (besides how many hits there are), and they are few. So a join
holds one row a judged hit, not one a hit, and a measure over ten thousand queries is a few passes over
short arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from twindex.eval.runs import HitTable
from twindex.indexing.errors import UsageError
from twindex.indexing.types import Int32Array, Int64Array
from twindex.retrieval.types import Ranking

Levels = Mapping[str, Mapping[str, int]]
#: A query's number, its hits, and its judged documents with their levels.
_Wanted: TypeAlias = tuple[int, Int32Array, tuple[tuple[int, int], ...]]
#: Judged documents up to which queries are joined many at a time.
FEW: Final = 4
#: Queries that are joined at a time.
BATCH: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """Judged hits and judgements of Q queries.

    Shapes: ``retrieved`` int64[Q], hits of each query. One row a judged hit, by query and then by rank:
    ``row`` int64[J] (query), ``rank`` int64[J] (from 1), ``level`` int32[J]. One row a judgement, by query
    and then by level, best first: ``pool_row`` int64[P], ``pool_level`` int32[P]. Negative levels count as
    not judged and are left out.
    """

    queries: tuple[str, ...]
    retrieved: Int64Array
    row: Int64Array
    rank: Int64Array
    level: Int32Array
    pool_row: Int64Array
    pool_level: Int32Array

    def __len__(self) -> int:
        return len(self.queries)

    def count(self, rows: Int64Array) -> Int64Array:
        """How many of ``rows`` belong to each query: int64[Q]."""
        return np.bincount(rows, minlength=len(self.queries)).astype(np.int64)

    def relevant(self, rel: int = 1) -> Int64Array:
        """Judged documents of each query at or above a level: int64[Q]."""
        return self.count(self.pool_row[self.pool_level >= rel])


def join_hits(table: HitTable, qrels: Levels) -> Join:
    """Join of hits by external id, one row of the result a judged query, in the order of ``qrels``.

    Raises:
        UsageError: If a query's hits name a document twice.
    """
    queries = tuple(qrels)
    retrieved = np.zeros(len(queries), np.int64)
    rows: list[tuple[int, int, int]] = []
    for i, query in enumerate(queries):
        hits = table.get(query)
        if hits is None or not len(hits):
            continue
        retrieved[i] = len(hits)
        found = set(hits.ids)
        if len(found) != len(hits.ids):
            raise UsageError(f"a document twice among the hits of query {query!r}", expected="each once")
        levels = qrels[query]
        judged = sorted((hits.ids.index(d) + 1, levels[d]) for d in levels.keys() & found)
        rows += [(i, rank, level) for rank, level in judged if level >= 0]
    flat = np.array(rows, np.int64).reshape(-1, 3)
    return _assemble(queries, retrieved, flat, qrels)


def join_rankings(
    query_ids: Sequence[str],
    rankings: Sequence[Ranking],
    ordinals: Mapping[str, Sequence[int]],
    qrels: Levels,
) -> Join:
    """Join of rankings by ordinal, without writing out the ids of hits that nobody judged.

    Args:
        query_ids: The query of each ranking.
        rankings: One a query, each naming a document once.
        ordinals: Ordinals of each judged document that is in the index: one, or one a passage.
        qrels: Judgements. Queries in it without a ranking have no hits in the result.
    """
    queries = tuple(qrels)
    place = {q: i for i, q in enumerate(query_ids)}
    retrieved = np.zeros(len(queries), np.int64)
    few: list[_Wanted] = []
    parts = [np.empty((0, 3), np.int64)]
    for i, query in enumerate(queries):
        if query not in place:
            continue
        ranking = rankings[place[query]]
        retrieved[i] = len(ranking)
        known = {o: v for d, v in qrels[query].items() if v >= 0 for o in ordinals.get(d, ())}
        if len(known) > FEW:
            parts.append(_judged_rows(i, ranking.ords, known))
        elif known:
            few.append((i, ranking.ords, tuple(known.items())))
    parts += [_few_rows(few[at : at + BATCH]) for at in range(0, len(few), BATCH)]
    flat = np.concatenate(parts)
    return _assemble(queries, retrieved, flat[np.lexsort((flat[:, 1], flat[:, 0]))], qrels)


def _few_rows(wanted: Sequence[_Wanted]) -> Int64Array:
    """Judged hits of many queries with few judged documents: one pass over all hits for each of these."""
    lengths = np.array([len(ords) for _, ords, _ in wanted])
    ends = np.cumsum(lengths)
    flat = np.concatenate([ords for _, ords, _ in wanted])
    rows = np.array([row for row, _, _ in wanted], np.int64)
    parts = []
    for number in range(max(len(pairs) for _, _, pairs in wanted)):
        pairs = np.array([p[number] if number < len(p) else (-1, 0) for _, _, p in wanted], np.int64)
        at = np.flatnonzero(flat == np.repeat(pairs[:, 0].astype(np.int32), lengths))
        owner = np.searchsorted(ends, at, side="right")
        parts.append(np.column_stack([rows[owner], at - (ends - lengths)[owner] + 1, pairs[owner, 1]]))
    return np.concatenate(parts)


def join_ranks(qrels: Levels, retrieved: Int64Array, judged: Int64Array) -> Join:
    """Join from ranks that are known already.

    Shapes: ``retrieved`` int64[len(qrels)]; ``judged`` int64[J, 3] of (query, rank, level), by query and then by rank.
    """
    return _assemble(tuple(qrels), retrieved, judged, qrels)


def _judged_rows(query: int, ords: Int32Array, known: Mapping[int, int]) -> Int64Array:
    wanted = np.fromiter(known, np.int32, len(known))
    places = np.flatnonzero(ords == wanted[0]) if len(wanted) == 1 else np.flatnonzero(np.isin(ords, wanted))
    out = np.empty((len(places), 3), np.int64)
    out[:, 0] = query
    out[:, 1] = places + 1
    out[:, 2] = [known[o] for o in ords[places].tolist()]
    return out


def _assemble(queries: tuple[str, ...], retrieved: Int64Array, flat: Int64Array, qrels: Levels) -> Join:
    levels = np.array([v for q in queries for v in qrels[q].values()], np.int64)
    owner = np.repeat(np.arange(len(queries)), [len(qrels[q]) for q in queries])
    pool = np.column_stack([owner, levels])[levels >= 0]
    pool = pool[np.lexsort((-pool[:, 1], pool[:, 0]))]
    return Join(
        queries,
        retrieved,
        flat[:, 0].copy(),
        flat[:, 1].copy(),
        flat[:, 2].astype(np.int32),
        pool[:, 0].copy(),
        pool[:, 1].astype(np.int32),
    )
