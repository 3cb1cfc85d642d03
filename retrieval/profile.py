"""A search profile: how legs are fused, as a small JSON file that ``search`` and ``serve`` load.

A weight belongs to a side, words or meaning. An index may search words in two ways, by BM25 and by a learned-sparse
leg; where both take part they share the weight of their side. So one profile serves every choice of legs.

``twindex eval tune`` writes profiles; a person can write one as well. Without one, :data:`DEFAULT` holds: equal
weights after min-max normalisation over the 1,000 best of each leg, which on published BEIR runs is ahead of
reciprocal rank fusion on 11 of 13 collections (Pyserini's BM25 and BGE fusion experiments).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.retrieval.base import Fusion
from twindex.retrieval.calibration import Calibration
from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.gate import Gate, query_features
from twindex.retrieval.options import SPARSE_LEGS, SparseLegs
from twindex.retrieval.types import Ranking

FORMAT: Final = "twindex-profile"
VERSION: Final = 1
#: Candidates of each leg that are fused.
DEPTH: Final = 1000
#: The sides that weights belong to.
LEGS: Final = ("sparse", "dense")
#: What a leg is in a fusion; legs are fused in this order, and so are their names in explanations.
Role = Literal["bm25", "learned", "dense"]
TWO_LEGS: Final[tuple[Role, ...]] = ("bm25", "dense")
#: The learned leg's share of the weight of words, where BM25 takes part as well.
LEARNED_SHARE: Final = 0.5
#: Lowest score that a leg can give: sums of non-negative contributions, or a cosine.
LOWEST: Final[Mapping[Role, float]] = {"bm25": 0.0, "learned": 0.0, "dense": -1.0}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to fuse: a method, one weight a side in the order of ``LEGS``, and the learned leg's share of the first.

    Raises:
        ConfigError: If the weights are not one finite number of 0 or more a side, one of them positive, or the share is
            not between 0 and 1.
    """

    fusion: Fusion
    weights: tuple[float, ...] = (1.0, 1.0)
    learned: float = LEARNED_SHARE

    def __post_init__(self) -> None:
        right = len(self.weights) == len(LEGS) and all(math.isfinite(w) and w >= 0 for w in self.weights)
        if not right or not any(self.weights):
            raise ConfigError(
                f"fusion weights {self.weights}",
                expected=f"one finite number of 0 or more for each of {', '.join(LEGS)}, not all 0",
            )
        if not 0 <= self.learned <= 1:
            raise ConfigError(f"learned = {self.learned}", expected="the learned leg's share of words, 0 to 1")

    def weights_of(self, roles: Sequence[Role]) -> tuple[float, ...]:
        """The weight of each leg; without a dense leg the sparse ones have it all."""
        words = self.weights[0] if "dense" in roles else 1.0
        shared = "bm25" in roles and "learned" in roles
        of: dict[Role, float] = {
            "bm25": words * (1 - self.learned) if shared else words,
            "learned": words * self.learned if shared else words,
            "dense": self.weights[1],
        }
        return tuple(of[role] for role in roles)

    def fusion_of(self, roles: Sequence[Role]) -> Fusion:
        """The method, told the lowest scores of these legs where it needs them."""
        if not isinstance(self.fusion, Convex) or (self.fusion.floors is None and tuple(roles) == TWO_LEGS):
            return self.fusion
        sides = self.fusion.floors
        if sides is None:
            return replace(self.fusion, floors=tuple(LOWEST[role] for role in roles))
        if len(sides) != len(LEGS):
            return self.fusion
        return replace(self.fusion, floors=tuple(sides[role == "dense"] for role in roles))

    def fuse(self, rankings: Sequence[Ranking], k: int, roles: Sequence[Role] = TWO_LEGS) -> Ranking:
        """The k best of the legs' rankings."""
        return self.fusion_of(roles).fuse(rankings, k, self.weights_of(roles))

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what a response echoes and a profile holds."""
        share = {} if self.learned == LEARNED_SHARE else {"learned": self.learned}
        return {**_plain(self.fusion), "weights": dict(zip(LEGS, self.weights)), **share}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that plain values stand for.

        Raises:
            ConfigError: If a key is unknown or a value out of range.
        """
        given = dict(values)
        weights = given.pop("weights", dict.fromkeys(LEGS, 1.0))
        learned = given.pop("learned", LEARNED_SHARE)
        method = given.pop("method", None)
        if not isinstance(weights, Mapping) or set(weights) != set(LEGS):
            raise ConfigError(f"fusion weights {weights!r}", expected=f"a number for each of {', '.join(LEGS)}")
        try:
            if method == "rrf":
                fusion: Fusion = RRF(**given)
            elif method == "convex":
                floors = given.pop("floors", None)
                fusion = Convex(**given, floors=None if floors is None else tuple(map(float, floors)))
            else:
                raise ConfigError(f"fusion method {method!r}", expected="rrf or convex")
            return cls(fusion, tuple(float(weights[leg]) for leg in LEGS), float(learned))
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"fusion settings {dict(values)!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Profile:
    """How a hybrid search fuses.

    ``recipe``: what is used without a gate. ``depth``: candidates of each leg, whatever the page size. ``gate``:
    picks one of ``recipes`` for each query that has a dense leg and a sparse one. ``notes``: where the profile comes
    from; not read. ``sparse``: which sparse legs take part, None = see ``View.plan``. ``calibrations``: budgets for
    recalls of the learned leg, with their evidence.

    Raises:
        ConfigError: If a value is out of range, or a gate picks among recipes that are not there.
    """

    recipe: Recipe
    depth: int = DEPTH
    gate: Gate | None = None
    recipes: tuple[Recipe, ...] = ()
    notes: str = ""
    sparse: SparseLegs | None = None
    calibrations: tuple[Calibration, ...] = ()

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ConfigError(f"depth = {self.depth}", expected="1 candidate or more")
        if self.gate is not None and max(self.gate.members) >= len(self.recipes):
            raise ConfigError(f"a gate over {len(self.recipes)} recipes", expected=f"recipe {max(self.gate.members)}")
        if self.sparse not in (None, *SPARSE_LEGS):
            raise ConfigError(f"sparse = {self.sparse!r}", expected=f"one of {', '.join(SPARSE_LEGS)}")

    def choose(self, text: str, rankings: Sequence[Ranking], roles: Sequence[Role] = TWO_LEGS) -> Recipe:
        """The recipe for a query, from its text and the rankings of its legs."""
        if self.gate is None or roles[-1] != "dense":
            return self.recipe
        features = np.array([query_features(text, rankings[0], rankings[-1])])
        return self.recipes[int(self.gate.pick(features)[0])]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the file."""
        plain: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "fusion": self.recipe.to_dict(),
            "depth": self.depth,
        }
        if self.gate is not None:
            plain["gate"] = self.gate.to_dict()
            plain["recipes"] = [recipe.to_dict() for recipe in self.recipes]
        if self.sparse is not None:
            plain["sparse"] = self.sparse
        if self.calibrations:
            plain["calibrations"] = [one.to_dict() for one in self.calibrations]
        if self.notes:
            plain["notes"] = self.notes
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Profile:
        """The profile that plain values stand for.

        Raises:
            ConfigError: If they are not a profile of this version, or a value is out of range.
        """
        known = {"format", "version", "fusion", "depth", "gate", "recipes", "notes", "sparse", "calibrations"}
        if values.get("format") != FORMAT or values.get("version") != VERSION:
            raise ConfigError(
                f"format {values.get('format')!r}, version {values.get('version')!r}",
                expected=f"format {FORMAT!r}, version {VERSION}",
                remedy="write the profile with: twindex eval tune",
            )
        if not set(values) <= known or not isinstance(values.get("fusion"), Mapping):
            odd = sorted(set(values) - known) or ["fusion"]
            raise ConfigError(f"a profile with {', '.join(odd)} unknown or missing", expected=", ".join(sorted(known)))
        gate = values.get("gate")
        depth = values.get("depth", DEPTH)
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise ConfigError(f"depth = {depth!r}", expected="a number of candidates")
        return cls(
            Recipe.from_dict(values["fusion"]),
            depth,
            None if gate is None else Gate.from_dict(gate),
            tuple(Recipe.from_dict(recipe) for recipe in values.get("recipes", ())),
            str(values.get("notes", "")),
            values.get("sparse"),
            tuple(Calibration.from_dict(one) for one in values.get("calibrations", ())),
        )

    @classmethod
    def load(cls, path: Path | str) -> Profile:
        """The profile of a file.

        Raises:
            ConfigError: If there is none, or it cannot be read.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"profile {path}: {error}", expected="a JSON file of twindex eval tune") from error
        if not isinstance(values, dict):
            raise ConfigError(f"profile {path} holds {type(values).__name__}", expected="a JSON object")
        return cls.from_dict(values)

    def save(self, path: Path | str) -> None:
        """Write the file, keys sorted, so that the same profile gives the same bytes."""
        text = json.dumps(self.to_dict(), sort_keys=True, indent=1, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")


def _plain(fusion: Fusion) -> dict[str, Any]:
    if isinstance(fusion, RRF | Convex):
        return fusion.to_dict()
    return {"method": fusion.name}


#: What a search without a profile uses.
DEFAULT: Final = Profile(Recipe(Convex("minmax")))
