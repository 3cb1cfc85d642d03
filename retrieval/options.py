"""How one search is run: which sparse legs, how a learned query is cut, and whether a reranker looks at the hits.

One frozen value travels from the command line, the REST API or a program to the legs; what it leaves out is decided
by the index and the profile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, get_args

from twindex.indexing.errors import QueryError
from twindex.retrieval.expanded import AGGREGATES, FIELD_FORMS, Aggregate, FieldForm
from twindex.retrieval.rerank import WEIGHT

#: Sparse legs of a search: BM25, the learned one, or both fused.
SparseLegs = Literal["bm25", "learned", "both"]
SPARSE_LEGS: Final[tuple[SparseLegs, ...]] = get_args(SparseLegs)
#: Where inference-free queries take the weights of their tokens from.
IdfSource = Literal["model", "index"]
IDF_SOURCES: Final[tuple[IdfSource, ...]] = get_args(IdfSource)
#: What learned queries consist of: their words, or also what the model that reads documents adds to them.
LearnedQueries = Literal["words", "model"]
LEARNED_QUERIES: Final[tuple[LearnedQueries, ...]] = get_args(LearnedQueries)
#: Candidates that a reranker may be asked to see: it reads each of them with the query.
MAX_RERANK: Final = 1000


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Everything about a search besides the query, the page and the filter.

    ``sparse``: which sparse legs; None = those that the profile names, else all in a hybrid search, and the learned
    one, if there is one, by words. ``rerank``: how many of the best hits a reranker reads; 0 = none.
    ``rerank_weight``: its share in the new scores of these, 1 = its order alone. ``prune``: query terms of the learned
    leg that weigh less than this share of the heaviest are left out, which is quicker and approximate; 0 = none are.
    ``two_phase``: terms that weigh less than this share are looked at only for documents that the others have found; a
    bound says when that could change the answer, and then the whole lists are read, so that the answer is always
    exact; 0 = off. ``budget``: the learned leg may touch this share of the postings of a query's terms; 1 = all of
    them, exactly. ``recall``: the learned leg is to find this share of its exact list on average, within a budget that
    is calibrated at the first search; None = all of it. ``idf``: whether the learned leg's query weights are those
    that the model was trained with, or are counted in the index that is searched; None = counted, where the model's
    terms are those that the index has counted for BM25. ``learned_queries``: whether the learned leg asks for the
    query's words alone, which costs no model, or also for what the twin encoder adds to them as it does to documents.

    Of an index with generated queries: ``expansion``: whether they are searched; None = if the index has them.
    ``field_form`` and ``field_weight``: how they count in the BM25 leg, and how much in it and in the learned leg.
    ``alpha`` and ``aggregate``: their share in the dense leg, and whether the nearest or the mean stands for them. None
    = the default of each leg.

    Raises:
        QueryError: If a value is out of range.
    """

    sparse: SparseLegs | None = None
    rerank: int = 0
    rerank_weight: float = WEIGHT
    prune: float = 0.0
    two_phase: float = 0.0
    budget: float = 1.0
    recall: float | None = None
    idf: IdfSource | None = None
    learned_queries: LearnedQueries = "words"
    expansion: bool | None = None
    field_form: FieldForm | None = None
    field_weight: float | None = None
    alpha: float | None = None
    aggregate: Aggregate | None = None

    def __post_init__(self) -> None:
        _one_of("sparse", self.sparse, (None, *SPARSE_LEGS))
        _one_of("idf", self.idf, (None, *IDF_SOURCES))
        _one_of("learned_queries", self.learned_queries, LEARNED_QUERIES)
        if isinstance(self.rerank, bool) or not isinstance(self.rerank, int) or not 0 <= self.rerank <= MAX_RERANK:
            raise QueryError(f"rerank = {self.rerank!r}", expected=f"a number of hits from 0 to {MAX_RERANK}")
        if not (_is_number(self.rerank_weight) and 0 <= self.rerank_weight <= 1):
            raise QueryError(f"rerank_weight = {self.rerank_weight!r}", expected="a share from 0 to 1")
        self._check_expansion()
        for name in ("prune", "two_phase"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (math.isfinite(value) and 0 <= value < 1):
                raise QueryError(f"{name} = {value!r}", expected="a share from 0 (off) to below 1")
        self._check_budget()

    def _check_budget(self) -> None:
        for name, value in (("budget", self.budget), ("recall", self.recall)):
            if value is not None and not (_is_number(value) and value <= 1 and value > 0):
                raise QueryError(f"{name} = {value!r}", expected="a share above 0, up to 1 (exact)")
        ways = {"budget": self.budget < 1, "recall": self.recall is not None, "two_phase": self.two_phase > 0}
        if sum(ways.values()) > 1:
            both = " and ".join(name for name, given in ways.items() if given)
            raise QueryError(f"{both} at once", expected="one of budget, recall and two_phase")

    def _check_expansion(self) -> None:
        _one_of("field_form", self.field_form, (None, *FIELD_FORMS))
        _one_of("aggregate", self.aggregate, (None, *AGGREGATES))
        if self.expansion not in (None, True, False):
            raise QueryError(f"expansion = {self.expansion!r}", expected="true, false, or nothing")
        if self.field_weight is not None and not (_is_number(self.field_weight) and self.field_weight >= 0):
            raise QueryError(f"field_weight = {self.field_weight!r}", expected="a finite number of 0 or more")
        if self.alpha is not None and not (_is_number(self.alpha) and self.alpha <= 1 and self.alpha >= 0):
            raise QueryError(f"alpha = {self.alpha!r}", expected="a share from 0 (text) to 1 (generated queries)")

    def to_dict(self) -> dict[str, Any]:
        """The values that differ from the defaults, for JSON: what a cursor or a report needs."""
        return {key: value for key, value in asdict(self).items() if value != getattr(DEFAULT_OPTIONS, key)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchOptions:
        """The options that plain values stand for; what is left out is the default.

        Raises:
            QueryError: If a key is unknown or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        odd = sorted(set(values) - set(known))
        if odd:
            raise QueryError(f"search options {', '.join(map(repr, odd))}", expected=f"some of {', '.join(known)}")
        return cls(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _one_of(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        words = ", ".join(str(choice) for choice in choices if choice is not None)
        raise QueryError(f"{name} = {value!r}", expected=f"one of {words}")


#: What a search without options uses.
DEFAULT_OPTIONS: Final = SearchOptions()
