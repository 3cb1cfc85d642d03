"""Choosing how to fuse, query by query, from what is known before any judgement.

A gate is a linear score of every candidate over a few query features; it is trained in
``twindex.eval.gate`` and travels in a search profile. Here it is only applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Int64Array
from twindex.retrieval.types import Ranking

Float64Array = NDArray[np.float64]

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


def query_features(text: str, sparse: Ranking, dense: Ranking) -> list[float]:
    """What is known of a query before any judgement: its words, and how its two rankings look.

    Gaps are relative: first against tenth score (gap) and first against second (lead).
    """
    top = {*sparse.ords[:10].tolist()} & {*dense.ords[:10].tolist()}
    return [
        float(np.log1p(len(text.split()))),
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
        predicted = design(features, self.mean, self.scale) @ self.weights
        members: Int64Array = np.array(self.members, np.int64)[np.argmax(predicted, axis=1)]
        return members

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a profile."""
        return {
            "features": list(FEATURES),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "members": list(self.members),
            "ridge": self.ridge,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Gate:
        """The gate whose :meth:`to_dict` gave these values.

        Raises:
            ConfigError: If they are not those of a gate over this release's features.
        """
        try:
            gate = cls(
                np.array(values["mean"], np.float64),
                np.array(values["scale"], np.float64),
                np.array(values["weights"], np.float64),
                tuple(int(member) for member in values["members"]),
                float(values["ridge"]),
            )
            names = tuple(values["features"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"a gate that cannot be read: {error!r}", expected="what Gate.to_dict writes") from error
        count = len(FEATURES)
        shapes = (gate.mean.shape, gate.scale.shape, gate.weights.shape)
        if names != FEATURES or shapes != ((count,), (count,), (count + 1, len(gate.members))):
            raise ConfigError(
                f"a gate over {names} of shapes {shapes}",
                expected=f"one over {FEATURES}",
                remedy="tune again with this release",
            )
        return gate


def design(features: Float64Array, mean: Float64Array, scale: Float64Array) -> Float64Array:
    """Standardised features behind a column of ones: float64[Q, F + 1]."""
    standard = np.clip((features - mean) / scale, -3, 3)
    return np.hstack([np.ones((len(features), 1)), standard])


def _fall(ranking: Ranking, place: int) -> float:
    """How far the score has fallen at a place, as a share of the first."""
    if not len(ranking):
        return 0.0
    first = float(ranking.scores[0])
    later = float(ranking.scores[min(place, len(ranking) - 1)])
    return (first - later) / abs(first) if abs(first) > 1e-9 else 0.0
