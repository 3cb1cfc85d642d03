"""Fusions and rerankers pass their kits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contracts.fusion_kit import FusionKit
from tests.contracts.reranker_kit import RerankerKit
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Fusion, Reranker
from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.normalise import NORMALISATIONS
from twindex.retrieval.types import Query, Ranking


class TestRRF(FusionKit):
    @pytest.fixture(params=[0, 1, 60])
    def fusion(self, request: pytest.FixtureRequest) -> Fusion:
        return RRF(request.param)


class TestConvex(FusionKit):
    @pytest.fixture(params=NORMALISATIONS)
    def fusion(self, request: pytest.FixtureRequest) -> Fusion:
        return Convex(request.param, floors=(-2.0, -2.0, -2.0) if request.param == "tmm" else None)


class Overlap:
    """The smallest honest reranker: words in common, over the words of the passage."""

    name = "overlap"

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def rerank(self, query: Query, ranking: Ranking) -> Ranking:
        analyzer = self.snapshot.analyzer
        asked = set(analyzer.terms(query.text))
        found = [analyzer.terms(passage.contents) for passage in self.snapshot.passages(ranking.ords)]
        scores = np.array([len(asked & set(terms)) / (1 + len(set(terms))) for terms in found], np.float32)
        order = np.lexsort((ranking.ords, -scores))
        return Ranking(ranking.ords[order], scores[order])


class TestOverlap(RerankerKit):
    @pytest.fixture(scope="class")
    @classmethod
    def reranker(cls, snapshot: Snapshot) -> Reranker:
        return Overlap(snapshot)
