"""Queries of a learned-sparse leg, altered before they are searched: light terms left out, or another idf put in.

Each is a sparse encoder around another one, so that the leg and its lists in memory stay what they are.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np

from twindex.indexing.analysis.cached import Memory
from twindex.indexing.encoding import SparseEncoder
from twindex.indexing.postings import ImpactReader
from twindex.indexing.segment import Segment
from twindex.indexing.snapshot import Snapshot
from twindex.indexing.types import BoolArray, Float32Array, Int32Array, Int64Array
from twindex.retrieval.altered import Altered
from twindex.retrieval.impact import ImpactRetriever, ImpactSource
from twindex.retrieval.impact_reasons import NamesTerms
from twindex.retrieval.model_queries import ModelQueries

#: The least weight that a counted idf gives: a token of every document still says a little.
LEAST: Final = np.float32(1e-3)
#: Postings that are counted at a time.
CHUNK: Final = 1 << 22


def asked_by(retriever: ImpactRetriever, encoder: SparseEncoder) -> ImpactRetriever:
    """The same leg with another encoder of queries; the lists in memory are shared."""
    other = copy.copy(retriever)
    other.encoder = encoder
    return other


def document_counts(snapshot: ImpactSource, vocabulary: int) -> Int64Array:
    """Live documents that hold each dimension: int64[vocabulary]. Cost: a pass over segments with deletions."""
    total = np.zeros(vocabulary, np.int64)
    for segment in snapshot.segments:
        if segment.impacts is not None:
            total += _counts(segment.impacts, segment.live)
    return total


def _counts(reader: ImpactReader, live: BoolArray | None) -> Int64Array:
    pointers = reader.ptr.astype(np.int64)
    if live is None:
        return np.diff(pointers)
    counts = np.zeros(len(pointers) - 1, np.int64)
    for start in range(0, reader.num_postings, CHUNK):
        docs = reader.docs[start : start + CHUNK]
        owners = np.searchsorted(pointers, np.arange(start, start + len(docs)), side="right") - 1
        counts += np.bincount(owners[live[docs]], minlength=len(counts))
    return counts


class HeavyTerms(Altered):
    """Queries without the terms that weigh less than a share of their heaviest one.

    Args:
        inner: Encodes queries.
        share: From 0 (all terms stay) to below 1.
    """

    def __init__(self, inner: SparseEncoder, share: float) -> None:
        super().__init__(inner)
        self._share = np.float32(share)

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """The heavy dimensions and their weights: int32[m], float32[m]."""
        ids, weights = self.inner.encode_query(text)
        keep = weights >= self._share * weights.max(initial=np.float32(0))
        return ids[keep], weights[keep]


class CountedIdf(Altered):
    """Queries weighed by document frequencies of the index that is searched.

    The idf is BM25's, ln(1 + (N - df + 0.5) / (df + 0.5)), times a factor of each term. Terms to which the encoder
    gives no weight stay without.

    Args:
        inner: Says which dimensions a query has.
        weigh: A query's dimensions, ascending, and what each weighs, from the text: int32[m], float32[m].
    """

    def __init__(self, inner: SparseEncoder, weigh: Callable[[str], tuple[Int32Array, Float32Array]]) -> None:
        super().__init__(inner)
        self._weigh = weigh

    def encode_query(self, text: str) -> tuple[Int32Array, Float32Array]:
        """The query's dimensions and their counted idf: int32[m], float32[m]."""
        return self._weigh(text)


def idf_of(df: Int64Array, documents: int) -> Float32Array:
    """BM25's idf of terms with such document frequencies, LEAST at least: float32[m]."""
    known = df.astype(np.float64)
    total = np.maximum(known, documents)
    return np.maximum(np.log1p((total - known + 0.5) / (known + 0.5)).astype(np.float32), LEAST)


@runtime_checkable
class OverTerms(NamesTerms, Protocol):
    """A sparse encoder whose dimensions are terms of an analyzer, which an index may have counted.

    Its ``words`` names all the dimensions that a query has.
    """

    @property
    def analyzer_fingerprint(self) -> str:
        """That of the analyzer."""


@runtime_checkable
class NumbersTerms(OverTerms, Protocol):
    """One whose queries have the dimensions of their terms and no others."""

    def number(self, term: str) -> int:
        """The dimension of a term, -1 if it weighs nothing."""


def analyzer_of(encoder: SparseEncoder) -> str:
    """Fingerprint of the analyzer whose terms an encoder's dimensions are; empty if they are those of none."""
    return encoder.analyzer_fingerprint if isinstance(encoder, OverTerms) else ""


def counts_terms(encoder: SparseEncoder, snapshot: Snapshot) -> bool:
    """Whether the encoder's dimensions are the terms of the index, so that its dictionary has their frequencies."""
    return analyzer_of(encoder) == snapshot.analyzer.fingerprint


def counted_idf(encoder: SparseEncoder, snapshot: Snapshot) -> CountedIdf:
    """Queries by the index's own idf: from its dictionary, where it has the encoder's terms, else from the impacts.

    Impacts count a document for a dimension that it was only expanded by as well, a dictionary does not. A word counts
    by the root of how often the query has it, and what a model has added by its share.
    """
    shares = encoder.shares if isinstance(encoder, ModelQueries) else None
    if isinstance(encoder, OverTerms) and counts_terms(encoder, snapshot):
        return CountedIdf(encoder, _by_terms(encoder, snapshot, shares))
    known = idf_of(document_counts(snapshot, encoder.info.vocabulary), snapshot.live_docs)

    def by_impacts(text: str) -> tuple[Int32Array, Float32Array]:
        ids, _ = encoder.encode_query(text)
        return ids, known[ids] if shares is None else known[ids] * shares(text, ids)

    return CountedIdf(encoder, by_impacts)


def _by_terms(
    encoder: OverTerms, snapshot: Snapshot, shares: Callable[[str, Int32Array], Float32Array] | None
) -> Callable[[str], tuple[Int32Array, Float32Array]]:
    """What :class:`CountedIdf` weighs by, from the dictionary; what a term weighs is remembered.

    In plain Python but for whole queries: of what a query costs in a small index this is the largest part.
    """
    segments, terms = snapshot.segments, snapshot.analyzer.terms
    known = Memory(lambda term: float(idf_of(np.array([_live_df(segments, term)]), snapshot.live_docs)[0]))
    number_of = Memory(encoder.number) if isinstance(encoder, NumbersTerms) else None

    def weigh(text: str) -> tuple[Int32Array, Float32Array]:
        found = terms(text)
        if number_of is None:
            names = encoder.words(text)
        else:
            names = {number_of[term]: term for term in found if number_of[term] >= 0}
        numbers = sorted(names)
        ids = np.array(numbers, np.int32)
        weights = np.array([known[names[number]] for number in numbers], np.float32)
        factors, counts = None if shares is None else shares(text, ids), Counter(found)
        if len(counts) < len(found):
            roots = np.sqrt(np.array([counts[names[number]] or 1 for number in numbers], np.float32))
            factors = roots if factors is None else roots * factors
        return ids, weights if factors is None else weights * factors

    return weigh


def _live_df(segments: Sequence[Segment], term: str) -> int:
    numbers = [segment.postings.term_id(term) for segment in segments]
    return sum(segment.live_df(number) for segment, number in zip(segments, numbers, strict=True) if number >= 0)
