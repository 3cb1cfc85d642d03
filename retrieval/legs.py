"""The legs of one snapshot: the one place where they are made and remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from twindex.indexing.errors import QueryError
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.dense import DenseConfig, DenseRetriever
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import Role
from twindex.retrieval.query_terms import CountedIdf, HeavyTerms, asked_by, document_counts
from twindex.retrieval.sources import Sources
from twindex.retrieval.two_phase import TwoPhaseRetriever

Leg = TypeVar("Leg", bound=Retriever)


class LegMaker:
    """Makes a leg at its first use. A leg that is there is had without waiting for one that is being made.

    Args:
        snapshot: What the legs search.
        sources: Encoders of queries.
        bm25: Settings of the lexical leg.
        dense: Settings of the dense leg.
    """

    def __init__(self, snapshot: Snapshot, sources: Sources, bm25: BM25, dense: DenseConfig) -> None:
        self.snapshot = snapshot
        self._sources = sources
        self._bm25 = bm25
        self._dense = dense
        self._makers: Mapping[Role, Callable[[SearchOptions], Retriever]] = {
            "bm25": self.bm25,
            "learned": self.learned,
            "dense": self.dense,
        }
        self._made: dict[str, Retriever] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @property
    def has_vectors(self) -> bool:
        """Whether there is a dense leg."""
        return self.snapshot.encoder_info is not None

    @property
    def has_impacts(self) -> bool:
        """Whether there is a learned-sparse leg."""
        return self.snapshot.sparse_encoder_info is not None

    def leg(self, role: Role, options: SearchOptions) -> Retriever:
        """The leg of a role under the options.

        Raises:
            QueryError: If the index has no such leg.
            MissingError: If its encoder is not here.
            FingerprintError: If it is another one.
        """
        return self._makers[role](options)

    def bm25(self, options: SearchOptions) -> Retriever:
        """Words, exactly."""
        return self._once("bm25", lambda: LexicalRetriever(self.snapshot, self._bm25))

    def learned(self, options: SearchOptions) -> Retriever:
        """Words, by learned impacts; what cuts queries is put around the leg, whose lists are laid out once."""
        leg = self._once("learned", self._impacts)
        if options.idf == "index":
            leg = self._once("learned, counted", lambda: self._counted(leg))
        if options.prune:
            leg = asked_by(leg, HeavyTerms(leg.encoder, options.prune))
        return TwoPhaseRetriever(leg, options.two_phase) if options.two_phase else leg

    def dense(self, options: SearchOptions) -> Retriever:
        """Meaning."""
        return self._once("dense", self._vectors)

    def _impacts(self) -> ImpactRetriever:
        if not self.has_impacts:
            raise QueryError(
                "learned-sparse search of an index without impacts",
                expected="an index that was built with a sparse encoder",
                remedy="search it with sparse = bm25, or build it again with: twindex index --sparse bm25,learned",
            )
        return ImpactRetriever(self.snapshot, self._sources.learned(self.snapshot))

    def _counted(self, leg: ImpactRetriever) -> ImpactRetriever:
        counts = document_counts(self.snapshot, leg.encoder.info.vocabulary)
        return asked_by(leg, CountedIdf(leg.encoder, counts, self.snapshot.live_docs))

    def _vectors(self) -> DenseRetriever:
        if not self.has_vectors:
            raise QueryError(
                "dense search of an index without vectors",
                expected="an index that was built with an encoder",
                remedy="search it in sparse mode, or build it again with an encoder",
            )
        return DenseRetriever(self.snapshot, self._sources.dense(self.snapshot), self._dense)

    def _once(self, name: str, make: Callable[[], Leg]) -> Leg:
        """The leg of that name, made by one thread; others wait for that leg alone."""
        made = self._made.get(name)
        if made is None:
            with self._guard:
                lock = self._locks.setdefault(name, threading.Lock())
            with lock:
                made = self._made.get(name)
                if made is None:
                    made = self._made[name] = make()
        return cast(Leg, made)
