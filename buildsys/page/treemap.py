"""Areas in a rectangle, each as near to a square as goes: a squarified treemap. Pure.

After Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000). The package for it on PyPI brings
no types and is no longer than this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle, in the units of the one that it was cut from."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: Sequence[float], box: Box) -> Iterator[Box]:
    """A rectangle in `box` for each size, in proportion to it.

    `sizes` are above zero, the largest first. Raises `ValueError` where they are not.
    """
    if list(sizes) != sorted(sizes, reverse=True) or any(size <= 0 for size in sizes):
        raise ValueError("sizes must be above zero, the largest first")
    scale = box.width * box.height / sum(sizes) if sizes else 0.0
    areas = [size * scale for size in sizes]
    while areas:
        side = min(box.width, box.height)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(
            areas[:count], side
        ):
            count += 1
        row, areas = areas[:count], areas[count:]
        yield from _row(row, box)
        box = _rest(sum(row), box)


def _worst(row: Sequence[float], side: float) -> float:
    """The largest ratio of two sides in a row along `side`."""
    total = sum(row)
    return max(side**2 * max(row) / total**2, total**2 / (side**2 * min(row)))


def _row(row: Sequence[float], box: Box) -> Iterator[Box]:
    """The row along the shorter side of the box."""
    upright = box.width >= box.height
    depth = sum(row) / (box.height if upright else box.width)
    at = 0.0
    for area in row:
        length = area / depth
        if upright:
            yield Box(box.x, box.y + at, depth, length)
        else:
            yield Box(box.x + at, box.y, length, depth)
        at += length


def _rest(used: float, box: Box) -> Box:
    if box.width >= box.height:
        depth = used / box.height
        return Box(box.x + depth, box.y, box.width - depth, box.height)
    depth = used / box.width
    return Box(box.x, box.y + depth, box.width, box.height - depth)
