"""Small plots as inline SVG: text and lines only, colours from the page, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: Okabe and Ito's colours, told apart by most eyes; systems take them in order.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#8c564b")
WIDTH = 760


@dataclass(frozen=True, slots=True)
class Point:
    """A mark with an interval, 0 wide if there is none."""

    x: float
    low: float
    high: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic scale from values to pixels."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Pixel of a value."""
        low, high, v = (self._scale(x) for x in (self.low, self.high, value))
        return self.start + (v - low) / ((high - low) or 1.0) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Round values between the ends."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**e for e in range(first, last + 1)]
        step = _nice((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _scale(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.logarithmic else value


def intervals(rows: Mapping[str, Mapping[str, Point]], systems: Sequence[str], title: str) -> str:
    """Dots with intervals: one band a row, one colour a system.

    Args:
        rows: Row label -> system -> point.
        systems: In the order of colours.
        title: For readers who do not see the picture.
    """
    band, left, top = 16 + 11 * len(systems), 170, 8
    height = top + band * len(rows) + 30
    points = [p for row in rows.values() for p in row.values()]
    axis = Axis(_floor([p.low for p in points]), _ceil([p.high for p in points]), left, WIDTH - 20)
    parts = _grid(axis, top, height - 26)
    for number, (name, row) in enumerate(rows.items()):
        y = top + band * number
        if number % 2 == 0:
            parts.append(f'<rect class="band" x="0" y="{y}" width="{WIDTH}" height="{band}"/>')
        parts.append(f'<text x="{left - 12}" y="{y + band / 2 + 4}" text-anchor="end">{escape(name)}</text>')
        for place, system in enumerate(s for s in systems if s in row):
            parts.append(
                _whisker(axis, row[system], y + 13 + 11 * place, COLOURS[systems.index(system) % len(COLOURS)])
            )
    return _svg(height, parts, title)


def bars(values: Sequence[float], title: str, *, height: int = 90) -> str:
    """Sorted differences as bars above and below zero."""
    reach = max((abs(v) for v in values), default=0.0) or 1.0
    axis = Axis(reach, -reach, 6, height - 6)
    step = (WIDTH - 60) / max(1, len(values))
    parts = [f'<line class="axis" x1="50" x2="{WIDTH - 10}" y1="{axis.at(0):.1f}" y2="{axis.at(0):.1f}"/>']
    parts += [
        f'<text class="tick" x="44" y="{axis.at(mark) + 4:.1f}" text-anchor="end">{mark:+.2f}</text>'
        for mark in (reach, 0.0, -reach)
    ]
    for number, value in enumerate(values):
        y = min(axis.at(value), axis.at(0))
        tall = abs(axis.at(value) - axis.at(0))
        kind, wide = "win" if value > 0 else "loss", max(step, 0.6)
        place = f'x="{50 + number * step:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{tall:.2f}"'
        parts.append(f'<rect class="{kind}" {place}/>')
    return _svg(height, parts, title)


def scatter(
    points: Mapping[str, tuple[float, float]], title: str, *, x_name: str, y_name: str, logarithmic: bool = True
) -> str:
    """One labelled dot a system."""
    height = 300
    xs, ys = [x for x, _ in points.values()], [y for _, y in points.values()]
    if logarithmic:
        across = Axis(min(xs) / 2, max(xs) * 3, 60, WIDTH - 20, logarithmic=True)
    else:
        across = Axis(0.0, max(xs) * 1.25, 60, WIDTH - 20)
    up = Axis(_floor(ys), _ceil(ys), height - 46, 14)
    parts = _grid(across, 14, height - 46)
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="60" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="54" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for number, (name, (x, y)) in enumerate(points.items()):
        px, py, colour = across.at(x), up.at(y), COLOURS[number % len(COLOURS)]
        parts.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="6" fill="{colour}"><title>{escape(name)}</title></circle>'
        )
        parts.append(f'<text x="{px + 10:.1f}" y="{py + 4 + 12 * _crowd(points, name):.1f}">{escape(name)}</text>')
    parts.append(f'<text class="tick" x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text class="tick" x="60" y="10">{escape(y_name)}</text>')
    return _svg(height, parts, title)


def legend(systems: Sequence[str]) -> str:
    """Names of the systems in their colours, as HTML."""
    items = (
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(s)}</span>' for i, s in enumerate(systems)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _crowd(points: Mapping[str, tuple[float, float]], name: str) -> float:
    """Labels of dots at one place are set apart."""
    x, y = points[name]
    before = list(points)[: list(points).index(name)]
    return sum(abs(points[o][1] - y) < 0.012 and 0.5 < (points[o][0] + 1e-9) / (x + 1e-9) < 2 for o in before)


def _whisker(axis: Axis, point: Point, y: float, colour: str) -> str:
    low, high = axis.at(point.low), axis.at(point.high)
    place = f'x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"'
    line = f'<line {place} stroke="{colour}" stroke-width="2" opacity=".55"/>'
    dot = f'<circle cx="{axis.at(point.x):.1f}" cy="{y}" r="4" fill="{colour}">'
    return f"{line}{dot}<title>{escape(point.label)}</title></circle>"


def _grid(axis: Axis, top: float, bottom: float) -> list[str]:
    parts = []
    for tick in axis.ticks():
        x = axis.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    return parts


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<div class="plot"><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg></div>"
    )


def _floor(values: Sequence[float]) -> float:
    return math.floor(min(values, default=0.0) * 20) / 20


def _ceil(values: Sequence[float]) -> float:
    return max(math.ceil(max(values, default=1.0) * 20) / 20, _floor(values) + 0.05)


def _nice(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next((m * size for m in (1, 2, 5) if m * size >= step), 10 * size)
