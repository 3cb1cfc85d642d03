"""Reference scores, run: index, check the statistics, search, score, and give a verdict on each condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from twindex.eval.beir import Dataset
from twindex.eval.harness import BeirOptions, BeirResult, evaluate_beir
from twindex.eval.measures import parse
from twindex.eval.references import (
    FOLDER,
    Check,
    Condition,
    ConditionFile,
    Verdict,
    judge,
    judge_all,
    load_conditions,
    worst,
)
from twindex.eval.registry import find_dataset
from twindex.indexing.encoding import Encoder
from twindex.indexing.errors import CorpusError, MissingError
from twindex.indexing.types import Progress, no_progress

#: missing: the collection, or the model, is not here.
Status = Literal["OK", "near", "FAIL", "explained", "missing"]
#: From an encoder's name to the encoder.
Resolve = Callable[[str], Encoder]


@dataclass(frozen=True, slots=True)
class ReproduceOptions:
    """What to run.

    ``data``: folder that holds collections by name. ``datasets`` and ``systems``: only these; empty = all.
    ``cache``: folder for indexes. ``conditions``: folder of the condition files.
    """

    data: Path
    datasets: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    cache: Path = Path("twindex-eval")
    conditions: Path = FOLDER


@dataclass(frozen=True, slots=True)
class Outcome:
    """One condition with its verdict. ``reason`` says why it could not run, or why a difference is explained."""

    dataset: str
    split: str
    system: str
    source: str
    status: Status
    checks: tuple[Check, ...] = ()
    statistics: tuple[Check, ...] = ()
    reason: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "system": self.system,
            "status": self.status,
            "source": self.source,
            "reason": self.reason,
            "seconds": self.seconds,
            "checks": [_check_dict(c) for c in self.checks],
            "statistics": [_check_dict(c) for c in self.statistics],
        }


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The outcomes of all conditions."""

    outcomes: tuple[Outcome, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether nothing that could run failed."""
        return all(o.status != "FAIL" for o in self.outcomes)

    def counts(self) -> dict[str, int]:
        """Conditions by status."""
        out: dict[str, int] = {}
        for outcome in self.outcomes:
            out[outcome.status] = out.get(outcome.status, 0) + 1
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the public form, for JSON."""
        return {
            "passed": self.passed,
            "counts": self.counts(),
            "conditions": [o.to_dict() for o in self.outcomes],
        }


def reproduce(options: ReproduceOptions, *, resolve: Resolve, progress: Progress = no_progress) -> Reproduction:
    """Run every condition whose collection and model are here.

    Args:
        options: What to run.
        resolve: Gives encoders by name; its MissingError makes a condition "missing".
        progress: Called while indexing and searching.

    Raises:
        CorpusError: If a condition file or a collection that is here cannot be read.
    """
    outcomes: list[Outcome] = []
    for file in load_conditions(options.conditions):
        if options.datasets and file.dataset not in options.datasets:
            continue
        wanted = [c for c in file.conditions if not options.systems or c.system in options.systems]
        dataset = _here(file, options.data)
        for condition in wanted:
            if dataset is None:
                outcomes.append(_missing(file, condition, f"no corpus at {options.data / file.dataset}"))
            else:
                outcomes.append(_run(file, condition, dataset, options, resolve, progress))
    return Reproduction(tuple(outcomes))


def markdown(reproduction: Reproduction, log: Sequence[str] = ()) -> str:
    """RESULTS.md: a table of what ran, the statistics that differ, what is missing, and the log of reproductions."""
    ran = [o for o in reproduction.outcomes if o.status != "missing"]
    missing = [o for o in reproduction.outcomes if o.status == "missing"]
    lines = [
        "# Results against references",
        "",
        "Written by `twindex eval reproduce` from `conditions/*.yaml`; not by hand.",
        "Verdicts have two sides: OK within the tolerance, near within 1.5 times of it, FAIL beyond; a difference",
        "that its condition explains is marked so.",
        "",
        "| collection | split | system | measure | expected | found | difference | tolerance | verdict |",
        "|---|---|---|---|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {o.dataset} | {o.split} | {o.system} | {c.name} | {c.expected:.4f} | {c.found:.4f} "
        f"| {c.difference:+.4f} | {c.tolerance:.3f} | {c.verdict} |"
        for o in ran
        for c in o.checks
    ]
    lines += ["", "## Index statistics", ""]
    odd = [f"- {o.dataset}: {c.name} {c.found:,.0f} instead of {c.expected:,.0f}" for o in ran for c in _off(o)]
    lines += odd or ["All as stated in the condition files."]
    explained = sorted({f"- {o.dataset} {o.split}: {o.reason}" for o in ran if o.reason})
    if explained:
        lines += ["", "## Explained differences", "", *explained]
    lines += ["", "## Sources", ""]
    lines += sorted({f"- {o.system}: {o.source}" for o in ran})
    lines += ["", "## Not run here", ""]
    lines += [f"- {o.dataset} / {o.split} / {o.system}: {_public(o.reason)}" for o in missing] or ["Nothing."]
    return "\n".join([*lines, "", "## Reproduction log", "", *log, ""])


def _run(
    file: ConditionFile,
    condition: Condition,
    dataset: Dataset,
    options: ReproduceOptions,
    resolve: Resolve,
    progress: Progress,
) -> Outcome:
    started = time.perf_counter()
    try:
        encoder = None if condition.system == "bm25" else resolve(condition.system)
    except MissingError as error:
        return _missing(file, condition, error.given)
    run = BeirOptions(
        split=file.split,
        mode="dense" if encoder else "sparse",
        measures=tuple(parse(name) for name in condition.expected),
        cache=options.cache,
    )
    result = evaluate_beir(dataset, run, encoder=encoder, progress=progress)
    checks = judge_all(condition, result.measures)
    statistics = _statistics(file, dataset, result)
    verdict: Verdict = worst([c.verdict for c in (*checks, *statistics)])
    return Outcome(
        file.dataset,
        file.split,
        condition.system,
        condition.source,
        verdict,
        tuple(checks),
        tuple(statistics),
        condition.explained,
        time.perf_counter() - started,
    )


def _statistics(file: ConditionFile, dataset: Dataset, result: BeirResult) -> list[Check]:
    """Exact where the corpus file is the one that was measured; another packaging may differ and is not judged."""
    if file.sha256 and dataset.digest() != file.sha256:
        return []
    return [judge(n, v, float(result.index[n]), 0.0) for n, v in file.statistics.items() if n in result.index]


def _here(file: ConditionFile, data: Path) -> Dataset | None:
    try:
        dataset = find_dataset(file.dataset, root=data)
    except CorpusError:
        return None
    return dataset if dataset.has_corpus and file.split in dataset.splits else None


def _missing(file: ConditionFile, condition: Condition, reason: str) -> Outcome:
    return Outcome(file.dataset, file.split, condition.system, condition.source, "missing", reason=reason)


def _off(outcome: Outcome) -> list[Check]:
    return [c for c in outcome.statistics if c.verdict != "OK"]


def _public(reason: str) -> str:
    """Without the folder of one machine."""
    return "no corpus" if reason.startswith("no corpus at") else reason


def _check_dict(check: Check) -> Mapping[str, Any]:
    return {
        "name": check.name,
        "expected": check.expected,
        "found": check.found,
        "difference": check.difference,
        "tolerance": check.tolerance,
        "verdict": check.verdict,
    }
