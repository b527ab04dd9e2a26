"""The whole report. Pure: the same facts make the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from buildsys.page.collect import Facts, Made
from buildsys.page.markup import Content, document, table, tag
from buildsys.page.sizes import mib, sizes
from buildsys.page.timeline import timeline
from buildsys.page.verdicts import memory, state, verdicts

TITLE = "k3s: what was built and what was tried"


def page(facts: Facts, style: str) -> bytes:
    """The report as HTML."""
    return document(
        TITLE,
        style,
        tag("header", tag("h1", TITLE), _contents(facts)),
        tag("main", _overview(facts), *map(_section, facts.made), *_jobs(facts)),
    )


def _contents(facts: Facts) -> Element:
    links = [tag("a", f"k3s-{one.suffix}", href=f"#{one.suffix}") for one in facts.made]
    links += [tag("a", "Jobs", href="#jobs")] if facts.runs else []
    return tag("nav", *links, aria_label="parts")


def _overview(facts: Facts) -> Element:
    rows: list[list[Content]] = [
        [
            tag("a", f"k3s-{one.suffix}", href=f"#{one.suffix}"),
            one.record.version,
            mib(one.record.size),
            _tried(one),
        ]
        for one in facts.made
    ]
    return table(("executable", "version", "MiB", "tried"), rows, "what was built")


def _tried(made: Made) -> Element:
    words = [(one.data.kind, one.state) for one in made.verdicts]
    words += [(kind, "none") for kind in made.lacks]
    parts = [tag("span", f"{kind} ", state(word), class_="tried") for kind, word in words]
    return tag("span", *parts) if parts else state("none")


def _section(made: Made) -> Element:
    record = made.record
    pictures = list(memory(made))
    return tag(
        "section",
        tag("h2", f"k3s-{made.suffix}"),
        tag("p", f"{record.version}, {record.go}, sha256 ", tag("code", record.sha256)),
        tag("h3", "Verdicts"),
        *verdicts(made),
        tag("h3", "Sizes"),
        *sizes(record),
        *([tag("h3", "Memory of the boots"), *pictures] if pictures else []),
        id=made.suffix,
    )


def _jobs(facts: Facts) -> Iterator[Element]:
    if facts.runs:
        parts = [part for run in facts.runs for part in timeline(run)]
        yield tag(
            "section",
            tag("h2", "Jobs"),
            tag("p", "The last run for each choice of targets, as it went."),
            *parts,
            id="jobs",
        )
