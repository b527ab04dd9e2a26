"""Writing the report, and saying in short what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from buildsys.app import App
from buildsys.cache import write_atomic
from buildsys.errors import NotBuiltError
from buildsys.page.collect import Facts, collect
from buildsys.page.document import page

NAME = "report.html"

STYLE = Path(__file__).with_name("style.css")


def write(app: App, names: Sequence[str]) -> tuple[Path, Facts]:
    """Write `artifacts/report.html` on the named targets, or all that are built; what it shows.

    Raises `NotBuiltError` and `CorruptError`, before anything is written.
    """
    facts = collect(app.artifacts, app.project, app.targets(names), named=bool(names))
    path = app.artifacts / NAME
    write_atomic(path, page(facts, STYLE.read_text("utf-8")))
    return path, facts


def raise_untried(facts: Facts) -> None:
    """Raise `NotBuiltError` where there is no verdict on anything that a report shows."""
    if not any(one.verdicts for one in facts.made):
        target = facts.made[0].record.target
        raise NotBuiltError(
            "the report is written, and it has no verdict: nothing in it was tried",
            action=f"run `invoke audit --arch {target}` and `invoke smoke --arch {target}`, "
            "then `invoke report` again",
        )
