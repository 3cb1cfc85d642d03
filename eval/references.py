"""Reference scores as data: ``conditions/*.yaml`` say which system scores what on which collection.

A file holds one split of one collection: the statistics that its index must have (checked first, so that a
changed analyzer is reported as such and not as a worse score), and for each system the expected scores, how
far off is still right, and who published them. Verdicts have two sides: too good is as wrong as too bad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from twindex.eval.measures import parse
from twindex.indexing import optional
from twindex.indexing.errors import CorpusError, UsageError

FOLDER: Final = Path(__file__).parent / "conditions"
#: Up to this multiple of the tolerance a score is near.
NEAR: Final = 1.5
#: Rounding of published figures: four decimals.
ROUNDING: Final = 5e-5

Verdict = Literal["OK", "near", "FAIL", "explained"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What one system should score.

    ``system`` is "bm25" or an encoder's name. ``explained`` says why a score outside the tolerance is no fault
    of ours; such a score gets the verdict "explained".
    """

    system: str
    expected: Mapping[str, float]
    tolerance: Mapping[str, float]
    source: str
    explained: str = ""


@dataclass(frozen=True, slots=True)
class ConditionFile:
    """The conditions of one split of one collection. ``sha256`` is of the corpus file that was measured."""

    dataset: str
    split: str
    conditions: tuple[Condition, ...]
    statistics: Mapping[str, int] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, expected and found."""

    name: str
    expected: float
    found: float
    tolerance: float
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Found less expected."""
        return self.found - self.expected


def judge(name: str, expected: float, found: float, tolerance: float, *, explained: bool = False) -> Check:
    """The verdict on one figure: OK within the tolerance, near within 1.5 times of it, else FAIL."""
    off = abs(found - expected)
    if off <= tolerance + ROUNDING:
        verdict: Verdict = "OK"
    elif explained:
        verdict = "explained"
    else:
        verdict = "near" if off <= NEAR * tolerance + ROUNDING else "FAIL"
    return Check(name, expected, found, tolerance, verdict)


def judge_all(condition: Condition, found: Mapping[str, float]) -> list[Check]:
    """The verdicts on every expected score of a condition."""
    return [
        judge(name, expected, found[name], condition.tolerance[name], explained=bool(condition.explained))
        for name, expected in condition.expected.items()
    ]


def load_conditions(folder: Path = FOLDER) -> list[ConditionFile]:
    """All condition files of a folder, by file name.

    Raises:
        CorpusError: If a file cannot be read or lacks something; names the file.
    """
    return [read_conditions(path) for path in sorted(folder.glob("*.yaml"))]


def read_conditions(path: Path) -> ConditionFile:
    """One condition file.

    Raises:
        CorpusError: If it cannot be read or lacks something; names the file.
    """
    yaml = optional.load("yaml", purpose="reading condition files")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        conditions = tuple(_condition(row) for row in data["conditions"])
        statistics = {str(k): int(v) for k, v in (data.get("statistics") or {}).items()}
        return ConditionFile(
            str(data["dataset"]), str(data["split"]), conditions, statistics, str(data.get("sha256") or "")
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, UsageError) as error:
        raise CorpusError(
            f"a condition file that cannot be read ({error!r})",
            path=str(path),
            expected="dataset, split and conditions with system, expected, tolerance, source",
        ) from error


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on several figures together."""
    order: tuple[Verdict, ...] = ("FAIL", "near", "explained", "OK")
    return next((v for v in order if v in verdicts), "OK")


def _condition(row: Mapping[str, Any]) -> Condition:
    expected = {str(parse(str(k))): float(v) for k, v in row["expected"].items()}
    tolerance = {str(parse(str(k))): float(v) for k, v in row["tolerance"].items()}
    if set(tolerance) != set(expected):
        raise KeyError("a tolerance for every expected score")
    return Condition(
        str(row["system"]), expected, tolerance, str(row["source"]), " ".join(str(row.get("explained") or "").split())
    )
