"""Number Match: whether a predicted number is the gold number, by two definitions.

The official one (T²-RAGBench, arXiv 2506.12071, and its library) compares magnitudes up to a power of
ten: it does not see the sign, and takes 5, 0.05 and 5 million for one number. The strict one knows signs,
percent and scale words, and is to be reported beside it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

#: Tolerance of both definitions, relative to the gold number.
EPSILON: Final = 1e-2

SCALES: Final[dict[str, float]] = {
    "%": 1e-2, "percent": 1e-2, "percentage": 1e-2, "per cent": 1e-2, "bps": 1e-4, "basis points": 1e-4,
    "hundred": 1e2, "thousand": 1e3, "thousands": 1e3, "k": 1e3,
    "million": 1e6, "millions": 1e6, "mn": 1e6, "mm": 1e6, "m": 1e6,
    "billion": 1e9, "billions": 1e9, "bn": 1e9, "b": 1e9, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written, and the factor that its unit stands for (1 without one)."""

    number: float
    scale: float = 1.0

    @property
    def value(self) -> float:
        """The number in units of one."""
        return self.number * self.scale


def number_match(prediction: str | float, gold: str | float) -> bool:
    """The official definition.

    Both must read as plain floats. Signs are dropped. A gold number below 0.01 asks for a prediction below
    0.01. Otherwise the quotient, brought to the span from 0.5 to 5 by powers of ten, must lie less than
    0.01 from 1.
    Source: T²-RAGBench's evaluation library, number_match.
    """
    p, g = _plain(prediction), _plain(gold)
    if p is None or g is None:
        return False
    p, g = abs(p), abs(g)
    if g < EPSILON:
        return p < EPSILON
    if p < EPSILON:
        return False
    quotient = p / g
    while quotient < 1:
        quotient *= 10
    while quotient >= 10:
        quotient /= 10
    if quotient > 5:
        quotient *= 0.1
    return abs(quotient - 1) < EPSILON


def strict_number_match(prediction: str | float, gold: str | float, unit: str = "") -> bool:
    """The strict definition: within 1 % of the gold number, its sign and its unit.

    Args:
        prediction: A number, or a text that ends in one (the last number of the text is taken).
        gold: A number, or a text with one.
        unit: Unit of the gold number, if its text does not say ("percent", "million", ...).

    A prediction with a unit is compared in units of one. A prediction without a unit is read in the gold's
    unit. Where the gold has no unit, a scale word in the prediction may have been left out by the gold, so
    the bare number counts too; a percent sign is always a hundredth.
    Source: ours.
    """
    p, g = find_number(prediction), find_number(gold)
    if p is None or g is None:
        return False
    if g.scale == 1.0 and unit:
        g = Quantity(g.number, SCALES.get(unit.strip().lower(), 1.0))
    if p.scale == 1.0:
        return _near(p.number, g.number) or (g.scale > 1 and _near(p.number, g.value))
    return _near(p.value, g.value) or (g.scale == 1.0 and p.scale > 1 and _near(p.number, g.number))


def find_number(text: str | float) -> Quantity | None:
    """The last number of a text with its unit, None if there is none.

    Understood: signs (also the typographic minus), thousands separators, currency signs, accounting
    parentheses for negative numbers, exponents, percent signs and scale words.
    """
    if isinstance(text, int | float):
        return Quantity(float(text)) if math.isfinite(text) else None
    last = None
    for last in _NUMBER.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    if last is None:
        return None
    number = float(last["digits"].replace(",", ""))
    if not math.isfinite(number):
        return None
    negative = bool(last["minus"] or last["minus2"]) or (
        bool(last["open"]) and text[last.end() :].lstrip().startswith(")")
    )
    unit = " ".join((last["unit"] or "").lower().split())
    return Quantity(-number if negative else number, SCALES.get(unit, 1.0))


def _plain(value: str | float) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _near(p: float, g: float) -> bool:
    if abs(g) < 1e-12:
        return abs(p) < EPSILON
    return abs(p - g) <= EPSILON * abs(g) * (1 + 1e-9)


_UNITS: Final = "|".join(
    re.escape(u).replace(r"\ ", r"\s+") + (r"\b" if u[-1].isalpha() else "")
    for u in sorted(SCALES, key=len, reverse=True)
)
_NUMBER: Final = re.compile(
    r"(?P<open>\()?\s*(?P<minus>(?<![\w.)])[-\u2212])?\s*[$€£¥]?\s*(?P<minus2>(?<=[$€£¥])[-\u2212])?"
    r"(?<![\w.])(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)"
    rf"(?:\s*(?P<unit>{_UNITS}))?",
    re.IGNORECASE,
)
