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
from twindex.retrieval.types import Explanation, Query, Ranking
from twindex.retrieval.view import Mode, View


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Hits as ordinals. Valid while the block of :meth:`twindex.retrieval.engine.Searcher.ranked` lasts.

    ``mode`` is what was searched; ``notes`` say where that differs from what was asked. ``rollup``: hits are
    documents, each with its best passage; else passages.
    """

    query: Query
    mode: Mode
    notes: tuple[str, ...]
    ranking: Ranking
    rollup: bool
    view: View
    retriever: Retriever
    fused: Fused | None

    @property
    def snapshot(self) -> Snapshot:
        """What the ordinals refer to."""
        return self.view.snapshot

    def ranks(self) -> Sequence[Mapping[str, int]]:
        """For each hit of a hybrid search its rank in each leg that found it; empty mappings for other searches."""
        ords = self.ranking.ords.tolist()
        if self.fused is None:
            return [{}] * len(ords)
        places = [
            (leg.name, {ord_: i for i, ord_ in enumerate(ranking.ords.tolist(), 1)})
            for leg, ranking in zip(self.view.hybrid.legs, self.fused.legs)
        ]
        return [{name: at[ord_] for name, at in places if ord_ in at} for ord_ in ords]

    def explanations(self) -> list[Explanation]:
        """Why each hit has its score."""
        return [self._reason(ord_) for ord_ in self.ranking.ords.tolist()]

    def fusion(self) -> dict[str, Any] | None:
        """The settings that a hybrid search used, to be echoed; None for other searches."""
        return None if self.fused is None else {**self.fused.recipe.to_dict(), "depth": self.view.profile.depth}

    def _reason(self, ord_: int) -> Explanation:
        if isinstance(self.retriever, HybridRetriever) and self.fused is not None:
            return self.retriever.explain_fused(self.query, ord_, self.fused)
        return self.retriever.explain(self.query, ord_)
