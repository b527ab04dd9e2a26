"""A picture of a board's boots, one over the other: memory over the guest's time, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 34, 40

COLORS = ("#1f6f8b", "#c8553d", "#7a7a7a")

LEAST_OPACITY = 0.4
"""Of a line among so many others that it had less."""

_STYLE = "font:12px sans-serif;fill:#333"
_STEPS = (1, 2, 5, 10, 20, 30, 60, 100, 120, 200, 300, 500, 600, 1000, 1200, 2000, 5000)
"""Distances between grid lines that people can count by."""


Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """A name, and for each boot a line of (guest second, MiB)."""

    name: str
    lines: Sequence[Line]


def chart(title: str, series: Sequence[Series], marks: Sequence[tuple[float, str]]) -> str:
    """The picture; `marks` are moments with a name, as lines from edge to edge.

    Lines of several boots let each other through, so that what is usual is dark and the rest stands
    out; a dot is where a boot ended. No line is without a point.
    """
    points = [point for one in series for line in one.lines for point in line]
    longest = max([x for x, _ in points] + [x for x, _ in marks] + [1.0])
    highest = max([y for _, y in points] + [1.0])
    scale = _Scale(longest, highest)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" style="{_STYLE};font-weight:bold">{escape(title)}</text>',
        *_grid(scale),
        *_marks(scale, marks),
        *(text for n, one in enumerate(series) for text in _lines(scale, one, _color(n))),
        *_legend(series),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True)
class _Scale:
    longest: float
    highest: float

    def x(self, second: float) -> float:
        return round(LEFT + second / self.longest * (WIDTH - LEFT - RIGHT), 1)

    def y(self, mib: float) -> float:
        return round(HEIGHT - BOTTOM - mib / self.highest * (HEIGHT - TOP - BOTTOM), 1)


def distance(largest: float, lines: int) -> int:
    """The distance between grid lines that needs at most `lines` of them."""
    return next((step for step in _STEPS if largest / step <= lines), _STEPS[-1])


def _grid(scale: _Scale) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    step = distance(scale.highest, 6)
    for mib in range(0, int(scale.highest) + 1, step):
        y = scale.y(mib)
        yield f'<line x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        yield _text(LEFT - 6, y + 4, str(mib), "end")
    step = distance(scale.longest, 10)
    for second in range(0, int(scale.longest) + 1, step):
        x = scale.x(second)
        yield _text(x, bottom + 16, str(second), "middle")
    yield _text((LEFT + right) / 2, HEIGHT - 6, "guest seconds", "middle")
    yield _text(6, TOP - 2, "MiB")


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" style="{_STYLE}">{escape(text)}</text>'


def _marks(scale: _Scale, marks: Sequence[tuple[float, str]]) -> Iterator[str]:
    for second, name in marks:
        x = scale.x(second)
        yield (
            f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#bbb" '
            f'stroke-dasharray="2 3"><title>{escape(name)}</title></line>'
        )


def _lines(scale: _Scale, series: Series, color: str) -> Iterator[str]:
    many = len(series.lines)
    for number, line in enumerate(series.lines, 1):
        points = [(scale.x(x), scale.y(y)) for x, y in line]
        path = " ".join(f"{x},{y}" for x, y in points)
        opacity = round(max(LEAST_OPACITY, many**-0.5), 2)
        yield (
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5" '
            f'stroke-opacity="{opacity}"><title>boot {number} of {many}</title></polyline>'
        )
        if many > 1:
            x, y = points[-1]
            yield f'<circle cx="{x}" cy="{y}" r="2" fill="{color}"/>'


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def _legend(series: Sequence[Series]) -> Iterator[str]:
    for number, one in enumerate(series):
        y = TOP + 16 + number * 20
        x = WIDTH - RIGHT + 12
        place = f'x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}"'
        yield f'<line {place} stroke="{_color(number)}" stroke-width="2"/>'
        yield _text(x + 24, y, one.name)
    if any(len(one.lines) > 1 for one in series):
        yield _text(WIDTH - RIGHT + 12, TOP + 16 + len(series) * 20, "● end of a boot")
