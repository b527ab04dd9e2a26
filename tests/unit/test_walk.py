"""A scenario on boards that are played: what is done on which, and what the verdict holds."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from buildsys.load import load_project
from buildsys.machine import driver
from buildsys.machine.driver import Running
from buildsys.machine.qemu import Files
from buildsys.model import OneShotTimer, ScenarioTable
from buildsys.report import Progress
from buildsys.verify import walk
from buildsys.verify.verdict import Verdict
from buildsys.verify.walk import Walk

from .conftest import CHECKOUT
from .played import Guest, answer, booted, say, state

pytestmark = pytest.mark.unit

MACHINE = load_project(CHECKOUT).targets["armv6"].machine

BOARDS = ("board", "second")


class Place:
    """Stands for the namespaces; what is called there tells how many boards are on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = 0

    def wrap(self, argv: list[str]) -> list[str]:
        return argv

    def call(
        self, command: str, seconds: float, meanwhile: Callable[[float], None]
    ) -> tuple[int, str]:
        self.calls += 1
        meanwhile(min(seconds, 0.05))
        return 0, f"{command} {self.calls}\n"

    def end(self) -> None:
        pass


class Lab:
    """Switches on guests that answer each step with their board's name and the boot's number."""

    def __init__(self) -> None:
        self.guests: list[Guest] = []
        self.argv: list[list[str]] = []

    def switch_on(
        self,
        argv: list[str],
        files: Files,
        nonce: str,
        _errors: Path,
        _timer: OneShotTimer | None,
        name: str,
    ) -> Running:
        number = len(self.guests)
        for path in (files.console, files.control):
            Path(path).unlink(missing_ok=True)

        def reply(words: list[str]) -> list[str]:
            if words[0] == "off":
                # As the machine would: it is not there any more.
                guest.process.terminate()
                return [say({"end": nonce})]
            return [say(state(19.0)), answer(words[0], output=f"{name} {number}\n")]

        guest = Guest(Path(files.folder), [booted(uptime=9.0 + number)], reply)
        self.argv.append(argv)
        self.guests.append(guest)
        return Running(guest.process, files, nonce, None, name)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(driver, "SILENCE_SECONDS", 5)
    made = Lab()
    monkeypatch.setattr(walk, "switch_on", made.switch_on)
    yield made
    for guest in made.guests:
        guest.end()


def on(board: str, **step: Any) -> dict[str, Any]:
    return {"name": f"{board}: {step}", "on": board, **step}


def walked(tmp_path: Path, *steps: dict[str, Any], **more: Any) -> Verdict:
    """The verdict of these steps."""
    document = {"name": "x", "summary": "a try", "memory_mib": 64, "step": steps, **more}
    scenario = ScenarioTable.model_validate_json(json.dumps(document))
    files = {name: Files(tmp_path / name, tmp_path / name) for name in scenario.boards}
    for name in files:
        (tmp_path / name).mkdir()
    executable = tmp_path / "k3s-armv6"
    executable.touch()
    verdict = Verdict("x", "armv6", executable, tmp_path / "log")
    assert MACHINE
    progress = Progress(Console(file=io.StringIO()))
    place: Any = Place(tmp_path)
    under_way = Walk(MACHINE, progress, scenario, verdict, files, place)
    try:
        under_way.all()
    finally:
        under_way.end()
    return verdict


def outputs(verdict: Verdict) -> list[str]:
    return [step.facts["output"] for step in verdict.steps if "output" in step.facts]


def test_each_step_is_done_on_its_board(tmp_path: Path, lab: Lab) -> None:
    verdict = walked(
        tmp_path,
        *(on(board, power="boot") for board in BOARDS),
        *(on(board, run="true") for board in ("second", "board")),
        *(on(board, power="off") for board in BOARDS),
        boards=BOARDS,
    )
    assert verdict.passed, verdict.failures
    assert outputs(verdict) == ["second 1\n", "board 0\n"]
    assert [step.facts.get("board") for step in verdict.steps] == [
        *("board", "second", "second", "board", "board", "second", None)
    ]
    assert verdict.facts["boards"] == ["board", "second"]
    assert [beats[0]["uptime"] for beats in verdict.facts["boots"]] == [9.0, 10.0]


def test_power_is_cut_on_one_board_and_the_other_stays(tmp_path: Path, lab: Lab) -> None:
    verdict = walked(
        tmp_path,
        *(on(board, power="boot") for board in BOARDS),
        on("board", power="cut"),
        on("second", run="true"),
        on("host", run="told"),
        on("board", name="again", power="boot"),
        on("board", run="true"),
        *(on(board, power="off") for board in BOARDS),
        boards=BOARDS,
    )
    assert verdict.passed, verdict.failures
    assert outputs(verdict) == ["second 1\n", "told 1\n", "board 2\n"]
    assert verdict.steps[4].facts["board"] == "second"
    assert verdict.facts["boards"] == ["board", "second", "board"]


def test_a_step_on_a_board_that_is_off_is_a_failure(tmp_path: Path, lab: Lab) -> None:
    verdict = walked(
        tmp_path,
        *(on(board, power="boot") for board in BOARDS),
        on("second", power="cut"),
        on("second", name="too late", run="true"),
        on("second", name="again", power="boot"),
        *(on(board, power="off") for board in BOARDS),
        boards=BOARDS,
    )
    assert [step.name for step in verdict.failures] == ["too late"]
    assert "no second is on" in verdict.failures[0].detail
    assert verdict.failures[0].facts == {"board": "second"}
    assert all(guest.process.poll() is not None for guest in lab.guests)


def test_each_board_has_its_own_disk_name_card_and_log(tmp_path: Path, lab: Lab) -> None:
    walked(
        tmp_path,
        *(on(board, power="boot") for board in BOARDS),
        *(on(board, power="off") for board in BOARDS),
        boards=BOARDS,
    )
    first, second = (" ".join(argv) for argv in lab.argv)
    for text, board, tap in ((first, "board", "board1"), (second, "second", "board2")):
        assert f"file={tmp_path / board / 'disk'}," in text
        assert f"guest.name={board} " in text
        assert f"ifname={tap}," in text
    assert f"logfile={tmp_path / 'log'}" in first
    assert f"logfile={tmp_path / 'second/console.log'}" in second


def test_one_board_is_not_named(tmp_path: Path, lab: Lab) -> None:
    verdict = walked(
        tmp_path,
        on("host", run="before"),
        on("board", power="boot"),
        on("board", run="true"),
        on("host", run="during"),
        on("board", power="off"),
    )
    assert verdict.passed, verdict.failures
    assert outputs(verdict) == ["before 1\n", "board 0\n", "during 2\n"]
    assert "boards" not in verdict.facts
    assert not [step for step in verdict.steps if "board" in step.facts]
    assert "user,id=net" in lab.argv[0]
