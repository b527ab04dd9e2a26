"""Spans of time, and what people see of the progress."""

from __future__ import annotations

import io
import json
import resource
import time

import pytest
from rich.console import Console

from buildsys.errors import CommandError
from buildsys.report import Progress, Span, Timeline, print_table

pytestmark = pytest.mark.unit

TOOLS = frozenset({"compile", "fetch"})


def timeline(*spans: tuple[str, float, float]) -> Timeline:
    return Timeline(0.0, [Span(kind, "x", begin, end) for kind, begin, end in spans])


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([("compile", 1, 3)], 2),
        ([("compile", 1, 3), ("compile", 2, 5)], 4),
        ([("compile", 1, 9), ("fetch", 2, 3)], 8),
        ([("compile", 1, 9), ("fetch", 2, 3), ("compile", 4, 10)], 9),
        ([("compile", 1, 2), ("compile", 4, 6)], 3),
        ([("compile", 4, 6), ("compile", 1, 2)], 3),
        ([("compile", 1, 3), ("fetch", 3, 4)], 3),
        ([("compile", 1, 3), ("compile", 1, 3)], 2),
        ([("store", 1, 9), ("compile", 2, 3)], 1),
        ([("store", 1, 9)], 0),
    ],
)
def test_covered_counts_no_second_twice(
    spans: list[tuple[str, float, float]], seconds: float
) -> None:
    assert timeline(*spans).covered(TOOLS) == pytest.approx(seconds)


def test_timeline_as_json() -> None:
    now = time.monotonic()
    line = Timeline(now - 10)
    line.add("compile", "one", now - 10, 0.001, 400)
    line.add("store", "one", now - 1)
    data = json.loads(json.dumps(line.as_json()))
    assert data["wall_seconds"] == pytest.approx(10, abs=1)
    assert data["tool_share"] == pytest.approx(1, abs=0.01)
    assert data["seconds_by_kind"]["store"] == pytest.approx(1, abs=0.5)
    assert [span["begin"] for span in data["spans"]] == [0, 9]
    assert [span.get("peak_mib") for span in data["spans"]] == [400, None]


def test_cpu_seconds_by_who_used_them() -> None:
    line = Timeline()
    line.add("compile", "one", 0, 0.2)
    line.add("compile", "two", 0, 0.1)
    line.add("compress", "one", 0, 0.1)
    spent = line.cpu_seconds()
    assert (spent["compilers"], spent["compression"]) == (0.3, 0.1)
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    whole = sum(one.ru_utime + one.ru_stime for one in used)
    assert sum(spent.values()) == pytest.approx(max(whole, 0.4), rel=0.1)


def plain() -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    return Progress(Console(file=out, soft_wrap=True, highlight=False)), out


def test_steps_are_plain_lines_where_there_is_no_terminal() -> None:
    progress, out = plain()
    with progress.running(), progress.step("build", "k3s-armv6"):
        assert out.getvalue() == ""
    assert out.getvalue().startswith("build    k3s-armv6  0.")
    assert out.getvalue().endswith(" s\n")
    assert "\x1b" not in out.getvalue() and "\r" not in out.getvalue()


def test_failed_step_is_told_as_failed_not_as_done() -> None:
    progress, out = plain()
    error = CommandError("cc failed: exit code 1\n  | [bold]x.c[/bold]", action="see a.log")
    with pytest.raises(CommandError), progress.running(), progress.step("build", "k3s-armv6"):
        raise error
    progress.failed("k3s-armv6", error)
    assert out.getvalue() == f"FAILED   k3s-armv6: {error}\n"


def test_long_lines_are_not_broken() -> None:
    progress, out = plain()
    progress.line("word " * 100)
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_kept(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_color: str,
    coloured: bool,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    Progress().failed("k3s-armv6", ValueError("broken"))
    shown = capsys.readouterr()
    assert ("\x1b[31m" in shown.err) == coloured
    assert "FAILED   k3s-armv6: broken" in shown.err
    assert shown.out == ""


def test_table_goes_to_standard_output_with_numbers_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("", ("name", "MiB"), [("k3s", "60.25"), ("cni", "1.50"), ("[x]", "-")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["name    MiB", "k3s   60.25", "cni    1.50", "[x]       -"]


def test_table_may_be_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("name", "MiB"), [])
    assert "name" in capsys.readouterr().out
