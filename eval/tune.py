"""Choosing how to fuse without looking at what is reported.

Candidates (fusion methods with their constants and weights, the single legs among them) are scored on
training queries: those of a train or dev split if there is one, else by cross-validation over the queries
themselves, each query scored by settings that were chosen without its fold. A gate goes further and picks
among the candidates for each query, from features that need no judgement; it is trained on the same
training queries, and falls back to the one best candidate where it does not help them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twindex.eval.candidates import Candidate
from twindex.eval.gate import Gate, query_features, train_gate
from twindex.eval.join import Levels
from twindex.eval.measures import Float64Array, Measure
from twindex.eval.sweep import Legs
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Int64Array
from twindex.retrieval.options import SparseLegs
from twindex.retrieval.profile import DEPTH, Profile
from twindex.retrieval.types import Ranking


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """How to choose.

    ``folds``: of the cross-validation. ``limit``: training queries, at most (a fixed sample). ``least``: queries
    that a train or dev split must have to be used.

    Raises:
        ConfigError: If a value is out of range.
    """

    measure: Measure = Measure("nDCG", 10)  # noqa: RUF009 - frozen
    folds: int = 5
    limit: int = 2000
    least: int = 50
    gate: bool = True

    def __post_init__(self) -> None:
        if self.folds < 2 or self.limit < self.folds or self.least < 1:
            raise ConfigError(
                f"folds = {self.folds}, limit = {self.limit}, least = {self.least}",
                expected="2 folds or more, as many queries, and at least one query to use a split",
            )


@dataclass(frozen=True, slots=True, eq=False)
class TuneQueries:
    """Queries with everything that tuning needs of them; made by :meth:`of`.

    Shapes: ``features`` float64[Q, F], one row a query; ``legs`` one ranking a leg for each of Q queries.
    """

    ids: tuple[str, ...]
    legs: Sequence[Legs]
    features: Float64Array
    qrels: Levels

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        texts: Sequence[str],
        *rankings: Sequence[Ranking],
        qrels: Levels,
    ) -> TuneQueries:
        """Queries with their texts and the rankings of the legs, in one order; a sparse leg first, the dense last."""
        legs = list(zip(*rankings, strict=True))
        features = [query_features(text, one[0], one[-1]) for text, one in zip(texts, legs, strict=True)]
        return cls(tuple(ids), legs, np.array(features).reshape(len(legs), -1), qrels)

    def pick(self, rows: Int64Array) -> TuneQueries:
        """Some of the queries."""
        numbers = rows.tolist()
        ids = tuple(self.ids[i] for i in numbers)
        return TuneQueries(ids, [self.legs[i] for i in numbers], self.features[rows], self.qrels)

    def without(self, ids: Sequence[str]) -> TuneQueries:
        """The queries but for some."""
        gone = set(ids)
        return self.pick(np.array([i for i, q in enumerate(self.ids) if q not in gone], np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen from training queries: one candidate, and perhaps a gate over all of them."""

    best: int
    gate: Gate | None
    mean: float

    def pick(self, features: Float64Array) -> Int64Array:
        """The candidate of each query: int64[Q]."""
        if self.gate is None:
            return np.full(len(features), self.best, np.int64)
        return self.gate.pick(features)


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The outcome on the reported queries.

    Shapes: ``fixed`` and ``gated`` int64[Q], the candidate of each query, chosen without it. ``final`` is what a
    profile should hold: chosen from all training queries.
    """

    protocol: str
    fixed: Int64Array
    gated: Int64Array
    final: Choice
    choices: tuple[Choice, ...]


def tune(
    candidates: Sequence[Candidate],
    reported: TuneQueries,
    training: TuneQueries | None,
    options: TuneOptions,
    *,
    table: Callable[[TuneQueries], Float64Array],
) -> Tuned:
    """Choose candidates for the reported queries.

    Args:
        candidates: In order of preference among equals.
        reported: Queries whose results will be reported.
        training: Queries of another split; None, or too few that are not reported too, asks for cross-validation.
        options: How to choose.
        table: Scores of every candidate on queries: float64[C, Q], as :func:`score_table` gives them.
    """
    training = None if training is None else training.without(reported.ids)
    if training is not None and len(training.ids) >= options.least:
        rows = sampled(training.ids, options.limit)
        part = training.pick(rows)
        choice = choose(table(part), part.features, options)
        features = reported.features
        fixed = np.full(len(reported.ids), choice.best, np.int64)
        return Tuned(f"{len(rows)} queries of another split", fixed, choice.pick(features), choice, (choice,))
    return _cross_validate(reported, options, table)


def choose(scores: Float64Array, features: Float64Array, options: TuneOptions) -> Choice:
    """The best candidate of a score table, the first among equals, and a gate if it helps.

    Shapes: ``scores`` float64[C, Q], ``features`` float64[Q, F].
    """
    means = scores.mean(axis=1) if scores.shape[1] else np.zeros(len(scores))
    best = int(np.flatnonzero(means >= means.max() - 1e-12)[0])
    gate = train_gate(scores, features, best, folds=options.folds) if options.gate else None
    return Choice(best, gate, float(means[best]))


def profile_of(
    choice: Choice,
    candidates: Sequence[Candidate],
    *,
    depth: int = DEPTH,
    notes: str = "",
    sparse: SparseLegs | None = None,
) -> Profile:
    """The choice as a search profile: what ``search`` and ``serve`` load.

    Args:
        choice: What was chosen.
        candidates: Among these.
        depth: Candidates of each leg.
        notes: Where it comes from.
        sparse: The sparse legs that it was chosen with, if that is to be written down.
    """
    recipe = candidates[choice.best].recipe
    if choice.gate is None:
        return Profile(recipe, depth, notes=notes, sparse=sparse)
    members = choice.gate.members
    gate = replace(choice.gate, members=tuple(range(len(members))))
    return Profile(recipe, depth, gate, tuple(candidates[m].recipe for m in members), notes, sparse)


def oracle(scores: Float64Array) -> Float64Array:
    """The best candidate of each query with its judgements in view: float64[Q]. Head-room, not a system."""
    best: Float64Array = scores.max(axis=0)
    return best


def fold_of(query_id: str, folds: int) -> int:
    """The fold of a query: a function of its id alone."""
    return int.from_bytes(hashlib.sha256(query_id.encode()).digest()[:8], "big") % folds


def sampled(ids: Sequence[str], limit: int) -> Int64Array:
    """Rows of a fixed sample, in order: those whose ids have the lowest hashes."""
    if len(ids) <= limit:
        return np.arange(len(ids))
    ranked = sorted(range(len(ids)), key=lambda i: hashlib.sha256(b"sample:" + ids[i].encode()).digest())
    return np.sort(np.array(ranked[:limit], np.int64))


def _cross_validate(reported: TuneQueries, options: TuneOptions, table: Callable[[TuneQueries], Float64Array]) -> Tuned:
    rows = sampled(reported.ids, options.limit)
    part = reported.pick(rows)
    scores = table(part)
    part_folds = np.array([fold_of(q, options.folds) for q in part.ids], np.int64)
    all_folds = np.array([fold_of(q, options.folds) for q in reported.ids], np.int64)
    fixed, gated = np.zeros(len(reported.ids), np.int64), np.zeros(len(reported.ids), np.int64)
    choices = []
    for fold in range(options.folds):
        kept, held = part_folds != fold, all_folds == fold
        choice = choose(scores[:, kept], part.features[kept], options)
        fixed[held] = choice.best
        gated[held] = choice.pick(reported.features[held])
        choices.append(choice)
    final = choose(scores, part.features, options)
    return Tuned(f"{options.folds} folds of its own queries", fixed, gated, final, tuple(choices))
