"""The legs of one snapshot: the one place where they are made and remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar, cast

from twindex.indexing.errors import QueryError
from twindex.indexing.snapshot import Snapshot
from twindex.retrieval.base import Retriever
from twindex.retrieval.bm25 import BM25
from twindex.retrieval.bm25f import FieldRetriever
from twindex.retrieval.budgeted import BudgetedRetriever
from twindex.retrieval.calibration import Calibration
from twindex.retrieval.dense import DenseConfig, DenseRetriever
from twindex.retrieval.dual import DualRetriever
from twindex.retrieval.expanded import AGGREGATE, ALPHA, FIELD_WEIGHTS, FORM, LEARNED_WEIGHT, Aggregate
from twindex.retrieval.field_sum import FieldSumRetriever
from twindex.retrieval.fields import FieldLeg
from twindex.retrieval.impact import ImpactRetriever
from twindex.retrieval.impact_fields import ImpactFieldsRetriever
from twindex.retrieval.lexical import LexicalRetriever
from twindex.retrieval.model_queries import ModelQueries
from twindex.retrieval.options import SearchOptions
from twindex.retrieval.profile import Role
from twindex.retrieval.query_terms import HeavyTerms, asked_by, counted_idf, counts_terms
from twindex.retrieval.sources import Sources
from twindex.retrieval.two_phase import TwoPhaseRetriever

Leg = TypeVar("Leg", bound=Retriever)
#: Weights of the field of generated queries whose legs are kept: each holds 12 bytes a passage.
REMEMBERED_WEIGHTS: Final = 8
#: Recalls whose calibrations are kept.
REMEMBERED_RECALLS: Final = 16


class LegMaker:
    """Makes a leg at its first use. A leg that is there is had without waiting for one that is being made.

    Args:
        snapshot: What the legs search.
        sources: Encoders of queries.
        bm25: Settings of the lexical leg.
        dense: Settings of the dense leg.
        calibrations: Budgets for recalls of the learned leg, found before.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        sources: Sources,
        bm25: BM25,
        dense: DenseConfig,
        calibrations: Sequence[Calibration] = (),
    ) -> None:
        self.snapshot = snapshot
        self._sources = sources
        self._bm25 = bm25
        self._dense = dense
        self._calibrations = calibrations
        self._made: dict[str, Retriever] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._fields: dict[tuple[str, float], FieldLeg] = {}
        self._budgeted: dict[tuple[float | None, float, str | None, str], BudgetedRetriever] = {}

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
        # Chosen here, not kept in a table: an object that holds its own methods is freed late, with all its lists.
        makers: Mapping[Role, Callable[[SearchOptions], Retriever]] = {
            "bm25": self.bm25,
            "learned": self.learned,
            "dense": self.dense,
        }
        return makers[role](options)

    @property
    def has_expansions(self) -> bool:
        """Whether queries were generated for the passages."""
        return self.snapshot.expansion_info is not None

    def expands(self, options: SearchOptions) -> bool:
        """Whether a search looks at the generated queries.

        Raises:
            QueryError: If it must, and there are none.
        """
        if options.expansion and not self.has_expansions:
            raise QueryError(
                "a search of generated queries in an index without them",
                expected="an index that was built with expansions",
                remedy="search it without expansion, or build it again with: twindex index --expansion STORE",
            )
        return self.has_expansions and options.expansion is not False

    def bm25(self, options: SearchOptions) -> Retriever:
        """Words, exactly; those of the generated queries as a field beside the text."""
        form = options.field_form or FORM
        weight = FIELD_WEIGHTS[form] if options.field_weight is None else options.field_weight
        if self.expands(options) and weight:
            kind = FieldRetriever if form == "bm25f" else FieldSumRetriever
            return self._weighted((form, weight), lambda: kind(self.snapshot, self._bm25, weight))
        return self._once("bm25", lambda: LexicalRetriever(self.snapshot, self._bm25))

    def learned(self, options: SearchOptions) -> Retriever:
        """Words, by learned impacts; what cuts queries is put around the leg, whose lists are laid out once."""
        leg, asked = self._once("learned", self._impacts), options.learned_queries
        if asked == "model":
            read = leg
            leg = self._once(f"learned, {asked}", lambda: asked_by(read, ModelQueries(read.encoder)))
        if options.idf == "index" or (options.idf is None and counts_terms(leg.encoder, self.snapshot)):
            plain = leg
            leg = self._once(
                f"learned, {asked}, counted", lambda: asked_by(plain, counted_idf(plain.encoder, self.snapshot))
            )
        if options.prune:
            leg = asked_by(leg, HeavyTerms(leg.encoder, options.prune))
        weight = LEARNED_WEIGHT if options.field_weight is None else options.field_weight
        if self.expands(options) and weight:
            return ImpactFieldsRetriever(leg, weight)  # exact by itself, so that two phases would change nothing
        if options.budget < 1:
            return BudgetedRetriever(leg, share=options.budget)
        if options.recall is not None:
            return self._calibrated(leg, options)
        return TwoPhaseRetriever(leg, options.two_phase) if options.two_phase else leg

    def _calibrated(self, leg: ImpactRetriever, options: SearchOptions) -> BudgetedRetriever:
        """The leg with a recall; remembered, since its calibration costs as much as some thousand queries."""
        key = (options.recall, options.prune, options.idf, options.learned_queries)
        with self._guard:
            made = self._budgeted.pop(key, None)
            if made is None:
                made = BudgetedRetriever(leg, recall=options.recall, calibrations=self._calibrations)
            self._budgeted[key] = made
            while len(self._budgeted) > REMEMBERED_RECALLS:
                del self._budgeted[next(iter(self._budgeted))]
        return made

    def dense(self, options: SearchOptions) -> Retriever:
        """Meaning; that of the generated queries from vectors of their own."""
        alpha = ALPHA if options.alpha is None else options.alpha
        if self.expands(options) and alpha:
            aggregate = options.aggregate or AGGREGATE
            return self._once(f"dual {aggregate}", lambda: self._dual(aggregate)).at(alpha)
        return self._once("dense", self._vectors)

    def _impacts(self) -> ImpactRetriever:
        if not self.has_impacts:
            raise QueryError(
                "learned-sparse search of an index without impacts",
                expected="an index that was built with a sparse encoder",
                remedy="search it with sparse = bm25, or build it again with: twindex index --sparse bm25,learned",
            )
        return ImpactRetriever(self.snapshot, self._sources.learned(self.snapshot))

    def _dual(self, aggregate: Aggregate) -> DualRetriever:
        self._once("dense", self._vectors)  # says so if there are none
        return DualRetriever(self.snapshot, self._sources.dense(self.snapshot), self._dense, aggregate=aggregate)

    def _weighted(self, key: tuple[str, float], make: Callable[[], FieldLeg]) -> FieldLeg:
        """One of the few legs with weights of their own that are remembered: requests may bring any number."""
        with self._guard:
            made = self._fields.pop(key, None) or make()
            self._fields[key] = made
            while len(self._fields) > REMEMBERED_WEIGHTS:
                del self._fields[next(iter(self._fields))]
        return made

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
