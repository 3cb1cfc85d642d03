"""The lexical leg: BM25 over the inverted files of every segment, with statistics of the whole snapshot.

Number of documents, mean length and document frequencies are those of all live documents together, so one
segment or twenty, with or without deletions, give the same scores bit for bit. Contributions are float32,
added in float32 in ascending order of the query's distinct terms by UTF-8 bytes.

Two engines give the same bits: numpy, and compiled kernels over lists laid out in memory; ``fast_choice.py`` says when
which of them answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.analysis.base import Analyzer
from twindex.indexing.errors import CorruptIndexError
from twindex.indexing.filters import Filter
from twindex.indexing.postings import PostingsReader
from twindex.indexing.types import BoolArray, Float32Array, Int32Array
from twindex.retrieval.bm25 import (
    BM25,
    TermWeight,
    contribution,
    length_codes,
    length_table,
    offset,
    saturation,
    term_weight,
)
from twindex.retrieval.fast import FastIndex
from twindex.retrieval.fast_arrays import Hits, Masks
from twindex.retrieval.fast_choice import Accelerator, Engine, answers, edges
from twindex.retrieval.fast_join import Joined, join_postings
from twindex.retrieval.fast_order import OrderedSegment, order_of
from twindex.retrieval.fast_plan import Choice, numpy_choice
from twindex.retrieval.place import HIDDEN, place_of
from twindex.retrieval.topk import top_k
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k


class LexicalSegment(OrderedSegment, Protocol):
    """What this leg needs of a segment."""

    @property
    def postings(self) -> PostingsReader:
        """The inverted files."""

    @property
    def live(self) -> BoolArray | None:
        """bool[documents], False = deleted; None = nothing is deleted."""

    @property
    def live_docs(self) -> int:
        """Number of live documents."""

    @property
    def live_length(self) -> int:
        """Tokens of the live documents."""

    def live_df(self, term_id: int) -> int:
        """Live documents with the segment's term of that number."""


class LexicalSource(Protocol):
    """What this leg needs of a snapshot."""

    @property
    def size(self) -> int:
        """Number of ordinals, deleted ones included."""

    @property
    def bases(self) -> Sequence[int] | NDArray[Any]:
        """First ordinal of each segment."""

    @property
    def segments(self) -> Sequence[LexicalSegment]:
        """In the order of ordinals."""

    @property
    def analyzer(self) -> Analyzer:
        """What the documents were analysed with."""

    def allowed(self, condition: Filter | None, /) -> BoolArray | None:
        """bool[size] of live documents that pass the filter; None = every ordinal."""

    def ids(self, ords: Int32Array) -> list[str]:
        """External ids."""


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A distinct term of a query, bound to a snapshot's statistics.

    ``ids``: its number in each segment, -1 = not there.
    """

    term: str
    boost: int
    df: int
    weight: TermWeight
    ids: tuple[int, ...]


class LexicalRetriever:
    """Exact BM25 over a snapshot.

    Args:
        snapshot: What to search.
        config: Constants and variant.
        engine: "numpy", "compiled" (needs the extra ``fast``), or "auto": see ``fast_choice.py``.
        threads: Threads that share a batch in the compiled engine; 0 = one a core.

    Raises:
        ConfigError: If there is no such engine.
    """

    def __init__(
        self,
        snapshot: LexicalSource,
        config: BM25 = BM25(),  # noqa: B008 - frozen
        *,
        engine: Engine = "auto",
        threads: int = 1,
    ) -> None:
        self.snapshot = snapshot
        self.config = config
        self.threads = threads
        self.count = sum(segment.live_docs for segment in snapshot.segments)
        length = sum(segment.live_length for segment in snapshot.segments)
        self.average = length / self.count if self.count else 0.0
        self._first = offset(config)
        self._fast = Accelerator(engine)

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "bm25"

    @cached_property
    def _saturations(self) -> list[Float32Array]:
        """``saturation`` of each document's length, segment by segment. Cost: one pass, the first time."""
        readers = [segment.postings for segment in self.snapshot.segments]
        if self.config.quantised:
            table = saturation(self.config, length_table(), self.average)
            return [table[length_codes(reader.lengths)] for reader in readers]
        return [saturation(self.config, reader.lengths, self.average) for reader in readers]

    def terms(self, text: str) -> list[QueryTerm]:
        """The query's distinct terms that occur in the snapshot, in the order of summation."""
        counts = Counter(self.snapshot.analyzer.terms(text))
        found = (self._bind(term, counts[term]) for term in sorted(counts, key=_utf8))
        return [term for term in found if term is not None]

    def _bind(self, term: str, boost: int) -> QueryTerm | None:
        segments = self.snapshot.segments
        ids = tuple(segment.postings.term_id(term) for segment in segments)
        df = sum(segment.live_df(i) for segment, i in zip(segments, ids, strict=True) if i >= 0)
        if df == 0:
            return None
        return QueryTerm(term, boost, df, term_weight(self.config, self.count, df, boost), ids)

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best documents of each query.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        asked = as_queries(queries)
        index = self._fast.index(len(asked), self._lay_out) if k else None
        if index is None:
            return Run(tuple(self._one(query, k) for query in asked), self.snapshot)

        def search(texts: Sequence[str], masks: Masks | None) -> Hits:
            numbers = [self.numbers(text) for text in texts]
            flat = np.fromiter(chain.from_iterable(numbers), np.int64)
            return index.search(flat, edges(numbers), min(k, self.snapshot.size), threads=self.threads, masks=masks)

        return Run(answers(asked, self.snapshot.allowed, search), self.snapshot)

    def numbers(self, text: str) -> list[int]:
        """Term numbers of a text for :meth:`search`, repeated as the text repeats them; unknown terms are left out."""
        known = self._joined.terms
        if known is None:
            reader = self.snapshot.segments[0].postings
            found = [reader.term_id(term) for term in self.snapshot.analyzer.terms(text)]
        else:
            found = [known.get(term, -1) for term in self.snapshot.analyzer.terms(text)]
        return [number for number in found if number >= 0]

    @property
    def fast(self) -> FastIndex:
        """The compiled engine, for batches of term numbers without text; laid out at the first use.

        Raises:
            MissingExtraError: If numba is not installed.
        """
        return self._fast.force(self._lay_out)

    @property
    def compiled(self) -> bool:
        """Whether the compiled engine is laid out, so that no call has to wait for that."""
        return self._fast.ready is not None

    def plan(self, query: Query | str, k: int) -> Choice:
        """How the query would be answered now, and why.

        Raises:
            QueryError: If k is negative.
        """
        text = query if isinstance(query, str) else query.text
        index = self._fast.ready
        check_k(k)
        if index is None:
            return numpy_choice(sum(term.df for term in self.terms(text)))
        return index.plan(np.array(self.numbers(text), np.int64), k)

    @cached_property
    def _joined(self) -> Joined:
        segments = self.snapshot.segments
        readers = [segment.postings for segment in segments]
        return join_postings(readers, [segment.live for segment in segments], self.snapshot.bases)

    def _lay_out(self) -> FastIndex:
        joined = self._joined
        lengths = [segment.postings.lengths for segment in self.snapshot.segments]
        return FastIndex.from_frequencies(
            joined.ptr,
            joined.docs,
            joined.frequencies,
            lengths=np.concatenate([np.empty(0, np.uint32), *lengths]),
            config=self.config,
            average=self.average,
            count=self.count,
            original=order_of(self.snapshot.segments, self.snapshot.bases),
        )

    def _one(self, query: Query, k: int) -> Ranking:
        terms = self.terms(query.text) if k else []
        if not terms:
            return Ranking.empty()
        return top_k(self._score(terms), k, mask=self.snapshot.allowed(query.filter))

    def _score(self, terms: Sequence[QueryTerm]) -> Float32Array:
        scores = np.zeros(self.snapshot.size, np.float32)
        for i, segment in enumerate(self.snapshot.segments):
            part = scores[int(self.snapshot.bases[i]) :]
            for term in terms:
                if term.ids[i] >= 0:
                    docs, tfs = segment.postings.postings(term.ids[i])
                    try:  # a document occurs once in a list, so that plain fancy addition is right
                        part[docs] += contribution(term.weight, tfs, self._saturations[i][docs], self._first)
                    except IndexError as error:
                        raise CorruptIndexError(
                            f"postings of {term.term!r} name passages that are not there ({error})",
                            expected="passages of the segment",
                            remedy="run: twindex verify; then restore the index from a copy, or build it again",
                        ) from error
        return scores

    def explain(self, query: Query, ord_: int) -> Explanation:
        """Why the document has its score: one branch a matching term.

        Raises:
            QueryError: If there is no such ordinal.
        """
        place = place_of(self.snapshot, query, ord_)
        if place is None:
            return HIDDEN
        at, local = place
        details = [
            detail for term in self.terms(query.text) if (detail := self._explain_term(term, at, local)) is not None
        ]
        total = np.float32(0)
        for detail in details:
            total += np.float32(detail.value)
        text = f"{self.name} ({self.config.variant}), sum over matching terms"
        # The numpy engine has one way; the compiled one says which it takes for ten hits.
        data = asdict(self.plan(query, 10)) if self._fast.ready is not None else {}
        return Explanation(float(total), text, tuple(details), "sum" if details else "leaf", data)

    def _explain_term(self, term: QueryTerm, at: int, local: int) -> Explanation | None:
        reader = self.snapshot.segments[at].postings
        tf = reader.tf(term.ids[at], local) if term.ids[at] >= 0 else 0
        if not tf:
            return None
        sat = self._saturations[at][local : local + 1]
        value = float(contribution(term.weight, np.array([tf]), sat, self._first)[0])
        norm = 1.0 - 1.0 / (float(self._first) + tf * float(sat[0]))
        length = int(reader.lengths[local])
        idf = Explanation(
            term.weight.weight,
            f"weight: idf {term.weight.idf:.4f}, {term.boost} times in the query",
            data={"idf": term.weight.idf, "df": term.df, "N": self.count, "boost": term.boost},
        )
        saturated = Explanation(
            norm,
            f"tf {tf} in {length} tokens, mean {self.average:.2f}",
            data={
                "tf": tf,
                "length": length,
                "norm": float(sat[0]),
                "average": self.average,
                "k1": self.config.k1,
                "b": self.config.b,
            },
        )
        product = Explanation(value - term.weight.bonus, "weight * tf", (idf, saturated), "product")
        label, data = f"{term.term!r}", {"term": term.term, "tf": tf, "df": term.df}
        if not term.weight.bonus:
            return Explanation(value, label, product.details, "product", data)
        bonus = Explanation(term.weight.bonus, "bonus of any match")
        return Explanation(value, label, (product, bonus), "sum", data)


def _utf8(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")
