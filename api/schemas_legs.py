"""How the legs of a search are run, as a part of request bodies."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from twindex.retrieval.expanded import Aggregate, FieldForm
from twindex.retrieval.options import DEFAULT_OPTIONS, MAX_RERANK, IdfSource, LearnedQueries, SearchOptions, SparseLegs


def _whole(value: Any) -> Any:
    """5.0 is a whole number in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: An integer as JSON has it: no truth value, no text.
Whole = Annotated[int, BeforeValidator(_whole)]


class Body(BaseModel):
    """A request body: unknown fields are errors, since a misspelt option must not be ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LegOptions(Body):
    """How the legs of a search are run; what is left out is decided by the index and the server's profile."""

    sparse: SparseLegs | None = Field(
        default=None, description="Which sparse legs: words as they are, the learned expansions, or both fused."
    )
    rerank: Whole = Field(
        default=0, ge=0, le=MAX_RERANK, description="How many of the best hits a reranker reads; 0 = none."
    )
    rerank_weight: float = Field(
        default=DEFAULT_OPTIONS.rerank_weight,
        ge=0,
        le=1,
        description="The reranker's share in the scores of these; 1 = its order alone.",
    )
    prune: float = Field(
        default=0.0, ge=0, lt=1, description="Learned query terms below this share of the heaviest are left out."
    )
    two_phase: float = Field(
        default=0.0, ge=0, lt=1, description="Learned query terms below this share are looked at late; still exact."
    )
    budget: float = Field(
        default=1.0, gt=0, le=1, description="Share of a query's postings that the learned leg may touch; 1 = exact."
    )
    recall: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of its exact list that the learned leg is to find, in hundredths; null = all.",
    )
    idf: IdfSource | None = Field(
        default=None,
        description="Whether learned query weights are the model's, or counted in the index; null = counted, where the "
        "index has the model's terms.",
    )
    learned_queries: LearnedQueries = Field(
        default="words", description="Whether the learned leg asks for words alone, or also for what the model adds."
    )
    expansion: bool | None = Field(
        default=None, description="Whether generated queries are searched; null = if the index has them."
    )
    field_form: FieldForm | None = Field(
        default=None, description="How generated queries count in the words: with their own statistics, or added."
    )
    field_weight: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="How much they count there, and in the learned leg."
    )
    alpha: float | None = Field(
        default=None, ge=0, le=1, description="Their share in the dense leg: 0 = text only, 1 = generated queries only."
    )
    aggregate: Aggregate | None = Field(
        default=None, description="Whether the nearest generated query stands for all of a passage, or their mean."
    )

    def options(self) -> SearchOptions:
        """The same for the engine."""
        given = {name: getattr(self, name) for name in self.model_fields_set & LEGS}
        if self.recall is not None:  # each is calibrated first, at the price of many searches: so there are but few
            given["recall"] = min(1.0, math.ceil(100 * self.recall - _ROUNDING) / 100)
            given["prune"] = math.floor(100 * self.prune + _ROUNDING) / 100
        return SearchOptions(**given) if given else DEFAULT_OPTIONS


#: So much of a hundredth is an error of floating point.
_ROUNDING: Final = 1e-6
#: Names of these options.
LEGS: Final = frozenset(LegOptions.model_fields)
