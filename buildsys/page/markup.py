"""HTML by value: elements whose text and attributes are escaped when they are written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from buildsys.verify.verdict import NOT_XML

Content = Element | str
"""What an element may hold."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser lets the page do: show its own style; load, run and send nothing."""


def tag(name: str, *content: Content, **attributes: str) -> Element:
    """An element. An attribute is named as in Python: `class_`, `aria_label`."""
    made = Element(name, {_attribute(key): _clean(value) for key, value in attributes.items()})
    last: Element | None = None
    for one in content:
        if isinstance(one, Element):
            made.append(one)
            last = one
        elif last is None:
            made.text = (made.text or "") + _clean(one)
        else:
            last.tail = (last.tail or "") + _clean(one)
    return made


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _clean(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def picture(svg: str) -> Element:
    """A picture as a part of the page."""
    root = ElementTree.fromstring(svg)  # noqa: S314  made by this library
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML knows svg without its name space
    return root


def table(columns: tuple[str, ...], rows: list[list[Content]], label: str) -> Element:
    """A table that scrolls by itself, with the keyboard as well, where it is too wide."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    made = tag("table", tag("thead", head), tag("tbody", *body))
    return tag("div", made, class_="scrolls", tabindex="0", role="region", aria_label=label)


def legend(kinds: Mapping[str, str]) -> Element:
    """What colours mean: words by the class that style.css colours."""
    keys = [tag("span", words, class_=f"key {kind}") for kind, words in kinds.items()]
    return tag("span", *keys, class_="keys")


def document(title: str, style: str, *content: Content) -> bytes:
    """A whole page. `style` is CSS and is not escaped."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    page = tag("html", head, tag("body", *content), lang="en")
    text = ElementTree.tostring(page, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n".encode()
