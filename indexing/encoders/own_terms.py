"""How much a text's own stems count: term frequencies saturated as in BM25, without a model and without a collection.

tf / (tf + k1 (1 - b + b min(length / AVERAGE, LONGEST))), the length in terms. The average is a constant, so that a
text's vector depends on the text alone; and the length's say ends at LONGEST averages, so that texts of many pages
are not punished for being complete.

Constants chosen on judgements that steer and are not reported (nDCG@10 of SciFact train, Cranfield, SciTLDR dev,
BoolQ dev: 0.709, 0.356, 0.857, 0.829; BM25 with k1 0.9, b 0.4 and each collection's average: 0.701, 0.341, 0.846,
0.826).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import Float32Array, Int32Array

K1: Final = 0.9
B: Final = 0.75
AVERAGE: Final = 80.0
LONGEST: Final = 2.5


@dataclass(frozen=True, slots=True)
class ExpansionRule:
    """What the model's say counts beside the text's own words.

    ``own_scale`` multiplies what it adds to stems that the text has, ``new_scale`` what it adds to others, of which
    ``kept`` stay at most.

    Raises:
        ConfigError: If a number is below 0.
    """

    own_scale: float = 1.0
    new_scale: float = 1.0
    kept: int = 64

    def __post_init__(self) -> None:
        if not (0 <= self.own_scale < np.inf and 0 <= self.new_scale < np.inf and self.kept >= 0):
            raise ConfigError(f"{self}", expected="finite numbers of 0 or more")


@dataclass(frozen=True, slots=True)
class QueryRule:
    """What the model's expansions of a query count, where it is asked for them.

    ``scale`` times idf times the model's weight is that of an expansion in the query; ``kept`` stay at most. Chosen on
    the steering sets of :data:`K1` with the twin of the package, among 0.25, 0.5, 1 and 2, and 16 and 64.

    Raises:
        ConfigError: If a number is below 0.
    """

    scale: float = 0.5
    kept: int = 64

    def __post_init__(self) -> None:
        if not (0 <= self.scale < np.inf and self.kept >= 0):
            raise ConfigError(f"{self}", expected="finite numbers of 0 or more")


def saturated(numbers: Int32Array) -> tuple[Int32Array, Float32Array]:
    """The distinct dimensions of a text and the saturated frequency of each.

    Shapes: ``numbers`` int32[n], with repetitions; result int32[m] ascending, float32[m] in (0, 1).
    """
    distinct, counts = np.unique(numbers, return_counts=True)
    norm = K1 * (1 - B + B * min(len(numbers) / AVERAGE, LONGEST))
    return distinct.astype(np.int32), (counts / (counts + norm)).astype(np.float32)


def document_vector(
    numbers: Int32Array,
    gains: Float32Array,
    expansions: tuple[Int32Array, Float32Array],
    importance: Float32Array,
    rule: ExpansionRule,
) -> tuple[Int32Array, Float32Array]:
    """A document's sparse vector: its own stems, and of the expansions those that a query could gain most by.

    Args:
        numbers: int32[n], dimensions of the text's terms.
        gains: float32[columns + 1]; the last is that of all dimensions without a column.
        expansions: int32[m] columns in any order, and float32[m] weights above 0.
        importance: float32[columns], the idf that columns are weighed by.
        rule: What the model's say counts, and how many of its expansions are kept.

    Shapes: result int32[r] ascending, float32[r] above 0.
    """
    own, weights = saturated(numbers)
    weights = weights * gains[np.minimum(own, len(gains) - 1)]
    columns, extra = expansions
    order = np.argsort(columns)
    columns, extra = columns[order].astype(np.int32), extra[order].astype(np.float32)
    place = np.minimum(np.searchsorted(own, columns), max(0, len(own) - 1))
    shared = own[place] == columns if len(own) else np.zeros(len(columns), np.bool_)
    np.add.at(weights, place[shared], extra[shared] * np.float32(rule.own_scale))
    new, more = columns[~shared], extra[~shared] * np.float32(rule.new_scale)
    if len(new) > rule.kept:
        best = np.sort(np.argsort(-(more * importance[new]), kind="stable")[: rule.kept])
        new, more = new[best], more[best]
    ids, values = np.concatenate([own, new]), np.concatenate([weights, more])
    order = np.argsort(ids)
    order = order[values[order] > 0]
    return ids[order].astype(np.int32), values[order].astype(np.float32)
