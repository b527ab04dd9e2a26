"""Boards boot, run steps and end; each control that must fail does so by its own name.

In k3s's place lies busybox: what is tried here is the machine, the guest and the driver.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.load import load_project
from buildsys.machine import root
from buildsys.machine.driver import Running
from buildsys.model import ScenarioTable
from buildsys.verify.boot import Booter
from buildsys.verify.verbs import booter_of
from buildsys.verify.verdict import Verdict

pytestmark = [pytest.mark.boot, pytest.mark.slow]

STEPS: list[dict[str, Any]] = [
    {"name": "boot", "power": "boot", "within": 120},
    {"name": "network", "run": "wired && ip address show", "expect": "inet 10\\.0\\.2\\.15/24"},
    {"name": "clock", "run": "date +%Y", "expect": "^20[2-9][0-9]$"},
    {"name": "off", "power": "off", "within": 60},
]


@pytest.fixture(scope="session")
def app() -> App:
    return App(Settings())


USUAL = ["armv6", "amd64"]
OTHERS = sorted(load_project(ROOT).targets.keys() - {*USUAL})


@pytest.fixture(params=USUAL)
def booter(app: App, request: pytest.FixtureRequest) -> Booter:
    plan = app.plan([request.param], ["busybox"])
    assert not [one.error for one in app.build(plan).outcomes.values() if one.error]
    return booter_of(app, app.project.targets[request.param])


only_armv6 = pytest.mark.parametrize("booter", ["armv6"], indirect=True)

Boot = Callable[..., Verdict]


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Boots a board with these steps; its verdict."""

    def run(booter: Booter, steps: list[dict[str, Any]] = STEPS, **more: Any) -> Verdict:
        executable = tmp_path / f"k3s-{booter.target}"
        shutil.copy(booter.busybox, executable)
        document = {"name": "guest", "summary": "a guest", "memory_mib": 64, "step": steps, **more}
        scenario = ScenarioTable.model_validate_json(json.dumps(document))
        return booter.boot(executable, scenario)

    return run


def test_a_board_boots_answers_and_ends(booter: Booter, boot: Boot) -> None:
    verdict = boot(booter)
    assert verdict.passed, verdict.failures
    assert "@guest" in verdict.log.read_text("utf-8", "replace")
    beats = verdict.facts["boots"][0]
    assert beats[-1]["uptime"] > 1
    assert beats[-1]["available"] > 100


@pytest.mark.parametrize("booter", OTHERS, indirect=True)
def test_a_board_of_every_other_target_boots(booter: Booter, boot: Boot) -> None:
    """It counts instructions for time, so that a busy host makes it slow and not sick."""
    disk = {"name": "disk", "run": "grep ' / ' /proc/mounts", "expect": " / ext4 rw"}
    verdict = boot(booter, [*STEPS[:-1], disk, STEPS[-1]], steady=True)
    assert verdict.passed, verdict.failures


def test_a_disk_outlives_a_power_cut(booter: Booter, boot: Boot) -> None:
    steps = [
        *STEPS[:1],
        {"name": "write", "run": "echo kept >/kept && sync"},
        {"name": "cut", "power": "cut"},
        {"name": "boot again", "power": "boot", "within": 120},
        {"name": "read", "run": "cat /kept", "expect": "^kept$"},
        *STEPS[-1:],
    ]
    verdict = boot(booter, steps)
    assert verdict.passed, verdict.failures


def ping(board: str, number: int) -> dict[str, Any]:
    run = f"ping -c 1 -W 5 10.8.0.{number}"
    return {"name": f"{board} pings {number}", "on": board, "run": run, "expect": "1 packets rec"}


def on_both(**step: Any) -> list[dict[str, Any]]:
    """The step on each board; {} in what it has is the board's number."""
    return [
        {key: text.format(n) if isinstance(text, str) else text for key, text in step.items()}
        | {"on": board}
        for n, board in enumerate(("board", "second"), 1)
    ]


def test_boards_and_the_host_are_on_one_wire(booter: Booter, boot: Boot) -> None:
    steps = [
        *on_both(**STEPS[0]),
        *on_both(name="plug", run="plugged {} && ip address show", expect="inet 10.8.0.{}/24"),
        {"name": "name", "on": "second", "run": "hostname", "expect": "^second$"},
        ping("board", 2),
        ping("board", 254),
        ping("second", 1),
        {"name": "from outside", "on": "host", "run": "ping -c 1 -W 5 10.8.0.2", "expect": " 0% "},
        {"name": "cut", "power": "cut", "on": "second"},
        {"name": "the other stays", "run": "hostname", "expect": "^board$"},
        {"name": "the host is no worse", "on": "host", "run": "sleep 1"},
        {"name": "boot again", "power": "boot", "on": "second", "within": 120},
        {"name": "plug again", "run": "plugged 2", "on": "second"},
        ping("second", 1),
        *on_both(**STEPS[-1]),
    ]
    with_host = dataclasses.replace(booter, native=booter.busybox)
    verdict = boot(with_host, steps, boards=["board", "second"])
    assert verdict.passed, verdict.failures
    assert verdict.facts["boards"] == ["board", "second", "second"]
    assert all(verdict.facts["boots"])


def failure(verdict: Verdict) -> str:
    assert not verdict.passed
    return verdict.failures[0].detail


@only_armv6
def test_control_another_cpu(booter: Booter, boot: Boot) -> None:
    """QEMU's raspi0 takes `-cpu cortex-a7` without a word: whatever it makes of it, we must see."""
    machine = booter.machine.model_copy(update={"cpu": "cortex-a7"})
    steps = [STEPS[0], {"name": "cpu", "run": "grep part /proc/cpuinfo"}, STEPS[-1]]
    verdict = boot(dataclasses.replace(booter, machine=machine), steps)
    if verdict.passed:
        assert "0xb76" in verdict.steps[1].facts["output"], "not an ARM1176"
    else:
        assert failure(verdict).startswith("wrong guest")


@pytest.mark.parametrize("booter", ["amd64"], indirect=True)
def test_control_another_machine(app: App, booter: Booter, boot: Boot) -> None:
    board = app.project.targets["armv6"].machine
    assert board
    machine = booter.machine.model_copy(update={"uname": board.uname})
    text = failure(boot(dataclasses.replace(booter, machine=machine)))
    assert text.startswith("wrong guest")
    assert "uname says x86_64, not armv6l" in text


@only_armv6
def test_control_no_sentinel(
    booter: Booter, boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that is gone without its last word, as after a panic, has not ended well."""
    shutil.copytree(root.GUEST, tmp_path / "guest")
    agent = tmp_path / "guest/agent"
    text = agent.read_text()
    assert text.count('say "\\"end\\"') == 1
    agent.write_text(text.replace('say "\\"end\\"', ': "\\"end\\"'))
    monkeypatch.setattr(root, "GUEST", tmp_path / "guest")
    assert failure(boot(booter)).startswith("the emulator ended")


@only_armv6
def test_control_code_of_a_newer_cpu(app: App, booter: Booter, boot: Boot, tmp_path: Path) -> None:
    """A program for cortex-a7 dies in the guest as on the board."""
    source = tmp_path / "newer.c"
    # A division by what the compiler does not know: sdiv on cortex-a7.
    source.write_text("int main(int n, char **a) { return a[0] ? 1000 / n - 1000 : n; }\n")
    made = []
    for mcpu in ("arm1176jzf_s", "cortex_a7"):
        flags = ["-target", "arm-linux-musleabihf", f"-mcpu={mcpu}", "-O2", "-static"]
        argv = [
            str(app.toolchain.zig / "zig"),
            "cc",
            *flags,
            str(source),
            "-o",
            str(tmp_path / mcpu),
        ]
        env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(app.cache.zig)}
        subprocess.run(argv, check=True, env=env)
        made.append((tmp_path / mcpu).read_bytes())
    steps = [
        *STEPS[:1],
        {"name": "own code", "run": "/scenario/own"},
        {"name": "newer code", "run": "/scenario/newer"},
        *STEPS[-1:],
    ]
    files = {"scenario/own": made[0], "scenario/newer": made[1]}
    with_files = dataclasses.replace(booter, extra=files)
    verdict = boot(with_files, steps)
    assert [step.passed for step in verdict.steps] == [True, True, False]
    assert failure(verdict).startswith("illegal instruction")


@only_armv6
def test_a_killed_emulator_is_named(
    booter: Booter, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Running.boot

    def dying(self: Running, within: float) -> Any:
        booted = original(self, within)
        threading.Timer(1, os.killpg, (self.process.pid, signal.SIGKILL)).start()
        return booted

    monkeypatch.setattr(Running, "boot", dying)
    steps = [*STEPS[:1], {"name": "sleep", "run": "sleep 60", "within": 90}, *STEPS[-1:]]
    assert "QEMU ended with status" in failure(boot(booter, steps))


@only_armv6
def test_a_step_that_takes_too_long_is_named(booter: Booter, boot: Boot) -> None:
    steps = [*STEPS[:1], {"name": "slow", "run": "sleep 600", "within": 2}, *STEPS[-1:]]
    text = failure(boot(booter, steps))
    assert "in step 'slow'" in text
    assert "its time ran out" in text
