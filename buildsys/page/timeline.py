"""When which job ran: a row for each name, a bar for each span. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from buildsys.page.collect import Run, SpanData
from buildsys.page.markup import Content, legend, table, tag
from buildsys.verify.chart import distance

TICKS = 6
"""How many moments are named at most; more would touch on a phone."""


def timeline(run: Run) -> list[Element]:
    """The picture of a run, and the same as a table."""
    title = tag("h3", " and ".join(part for part in run.name.split("-") if part != "any"))
    times = run.times
    if not times.spans:
        return [title, tag("p", "The last run built nothing: all of it was there.")]
    longest = max(times.wall_seconds, *(span.end for span in times.spans))
    share = f"{times.tool_share:.1%} in fetching, compilers, linkers and compression"
    kinds = {span.kind: span.kind for span in times.spans}
    rows = [tag("div", tag("span", "seconds"), _axis(longest), class_="row axis")]
    for name in dict.fromkeys(span.name for span in sorted(times.spans, key=_begin)):
        spans = [span for span in times.spans if span.name == name]
        rows.append(tag("div", tag("span", name, title=name), _lane(spans, longest), class_="row"))
    return [
        title,
        tag("p", f"{times.wall_seconds:.0f} seconds, {share}.", legend(kinds)),
        tag("div", *rows, class_="timeline", role="img", aria_label=f"timeline of {run.name}"),
        tag("details", tag("summary", "Jobs in figures"), _figures(run)),
    ]


def _begin(span: SpanData) -> tuple[float, str]:
    return (span.begin, span.name)


def _axis(longest: float) -> Element:
    step = distance(longest, TICKS)
    ticks = [
        tag("span", str(second), style=f"left:{second / longest:.3%}")
        for second in range(0, int(longest) + 1, step)
    ]
    return tag("div", *ticks, class_="lane")


def _lane(spans: Sequence[SpanData], longest: float) -> Element:
    bars = [
        tag(
            "i",
            class_=f"bar {span.kind}",
            style=f"left:{span.begin / longest:.3%};width:{_seconds(span) / longest:.3%}",
            title=f"{span.kind} {span.name}: {_seconds(span):.1f} s, from {span.begin:.1f}",
        )
        for span in spans
    ]
    return tag("div", *bars, class_="lane")


def _seconds(span: SpanData) -> float:
    return max(span.end - span.begin, 0.0)


def _figures(run: Run) -> Element:
    rows: list[list[Content]] = [
        [span.name, span.kind, f"{span.begin:.1f}", f"{span.end:.1f}", f"{_seconds(span):.1f}"]
        for span in sorted(run.times.spans, key=_begin)
    ]
    return table(("name", "work", "begin", "end", "seconds"), rows, f"jobs of {run.name}")
