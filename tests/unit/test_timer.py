"""The watch over a board's one-shot timer: what counts as missed, and what is written then."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildsys.machine.timer import Watch, is_missed
from buildsys.model import OneShotTimer

pytestmark = pytest.mark.unit

TIMER = OneShotTimer(status=0x10, counter=0x14, compare=0x28, match=8, why="it misses")


@pytest.mark.parametrize(
    ("status", "counter", "compare", "missed"),
    [
        (0, 1000, 1001, False),
        (0, 1001, 1000, True),
        (0, 1000, 1000, False),
        (8, 1001, 1000, False),
        (1, 1001, 1000, True),
        (0, 5, 0xFFFFFFF0, True),
        (0, 0xFFFFFFF0, 5, False),
    ],
)
def test_missed(status: int, counter: int, compare: int, missed: bool) -> None:
    assert is_missed(TIMER, status, counter, compare) == missed


@pytest.mark.parametrize(
    ("compare", "written"),
    [(0x50, []), (0x30, ["writel 0x28 0x428"])],
)
def test_a_missed_compare_is_moved_ahead(compare: int, written: list[str]) -> None:
    values = {"readl 0x10": "0x0", "readl 0x14": "0x40", "readl 0x28": hex(compare)}
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return values.get(text, "")

    watch = Watch(TIMER, Path("unused"))
    watch._look(ask)
    assert [text for text in asked if text.startswith("writel")] == written
    assert watch.moved == len(written)
