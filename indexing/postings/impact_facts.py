"""What storing weights in eight bits did to them: counted for all, measured on a sample of documents.

The sample is spread evenly over the documents, whatever their number, and its size is bounded. Its documents serve as
queries as well: the heaviest dimensions of each of :data:`QUERIES` of them are searched in the sample, once with the
weights as they came and once as they are stored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoding import SparseRows
from twindex.indexing.errors import ConfigError
from twindex.indexing.types import UInt8Array

#: Documents of the sample, at most; from half of that on it holds.
SAMPLE: Final = 2048
#: Documents of the sample whose heaviest dimensions are searched.
QUERIES: Final = 64
QUERY_TERMS: Final = 8
TOP: Final = 10


Scores: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImpactFacts:
    """The learned-sparse leg of a segment, or of several: its counts, and how exact it is.

    ``docs``, ``vocabulary``, ``postings``; ``scale``: weight of one unit of impact. ``clipped``: weights above what 255
    units can say; ``dropped``: weights under half a unit, which are not stored. ``queries``: sample searches;
    ``same_top``: those with the same best ten in the same order; ``scores``: scores of the exact best tens,
    ``error_sum`` and ``error_max``: sum and maximum of their relative errors.
    """

    docs: int
    vocabulary: int
    scale: float
    postings: int = 0
    clipped: int = 0
    dropped: int = 0
    queries: int = 0
    same_top: int = 0
    scores: int = 0
    error_sum: float = 0.0
    error_max: float = 0.0

    @property
    def error_mean(self) -> float:
        """Mean relative error of the sample's scores, 0 without any."""
        return self.error_sum / self.scores if self.scores else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """The one form in which they are written."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ImpactFacts:
        """The facts that have these bytes.

        Raises:
            ConfigError: If they are not what :meth:`to_bytes` gives.
        """
        try:
            values = json.loads(data)
            facts = cls(**{field.name: _typed(values, field.name) for field in fields(cls)})
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"impact facts that cannot be read: {error}") from error
        if facts.to_bytes() != data:
            raise ConfigError("impact facts in another form than they are written in")
        return facts

    def summary(self) -> dict[str, Any]:
        """What a person asks: counts, and the sample's relative errors and unchanged best tens."""
        names = ("postings", "scale", "clipped", "dropped")
        return {name: getattr(self, name) for name in names} | {
            "sample_queries": self.queries,
            "sample_same_top10": self.same_top,
            "error_mean": float(f"{self.error_mean:.6g}"),
            "error_max": float(f"{self.error_max:.6g}"),
        }

    @classmethod
    def total(cls, parts: Sequence[ImpactFacts]) -> ImpactFacts:
        """The facts of all parts together; they are of one index, and at least one."""
        return cls(
            vocabulary=parts[0].vocabulary,
            scale=parts[0].scale,
            error_sum=math.fsum(part.error_sum for part in parts),
            error_max=max(part.error_max for part in parts),
            **{name: sum(getattr(part, name) for part in parts) for name in _COUNTS},
        )


_COUNTS: Final = ("docs", "postings", "clipped", "dropped", "queries", "same_top", "scores")


def _typed(values: Mapping[str, Any], name: str) -> Any:
    value = values[name]
    wanted: type[Any] = float if name in ("scale", "error_sum", "error_max") else int
    if type(value) is not wanted or not 0 <= value < math.inf:
        raise ValueError(f"{name} = {value!r}")
    return value


class Sample:
    """At most so many of the rows that pass, at even distances; rows past the first are thinned out as more come."""

    def __init__(self, size: int = SAMPLE) -> None:
        self._size = size
        self._step = 1
        self._seen = 0
        self._kept: list[tuple[SparseRows, UInt8Array]] = []

    def add(self, rows: SparseRows, impacts: UInt8Array) -> None:
        """Offers rows, whose entries have these impacts."""
        for row in range(-self._seen % self._step, len(rows), self._step):
            self._keep(rows, impacts, row)
        self._seen += len(rows)

    def measure(self, scale: float) -> dict[str, Any]:
        """``queries``, ``same_top``, ``scores``, ``error_sum`` and ``error_max`` of :class:`ImpactFacts`."""
        rows = SparseRows.concatenate([row for row, _ in self._kept])
        impacts = np.concatenate([np.empty(0, np.uint8), *(values for _, values in self._kept)]).astype(np.float64)
        return _measure(rows, impacts * scale)

    def _keep(self, rows: SparseRows, impacts: UInt8Array, row: int) -> None:
        if (self._seen + row) % self._step:
            return  # the distance grew within this call
        first, last = int(rows.ptr[row]), int(rows.ptr[row + 1])
        own = rows.slice(row, row + 1)
        self._kept.append((SparseRows(own.ptr, own.ids.copy(), own.weights.copy()), impacts[first:last].copy()))
        if len(self._kept) > self._size:
            self._kept = self._kept[::2]
            self._step *= 2


def _measure(rows: SparseRows, weights: Scores) -> dict[str, Any]:
    """Searches the sample with its own documents. Sums run in one order, so that equal input gives equal figures."""
    owners = np.repeat(np.arange(len(rows)), np.diff(rows.ptr))
    errors: list[float] = []
    queries = same = 0
    for number in np.unique(np.linspace(0, len(rows) - 1, QUERIES).astype(np.int64)) if len(rows) else ():
        first, last = int(rows.ptr[number]), int(rows.ptr[number + 1])
        if first == last:
            continue
        own = rows.weights[first:last]
        chosen = np.lexsort((rows.ids[first:last], -own))[:QUERY_TERMS]
        query = dict(zip(rows.ids[first:last][chosen].tolist(), own[chosen].tolist()))
        weight = np.zeros(len(rows.ids), np.float64)
        for term, value in sorted(query.items()):
            weight[rows.ids == term] = value
        exact: Scores = np.bincount(owners, weight * rows.weights, len(rows)).astype(np.float64)
        stored: Scores = np.bincount(owners, weight * weights, len(rows)).astype(np.float64)
        queries += 1
        best = _best(exact)
        same += bool(np.array_equal(best, _best(stored)))
        if len(best):
            errors += _errors(exact[best], stored[best])
    return {
        "queries": queries,
        "same_top": same,
        "scores": len(errors),
        "error_sum": math.fsum(errors),
        "error_max": max(errors, default=0.0),
    }


def _best(scores: Scores) -> NDArray[np.int64]:
    order = np.lexsort((np.arange(len(scores)), -scores))[:TOP]
    return order[scores[order] > 0]


def _errors(exact: Scores, stored: Scores) -> list[float]:
    found: list[float] = (np.abs(stored - exact) / exact).tolist()
    return found
