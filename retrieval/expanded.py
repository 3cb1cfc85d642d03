"""How generated queries count where a search does not say it: names and defaults that options and legs share."""

from __future__ import annotations

from typing import Final, Literal, get_args

#: How the field of generated queries counts in BM25: joined with the text before the formula, or added to its score.
FieldForm = Literal["bm25f", "additive"]
FIELD_FORMS: Final[tuple[FieldForm, ...]] = get_args(FieldForm)
#: What stands for the generated queries of a passage in the dense leg: the nearest of them, or their mean.
Aggregate = Literal["max", "mean"]
AGGREGATES: Final[tuple[Aggregate, ...]] = get_args(Aggregate)

#: The form that is used, and the weight of the field in each of them. The additive form is ahead out of fold on the
#: mean of four collections, whatever generated the queries (eval/LOG.md); the weights are those that the inner folds,
#: and the training queries of the one collection that has some, chose most often.
FORM: Final[FieldForm] = "additive"
FIELD_WEIGHTS: Final[dict[FieldForm, float]] = {"additive": 0.7, "bm25f": 0.3}
#: The weight of the field in the learned leg; not measured.
LEARNED_WEIGHT: Final = 0.3
#: The share of the generated queries in the dense leg, chosen in the same way.
ALPHA: Final = 0.4
AGGREGATE: Final[Aggregate] = "max"
