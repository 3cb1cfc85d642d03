"""The door for rerankers: a second, dearer opinion on the best candidates of any retriever."""

from __future__ import annotations

from collections.abc import Sequence

from twindex.indexing.errors import ConfigError, QueryError
from twindex.retrieval.base import Reranker, Retriever
from twindex.retrieval.types import Explanation, Query, Ranking, Run, as_queries, check_k


class RerankedRetriever:
    """The ``depth`` best of a retriever in a reranker's order.

    Documents beyond the depth are not returned, since scores of two kinds cannot stand in one ranking.

    Args:
        base: Gives the candidates.
        reranker: Scores them again.
        depth: How many of them, 1 or more, whatever the page size.

    Raises:
        ConfigError: If the depth is below 1.
    """

    def __init__(self, base: Retriever, reranker: Reranker, depth: int = 50) -> None:
        if depth < 1:
            raise ConfigError(f"depth = {depth} of the reranker", expected="1 candidate or more")
        self.base = base
        self.reranker = reranker
        self.depth = depth

    @property
    def name(self) -> str:
        """As in "hybrid>cross-encoder"."""
        return f"{self.base.name}>{self.reranker.name}"

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best of the reranked candidates of each query.

        Raises:
            QueryError: If k is negative, or the reranker returns documents that it was not given.
        """
        check_k(k)
        asked = as_queries(queries)
        run = self.base.retrieve(asked, self.depth if k else 0)
        return Run(tuple(self.rank(query, ranking).cut(k) for query, ranking in zip(asked, run)), run.table)

    def explain(self, query: Query, ord_: int) -> Explanation:
        """The reranker's score, because of the candidate's place in the base ranking.

        Raises:
            QueryError: If there is no such ordinal.
        """
        candidates = self.base.retrieve([query], self.depth)[0]
        ranking = self.rank(query, candidates)
        if ord_ not in ranking.ords:
            self.base.explain(query, ord_)  # says so if there is no such ordinal
            return Explanation(0.0, f"not among the {self.depth} candidates of {self.base.name}")
        return self.explain_orders(ord_, candidates, ranking, self.base.explain(query, ord_))

    def explain_orders(self, ord_: int, before: Ranking, after: Ranking, reason: Explanation) -> Explanation:
        """The same from orders that are there already.

        Args:
            ord_: A document of both.
            before: The candidates.
            after: What the reranker made of them.
            reason: Why the document is among the candidates.
        """
        place = after.ords.tolist().index(ord_)
        was = before.ords.tolist().index(ord_) + 1
        return Explanation(
            float(after.scores[place]),
            f"{self.reranker.name}: rank {place + 1}, was {was} in {self.base.name}",
            (reason,),
            "because",
            {"rank": place + 1, "before": was, "reranker": self.reranker.name},
        )

    def rank(self, query: Query, candidates: Ranking) -> Ranking:
        """The candidates in the reranker's order.

        Raises:
            QueryError: If it returns documents that it was not given.
        """
        if not len(candidates):
            return candidates
        ranking = self.reranker.rerank(query, candidates)
        if sorted(ranking.ords.tolist()) != sorted(candidates.ords.tolist()):
            raise QueryError(
                f"reranker {self.reranker.name!r} returned other documents than it was given",
                expected="the same ones with new scores",
            )
        return ranking
