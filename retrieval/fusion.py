"""Several rankings of one query into one: by ranks (RRF) or by normalised scores (convex combination).

Sums are float64 in the order of the rankings, rounded once to float32; ties fall in document order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twindex.indexing.errors import ConfigError, QueryError
from twindex.indexing.types import Int64Array
from twindex.retrieval.normalise import NORMALISATIONS, Float64Array, Normalisation, Scale, scale_of
from twindex.retrieval.topk import select
from twindex.retrieval.types import Explanation, Ranking, check_k


@dataclass(frozen=True, slots=True)
class RRF:
    """Reciprocal rank fusion: ``sum of weight / (k + rank)`` over the rankings that have the document.

    Source: Cormack, Clarke, Büttcher 2009, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
    Learning Methods" (k = 60); weights are a common extension.

    Raises:
        ConfigError: If k is not a finite number of 0 or more.
    """

    k: float = 60.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.k) and self.k >= 0):
            raise ConfigError(f"k = {self.k} of reciprocal rank fusion", expected="a finite number of 0 or more")

    @property
    def name(self) -> str:
        """As in "rrf(k=60)"."""
        return f"rrf(k={self.k:g})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a profile."""
        return {"method": "rrf", "k": self.k}

    def fuse(self, rankings: Sequence[Ranking], k: int, weights: Sequence[float] | None = None) -> Ranking:
        """The k best of the union. See :class:`twindex.retrieval.base.Fusion`.

        Raises:
            QueryError: If k is negative or the weights do not fit.
        """
        check_k(k)
        used = check_weights(weights, len(rankings))
        ords = union(rankings)
        total = np.zeros(len(ords))
        for ranking, weight in zip(rankings, used):
            if weight:
                at = np.searchsorted(ords, ranking.ords)
                total[at] += weight / (self.k + np.arange(1, len(ranking) + 1))
        return _best(ords, total, k, _present(rankings, used, ords))

    def explain(
        self, rankings: Sequence[Ranking], ord_: int, names: Sequence[str], weights: Sequence[float] | None = None
    ) -> Explanation:
        """One branch a ranking that has the document: its weight times the reciprocal of its rank."""
        used = check_weights(weights, len(rankings))
        details = []
        for ranking, name, weight in zip(rankings, names, used):
            place = _place(ranking, ord_)
            if place is None or not weight:
                continue
            share = Explanation(
                1.0 / (self.k + place + 1),
                f"1 / ({self.k:g} + rank {place + 1})",
                combine="leaf",
                data={"rank": place + 1, "score": float(ranking.scores[place])},
            )
            details.append(_weighted(name, weight, share))
        return _sum(self.name, details)


@dataclass(frozen=True, slots=True)
class Convex:
    """Convex combination: ``sum of weight * normalised score``, weights scaled to a sum of 1.

    ``floors`` are the lowest scores that the legs can give, for "tmm"; None = 0 for the first ranking (a sum of
    non-negative contributions) and -1 (a cosine) for the others.

    Source: Bruch, Gai, Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval", section 3.

    Raises:
        ConfigError: If there is no such normalisation, or a floor is not finite.
    """

    normalise: Normalisation = "minmax"
    floors: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.normalise not in NORMALISATIONS:
            raise ConfigError(
                f"normalisation {self.normalise!r}", expected=f"one of {', '.join(sorted(NORMALISATIONS))}"
            )
        if self.floors is not None and not all(map(math.isfinite, self.floors)):
            raise ConfigError(f"floors = {self.floors}", expected="finite numbers")

    @property
    def name(self) -> str:
        """As in "convex(minmax)"."""
        return f"convex({self.normalise})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a profile."""
        plain: dict[str, Any] = {"method": "convex", "normalise": self.normalise}
        if self.floors is not None:
            plain["floors"] = list(self.floors)
        return plain

    def fuse(self, rankings: Sequence[Ranking], k: int, weights: Sequence[float] | None = None) -> Ranking:
        """The k best of the union. See :class:`twindex.retrieval.base.Fusion`.

        Raises:
            QueryError: If k is negative, or weights or floors do not fit.
        """
        check_k(k)
        used = check_weights(weights, len(rankings))
        ords = union(rankings)
        total = np.zeros(len(ords))
        for ranking, weight, scale in zip(rankings, _shares(used), self._scales(rankings)):
            if weight:
                part = np.full(len(ords), scale.absent)
                part[np.searchsorted(ords, ranking.ords)] = scale.apply(ranking.scores)
                total += weight * part
        return _best(ords, total, k, _present(rankings, used, ords))

    def explain(
        self, rankings: Sequence[Ranking], ord_: int, names: Sequence[str], weights: Sequence[float] | None = None
    ) -> Explanation:
        """One branch a ranking: its share times the normalised score of the document in it."""
        used = check_weights(weights, len(rankings))
        details = []
        for ranking, name, weight, scale in zip(rankings, names, _shares(used), self._scales(rankings)):
            if not weight:
                continue
            place = _place(ranking, ord_)
            if place is None:
                if scale.absent:
                    absent = Explanation(scale.absent, "not among its candidates: as its lowest")
                    details.append(_weighted(name, weight, absent))
                continue
            details.append(_weighted(name, weight, self._normalised(ranking, place, scale)))
        return _sum(self.name, details)

    def _normalised(self, ranking: Ranking, place: int, scale: Scale) -> Explanation:
        score = float(ranking.scores[place])
        value = float(scale.apply(ranking.scores[place : place + 1])[0])
        return Explanation(
            value,
            f"{self.normalise} of {score:.4f} (rank {place + 1}): ({score:.4f} - {scale.low:.4f}) / {scale.span:.4f}",
            data={"rank": place + 1, "score": score, "low": scale.low, "span": scale.span},
        )

    def _scales(self, rankings: Sequence[Ranking]) -> list[Scale]:
        floors = self.floors if self.floors is not None else (0.0, *[-1.0] * (len(rankings) - 1))
        if self.normalise == "tmm" and len(floors) < len(rankings):
            raise QueryError(f"{len(floors)} floors for {len(rankings)} rankings", expected="one a ranking")
        return [
            scale_of(ranking, self.normalise, floors[i] if i < len(floors) else 0.0)
            for i, ranking in enumerate(rankings)
        ]


def check_weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """One weight a ranking; ones if there are none.

    Raises:
        QueryError: If their number is another, or one is negative or not finite.
    """
    if weights is None:
        return (1.0,) * count
    used = tuple(float(weight) for weight in weights)
    if len(used) != count:
        raise QueryError(f"{len(used)} fusion weights for {count} rankings", expected="one a ranking")
    if any(not math.isfinite(weight) or weight < 0 for weight in used):
        raise QueryError(f"fusion weights {used}", expected="finite numbers of 0 or more")
    return used


def union(rankings: Sequence[Ranking]) -> Int64Array:
    """The ordinals of all rankings, ascending, each once: int64[n]."""
    if not rankings:
        return np.empty(0, np.int64)
    ords = np.sort(np.concatenate([ranking.ords for ranking in rankings]))
    return ords[np.diff(ords, prepend=-1) > 0].astype(np.int64)  # np.unique hashes first, which takes longer


def _shares(weights: Sequence[float]) -> list[float]:
    total = math.fsum(weights)
    return [weight / total if total else 0.0 for weight in weights]


def _present(rankings: Sequence[Ranking], weights: Sequence[float], ords: Int64Array) -> Int64Array | None:
    """Positions of the documents that a ranking of positive weight has; None = all of them."""
    if all(weights):
        return None
    wanted = union([ranking for ranking, weight in zip(rankings, weights) if weight])
    return np.searchsorted(ords, wanted)


def _best(ords: Int64Array, total: Float64Array, k: int, keep: Int64Array | None) -> Ranking:
    if keep is not None:
        ords, total = ords[keep], total[keep]
    return select(ords, total.astype(np.float32), k)


def _place(ranking: Ranking, ord_: int) -> int | None:
    at = np.flatnonzero(ranking.ords == ord_)
    return int(at[0]) if len(at) else None


def _weighted(name: str, weight: float, share: Explanation) -> Explanation:
    factor = Explanation(weight, f"weight of {name}")
    return Explanation(weight * share.value, name, (factor, share), "product", {"leg": name})


def _sum(name: str, details: list[Explanation]) -> Explanation:
    total = float(np.float32(sum(detail.value for detail in details)))
    if not details:
        return Explanation(0.0, f"{name}: no ranking has the document")
    return Explanation(total, f"{name}, sum over legs", tuple(details), "sum")
