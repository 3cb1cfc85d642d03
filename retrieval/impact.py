"""The learned-sparse leg: impacts of one byte under float32 query weights, from the lists of every segment.

A document's score is the sum, over the query's terms that it holds, in ascending order of term numbers, of
``float32(float32(weight * scale) * impact)``, added in float32. The query's weights come from the encoder: for an
inference-free one that is a table, no model.

Two engines give the same bits: numpy, and compiled kernels over lists laid out in memory; ``fast_choice.py`` says when
which of them answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.encoding import SparseEncoder
from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.filters import Filter
from twindex.indexing.postings import ImpactReader
from twindex.indexing.types import BoolArray, Float32Array, Int32Array, Int64Array, Passage
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.fast_arrays import Hits, Masks
from twindex.retrieval.fast_choice import Accelerator, Engine, answers, edges
from twindex.retrieval.fast_join import Part, check_impact_lists, join
from twindex.retrieval.fast_order import OrderedSegment, order_of
from twindex.retrieval.fast_plan import Choice, numpy_choice
from twindex.retrieval.impact_reasons import heaviest_first, names_of, own_terms, term_branch
from twindex.retrieval.place import HIDDEN, place_of
from twindex.retrieval.topk import top_k
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k
from twindex.retrieval.within import WHOLE, Budget


class ImpactSegment(OrderedSegment, Protocol):
    """What this leg needs of a segment."""

    @property
    def impacts(self) -> ImpactReader | None:
        """The lists; None in an index without this leg."""

    @property
    def live(self) -> BoolArray | None:
        """bool[documents], False = deleted; None = nothing is deleted."""


class ImpactSource(Protocol):
    """What this leg needs of a snapshot."""

    @property
    def size(self) -> int:
        """Number of ordinals, deleted ones included."""

    @property
    def bases(self) -> Sequence[int] | NDArray[Any]:
        """First ordinal of each segment."""

    @property
    def segments(self) -> Sequence[ImpactSegment]:
        """In the order of ordinals."""

    def allowed(self, condition: Filter | None, /) -> BoolArray | None:
        """bool[size] of live documents that pass the filter; None = every ordinal."""

    def ids(self, ords: Int32Array) -> list[str]:
        """External ids."""

    def passages(self, ords: Int32Array) -> list[Passage]:
        """Passages, in the order of ``ords``."""

    def check_sparse_encoder(self, encoder: SparseEncoder) -> None:
        """Nothing, if queries may be encoded by it."""


class ImpactRetriever:
    """Exact search of learned-sparse impacts over a snapshot.

    Args:
        snapshot: What to search.
        encoder: What the documents were encoded with.
        engine: "numpy", "compiled" (needs the extra ``fast``), or "auto": see ``fast_choice.py``.
        threads: Threads that share a batch in the compiled engine; 0 = one a core.

    Raises:
        ConfigError: If there is no such engine.
        FingerprintError: If the index has no such leg, or that of another encoder.
    """

    def __init__(
        self, snapshot: ImpactSource, encoder: SparseEncoder, *, engine: Engine = "auto", threads: int = 1
    ) -> None:
        snapshot.check_sparse_encoder(encoder)
        self.snapshot = snapshot
        self.encoder = encoder
        self.threads = threads
        self._fast = Accelerator(engine)

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "learned"

    @property
    def fast(self) -> FastIndex:
        """The compiled engine, for batches of weighted terms without text; laid out at the first use.

        Raises:
            MissingExtraError: If numba is not installed.
        """
        return self._fast.force(self._lay_out)

    def terms(self, text: str) -> tuple[Int64Array, Float32Array]:
        """A query's term numbers, ascending, and weight times scale of each; weights of 0 or less are left out.

        Shapes: int64[m]; float32[m].
        """
        ids, weights = self.encoder.encode_query(text)
        scaled = weights.astype(np.float32, copy=False) * np.float32(self.encoder.info.scale)
        keep = scaled > 0
        if not keep.all():
            ids, scaled = ids[keep], scaled[keep]
        return ids.astype(np.int64), scaled

    def retrieve(self, queries: Sequence[Query], k: int, budget: Callable[[int], Budget] = lambda k: WHOLE) -> Run:
        """The k best documents of each query.

        Args:
            queries: Texts with or without filters.
            k: Hits.
            budget: What each may touch, of the number of hits; asked only where the compiled engine answers.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        asked = as_queries(queries)
        index = self._fast.index(len(asked), self._lay_out) if k else None
        if index is None:
            return Run(tuple(self._one(query, k) for query in asked), self.snapshot)

        allowed = budget(min(k, self.snapshot.size))

        def search(texts: Sequence[str], masks: Masks | None) -> Hits:
            terms = [self.terms(text) for text in texts]
            ids, weights = terms[0] if len(terms) == 1 else tuple(map(np.concatenate, zip(*terms, strict=True)))
            ends, kept = edges([own for own, _ in terms]), min(k, self.snapshot.size)
            return index.search(ids, ends, kept, weights=weights, threads=self.threads, masks=masks, budget=allowed)

        return Run(answers(asked, self.snapshot.allowed, search), self.snapshot)

    def plan(self, query: Query | str, k: int) -> Choice:
        """How the query would be answered now, and why.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        ids, weights = self.terms(query if isinstance(query, str) else query.text)
        if self._fast.ready is None:
            return numpy_choice(sum(reader.df(t) for reader in self._readers for t in ids.tolist()))
        return self._fast.ready.plan(ids, k, weights=weights)

    def explain(self, query: Query, ord_: int) -> Explanation:
        """Why the document has its score: one branch a matching term, the one that adds most first.

        Each says what the term stands for, where the encoder knows, and whether the document has it by its own words
        or was expanded by it.

        Raises:
            QueryError: If there is no such ordinal.
        """
        place = place_of(self.snapshot, query, ord_)
        if place is None:
            return HIDDEN
        at, local = place
        names = names_of(self.encoder, query.text)
        own = own_terms(self.encoder, self.snapshot.passages(np.array([ord_], np.int32))[0].contents)
        asked = own_terms(self.encoder, query.text)
        details, total = [], np.float32(0)
        for t, weight in zip(*self.terms(query.text), strict=True):
            docs, impacts = self._readers[at].postings(int(t))
            p = int(np.searchsorted(docs, local))
            if p < len(docs) and docs[p] == local:
                total += weight * np.float32(impacts[p])
                term, impact = int(t), int(impacts[p])
                details.append(
                    term_branch(
                        term,
                        float(weight),
                        impact,
                        scale=self.encoder.info.scale,
                        name=names.get(term),
                        own=term in own,
                        asked=term in asked,
                    )
                )
        data = asdict(self.plan(query, 10)) if self._fast.ready is not None else {}
        text = f"{self.name}, sum over matching terms"
        return Explanation(float(total), text, heaviest_first(details), "sum" if details else "leaf", data)

    @cached_property
    def _readers(self) -> list[ImpactReader]:
        return [segment.impacts for segment in self.snapshot.segments if segment.impacts is not None]

    def _one(self, query: Query, k: int) -> Ranking:
        ids, weights = self.terms(query.text)
        if not k or not len(ids):
            return Ranking.empty()
        scores = np.zeros(self.snapshot.size, np.float32)
        for base, reader in zip(self.snapshot.bases, self._readers, strict=True):
            part = scores[int(base) :]
            for t, weight in zip(ids.tolist(), weights, strict=True):
                docs, impacts = reader.postings(t)
                try:  # a document occurs once in a list, so that plain fancy addition is right
                    part[docs] += weight * impacts.astype(np.float32)
                except IndexError as error:
                    raise CorruptIndexError(
                        f"impacts of dimension {t} name passages that are not there ({error})",
                        expected="passages of the segment",
                        remedy="run: twindex verify; then restore the index from a copy, or build it again",
                    ) from error
        return top_k(scores, k, mask=self.snapshot.allowed(query.filter))

    def _lay_out(self) -> FastIndex:
        vocabulary = self.encoder.info.vocabulary
        numbers = np.arange(vocabulary)
        for reader in self._readers:
            check_impact_lists(reader)
        parts = [
            Part(reader.ptr.astype(np.int64), reader.docs, reader.impacts, segment.live, int(base), numbers)
            for reader, segment, base in zip(self._readers, self.snapshot.segments, self.snapshot.bases, strict=True)
        ]
        ptr, docs, values = join(parts, vocabulary)
        original = order_of(self.snapshot.segments, self.snapshot.bases)
        return FastIndex.impacts(ptr, docs, values, size=self.snapshot.size, original=original)
