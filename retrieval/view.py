"""One snapshot with its retrievers, kept open for as long as a search uses it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, Literal, get_args

from twindex.indexing.errors import QueryError
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.hybrid import HybridRetriever
from twindex.retrieval.legs import LegMaker
from twindex.retrieval.options import DEFAULT_OPTIONS, SearchOptions, SparseLegs
from twindex.retrieval.profile import Profile, Recipe, Role

Mode = Literal["hybrid", "sparse", "dense"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
#: Legs that search words, for each choice.
WORDS: Final[dict[SparseLegs, tuple[Role, ...]]] = {
    "bm25": ("bm25",),
    "learned": ("learned",),
    "both": ("bm25", "learned"),
}


def as_mode(name: str) -> Mode:
    """The mode of that name.

    Raises:
        QueryError: If there is none.
    """
    for mode in MODES:
        if mode == name:
            return mode
    raise QueryError(f"mode {name!r}", expected=f"one of {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search does: its mode, the roles of the legs that it asks, and where that is less than was wanted."""

    mode: Mode
    roles: tuple[Role, ...]
    notes: tuple[str, ...] = ()


class View:
    """A snapshot, its legs (each made at first use), and a count of who is using it.

    Args:
        snapshot: What to search; the view closes it.
        legs: Makes its legs.
        profile: How to fuse.
    """

    def __init__(self, snapshot: Snapshot, legs: LegMaker, profile: Profile) -> None:
        self.snapshot = snapshot
        self.legs = legs
        self.profile = profile
        self._counting = threading.Lock()
        self._users = 0
        self._retired = False

    @property
    def chunked(self) -> bool:
        """Whether a document may have several passages."""
        return self.snapshot.documents != self.snapshot.live_docs

    def plan(self, mode: Mode, options: SearchOptions = DEFAULT_OPTIONS) -> Plan:
        """Which legs a mode asks: those that the options ask for, else the profile's, else what serves best.

        That is all there are in a hybrid search, and the learned leg alone where words are all that is asked: fused
        with BM25 it was behind the learned leg by itself (mean nDCG@10 of SciFact train, SciTLDR dev, BoolQ dev and
        Cranfield 0.699 against 0.701, and its scores would be no sums of terms any more).
        """
        notes: list[str] = []
        if mode == "hybrid" and not self.legs.has_vectors:
            mode = "sparse"
            notes.append("the index has no vectors: searched in sparse mode")
        if mode == "dense":
            return Plan(mode, ("dense",), tuple(notes))
        kind = options.sparse
        if kind is None:
            every: SparseLegs = "both" if mode == "hybrid" else "learned"
            kind = self.profile.sparse or (every if self.legs.has_impacts else "bm25")
            if kind != "bm25" and not self.legs.has_impacts:
                notes.append(f"the profile asks for sparse = {kind}, but the index has no impacts: searched with bm25")
                kind = "bm25"
        roles: tuple[Role, ...] = (*WORDS[kind], "dense") if mode == "hybrid" else WORDS[kind]
        return Plan(mode, roles, tuple(notes))

    def retriever(
        self, plan: Plan, options: SearchOptions = DEFAULT_OPTIONS, recipe: Recipe | None = None
    ) -> Retriever:
        """The legs of a plan as one retriever: fused, if there are several.

        Args:
            plan: Of :meth:`plan`.
            options: Shape the legs.
            recipe: How to fuse this once, instead of as the profile says.

        Raises:
            QueryError: If the index lacks a leg.
            MissingError: If the encoder of a leg is not here.
            FingerprintError: If it is another one.
        """
        legs = [self.legs.leg(role, options) for role in plan.roles]
        if len(legs) == 1:
            return legs[0]
        profile = self.profile if recipe is None else Profile(recipe, self.profile.depth)
        return HybridRetriever(legs, self.snapshot, profile, plan.roles)

    def enter(self) -> bool:
        """Keeps the snapshot open until :meth:`leave`; False if it was retired before."""
        with self._counting:
            if self._retired:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """Ends one :meth:`enter`."""
        with self._counting:
            self._users -= 1
            if self._retired and not self._users:
                self.snapshot.close()

    def retire(self) -> None:
        """Closes the snapshot once nobody uses it any more. A second call does nothing."""
        with self._counting:
            if not self._retired and not self._users:
                self.snapshot.close()
            self._retired = True
