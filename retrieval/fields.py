"""BM25 over two fields, the text of a passage and the queries that were generated for it: what both forms share.

A form says which *pieces* a term of a query has in a segment: a list of passages, how often each has the term, and the
weight that counts. Scores are sums over pieces in the order of terms, float32, as in :mod:`twindex.retrieval.lexical`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twindex.indexing.errors import CorruptIndexError, QueryError
from twindex.indexing.expansion.reader import ExpansionReader
from twindex.indexing.postings import PostingsReader
from twindex.indexing.types import Float32Array, Int64Array
from twindex.retrieval.bm25 import BM25, TermWeight, contribution, length_codes, length_table, offset, saturation
from twindex.retrieval.expanded import FieldForm
from twindex.retrieval.lexical import LexicalSource
from twindex.retrieval.place import HIDDEN, place_of
from twindex.retrieval.topk import top_k
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k

#: Generated queries that an explanation names for a term.
NAMED: Final = 3
Float64Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Passages of one segment that have a term, in the field or fields that are scored together.

    ``field``: what explanations call it. ``average``: mean length of a passage, as the formula takes it.
    ``share``: what the weight holds of a field weight.

    Shapes: ``docs`` int64[n], ascending; ``tfs``, ``saturations`` float32[n]; ``lengths`` float64[n].
    """

    field: str
    weight: TermWeight
    docs: Int64Array
    tfs: Float32Array
    saturations: Float32Array
    lengths: Float64Array
    average: float
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """A distinct term of a query with its pieces, segment by segment. ``df``: what its idf was taken from."""

    term: str
    boost: int
    df: int
    pieces: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True)
class FieldLengths:
    """Lengths of the passages of one segment, as one form counts them: float64[size], and their saturations."""

    lengths: Float64Array
    saturations: Float32Array


class FieldLeg(ABC):
    """A leg over texts and generated queries. Exact; a deletion leaves no trace, and segments do not matter.

    Args:
        snapshot: What to search.
        config: Constants and variant of BM25.
        weight: How much the generated queries count, above 0.

    Raises:
        QueryError: If the weight is out of range, or the index has no generated queries.
    """

    form: FieldForm

    def __init__(self, snapshot: LexicalSource, config: BM25, weight: float) -> None:
        if not (math.isfinite(weight) and weight > 0):
            raise QueryError(f"field weight {weight} of generated queries", expected="a finite number above 0")
        self.snapshot = snapshot
        self.config = config
        self.weight = float(weight)
        self.first = offset(config)
        self.segments: Sequence[Any] = snapshot.segments
        self.fields: list[ExpansionReader] = list(map(expansion_of, self.segments))
        self.count = sum(segment.live_docs for segment in self.segments)

    @property
    def name(self) -> str:
        """Short name of the leg."""
        return "bm25f" if self.form == "bm25f" else "bm25+queries"

    @abstractmethod
    def bind(self, term: str, boost: int) -> FieldTerm | None:
        """The term with its weight and pieces; None if no live passage has it."""

    def retrieve(self, queries: Sequence[Query | str], k: int) -> Run:
        """The k best documents of each query.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        return Run(tuple(self._one(query, k) for query in as_queries(queries)), self.snapshot)

    def terms(self, text: str) -> list[FieldTerm]:
        """The query's distinct terms that some live passage has, in the order of summation."""
        counts = Counter(self.snapshot.analyzer.terms(text))
        found = (self.bind(term, counts[term]) for term in sorted(counts, key=_utf8))
        return [term for term in found if term is not None]

    def lengths_of(self, lengths: Sequence[Float64Array], average: float) -> list[FieldLengths]:
        """Lengths, segment by segment, with their saturations; rounded where the formula has 8 bits for them."""
        if not self.config.quantised:
            return [FieldLengths(some, saturation(self.config, some, average)) for some in lengths]
        table = saturation(self.config, length_table(), average)
        whole = [np.rint(some) for some in lengths]
        return [FieldLengths(some, table[length_codes(some.astype(np.int64))]) for some in whole]

    def live_lengths(self) -> tuple[int, int]:
        """Tokens of the texts, and of the generated queries, of live passages."""
        queries = 0
        for segment, field in zip(self.segments, self.fields):
            mask = True if segment.live is None else segment.live
            queries += int(np.asarray(field.postings.lengths).sum(dtype=np.int64, where=mask))
        return sum(segment.live_length for segment in self.segments), queries

    def _one(self, query: Query, k: int) -> Ranking:
        terms = self.terms(query.text) if k else []
        if not terms:
            return Ranking.empty()
        scores = np.zeros(self.snapshot.size, np.float32)
        for i, base in enumerate(self.snapshot.bases):
            part = scores[int(base) :]
            for term in terms:
                for piece in term.pieces[i]:  # a document occurs once in a list: plain fancy addition is right
                    part[piece.docs] += contribution(piece.weight, piece.tfs, piece.saturations, self.first)
        return top_k(scores, k, mask=self.snapshot.allowed(query.filter))

    # ---------------------------------------------------------------- why

    def explain(self, query: Query, ord_: int) -> Explanation:
        """Why the document has its score: one branch a matching term, which names the fields that have it.

        Raises:
            QueryError: If there is no such ordinal.
        """
        place = place_of(self.snapshot, query, ord_)
        if place is None:
            return HIDDEN
        at, local = place
        total, details = np.float32(0), []
        for term in self.terms(query.text):
            branches = [found for piece in term.pieces[at] if (found := self._explain_piece(term, piece, local))]
            for branch in branches:
                total += np.float32(branch.value)
            if branches:
                details.append(self._branch(term.term, branches, at, local))
        text = f"{self.name} ({self.config.variant}, generated queries x {self.weight:g}), sum over matching terms"
        data = {"form": self.form, "weight": self.weight}
        return Explanation(float(total), text, tuple(details), "sum" if details else "leaf", data)

    def _branch(self, term: str, pieces: list[Explanation], at: int, local: int) -> Explanation:
        """One term: a single piece as it is, or the sum of several; with the fields that the term came from."""
        origin = self._origin(term, at, local)
        label = f"{term!r}, {origin['field']}"
        if not origin["tf_text"]:
            label += f", as in {origin['queries'][0]!r}" if origin["queries"] else ""
        if len(pieces) == 1:
            return replace(pieces[0], text=label, data=pieces[0].data | origin)
        value = float(np.float32(sum(piece.value for piece in pieces)))
        return Explanation(value, label, tuple(pieces), "sum", {"term": term} | origin)

    def _explain_piece(self, term: FieldTerm, piece: Piece, local: int) -> Explanation | None:
        place = int(np.searchsorted(piece.docs, local))
        if place >= len(piece.docs) or piece.docs[place] != local:
            return None
        one = slice(place, place + 1)
        value = float(contribution(piece.weight, piece.tfs[one], piece.saturations[one], self.first)[0])
        tf, norm, length = (float(some[place]) for some in (piece.tfs, piece.saturations, piece.lengths))
        weight = Explanation(
            piece.weight.weight,
            f"weight: idf {piece.weight.idf:.4f}, {term.boost} times in the query"
            + (f", field weight {piece.share:g}" if piece.share != 1.0 else ""),
            data={"idf": piece.weight.idf, "df": term.df, "N": self.count, "boost": term.boost},
        )
        saturated = Explanation(
            1.0 - 1.0 / (float(self.first) + tf * norm),
            f"tf {tf:g} in {length:g} tokens of {piece.field}, mean {piece.average:.2f}",
            data={"tf": tf, "length": length, "norm": norm, "average": piece.average}
            | {"k1": self.config.k1, "b": self.config.b},
        )
        product = Explanation(value - piece.weight.bonus, "weight * tf", (weight, saturated), "product")
        data = {"term": term.term, "tf": tf, "df": term.df}
        if not piece.weight.bonus:
            return Explanation(value, piece.field, product.details, "product", data)
        bonus = Explanation(piece.weight.bonus, "bonus of any match")
        return Explanation(value, piece.field, (product, bonus), "sum", data)

    def _origin(self, term: str, at: int, local: int) -> dict[str, Any]:
        """Which fields of a passage have the term, how often, and the first of the queries that do."""
        field = self.fields[at]
        in_text, in_queries = (
            reader.tf(number, local) if (number := reader.term_id(term)) >= 0 else 0
            for reader in (self.segments[at].postings, field.postings)
        )
        named = [query for query in field.queries(local) if term in self.snapshot.analyzer.terms(query)]
        where = [name for name, tf in (("text", in_text), ("generated queries", in_queries)) if tf]
        return {
            "field": "in " + " and ".join(where),
            "tf_text": in_text,
            "tf_queries": in_queries,
            "queries": named[:NAMED] if in_queries else [],
        }


def expansion_of(segment: Any) -> ExpansionReader:
    """The generated queries of a segment, as ``Segment.expansion`` gives them.

    Raises:
        QueryError: If the index has none.
    """
    found: ExpansionReader | None = segment.expansion
    if found is None:
        raise QueryError(
            "a search of generated queries in an index without them",
            expected="an index that was built with expansions",
            remedy="search it without expansion, or build it again with: twindex index --expansion STORE",
        )
    return found


def postings_of(reader: PostingsReader, term: str) -> tuple[Int64Array, Float64Array]:
    """A term's passages and frequencies; both empty if there are none.

    Raises:
        CorruptIndexError: If a passage is named that is not there.
    """
    number = reader.term_id(term)
    if number < 0:
        return np.empty(0, np.int64), np.empty(0)
    docs, tfs = reader.postings(number)
    if len(docs) and int(docs.max()) >= reader.num_docs:
        raise CorruptIndexError(
            f"postings of {term!r} name passages that are not there",
            expected="passages of the segment",
            remedy="run: twindex verify; then restore the index from a copy, or build it again",
        )
    return docs.astype(np.int64), tfs.astype(np.float64)


def _utf8(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")
