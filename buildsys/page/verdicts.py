"""What was tried on a bundle and how it ended, and the memory of its boots. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from buildsys.page.collect import Judged, Made
from buildsys.page.markup import Content, picture, table, tag
from buildsys.verify.pictures import pictures
from buildsys.verify.written import StepData

SHORT = 12
"""How many digits of a sha256 are shown where it is compared."""


def state(word: str) -> Element:
    """How something ended; never by its colour alone."""
    return tag("span", word, class_=f"state {word.lower()}")


def verdicts(made: Made) -> Iterator[Element]:
    """All kinds in one table, then each with its steps."""
    rows: list[list[Content]] = [
        [one.data.kind, state(one.state), _about(one), _when(one), f"{one.data.seconds:.0f}"]
        for one in made.verdicts
    ]
    rows += [[kind, state("none"), "nothing; its release wants it", "", ""] for kind in made.lacks]
    if rows:
        columns = ("tried", "result", "on", "started", "seconds")
        yield table(columns, rows, f"verdicts of k3s-{made.suffix}")
    else:
        yield tag("p", "Nothing was tried.")
    yield from (_steps(one) for one in made.verdicts)


def _about(one: Judged) -> Element:
    return tag("span", _bytes(one), class_="bytes")


def _bytes(one: Judged) -> str:
    short = f"{one.data.sha256[:SHORT]}…"
    return f"other bytes, {short}" if one.state == "stale" else f"these, {short}"


def _when(one: Judged) -> Element:
    return tag("time", one.data.started.replace("T", " "), datetime=one.data.started)


def _steps(one: Judged) -> Element:
    data = one.data
    failed = [step for step in data.steps if not step.passed]
    ended = f"{len(data.steps) - len(failed)} of {len(data.steps)} steps passed"
    rows: list[list[Content]] = [
        [
            step.name,
            state("passed" if step.passed else "FAILED"),
            f"{step.seconds:.2f}",
            _facts(step),
        ]
        for step in data.steps
    ]
    about = tag("p", f"On the bytes with sha256 {data.sha256}; log: verdicts/{data.log}")
    content = [
        tag("summary", f"{data.kind}: {ended}"),
        about,
        *(tag("pre", f"{step.name}: {step.detail}", tabindex="0") for step in failed),
        table(("step", "result", "seconds", "measured"), rows, f"steps of {data.kind}"),
    ]
    return tag("details", *content, **({"open": "open"} if failed else {}))


def _facts(step: StepData) -> str:
    known = {key: value for key, value in step.facts.items() if value not in (None, "", [])}
    return ", ".join(f"{key.replace('_', ' ')} {_text(value)}" for key, value in known.items())


def _text(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def memory(made: Made) -> Iterator[Element]:
    """A picture for each board of each scenario, with all its boots."""
    for one in made.verdicts:
        for svg in pictures(one.data).values():
            caption = f"{one.data.kind}, on {one.data.facts.get('machine', 'a board')}, "
            words = tag("figcaption", caption, _when(one), ": ", state(one.state))
            words.append(tag("span", f", on {_bytes(one)}"))
            label = f"memory in {one.data.kind}"
            drawn = tag(
                "div", picture(svg), class_="scrolls", tabindex="0", role="region", aria_label=label
            )
            yield tag("figure", words, drawn, class_="memory")
