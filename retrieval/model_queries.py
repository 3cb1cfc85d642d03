"""Queries that the document encoder reads as well: the siamese use of a twin, which costs a pass of its model.

A query's own words weigh as they do without a model. The encoder adds stems that the query lacks, each by idf times
a share: what it says of them in documents, times a constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol, runtime_checkable

import numpy as np

from twindex.indexing.encoding import SparseEncoder
from twindex.indexing.errors import QueryError
from twindex.indexing.types import Float32Array, Int32Array
from twindex.retrieval.altered import Altered
from twindex.retrieval.impact_reasons import names_of

#: Queries whose expansions are remembered: one search asks for them some times over.
REMEMBERED: Final = 256


@runtime_checkable
class ExpandsQueries(Protocol):
    """A sparse encoder whose model can add terms to a query."""

    def expand_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """Dimensions that the query's own words lack, ascending, and the share of its idf that each weighs.

        Shapes: int32[m], float32[m], above 0.
        """

    def idf_of(self, dimensions: Int32Array) -> Float32Array:
        """What the encoder weighs dimensions by, where no index counts them: float32[m]."""

    def names_of(self, dimensions: Sequence[int]) -> Mapping[int, str]:
        """What dimensions stand for, of those that have a name."""


class ModelQueries(Altered):
    """Queries of a sparse encoder with the terms that its model adds.

    Args:
        inner: The encoder.

    Raises:
        QueryError: If its model cannot read queries.
    """

    def __init__(self, inner: SparseEncoder) -> None:
        super().__init__(inner)
        if not isinstance(inner, ExpandsQueries):
            raise QueryError(
                f"queries read by the model of {inner.info.name}, which reads documents alone",
                expected="an index of a twin encoder, whose folder is here",
                remedy="search with learned_queries = words",
            )
        self._model: ExpandsQueries = inner
        self._expanded = lru_cache(maxsize=REMEMBERED)(inner.expand_query)

    def words(self, text: str) -> Mapping[int, str]:
        """What the query's dimensions stand for, the added ones too."""
        return {**self._model.names_of(self._expanded(text)[0].tolist()), **names_of(self.inner, text)}

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """The query's dimensions, ascending, and their weights: int32[m], float32[m]."""
        ids, weights = self.inner.encode_query(text)
        more, shares = self._expanded(text)
        joined = np.concatenate([ids, more])
        order = np.argsort(joined, kind="stable")
        added = (self._model.idf_of(more) * shares).astype(np.float32)
        return joined[order].astype(np.int32), np.concatenate([weights, added])[order]

    def shares(self, text: str, ids: Int32Array) -> Float32Array:
        """The share of its idf that each dimension of the query weighs, 1 for its own words: float32[m]."""
        found = np.ones(len(ids), np.float32)
        more, shares = self._expanded(text)
        place = np.searchsorted(more, ids)
        at = np.flatnonzero(np.isin(ids, more))
        found[at] = shares[place[at]]
        return found
