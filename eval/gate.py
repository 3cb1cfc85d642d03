"""Which candidate for which query: a ridge regression from simple query features to each candidate's score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.eval.measures import Float64Array
from twindex.indexing.types import Int64Array
from twindex.retrieval.types import Ranking

#: Names of the features, in their order.
FEATURES: Final = (
    "log_words",
    "digits",
    "sparse_hits",
    "sparse_gap",
    "sparse_lead",
    "dense_top",
    "dense_gap",
    "dense_lead",
    "overlap",
)
#: Strengths of the ridge that are tried, weakest first.
RIDGES: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
#: Fewer training queries than this many per feature: no gate.
QUERIES_PER_FEATURE: Final = 8
#: What a gate must gain on held-out training queries, in standard errors.
MARGIN: Final = 1.0


def query_features(text: str, sparse: Ranking, dense: Ranking) -> list[float]:
    """What is known of a query before any judgement: its words, and how its two rankings look.

    Gaps are relative: first against tenth score (gap) and first against second (lead).
    """
    words = text.split()
    top = {*sparse.ords[:10].tolist()} & {*dense.ords[:10].tolist()}
    return [
        float(np.log1p(len(words))),
        float(any(c.isdigit() for c in text)),
        min(len(sparse), 1000) / 1000,
        _fall(sparse, 9),
        _fall(sparse, 1),
        float(dense.scores[0]) if len(dense) else 0.0,
        _fall(dense, 9),
        _fall(dense, 1),
        len(top) / 10,
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A linear score of every candidate; the highest is picked, the first among equals.

    Shapes: ``mean`` and ``scale`` float64[F]; ``weights`` float64[F + 1, C], the intercept first. ``members`` are
    the candidates that it picks among.
    """

    mean: Float64Array
    scale: Float64Array
    weights: Float64Array
    members: tuple[int, ...]
    ridge: float

    def pick(self, features: Float64Array) -> Int64Array:
        """The candidate of each query: int64[Q]."""
        predicted = _design(features, self.mean, self.scale) @ self.weights
        return np.array(self.members, np.int64)[np.argmax(predicted, axis=1)]


def train_gate(scores: Float64Array, features: Float64Array, best: int, *, folds: int = 5) -> Gate | None:
    """A gate over the candidates, or None if it does not beat the best one on held-out training queries.

    The strength of the ridge is chosen by cross-validation on the training queries; a gate must gain more than
    a standard error of its gain there.

    Shapes: ``scores`` float64[C, Q], ``features`` float64[Q, F].
    """
    count = scores.shape[1]
    if count < QUERIES_PER_FEATURE * features.shape[1]:
        return None
    members = _distinct(scores, best)
    parts = np.arange(count) % folds
    gains = {}
    for ridge in RIDGES:
        gain = np.zeros(count)
        for fold in range(folds):
            kept, held = parts != fold, parts == fold
            gate = _fit(scores[:, kept], features[kept], members, ridge)
            inner = int(np.argmax(scores[:, kept].mean(axis=1)))
            picked = gate.pick(features[held])
            gain[held] = scores[picked, np.flatnonzero(held)] - scores[inner, held]
        gains[ridge] = (float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(count)))
    ridge, (mean, error) = max(gains.items(), key=lambda item: (item[1][0], item[0]))
    return _fit(scores, features, members, ridge) if mean > MARGIN * error and mean > 0 else None


def _fit(scores: Float64Array, features: Float64Array, members: Sequence[int], ridge: float) -> Gate:
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    design = _design(features, mean, scale)
    penalty = np.eye(design.shape[1]) * ridge
    penalty[0, 0] = 0.0  # the mean of a candidate is not shrunk
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ scores[list(members)].T)
    return Gate(mean, scale, weights, tuple(members), ridge)


def _design(features: Float64Array, mean: Float64Array, scale: Float64Array) -> Float64Array:
    standard = np.clip((features - mean) / scale, -3, 3)
    return np.hstack([np.ones((len(features), 1)), standard])


def _distinct(scores: Float64Array, best: int, limit: int = 12) -> list[int]:
    """The best candidate, then those that add most where the chosen ones are weak: few, and unlike."""
    chosen = [best]
    reach = scores[best].copy()
    while len(chosen) < min(limit, len(scores)):
        extra = np.maximum(scores - reach, 0).mean(axis=1)
        extra[chosen] = -1
        candidate = int(np.argmax(extra))
        if extra[candidate] < 1e-4:
            break
        chosen.append(candidate)
        reach = np.maximum(reach, scores[candidate])
    return chosen


def _fall(ranking: Ranking, place: int) -> float:
    """How far the score has fallen at a place, as a share of the first."""
    if not len(ranking):
        return 0.0
    first = float(ranking.scores[0])
    later = float(ranking.scores[min(place, len(ranking) - 1)])
    return (first - later) / abs(first) if abs(first) > 1e-9 else 0.0
