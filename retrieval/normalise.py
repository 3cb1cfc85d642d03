"""Putting the scores of different rankings on one scale before they are added.

Every normalisation here is linear within one ranking, ``(score - low) / span``, so that it keeps the order and
can be explained by two numbers. A document that a ranking does not have gets ``absent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from twindex.retrieval.types import Ranking

Normalisation = Literal["minmax", "tmm", "zscore", "dbsf"]
NORMALISATIONS: Final[tuple[Normalisation, ...]] = get_args(Normalisation)

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map ``(score - low) / span``, and what a missing document gets."""

    low: float
    span: float
    absent: float = 0.0

    def apply(self, scores: NDArray[np.floating]) -> Float64Array:
        """Normalised scores: float64[n]."""
        return (scores.astype(np.float64) - self.low) / self.span


def scale_of(ranking: Ranking, method: Normalisation, floor: float = 0.0) -> Scale:
    """The map for one ranking. With nothing to tell scores apart, every document gets 1 (0 for z-scores).

    - "minmax": lowest retrieved score to 0, highest to 1; absent documents 0.
    - "tmm": the lowest score that the leg can give, ``floor``, to 0, the highest retrieved to 1; absent documents 0.
      Source: Bruch, Gai, Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval" (theoretical min-max).
    - "zscore": mean to 0, one standard deviation to 1; absent documents as the lowest retrieved one.
    - "dbsf": mean - 3 standard deviations to 0, mean + 3 to 1; absent documents 0.
      Source: Mazzeschi 2023, "Distribution-Based Score Fusion".
    """
    scores = ranking.scores.astype(np.float64)
    if not len(scores):
        return Scale(0.0, 1.0)
    if method == "minmax":
        return _between(float(scores.min()), float(scores.max()))
    if method == "tmm":
        return _between(min(floor, float(scores.min())), float(scores.max()))
    mean, deviation = float(scores.mean()), float(scores.std())
    if method == "zscore":
        if deviation == 0.0:
            return Scale(mean, 1.0)
        return Scale(mean, deviation, (float(scores.min()) - mean) / deviation)
    return _between(mean - 3 * deviation, mean + 3 * deviation)


def _between(low: float, high: float) -> Scale:
    return Scale(low, high - low) if high > low else Scale(low - 1.0, 1.0)
