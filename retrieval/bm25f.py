"""BM25F: texts and generated queries as two weighted fields of one document, joined before the formula saturates.

It is as if the generated queries stood ``weight`` times behind the text: tf = tf_text + weight * tf_queries, the length
likewise, and a document has a term if either field has it. With weight 1 this *is* BM25 over texts with the queries
appended, bit for bit.

Source: S. Robertson, H. Zaragoza, M. Taylor, "Simple BM25 Extension to Multiple Weighted Fields", CIKM 2004, section 3.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from twindex.indexing.types import Float32Array, Int64Array
from twindex.retrieval.bm25 import BM25, term_weight
from twindex.retrieval.fields import FieldLeg, FieldLengths, FieldTerm, Piece, postings_of
from twindex.retrieval.lexical import LexicalSource

#: What explanations call both fields together.
_BOTH = "text and generated queries"


class FieldRetriever(FieldLeg):
    """Exact BM25F over a snapshot whose passages have generated queries.

    Args:
        snapshot: What to search.
        config: Constants and variant of BM25.
        weight: How much one word of a generated query counts, above 0; 1 = as much as one of the text.

    Raises:
        QueryError: If the weight is out of range, or the index has no generated queries.
    """

    form = "bm25f"

    def __init__(
        self,
        snapshot: LexicalSource,
        config: BM25 = BM25(),  # noqa: B008 - frozen
        weight: float = 1.0,
    ) -> None:
        super().__init__(snapshot, config, weight)
        text, queries = self.live_lengths()
        self.average = (text + self.weight * queries) / self.count if self.count else 0.0

    def bind(self, term: str, boost: int) -> FieldTerm | None:
        """The term with the passages of either field."""
        joined = [self._joined(i, term) for i in range(len(self.segments))]
        df = sum(_live(segment, docs) for segment, (docs, _) in zip(self.segments, joined))
        if df == 0:
            return None
        weight = term_weight(self.config, self.count, df, boost)
        pieces = []
        for (docs, tfs), known in zip(joined, self._known):
            piece = Piece(_BOTH, weight, docs, tfs, known.saturations[docs], known.lengths[docs], self.average)
            pieces.append((piece,) if len(docs) else ())
        return FieldTerm(term, boost, df, tuple(pieces))

    def _joined(self, i: int, term: str) -> tuple[Int64Array, Float32Array]:
        text, text_tfs = postings_of(self.segments[i].postings, term)
        queries, query_tfs = postings_of(self.fields[i].postings, term)
        if not len(queries):
            return text, text_tfs.astype(np.float32)
        docs = np.union1d(text, queries)
        tfs = np.zeros(len(docs))
        tfs[np.searchsorted(docs, text)] = text_tfs
        tfs[np.searchsorted(docs, queries)] += self.weight * query_tfs
        return docs, tfs.astype(np.float32)

    @cached_property
    def _known(self) -> list[FieldLengths]:
        lengths = [
            segment.postings.lengths + self.weight * field.postings.lengths
            for segment, field in zip(self.segments, self.fields)
        ]
        return self.lengths_of(lengths, self.average)


def _live(segment: Any, docs: Int64Array) -> int:
    return len(docs) if segment.live is None else int(np.count_nonzero(segment.live[docs]))
