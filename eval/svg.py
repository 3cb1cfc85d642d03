"""Small plots as inline SVG: text and lines only, colours from the page, no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: Okabe and Ito's colours, told apart by most eyes; systems take them in order.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#8c564b")
#: Width of a plot on a wide page and on a telephone, in units of its text's size.
WIDE, NARROW = 760, 380


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


def both(draw: Callable[[int], str]) -> str:
    """A plot for wide pages and one for telephones; the style of the page shows one of them."""
    return f'<div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>'


def intervals(rows: Mapping[str, Mapping[str, Point]], systems: Sequence[str], title: str, *, width: int = WIDE) -> str:
    """Dots with intervals: one band a row, one colour a system.

    Args:
        rows: Row label -> system -> point.
        systems: In the order of colours.
        title: For readers who do not see the picture.
        width: Of the plot. In a narrow one, labels stand above their bands' dots.
    """
    above = width < WIDE
    band, left, top = 16 + 11 * len(systems) + 16 * above, 8 if above else 180, 8
    height = top + band * len(rows) + 30
    points = [p for row in rows.values() for p in row.values()]
    axis = Axis(_floor([p.low for p in points]), _ceil([p.high for p in points]), left, width - 20)
    bands = [top + band * number for number in range(len(rows))]
    parts = [f'<rect class="band" x="0" y="{y}" width="{width}" height="{band}"/>' for y in bands[::2]]
    parts += _grid(axis, top, height - 26)
    for y, (name, row) in zip(bands, rows.items()):
        place = f'x="8" y="{y + 15}"' if above else f'x="{left - 12}" y="{y + band / 2 + 4}" text-anchor="end"'
        parts.append(f"<text {place}>{escape(name)}</text>")
        for number, system in enumerate(s for s in systems if s in row):
            colour = COLOURS[systems.index(system) % len(COLOURS)]
            parts.append(_whisker(axis, row[system], y + 13 + 11 * number + 16 * above, colour))
    return _svg(width, height, parts, title)


def bars(values: Sequence[float], title: str, *, width: int = NARROW, height: int = 90) -> str:
    """Sorted differences as bars above and below zero."""
    reach = max((abs(v) for v in values), default=0.0) or 1.0
    axis = Axis(reach, -reach, 6, height - 6)
    step = (width - 60) / max(1, len(values))
    parts = [f'<line class="axis" x1="50" x2="{width - 10}" y1="{axis.at(0):.1f}" y2="{axis.at(0):.1f}"/>']
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
    return _svg(width, height, parts, title)


def scatter(
    points: Mapping[str, tuple[float, float]], title: str, *, x_name: str, y_name: str, width: int = WIDE
) -> str:
    """One labelled dot a system over a logarithmic scale."""
    height = 300
    xs, ys = [x for x, _ in points.values()], [y for _, y in points.values()]
    across = Axis(min(xs) / 2, max(xs) * 3, 60, width - 20, logarithmic=True)
    up = Axis(_floor(ys), _ceil(ys), height - 46, 22)
    parts = _grid(across, 22, height - 46)
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="60" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="54" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    dots = {name: (across.at(x), up.at(y)) for name, (x, y) in points.items()}
    for number, (name, (px, py)) in enumerate(dots.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="6" fill="{colour}"><title>{escape(name)}</title></circle>'
        )
        parts.append(_label(dots, name))
    parts.append(f'<text class="tick" x="{width / 2}" y="{height - 8}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text class="tick" x="60" y="12">{escape(y_name)}</text>')
    return _svg(width, height, parts, title)


def legend(systems: Sequence[str]) -> str:
    """Names of the systems in their colours, as HTML."""
    items = (
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(s)}</span>' for i, s in enumerate(systems)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _label(dots: Mapping[str, tuple[float, float]], name: str) -> str:
    """The name of a dot: right of it, left of it if another dot is in the way, lower if one is at the same place."""
    x, y = dots[name]
    names = list(dots)
    near = [o for o in names if o != name and abs(dots[o][1] - y) < 13]
    blocked = any(3 < dots[o][0] - x < 70 for o in near)
    lower = 13 * sum(abs(dots[o][0] - x) <= 3 for o in near if names.index(o) < names.index(name))
    place = f'x="{x - 10:.1f}" text-anchor="end"' if blocked else f'x="{x + 10:.1f}"'
    return f'<text {place} y="{y + 4 + lower:.1f}">{escape(name)}</text>'


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


def _svg(width: int, height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<div class="plot"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg></div>"
    )


def _floor(values: Sequence[float]) -> float:
    return math.floor(min(values, default=0.0) * 20) / 20


def _ceil(values: Sequence[float]) -> float:
    return max(math.ceil(max(values, default=1.0) * 20) / 20, _floor(values) + 0.05)


def _nice(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next((m * size for m in (1, 2, 5) if m * size >= step), 10 * size)
