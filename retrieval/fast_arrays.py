"""What goes into the compiled engine and what comes out: plain arrays, checked and of the kind that kernels know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import ConfigError
from twindex.indexing.types import BoolArray, Float32Array, Int32Array, Int64Array, UInt32Array
from twindex.retrieval.fast_plan import Float64Array
from twindex.retrieval.types import Ranking


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Answers to a batch. Beyond ``counts[i]`` a row has no meaning (ordinal 0, score 0).

    Shapes: ``ords`` int32[queries, k], ``scores`` float32[queries, k], ``counts`` int64[queries], ``flags`` bool[2,
    queries]: :attr:`proven` and :attr:`scanned`.
    """

    ords: Int32Array
    scores: Float32Array
    counts: Int64Array
    flags: BoolArray

    @classmethod
    def empty(cls, queries: int, k: int) -> Hits:
        """No hits yet."""
        flags = np.zeros((2, queries), np.bool_)
        flags[0] = True
        return cls(
            np.zeros((queries, k), np.int32), np.zeros((queries, k), np.float32), np.zeros(queries, np.int64), flags
        )

    @property
    def arrays(self) -> tuple[Int32Array, Float32Array, Int64Array, BoolArray]:
        """All of them, in order."""
        return self.ords, self.scores, self.counts, self.flags

    @property
    def proven(self) -> BoolArray:
        """Whether each answer is the exact one for sure: bool[queries]."""
        proven: BoolArray = self.flags[0]
        return proven

    @property
    def scanned(self) -> BoolArray:
        """Whether each query was answered by the scan: bool[queries]."""
        scanned: BoolArray = self.flags[1]
        return scanned

    def ranking(self, i: int) -> Ranking:
        """The hits of query i."""
        n = int(self.counts[i])
        return Ranking.unchecked(self.ords[i, :n].copy(), self.scores[i, :n].copy())


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Filters of a batch: ``masks``, True = may be returned; ``of``: the row of each query, -1 = no filter.

    Shapes: ``masks`` bool[filters, documents]; ``of`` int64[queries].
    """

    masks: BoolArray
    of: Int64Array


class Job(NamedTuple):
    """A batch as the compiled code takes it; names as in ``kernels_batch.answer``."""

    ids: Int64Array
    ends: Int64Array
    weights: Float32Array
    given: int
    masks: BoolArray
    mask_of: Int64Array
    passing: Float64Array
    hits: Hits

    @property
    def k(self) -> int:
        """Hits a query."""
        return int(self.hits.ords.shape[1])


def unsigned(docs: NDArray[Any]) -> UInt32Array:
    """The same numbers as uint32; of int32 numbers the same memory, since none is negative."""
    if docs.dtype == np.int32:
        return docs.view(np.uint32)
    return np.ascontiguousarray(docs, np.uint32)


def check_sizes(ptr: NDArray[Any], docs: NDArray[Any], values: NDArray[Any]) -> None:
    """Nothing, if there is one document and one value a posting.

    Raises:
        ConfigError: If not.
    """
    if not (len(ptr) and len(docs) == len(values) == int(ptr[-1])):
        raise ConfigError(
            f"{len(docs)} documents and {len(values)} values for pointers up to {int(ptr[-1]) if len(ptr) else 'none'}",
            expected="one of each a posting",
        )
