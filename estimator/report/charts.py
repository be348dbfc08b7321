"""Two plots as SVG text: points on logarithmic axes, and bars beside a zero line. No script, no font, no network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 30, 50
BAR: Final = 26
LABELS: Final = 230
"""Pixels for the names of bars."""

SAVES, COSTS, POINT = "#009e73", "#d55e00", "#0072b2"
"""Colours that people who see few colours tell apart (Okabe and Ito); bars say by their side what they do as well."""


@dataclass(frozen=True, slots=True)
class Point:
    """One option: its name, and both quantities as (low, mid, high)."""

    name: str
    across: tuple[float, float, float]
    up: tuple[float, float, float]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis: its title, its ends, and the pixels of both ends."""

    title: str
    low: float
    high: float
    first: float
    last: float

    @classmethod
    def over(cls, title: str, values: Sequence[float], first: float, last: float) -> Axis:
        """Return an axis that holds all values, with a margin."""
        known = [value for value in values if 0 < value < math.inf]
        return cls(title, min(known) / 1.15, max(known) * 1.15, first, last)

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        share = math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Return 1, 2 and 5 of every decade; decades alone where there would be many."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(decades) <= 4 else (1,)
        return [
            step * 10.0**decade for decade in decades for step in steps if self.low <= step * 10**decade <= self.high
        ]


def scatter(points: Sequence[Point], across: str, up: str) -> str:
    """Draw options over two quantities, ranges as lines through each point."""
    x = Axis.over(across, [value for point in points for value in point.across], LEFT, WIDTH - RIGHT)
    y = Axis.over(up, [value for point in points for value in point.up], HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x, y), *(part for point in points for part in _point(point, x, y))]
    return _svg(HEIGHT, f"{up} over {across} of {len(points)} options", parts)


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for value in x.ticks():
        yield _line(x.at(value), y.first, x.at(value), y.last, "grid")
        yield _text(x.at(value), y.first + 18, f"{value:g}", "middle")
    for value in y.ticks():
        yield _line(x.first, y.at(value), x.last, y.at(value), "grid")
        yield _text(x.first - 8, y.at(value) + 4, f"{value:g}", "end")
    yield _text((x.first + x.last) / 2, HEIGHT - 8, x.title, "middle")
    yield f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y.title)}</text>'


def _point(point: Point, x: Axis, y: Axis) -> Iterator[str]:
    across, up = x.at(point.across[1]), y.at(point.up[1])
    yield _line(x.at(point.across[0]), up, x.at(point.across[2]), up, "range")
    yield _line(across, y.at(point.up[0]), across, y.at(point.up[2]), "range")
    size = 8 if point.marked else 4.5
    colour = SAVES if point.marked else POINT
    title = f"<title>{escape(point.name)}</title>"
    yield f'<circle cx="{across:.1f}" cy="{up:.1f}" r="{size}" fill="{colour}">{title}</circle>'
    if point.marked:
        yield _text(LEFT, TOP - 8, f"large: {point.name}", "start")


def bars(values: Sequence[tuple[str, float, str]]) -> str:
    """Draw (name, amount, what is said of it) left or right of zero, the largest first."""
    ordered = sorted(values, key=lambda each: -abs(each[1]))
    largest = max(abs(amount) for _, amount, _ in ordered) or 1.0
    half = (WIDTH - LABELS - RIGHT) / 2
    zero = LABELS + half
    parts = [_line(zero, 0, zero, BAR * len(ordered), "grid")]
    for place, (name, amount, said) in enumerate(ordered):
        length = abs(amount) / largest * half * 0.55
        start = zero - length if amount < 0 else zero
        colour, y = (SAVES if amount < 0 else COSTS), place * BAR
        parts.append(
            f'<rect x="{start:.1f}" y="{y + 4}" width="{max(length, 1):.1f}" height="{BAR - 8}" fill="{colour}"/>'
        )
        parts.append(_text(LABELS - 8, y + 18, name, "end"))
        beside = (start - 6, "end") if amount < 0 else (start + length + 6, "start")
        parts.append(_text(beside[0], y + 18, said, beside[1]))
    return _svg(BAR * len(ordered) + 4, "What each change does to the cost", parts)


def _svg(height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
