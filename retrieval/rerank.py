"""The door for rerankers: a second, dearer opinion on the best candidates of any retriever.

A reranker reads the ``depth`` best with the query. Its scores and those of the retriever are brought to [0, 1] over
these candidates and averaged by weight, since each knows what the other does not: the retriever has seen the words of
the whole text, the reranker has read its beginning. What it did not read keeps its order below, with scores below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from twindex.indexing.errors import ConfigError, QueryError
from twindex.retrieval.base import Reranker, Retriever
from twindex.retrieval.fusion import Convex
from twindex.retrieval.normalise import scale_of
from twindex.retrieval.topk import select
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k

#: Share of the reranker in a candidate's score.
WEIGHT: Final = 0.5
FUSION: Final = Convex("minmax")


@dataclass(frozen=True, slots=True, eq=False)
class Reordered:
    """What a reranker made of a ranking.

    ``before``: the ranking. ``opinion``: its candidates by the reranker's own scores. ``after``: the candidates by
    both, then the others.
    """

    before: Ranking
    opinion: Ranking
    after: Ranking


class RerankedRetriever:
    """The ``depth`` best of a retriever in an order that a reranker shares in, then the others.

    Args:
        base: Gives the candidates.
        reranker: Scores them again.
        depth: How many of them, 1 or more, whatever the page size.
        weight: The reranker's share in their scores, from 0 to 1; 1 = its order alone.

    Raises:
        ConfigError: If the depth or the weight is out of range.
    """

    def __init__(self, base: Retriever, reranker: Reranker, depth: int = 50, weight: float = WEIGHT) -> None:
        if depth < 1:
            raise ConfigError(f"depth = {depth} of the reranker", expected="1 candidate or more")
        if not 0 <= weight <= 1:
            raise ConfigError(f"weight = {weight} of the reranker", expected="a share from 0 to 1")
        self.base = base
        self.reranker = reranker
        self.depth = depth
        self.weight = weight

    @property
    def name(self) -> str:
        """As in "hybrid>cross-encoder"."""
        return f"{self.base.name}>{self.reranker.name}"

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best of each query.

        Raises:
            QueryError: If k is negative, or the reranker returns documents that it was not given.
        """
        check_k(k)
        asked = as_queries(queries)
        run = self.base.retrieve(asked, max(k, self.depth) if k else 0)
        found = (self.reorder(query, ranking).after.cut(k) for query, ranking in zip(asked, run))
        return Run(tuple(found), run.table)

    def explain(self, query: Query, ord_: int) -> Explanation:
        """How retriever and reranker share in the score of a candidate; of any other, the retriever's reason."""
        reason = self.base.explain(query, ord_)
        return self.explain_order(ord_, self.reorder(query, self.base.retrieve([query], self.depth)[0]), reason)

    def reorder(self, query: Query, before: Ranking, opinion: Ranking | None = None) -> Reordered:
        """A ranking, as deep as the depth if there is so much, with its best documents in the new order.

        ``opinion``: what the reranker said of the query already; None = it is asked.

        Raises:
            QueryError: If the reranker returns documents that it was not given.
        """
        return reordered(self.reranker, query, before, self.depth, self.weight, opinion)

    def explain_order(self, ord_: int, found: Reordered, reason: Explanation) -> Explanation:
        """Why a document has its score, from orders that are there already.

        Args:
            ord_: A document.
            found: What the reranker made of the ranking.
            reason: Why the document is in it.
        """
        after, before = found.after.ords.tolist(), found.before.ords.tolist()
        if ord_ not in found.opinion.ords:
            value = float(found.after.scores[after.index(ord_)]) if ord_ in after else 0.0
            text = f"not among the {self.depth} candidates that {self.reranker.name} read"
            return Explanation(value, text, (reason,), "because")
        value, place, was = float(found.after.scores[after.index(ord_)]), after.index(ord_) + 1, before.index(ord_) + 1
        text = f"{self.reranker.name}: rank {place}, was {was} in {self.base.name}"
        data = {"rank": place, "before": was, "reranker": self.reranker.name}
        head, _ = _parted(found.before, found.opinion)
        shares = FUSION.explain(
            (head, found.opinion), ord_, (self.base.name, self.reranker.name), (1.0 - self.weight, self.weight)
        )
        details = tuple(_with_reason(share, reason, self.base.name) for share in shares.details)
        if self.weight == 1:  # the retriever has no share, but it found the document
            return Explanation(value, text, (reason,), "because", {**shares.details[0].details[1].data, **data})
        return Explanation(value, text, details, shares.combine, data)


def reordered(
    reranker: Reranker,
    query: Query,
    before: Ranking,
    depth: int,
    weight: float = WEIGHT,
    opinion: Ranking | None = None,
) -> Reordered:
    """A ranking with its ``depth`` best documents in an order that a reranker shares in.

    ``opinion``: what the reranker said of these already; None = it is asked.

    Raises:
        QueryError: If it returns documents that it was not given.
    """
    if opinion is None:
        opinion = _ask(reranker, query, before.cut(depth))
    head, rest = _parted(before, opinion)
    best = FUSION.fuse((head, opinion), len(head), (1.0 - weight, weight))
    if len(rest):
        below = (rest.scores.astype(np.float64) - head.scores[-1]) / scale_of(head, "minmax").span - 1.0
        tail = select(rest.ords.astype(np.int64), below.astype(np.float32), len(rest))
        best = Ranking(np.concatenate([best.ords, tail.ords]), np.concatenate([best.scores, tail.scores]))
    return Reordered(before, opinion, best)


def _ask(reranker: Reranker, query: Query, candidates: Ranking) -> Ranking:
    if not len(candidates):
        return candidates
    ranking = reranker.rerank(query, candidates)
    if sorted(ranking.ords.tolist()) != sorted(candidates.ords.tolist()):
        raise QueryError(
            f"reranker {reranker.name!r} returned other documents than it was given",
            expected="the same ones with new scores",
        )
    return ranking


def _parted(before: Ranking, opinion: Ranking) -> tuple[Ranking, Ranking]:
    """What of a ranking the reranker has read, and the rest."""
    read = np.isin(before.ords, opinion.ords)
    return Ranking(before.ords[read], before.scores[read]), Ranking(before.ords[~read], before.scores[~read])


def _with_reason(share: Explanation, reason: Explanation, name: str) -> Explanation:
    """The retriever's share with the reason for its score; any other as it is."""
    if share.data.get("leg") != name:
        return share
    factor, score = share.details
    because = Explanation(score.value, score.text, (reason,), "because", score.data)
    return Explanation(share.value, share.text, (factor, because), share.combine, share.data)
