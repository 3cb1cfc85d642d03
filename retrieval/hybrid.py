"""Several legs and a profile as one retriever: each leg is asked once to a fixed depth, then fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twindex.retrieval.base import Retriever
from twindex.retrieval.profile import DEFAULT, TWO_LEGS, Profile, Recipe, Role
from twindex.retrieval.types import Explanation, IdTable, Query, Ranking, Run, as_queries, check_k


@dataclass(frozen=True, slots=True)
class Fused:
    """A fused ranking with what went into it: one ranking a leg, and the recipe that was used."""

    ranking: Ranking
    legs: tuple[Ranking, ...]
    recipe: Recipe


class HybridRetriever:
    """Legs over one snapshot, fused.

    The depth of the legs does not depend on k, so that a longer page never reorders a shorter one; a k beyond
    the depth gets what the union of the candidates holds.

    Args:
        legs: Retrievers in the order of their roles.
        table: Ids of their common ordinals.
        profile: How to fuse.
        roles: What each leg is; a dense one comes last.
    """

    def __init__(
        self,
        legs: Sequence[Retriever],
        table: IdTable,
        profile: Profile = DEFAULT,
        roles: Sequence[Role] = TWO_LEGS,
    ) -> None:
        self.legs = tuple(legs)
        self.roles = tuple(roles)
        self.table = table
        self.profile = profile

    @property
    def name(self) -> str:
        """Short name of the combination."""
        return "hybrid"

    @property
    def reach(self) -> int:
        """Hits that a query can have at most: all candidates of all legs."""
        return self.profile.depth * len(self.legs)

    def retrieve(self, queries: Sequence[Query], k: int) -> Run:
        """The k best of the fused candidates of each query.

        Raises:
            QueryError: If k is negative.
        """
        return Run(tuple(fused.ranking for fused in self.fuse(queries, k)), self.table)

    def fuse(self, queries: Sequence[Query], k: int) -> list[Fused]:
        """The same with what went into each.

        Raises:
            QueryError: If k is negative.
        """
        check_k(k)
        asked = as_queries(queries)
        if k == 0:
            none = (Ranking.empty(),) * len(self.legs)
            return [Fused(Ranking.empty(), none, self.profile.recipe) for _ in asked]
        runs = [leg.retrieve(asked, self.profile.depth) for leg in self.legs]
        out = []
        for i, query in enumerate(asked):
            rankings = tuple(run[i] for run in runs)
            recipe = self.profile.choose(query.text, rankings, self.roles)
            out.append(Fused(recipe.fuse(rankings, k, self.roles), rankings, recipe))
        return out

    def explain(self, query: Query, ord_: int) -> Explanation:
        """How each leg contributed to the fused score; value 0 if no leg has the document.

        Raises:
            QueryError: If there is no such ordinal.
        """
        fused = self.fuse([query], 1)[0]
        if not any(ord_ in ranking.ords for ranking in fused.legs):
            for leg in self.legs[:1]:
                leg.explain(query, ord_)  # says so if there is no such ordinal
            return Explanation(0.0, f"{fused.recipe.fusion.name}: no leg has the document among its candidates")
        return self.explain_fused(query, ord_, fused)

    def explain_fused(self, query: Query, ord_: int, fused: Fused) -> Explanation:
        """The same from rankings that are there already."""
        names = [leg.name for leg in self.legs]
        fusion, weights = fused.recipe.fusion_of(self.roles), fused.recipe.weights_of(self.roles)
        tree = fusion.explain(fused.legs, ord_, names, weights)
        by_name = {leg.name: leg for leg in self.legs}
        details = tuple(_with_reason(branch, by_name, query, ord_) for branch in tree.details)
        return replace(tree, details=details)


def _with_reason(branch: Explanation, legs: dict[str, Retriever], query: Query, ord_: int) -> Explanation:
    """The branch of a leg, with the leg's own explanation under the share that came from its score."""
    leg = legs.get(branch.data.get("leg", ""))
    if leg is None or len(branch.details) != 2 or "rank" not in branch.details[1].data:
        return branch
    factor, share = branch.details
    reason = leg.explain(query, ord_)
    return replace(branch, details=(factor, replace(share, details=(reason,), combine="because")))
