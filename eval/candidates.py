"""The ways to fuse that tuning chooses among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.normalise import NORMALISATIONS, Normalisation
from twindex.retrieval.profile import DEFAULT, TWO_LEGS, Recipe, Role

#: Constants of reciprocal rank fusion; 60 is its authors' choice.
RRF_KS: Final = (60.0, 30.0, 10.0, 100.0)
#: Shares of the dense leg in weighted sums of reciprocal ranks.
RRF_SHARES: Final = (0.5, 0.3, 0.7, 0.1, 0.9)
#: Shares of the dense leg in convex combinations, the even one first, since the first among equals is chosen.
SHARES: Final = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.95)


#: Shares of the learned leg in the weight of words, where BM25 takes part too; the even one first.
LEARNED_SHARES: Final = (0.5, 0.3, 0.7, 0.1, 0.9)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fuse, with the name that reports show."""

    name: str
    recipe: Recipe


def standard_candidates(roles: Sequence[Role] = TWO_LEGS) -> tuple[Candidate, ...]:
    """The default first, then the others; the single legs last, so that fusion is preferred among equals."""
    found = [_convex(name, share) for name in _normalisations() for share in SHARES]
    found += [_rrf(k, share) for k in RRF_KS for share in (RRF_SHARES if k in (10.0, 60.0) else (0.5,))]
    if "bm25" in roles and "learned" in roles:
        found = _with_learned(found)
    legs = [
        Candidate("sparse only", Recipe(Convex("minmax"), (1.0, 0.0))),
        Candidate("dense only", Recipe(Convex("minmax"), (0.0, 1.0))),
    ]
    return (*found, *legs)


def _with_learned(found: Sequence[Candidate]) -> list[Candidate]:
    """The same, and the first normalisation with other shares of the learned leg; 0 and 1 are without a leg."""
    first = [c for c in found if c.recipe.fusion == DEFAULT.recipe.fusion]
    more = [_learned(c, share) for share in LEARNED_SHARES[1:] for c in first]
    alone = [_learned(first[0], share) for share in (0.0, 1.0)]
    return [*found, *more, *alone]


def _learned(candidate: Candidate, share: float) -> Candidate:
    name = f"{candidate.name[:-1]}, learned {share:g})"
    return Candidate(name, replace(candidate.recipe, learned=share))


def _normalisations() -> list[Normalisation]:
    first = DEFAULT.recipe.fusion
    chosen = first.normalise if isinstance(first, Convex) else NORMALISATIONS[0]
    return [chosen, *(n for n in NORMALISATIONS if n != chosen)]


def _convex(normalise: Normalisation, share: float) -> Candidate:
    recipe = Recipe(Convex(normalise), (1.0, 1.0) if share == 0.5 else (round(1 - share, 2), share))
    return Candidate(f"convex({normalise}, dense {share:g})", recipe)


def _rrf(k: float, share: float) -> Candidate:
    recipe = Recipe(RRF(k), (1.0, 1.0) if share == 0.5 else (round(1 - share, 2), share))
    name = f"rrf(k={k:g})" if share == 0.5 else f"rrf(k={k:g}, dense {share:g})"
    return Candidate(name, recipe)
