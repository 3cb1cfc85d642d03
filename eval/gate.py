"""Training a gate: a ridge regression from simple query features to each candidate's score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from twindex.eval.measures import Float64Array
from twindex.retrieval.gate import FEATURES, Gate, design, query_features

__all__ = ["FEATURES", "Gate", "query_features", "train_gate"]

#: Strengths of the ridge that are tried, weakest first.
RIDGES: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
#: Fewer training queries than this many per feature: no gate.
QUERIES_PER_FEATURE: Final = 8
#: What a gate must gain on held-out training queries, in standard errors.
MARGIN: Final = 1.0


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
    scale = np.where(scale > 1e-9, scale, 1.0).astype(np.float64)
    matrix = design(features, mean, scale)
    penalty = np.eye(matrix.shape[1]) * ridge
    penalty[0, 0] = 0.0  # the mean of a candidate is not shrunk
    right = matrix.T @ scores[list(members)].T
    weights = np.linalg.solve(matrix.T @ matrix + penalty, right).astype(np.float64)
    return Gate(mean, scale, weights, tuple(members), ridge)


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
