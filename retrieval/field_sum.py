"""BM25 of the text plus a weighted BM25 of the generated queries, both by how rare a word is in the texts.

Generators repeat what they like to say, which makes those words look common and passages look long. Here neither
touches the statistics of the text: score = BM25(text) + weight * sum of idf_text(t) * saturated(tf_queries, length of
the queries). A word that no text has is as rare as one that a single text has. The form is ours; it is the linear
combination that Robertson, Zaragoza and Taylor (CIKM 2004) advise against for fields of one author. Which form is
better is measured in eval/LOG.md.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from twindex.indexing.postings import PostingsReader
from twindex.retrieval.bm25 import BM25, TermWeight, term_weight
from twindex.retrieval.fields import FieldLeg, FieldLengths, FieldTerm, Piece, postings_of
from twindex.retrieval.lexical import LexicalSource


class FieldSumRetriever(FieldLeg):
    """Exact sum of the scores of both fields.

    Args:
        snapshot: What to search.
        config: Constants and variant of BM25.
        weight: How much the score of the generated queries counts, above 0.

    Raises:
        QueryError: If the weight is out of range, or the index has no generated queries.
    """

    form = "additive"

    def __init__(
        self,
        snapshot: LexicalSource,
        config: BM25 = BM25(),  # noqa: B008 - frozen
        weight: float = 1.0,
    ) -> None:
        super().__init__(snapshot, config, weight)
        text, queries = self.live_lengths()
        #: Mean length of a text, and of a passage's generated queries, in tokens.
        self.averages = (text / self.count, queries / self.count) if self.count else (0.0, 0.0)

    def bind(self, term: str, boost: int) -> FieldTerm | None:
        """The term with the passages of each field."""
        numbers = [segment.postings.term_id(term) for segment in self.segments]
        df = sum(segment.live_df(number) for segment, number in zip(self.segments, numbers) if number >= 0)
        weight = term_weight(self.config, self.count, max(df, 1), boost) if self.count else TermWeight(0.0, 0.0, 0.0)
        pieces = tuple(self._pieces(i, term, weight) for i in range(len(self.segments)))
        return FieldTerm(term, boost, df, pieces) if any(pieces) else None

    def _pieces(self, i: int, term: str, weight: TermWeight) -> tuple[Piece, ...]:
        less = replace(
            weight,
            weight=float(np.float32(self.weight) * np.float32(weight.weight)),
            bonus=float(np.float32(self.weight) * np.float32(weight.bonus)),
        )
        texts, queries = self._known
        found = (
            _piece("text", weight, self.segments[i].postings, term, texts[i], self.averages[0]),
            _piece("generated queries", less, self.fields[i].postings, term, queries[i], self.averages[1], self.weight),
        )
        return tuple(piece for piece in found if piece is not None)

    @cached_property
    def _known(self) -> tuple[list[FieldLengths], list[FieldLengths]]:
        texts = [segment.postings.lengths.astype(np.float64) for segment in self.segments]
        queries = [field.postings.lengths.astype(np.float64) for field in self.fields]
        return self.lengths_of(texts, self.averages[0]), self.lengths_of(queries, self.averages[1])


def _piece(
    field: str,
    weight: TermWeight,
    reader: PostingsReader,
    term: str,
    known: FieldLengths,
    average: float,
    share: float = 1.0,
) -> Piece | None:
    docs, tfs = postings_of(reader, term)
    if not len(docs):
        return None
    saturations, lengths = known.saturations[docs], known.lengths[docs]
    return Piece(field, weight, docs, tfs.astype(np.float32), saturations, lengths, average, share)
