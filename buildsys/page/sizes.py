"""What a bundle's bytes are: a treemap, and the same as a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from buildsys.page.collect import Component, Record
from buildsys.page.markup import Content, legend, table, tag
from buildsys.page.treemap import Box, squarify

MIB = 1024 * 1024

_CANVAS = Box(0, 0, 16, 9)
"""The shape of a treemap; style.css gives its box the same."""


@dataclass(frozen=True)
class _Part:
    name: str
    size: int
    kind: str


def sizes(record: Record) -> list[Element]:
    """The executable and, apart, all images: as treemaps, then in figures."""
    inside = [_Part(c.name, c.compressed, "program") for c in record.components]
    inside += [_Part(c.name, c.compressed, "image") for c in record.images if c.embedded]
    frame = record.size - sum(part.size for part in inside)
    inside += [_Part("names, sums, gaps", frame, "frame")] if frame > 0 else []
    images = [_Part(c.name, c.compressed, "image") for c in record.images]
    return [
        _treemap(f"Inside the executable, {mib(record.size)} MiB", inside),
        _treemap(f"All images, {mib(sum(part.size for part in images))} MiB", images),
        tag("details", tag("summary", "Sizes in figures"), _figures(record)),
    ]


def mib(size: int) -> str:
    """Bytes as MiB."""
    return f"{size / MIB:.2f}"


def _treemap(title: str, parts: Sequence[_Part]) -> Element:
    ordered = sorted((p for p in parts if p.size > 0), key=lambda part: (-part.size, part.name))
    boxes = squarify([part.size for part in ordered], _CANVAS)
    tiles = [_tile(part, box) for part, box in zip(ordered, boxes, strict=True)]
    kinds = {part.kind: _KINDS[part.kind] for part in parts}
    label = ", ".join(f"{part.name} {mib(part.size)}" for part in ordered)
    return tag(
        "figure",
        tag("figcaption", title, *([legend(kinds)] if len(kinds) > 1 else [])),
        tag("div", *tiles, class_="treemap", role="img", aria_label=f"{title}: {label}"),
    )


_KINDS = {"program": "program", "image": "image that it carries", "frame": "what holds it together"}


def _tile(part: _Part, box: Box) -> Element:
    place = {
        "left": box.x / _CANVAS.width,
        "top": box.y / _CANVAS.height,
        "width": box.width / _CANVAS.width,
        "height": box.height / _CANVAS.height,
    }
    style = ";".join(f"{key}:{share:.4%}" for key, share in place.items())
    text = tag("span", tag("b", part.name), f" {mib(part.size)}")
    return tag(
        "div", text, class_=f"tile {part.kind}", style=style, title=f"{part.name} {mib(part.size)}"
    )


def _figures(record: Record) -> Element:
    rows = [_row(one, "in the executable", record) for one in record.components]
    rows += [
        _row(one, "image, in the executable" if one.embedded else "image", record)
        for one in record.images
    ]
    columns = ("component", "version", "license", "place", "MiB unpacked", "MiB compressed")
    return table(columns, rows, f"sizes of k3s-{record.target}")


def _row(one: Component, place: str, record: Record) -> list[Content]:
    version = one.version if one.name != "k3s" else record.version
    return [one.name, version, one.license, place, mib(one.size), mib(one.compressed)]
