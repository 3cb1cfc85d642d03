"""The ways to use generated queries that an experiment chooses among, as search options with names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from twindex.retrieval.expanded import FIELD_FORMS, FieldForm
from twindex.retrieval.options import SearchOptions

#: Weights of the field of generated queries.
WEIGHTS: Final = (0.3, 0.1, 0.2, 0.5, 0.7, 1.0)
#: Shares of the generated queries in the dense leg.
ALPHAS: Final = (0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)
MEAN_ALPHAS: Final = (0.3, 0.5, 0.7)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to search, with the name that reports show."""

    name: str
    options: SearchOptions


#: Without the generated queries.
TEXT: Final = Setting("text only", SearchOptions(sparse="bm25", expansion=False))
#: As if the queries stood behind the text.
APPENDED: Final = Setting("appended", SearchOptions(sparse="bm25", field_form="bm25f", field_weight=1.0))


def field_settings(forms: tuple[FieldForm, ...] = FIELD_FORMS) -> tuple[Setting, ...]:
    """Weights of the field in these forms; the text alone last, so that it is taken only where it is better."""
    found = [
        Setting(f"{form} {weight:g}", SearchOptions(sparse="bm25", field_form=form, field_weight=weight))
        for form in forms
        for weight in WEIGHTS
    ]
    return (*found, TEXT)


def dual_settings() -> tuple[Setting, ...]:
    """Shares of the nearest generated query, then of their mean; the text alone last."""
    found = [Setting(f"max {alpha:g}", SearchOptions(alpha=alpha, aggregate="max")) for alpha in ALPHAS]
    found += [Setting(f"mean {alpha:g}", SearchOptions(alpha=alpha, aggregate="mean")) for alpha in MEAN_ALPHAS]
    return (*found, TEXT)
