"""Scores of many fusion settings on many queries, without making a ranking for each.

A measure looks at the ranks of judged documents alone. The rank of a document in a fused ranking is one more than
the number of documents above it, so all weights of one method are a small matrix of sums a query and a comparison.
The ranks are those of ``Recipe.fuse``, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twindex.eval.candidates import Candidate
from twindex.eval.join import Join, Levels, join_ranks
from twindex.eval.measures import Float64Array, Measure
from twindex.indexing.types import Int32Array, Int64Array
from twindex.retrieval.base import Fusion
from twindex.retrieval.fusion import RRF, Convex, union
from twindex.retrieval.normalise import scale_of
from twindex.retrieval.profile import LOWEST, TWO_LEGS, Role
from twindex.retrieval.types import Ranking

#: Rankings of the legs for one query.
Legs = Sequence[Ranking]
#: Depth to which a measure without a cut looks.
DEEP: Final = 1000


def score_table(
    candidates: Sequence[Candidate],
    ids: Sequence[str],
    legs: Sequence[Legs],
    measure: Measure,
    *,
    qrels: Levels,
    ordinals: Mapping[str, Sequence[int]],
    drop_self: bool = False,
    roles: Sequence[Role] = TWO_LEGS,
) -> Float64Array:
    """Every candidate on every query.

    Args:
        candidates: What is scored.
        ids: The queries.
        legs: The rankings of each query.
        measure: How it is scored.
        qrels: Judgements of the queries.
        ordinals: Ordinals of each judged document that is in the index.
        drop_self: Whether the document of a query's own id is left out.
        roles: What each leg is.

    Shapes: result float64[len(candidates), len(ids)].
    """
    depth = measure.cut or DEEP
    groups = _groups(candidates, roles)
    ranks: list[Int64Array] = []
    rows: list[tuple[int, int]] = []
    retrieved = np.zeros(len(ids), np.int64)
    for row, (query, rankings) in enumerate(zip(ids, legs)):
        known = {o: v for d, v in qrels[query].items() if v >= 0 for o in ordinals.get(d, ())}
        own = tuple(ordinals.get(query, ())) if drop_self else ()
        wanted = np.array([o for o in known if o not in own], np.int32)
        ords = union(rankings)
        ranks.append(_ranks(candidates, groups, rankings, ords, wanted, own, roles))
        rows += [(row, known[o]) for o in wanted.tolist()]
        retrieved[row] = min(depth, len(ords))
    return _values(candidates, ids, np.concatenate(ranks, axis=1), rows, retrieved, measure, depth, qrels)


def _values(
    candidates: Sequence[Candidate],
    ids: Sequence[str],
    ranks: Int64Array,
    rows: Sequence[tuple[int, int]],
    retrieved: Int64Array,
    measure: Measure,
    depth: int,
    qrels: Levels,
) -> Float64Array:
    table = np.array(rows, np.int64).reshape(-1, 2)
    judged = {q: qrels[q] for q in ids}
    out = np.empty((len(candidates), len(ids)))
    for number in range(len(candidates)):
        near = (ranks[number] > 0) & (ranks[number] <= depth)
        flat = np.column_stack([table[near, 0], ranks[number][near], table[near, 1]])
        join: Join = join_ranks(judged, retrieved, flat[np.lexsort((flat[:, 1], flat[:, 0]))])
        out[number] = measure.values(join)
    return out


def _groups(candidates: Sequence[Candidate], roles: Sequence[Role]) -> dict[Fusion, list[int]]:
    """Candidates by method: those of one method differ in their weights alone."""
    groups: dict[Fusion, list[int]] = {}
    for number, candidate in enumerate(candidates):
        if isinstance(candidate.recipe.fusion, RRF | Convex):
            groups.setdefault(candidate.recipe.fusion_of(roles), []).append(number)
    return groups


def _ranks(
    candidates: Sequence[Candidate],
    groups: Mapping[Fusion, Sequence[int]],
    legs: Legs,
    ords: Int64Array,
    wanted: Int32Array,
    own: Sequence[int],
    roles: Sequence[Role],
) -> Int64Array:
    """Ranks of the wanted documents, 0 where they are absent: int64[candidates, wanted]."""
    out = np.zeros((len(candidates), len(wanted)), np.int64)
    if not len(wanted) or not len(ords):
        return out
    done = [number for members in groups.values() for number in members]
    at = [np.searchsorted(ords, leg.ords) for leg in legs]
    weights = {f: np.array([candidates[m].recipe.weights_of(roles) for m in members]) for f, members in groups.items()}
    totals = [_totals(fusion, legs, at, len(ords), weights[fusion], roles) for fusion in groups]
    if done:
        out[done] = _places(np.concatenate(totals), ords, wanted, own)
    for number in sorted(set(range(len(candidates))) - set(done)):
        ranking = candidates[number].recipe.fuse(legs, len(ords), roles)
        kept = ranking.ords[~np.isin(ranking.ords, own)] if own else ranking.ords
        for column, ordinal in enumerate(wanted.tolist()):
            place = np.flatnonzero(kept == ordinal)
            out[number, column] = place[0] + 1 if len(place) else 0
    return out


def _totals(
    fusion: Fusion, legs: Legs, at: Sequence[Int64Array], size: int, weights: Float64Array, roles: Sequence[Role]
) -> NDArray[np.float32]:
    """Fused scores of all documents under all weights, as the fusion adds them: float32[weights, size]."""
    total = np.zeros((len(weights), size))
    sums = np.array([[math.fsum(row)] for row in weights.tolist()])
    for leg, (ranking, places) in enumerate(zip(legs, at)):
        share = weights[:, leg : leg + 1]
        if isinstance(fusion, RRF):
            total[:, places] += share / (fusion.k + np.arange(1, len(ranking) + 1))
        elif isinstance(fusion, Convex):
            floor = fusion.floors[leg] if fusion.floors is not None else LOWEST[roles[leg]]
            scale = scale_of(ranking, fusion.normalise, floor)
            part = np.full(size, scale.absent)
            part[places] = scale.apply(ranking.scores)
            total += (share / sums) * part
    # A leg of weight 0 is absent, and so are the documents that no other leg has.
    for row in np.flatnonzero((weights == 0).any(axis=1)).tolist():
        there = np.zeros(size, np.bool_)
        for places in (one for one, weight in zip(at, weights[row].tolist()) if weight):
            there[places] = True
        total[row, ~there] = -np.inf
    return total.astype(np.float32)


def _places(totals: NDArray[np.float32], ords: Int64Array, wanted: Int32Array, own: Sequence[int]) -> Int64Array:
    """Ranks under the house's order: score descending, then ordinal ascending. int64[weights, wanted]."""
    at = np.searchsorted(ords, wanted)
    inside = (at < len(ords)) & (ords[np.minimum(at, len(ords) - 1)] == wanted)
    out = np.zeros((len(totals), len(wanted)), np.int64)
    rivals = totals if not own else totals[:, ~np.isin(ords, own)]
    names = ords if not own else ords[~np.isin(ords, own)]
    for column in np.flatnonzero(inside).tolist():
        score = totals[:, at[column] : at[column] + 1]
        above = (rivals > score).sum(axis=1) + ((rivals == score) & (names < wanted[column])).sum(axis=1)
        out[:, column] = np.where(np.isneginf(score[:, 0]), 0, above + 1)
    return out
