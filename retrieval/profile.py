"""A search profile: how legs are fused, as a small JSON file that ``search`` and ``serve`` load.

``twindex eval tune`` writes profiles; a person can write one as well. Without one, :data:`DEFAULT` holds: equal
weights after min-max normalisation over the 1,000 best of each leg, which on published BEIR runs is ahead of
reciprocal rank fusion on 11 of 13 collections (Pyserini's BM25 and BGE fusion experiments).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from twindex.indexing.errors import ConfigError
from twindex.retrieval.base import Fusion
from twindex.retrieval.fusion import RRF, Convex
from twindex.retrieval.gate import Gate, query_features
from twindex.retrieval.types import Ranking

FORMAT: Final = "twindex-profile"
VERSION: Final = 1
#: Candidates of each leg that are fused.
DEPTH: Final = 1000
#: Legs in the order in which their rankings are fused.
LEGS: Final = ("sparse", "dense")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to fuse: a method and one weight a leg, in the order of ``LEGS``.

    Raises:
        ConfigError: If the weights are not one finite number of 0 or more a leg, one of them positive.
    """

    fusion: Fusion
    weights: tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        right = len(self.weights) == len(LEGS) and all(math.isfinite(w) and w >= 0 for w in self.weights)
        if not right or not any(self.weights):
            raise ConfigError(
                f"fusion weights {self.weights}",
                expected=f"one finite number of 0 or more for each of {', '.join(LEGS)}, not all 0",
            )

    def fuse(self, rankings: Sequence[Ranking], k: int) -> Ranking:
        """The k best of the legs' rankings."""
        return self.fusion.fuse(rankings, k, self.weights)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what a response echoes and a profile holds."""
        return {**_plain(self.fusion), "weights": dict(zip(LEGS, self.weights))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that plain values stand for.

        Raises:
            ConfigError: If a key is unknown or a value out of range.
        """
        given = dict(values)
        weights = given.pop("weights", dict.fromkeys(LEGS, 1.0))
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
            return cls(fusion, tuple(float(weights[leg]) for leg in LEGS))
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"fusion settings {dict(values)!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Profile:
    """How a hybrid search fuses.

    ``recipe``: what is used without a gate. ``depth``: candidates of each leg, whatever the page size. ``gate``:
    picks one of ``recipes`` for each query. ``notes``: where the profile comes from; not read.

    Raises:
        ConfigError: If a value is out of range, or a gate picks among recipes that are not there.
    """

    recipe: Recipe
    depth: int = DEPTH
    gate: Gate | None = None
    recipes: tuple[Recipe, ...] = ()
    notes: str = ""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ConfigError(f"depth = {self.depth}", expected="1 candidate or more")
        if self.gate is not None and max(self.gate.members) >= len(self.recipes):
            raise ConfigError(f"a gate over {len(self.recipes)} recipes", expected=f"recipe {max(self.gate.members)}")

    def choose(self, text: str, rankings: Sequence[Ranking]) -> Recipe:
        """The recipe for a query, from its text and the rankings of its legs."""
        if self.gate is None:
            return self.recipe
        features = np.array([query_features(text, rankings[0], rankings[1])])
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
        if self.notes:
            plain["notes"] = self.notes
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Profile:
        """The profile that plain values stand for.

        Raises:
            ConfigError: If they are not a profile of this version, or a value is out of range.
        """
        known = {"format", "version", "fusion", "depth", "gate", "recipes", "notes"}
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
