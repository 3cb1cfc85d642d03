"""Tables of an experiment with generated queries: set by set, and the mean over sets with tests of significance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from twindex.eval.compare import Comparison, adjust, compare_mean
from twindex.eval.expansion import Cell
from twindex.eval.expansion_bench import MEASURES, Outcome

#: What each condition is compared with: a condition without generated queries.
AGAINST: Final = {
    "appended": "bm25",
    "field": "bm25",
    "field (bm25f)": "bm25",
    "field (additive)": "bm25",
    "dual": "dense",
    "dense, appended": "dense",
    "hybrid, field + dual": "hybrid",
    "hybrid, field + text": "hybrid",
    "hybrid, bm25 + dual": "hybrid",
}
NAMES: Final = tuple(map(str, MEASURES))
#: Measures whose differences are tested: the first two are what the bars are about.
TESTED: Final = NAMES[:2]


@dataclass(frozen=True, slots=True)
class Contrast:
    """A condition against another on one measure, over the sets that both have; corrected with all of the report."""

    method: str
    budget: int
    condition: str
    against: str
    sets: tuple[str, ...]
    measure: str
    comparison: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {n: getattr(self, n) for n in ("method", "budget", "condition", "against", "sets", "measure")}
        return plain | {"comparison": self.comparison.to_dict()}


@dataclass(frozen=True, slots=True)
class ExpansionReport:
    """What was run, and what of it is significant."""

    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; values of single queries included."""
        return {
            "cells": [cell.to_dict() for cell in self.cells],
            "contrasts": [contrast.to_dict() for contrast in self.contrasts],
        }


def report(cells: Sequence[Cell], *, baseline: str = "") -> ExpansionReport:
    """The report of all cells.

    Args:
        cells: What was run.
        baseline: The method with which the others are compared at equal budgets; "" = none.
    """
    found = [*_against_nothing(cells), *(_against_method(cells, baseline) if baseline else ())]
    fixed = adjust([contrast.comparison for contrast in found])
    contrasts = tuple(replace(contrast, comparison=comparison) for contrast, comparison in zip(found, fixed))
    return ExpansionReport(tuple(cells), contrasts)


def markdown(found: ExpansionReport) -> str:
    """The tables."""
    lines = ["## Mean over sets", "", *_mean_table(found), ""]
    for dataset in dict.fromkeys(cell.dataset for cell in found.cells):
        lines += [f"## {dataset}", "", *_set_table([c for c in found.cells if c.dataset == dataset]), ""]
    return "\n".join(lines)


def _groups(cells: Sequence[Cell]) -> Iterator[tuple[str, int, list[Cell]]]:
    """Cells of one method and budget, over sets."""
    for method, budget in dict.fromkeys((cell.method, cell.budget) for cell in cells if cell.method):
        yield method, budget, [cell for cell in cells if (cell.method, cell.budget) == (method, budget)]


def _plain(cells: Sequence[Cell], dataset: str) -> Cell:
    return next(cell for cell in cells if cell.dataset == dataset and not cell.method)


def _against_nothing(cells: Sequence[Cell]) -> Iterator[Contrast]:
    for method, budget, group in _groups(cells):
        for condition, against in AGAINST.items():
            pairs = {
                cell.dataset: (cell.outcomes[condition], _plain(cells, cell.dataset).outcomes[against])
                for cell in group
                if condition in cell.outcomes and against in _plain(cells, cell.dataset).outcomes
            }
            if pairs:
                yield from _contrasts(method, budget, condition, against, pairs)


def _against_method(cells: Sequence[Cell], baseline: str) -> Iterator[Contrast]:
    """Each method against the baseline at the same budget, on the sets that both were run on."""
    groups = {(method, budget): {cell.dataset: cell for cell in group} for method, budget, group in _groups(cells)}
    for (method, budget), group in groups.items():
        other = groups.get((baseline, budget), {})
        if method == baseline or not other:
            continue
        for condition in AGAINST:
            pairs = {
                name: (cell.outcomes[condition], other[name].outcomes[condition])
                for name, cell in group.items()
                if name in other and condition in cell.outcomes and condition in other[name].outcomes
            }
            if pairs:
                yield from _contrasts(method, budget, condition, f"{baseline} at {budget}", pairs)


def _contrasts(
    method: str, budget: int, condition: str, against: str, pairs: Mapping[str, tuple[Outcome, Outcome]]
) -> Iterator[Contrast]:
    for name in TESTED:
        values = [(np.array(ours.values[name]), np.array(theirs.values[name])) for ours, theirs in pairs.values()]
        yield Contrast(method, budget, condition, against, tuple(pairs), name, compare_mean(values))


def _mean_table(found: ExpansionReport) -> list[str]:
    columns = [f"{name} | Δ | p (Holm)" for name in TESTED]
    lines = [
        f"| method | queries a document | condition | against | sets | {' | '.join(columns)} |",
        f"|---|---:|---|---|---:|{'---:|---:|---:|' * len(TESTED)}",
    ]
    rows: dict[tuple[str, int, str, str], dict[str, Contrast]] = {}
    for contrast in found.contrasts:
        key = (contrast.method, contrast.budget, contrast.condition, contrast.against)
        rows.setdefault(key, {})[contrast.measure] = contrast
    for (method, budget, condition, against), by_measure in rows.items():
        cells = []
        for name in TESTED:
            c = by_measure[name].comparison
            cells.append(f"{c.mean_a:.4f} | {c.difference:+.4f}{_mark(c)} | {c.p_adjusted:.4f}")
        sets = len(by_measure[TESTED[0]].sets)
        lines.append(f"| {method} | {budget} | {condition} | {against} | {sets} | {' | '.join(cells)} |")
    return lines


def _mark(comparison: Comparison) -> str:
    if not comparison.significant():
        return ""
    return " ▲" if comparison.difference > 0 else " ▼"


def _set_table(cells: Sequence[Cell]) -> list[str]:
    lines = [
        f"| method | budget | condition | {' | '.join(NAMES)} | chosen | queries | words | index MB | p50 ms |",
        f"|---|---:|---|{'---:|' * len(NAMES)}---|---:|---:|---:|---:|",
    ]
    for cell in cells:
        for condition, outcome in cell.outcomes.items():
            values = " | ".join(f"{outcome.mean(name):.4f}" for name in NAMES)
            taken = f"{outcome.query_ms:.1f}" if outcome.query_ms else ""
            lines.append(
                f"| {cell.method or 'none'} | {cell.budget} | {condition} | {values} | {outcome.chosen} "
                f"| {cell.queries:,} | {cell.words:,} | {cell.bytes / 1e6:.1f} | {taken} |"
            )
    lines += ["", f"Settings chosen on {cells[0].protocol}; {cells[0].documents:,} documents."]
    return lines
