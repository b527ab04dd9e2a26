"""Pictures of a verdict's boots. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from buildsys.load import Project
from buildsys.verify.chart import Series, chart
from buildsys.verify.written import VerdictData

MEASURED = {"available": "available", "rss": "resident, k3s", "swap": "swapped"}
"""What a picture shows of a boot's beats, and its words for it."""

Beats = Sequence[Mapping[str, Any]]
"""What a guest said of itself in one boot, in its order."""


def album(boots: Mapping[str, VerdictData]) -> dict[str, str]:
    """All pictures of the page, by their files' names."""
    return {
        file_name(name, board): picture
        for name, verdict in boots.items()
        for board, picture in pictures(verdict).items()
    }


def file_name(name: str, board: str) -> str:
    """The picture's file beside the verdict's."""
    return f"{name}-{board}.svg" if board else f"{name}.svg"


def is_picture(name: str, project: Project) -> bool:
    """Whether a file of this name is a picture of a verdict, also of a scenario that is gone."""
    return any(re.fullmatch(rf"{re.escape(one)}-[a-z0-9-]+\.svg", name) for one in project.targets)


def pictures(verdict: VerdictData) -> dict[str, str]:
    """A picture for each board that booted, with all its boots; a single board has no name."""
    beats = verdict.facts.get("boots", ())
    boards = verdict.facts.get("boards", [""] * len(beats))  # one board is not named
    booted: dict[str, list[Beats]] = {}
    for board, boot in zip(boards, beats, strict=True):
        if boot:
            booted.setdefault(board, []).append(boot)
    return {board: _of_board(verdict, board, boots) for board, boots in booted.items()}


def _of_board(verdict: VerdictData, board: str, boots: Sequence[Beats]) -> str:
    title = f"{verdict.target}: {verdict.kind}" + (f", {board}" if board else "")
    series = [
        Series(name, [[(beat["uptime"], beat[key]) for beat in boot] for boot in boots])
        for key, name in MEASURED.items()
        if any(beat[key] for boot in boots for beat in boot)
    ]
    if len(boots) > 1:
        return chart(f"{title}, {len(boots)} boots", series, [])
    marks = [
        (step.facts["at"], step.name)
        for step in verdict.steps
        if "at" in step.facts and step.facts.get("board", board) == board
    ]
    return chart(title, series, marks)
