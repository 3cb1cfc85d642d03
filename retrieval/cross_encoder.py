"""A reranker that reads query and passage together, through anything that scores pairs of texts."""

from __future__ import annotations

import numpy as np

from twindex.indexing.encoding import PairScorer
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.topk import select
from twindex.retrieval.types import Query, Ranking


class PassageReranker:
    """Scores the passages of a snapshot anew. A score depends on the query's text and the passage's alone.

    Args:
        scorer: A cross-encoder.
        snapshot: Where the texts are.
    """

    def __init__(self, scorer: PairScorer, snapshot: Snapshot) -> None:
        self.scorer = scorer
        self.snapshot = snapshot

    @property
    def name(self) -> str:
        """That of the scorer."""
        return self.scorer.name

    def rerank(self, query: Query, ranking: Ranking) -> Ranking:
        """The same ordinals with the scorer's scores, in the house order."""
        if not len(ranking):
            return ranking
        ords = np.sort(ranking.ords)
        texts = [passage.contents for passage in self.snapshot.passages(ords)]
        return select(ords.astype(np.int64), self.scorer.score(query.text, texts), len(ords))
