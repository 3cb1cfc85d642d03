"""The ranking of one query together with the open snapshot that its ordinals refer to, before any text is read.

For those who write hits themselves (a server writes bytes); :class:`twindex.retrieval.results.Hit` is for all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.hybrid import Fused, HybridRetriever
from twindex.retrieval.rerank import Reordered, RerankedRetriever
from twindex.retrieval.types import Explanation, Query, Ranking
from twindex.retrieval.view import Mode, Plan, View


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """What a ranking came from: the legs or their fusion, and what a reranker made of it."""

    base: Retriever
    second: RerankedRetriever | None = None
    fused: Fused | None = None
    reordered: Reordered | None = None

    def explain(self, query: Query, ord_: int) -> Explanation:
        """Why the hit has its score, from what is there: nothing is searched or scored again."""
        if isinstance(self.base, HybridRetriever) and self.fused is not None:
            reason = self.base.explain_fused(query, ord_, self.fused)
        else:
            reason = self.base.explain(query, ord_)
        if self.second is None or self.reordered is None:
            return reason
        return self.second.explain_order(ord_, self.reordered, reason)


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Hits as ordinals. Valid while the block of :meth:`twindex.retrieval.engine.Searcher.ranked` lasts.

    ``plan``: what was searched. ``rollup``: hits are documents, each with its best passage; else passages.
    """

    query: Query
    plan: Plan
    ranking: Ranking
    rollup: bool
    view: View
    stages: Stages

    @property
    def mode(self) -> Mode:
        """What was searched."""
        return self.plan.mode

    @property
    def notes(self) -> tuple[str, ...]:
        """Where that differs from what was asked."""
        return self.plan.notes

    @property
    def fused(self) -> Fused | None:
        """The rankings of the legs, where there are several."""
        return self.stages.fused

    @property
    def snapshot(self) -> Snapshot:
        """What the ordinals refer to."""
        return self.view.snapshot

    def ranks(self) -> Sequence[Mapping[str, int]]:
        """For each hit its rank in each of several legs that found it, and before a reranker; else empty mappings."""
        ords = self.ranking.ords.tolist()
        before = self.stages.reordered.before if self.stages.reordered else None
        if self.fused is None and before is None:
            return [{}] * len(ords)
        rankings = list(zip(self.plan.roles, self.fused.legs)) if self.fused is not None else []
        named = [*rankings, *([("before", before)] if before is not None else [])]
        places = [(name, {ord_: i for i, ord_ in enumerate(one.ords.tolist(), 1)}) for name, one in named]
        return [{name: at[ord_] for name, at in places if ord_ in at} for ord_ in ords]

    def explanations(self) -> list[Explanation]:
        """Why each hit has its score."""
        return [self.stages.explain(self.query, ord_) for ord_ in self.ranking.ords.tolist()]

    def fusion(self) -> dict[str, Any] | None:
        """The settings by which several legs were fused, to be echoed; None for a search of one leg.

        Where the learned leg takes part, the weight of each leg is there too.
        """
        if self.fused is None:
            return None
        recipe, roles = self.fused.recipe, self.plan.roles
        legs = {"legs": dict(zip(roles, recipe.weights_of(roles)))} if "learned" in roles else {}
        return {**recipe.to_dict(), "depth": self.view.profile.depth, **legs}

    def reranked(self) -> dict[str, Any] | None:
        """Which reranker read how many candidates, and its share, to be echoed; None if there was none."""
        second = self.stages.second
        if second is None:
            return None
        return {"name": second.reranker.name, "depth": second.depth, "weight": second.weight}
