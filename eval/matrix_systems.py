"""The systems that are compared on one collection, made from legs that were searched once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twindex.eval.candidates import Candidate
from twindex.eval.indexes import leg_bytes
from twindex.eval.latency import Latency, latency
from twindex.eval.legs import Leg
from twindex.eval.models import Models
from twindex.eval.tune import Tuned, profile_of
from twindex.indexing.encoding import PairScorer
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.cross_encoder import PassageReranker
from twindex.retrieval.engine import Searcher
from twindex.retrieval.fusion import RRF
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import DEFAULT, Recipe, Role
from twindex.retrieval.rerank import WEIGHT, reordered
from twindex.retrieval.types import Query, Ranking
from twindex.retrieval.view import Mode

#: Systems of one leg of the index.
SINGLE: Final[tuple[Role, ...]] = ("bm25", "learned", "dense")
#: The learned leg with queries that the model reads as well.
MODEL_QUERIES: Final = "learned (model queries)"
#: How a system's latency is measured: mode and options. The default fusion stands for every fusion of its legs.
TIMED: Final[Mapping[str, tuple[Mode, SearchOptions]]] = {
    "bm25": ("sparse", SearchOptions(sparse="bm25")),
    "learned": ("sparse", SearchOptions(sparse="learned")),
    MODEL_QUERIES: ("sparse", SearchOptions(sparse="learned", learned_queries="model")),
    "dense": ("dense", SearchOptions()),
    "bm25+dense": ("hybrid", SearchOptions(sparse="bm25")),
    "learned+dense": ("hybrid", SearchOptions(sparse="learned")),
    "all": ("hybrid", SearchOptions()),
}
#: Queries whose reranking is timed: each costs as much as many searches.
FEW: Final = 10

Speed = Mapping[str, Latency]


@dataclass(frozen=True, slots=True, eq=False)
class Legs:
    """The searched legs of a split, by role."""

    texts: tuple[str, ...]
    roles: tuple[Role, ...]
    found: Mapping[Role, Leg]

    def of(self, roles: Sequence[Role]) -> list[tuple[Ranking, ...]]:
        """For each query its rankings by some of the legs."""
        return list(zip(*(self.found[role].rankings for role in roles), strict=True))

    def seconds(self, roles: Sequence[Role]) -> float:
        """What searching some of the legs took."""
        return sum(self.found[role].seconds for role in roles)


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """The rankings of one system, the seconds that they took, the legs that it needs, and which latency is its."""

    name: str
    rankings: Sequence[Ranking]
    seconds: float
    config: Mapping[str, Any]
    roles: Sequence[Role] = field(default=())
    timed: str = "all"


def systems_of(
    legs: Legs,
    others: Mapping[str, Leg],
    tuned: Tuned,
    candidates: Sequence[Candidate],
    *,
    depth: int,
    models: Models,
    snapshot: Snapshot,
) -> list[System]:
    """All systems, in the order of the table.

    Args:
        legs: The legs of the index.
        others: Single legs that are shown beside.
        tuned: How fusion was chosen out of fold.
        candidates: What it was chosen among.
        depth: Documents a query.
        models: The reranker, if there is one.
        snapshot: Where the texts are.
    """
    made = [_single(legs, role, models) for role in legs.roles]
    made += [_beside(name, leg) for name, leg in others.items()]
    count, roles = len(legs.texts), legs.roles
    if len(roles) > 2:
        pairs: tuple[tuple[Role, Role], ...] = (("bm25", "dense"), ("learned", "dense"))
        made += [_fused(legs, "+".join(pair), [DEFAULT.recipe] * count, pair, depth) for pair in pairs]
    made.append(_fused(legs, "rrf", [Recipe(RRF())] * count, roles, depth))
    default = _fused(legs, "convex", [DEFAULT.recipe] * count, roles, depth)
    made.append(default)
    profile = profile_of(tuned.final, candidates, depth=depth, notes=tuned.protocol)
    chosen = _fused(legs, "tuned", [candidates[i].recipe for i in tuned.gated.tolist()], roles, depth)
    config = {"protocol": tuned.protocol, "profile": profile.to_dict()}
    made.append(System("tuned", chosen.rankings, chosen.seconds, config, roles))
    if models.reranker is not None:
        made.append(_reranked(legs, default, models.reranker, models.rerank, snapshot))
    return made


def measure_speed(path: Path, models: Models, texts: Sequence[str]) -> dict[str, Latency]:
    """The latency of every kind of search, with encoders that remember nothing; nothing if it is not to be timed."""
    if not models.timed:
        return {}
    wanted = [name for name in TIMED if models.sparse_encoder is not None or name in ("bm25", "dense", "all")]
    wanted = [name for name in wanted if models.model_queries or name != MODEL_QUERIES]
    with Searcher.open(
        path, encoder=models.encoder, sparse_encoder=models.sparse_encoder, reranker=models.reranker
    ) as plain:
        found = {name: latency(plain, texts, *TIMED[name]) for name in wanted}
        if models.reranker is not None:
            options = SearchOptions(rerank=models.rerank)
            found["rerank"] = latency(plain, texts, "hybrid", options, sample=FEW)
    return found


def bytes_of(snapshot: Snapshot, roles: Sequence[Role]) -> int:
    """Bytes that a system needs: documents always, and the files of its legs."""
    sizes = leg_bytes(snapshot)
    return sizes["store"] + sum(sizes[role] for role in roles)


def _single(legs: Legs, role: Role, models: Models) -> System:
    leg = legs.found[role]
    config: dict[str, Any] = {"leg": role}
    if role == "dense":
        config |= {"encoder": models.encoder.info.name, "fingerprint": models.encoder.info.fingerprint}
    elif role == "learned" and models.sparse_encoder is not None:
        info = models.sparse_encoder.info
        config |= {"encoder": info.name, "fingerprint": info.fingerprint}
    return System(role, leg.rankings, leg.seconds, config, (role,), role)


def _beside(name: str, leg: Leg) -> System:
    if name == MODEL_QUERIES:
        config = {"leg": "learned", "learned_queries": "model"}
        return System(name, leg.rankings, leg.seconds, config, ("learned",), name)
    return System(name, leg.rankings, leg.seconds, {"leg": "dense", "encoder": name}, ("dense",), "dense")


def _fused(legs: Legs, name: str, recipes: Sequence[Recipe], roles: Sequence[Role], depth: int) -> System:
    started = time.perf_counter()
    rankings = [recipe.fuse(one, depth, roles) for recipe, one in zip(recipes, legs.of(roles), strict=True)]
    seconds = legs.seconds(roles) + time.perf_counter() - started
    config = recipes[0].to_dict() if recipes else {}
    return System(name, rankings, seconds, config, tuple(roles), name if name in TIMED else "all")


def _reranked(legs: Legs, base: System, scorer: PairScorer, depth: int, snapshot: Snapshot) -> System:
    """A system whose best hits a reranker has read, at the default weight."""
    reranker = PassageReranker(scorer, snapshot)
    started = time.perf_counter()
    rankings = [
        reordered(reranker, Query(text), ranking, depth).after
        for text, ranking in zip(legs.texts, base.rankings, strict=True)
    ]
    seconds = base.seconds + time.perf_counter() - started
    config = {"base": base.name, "reranker": scorer.name, "depth": depth, "weight": WEIGHT}
    return System("rerank", rankings, seconds, config, base.roles, "rerank")
