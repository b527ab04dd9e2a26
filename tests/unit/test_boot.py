"""Scenarios, what a step demands, what a guest must be, what is lacking for a boot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from buildsys.errors import BootError, MissingToolError, NotBuiltError
from buildsys.load import load_project
from buildsys.machine.console import Booted, State, Trouble
from buildsys.model import ScenarioTable, Step
from buildsys.verify import boot
from buildsys.verify.boot import FILES, Booter
from buildsys.verify.demands import demand, demand_guest
from buildsys.verify.walk import plugs

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

PROJECT = load_project(CHECKOUT)
MACHINE = PROJECT.targets["armv6"].machine
STATE = State(uptime=12.0, available=400.0, swap=0.0, rss=0.0, oom_kills=0)


def kind_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(BootError) as raised:
        call(*arguments)
    return raised.value.kind


@pytest.mark.parametrize(
    ("code", "output", "kind"),
    [
        (1, "ok", "the command failed"),
        (143, "ok", "the command failed"),
        (0, "not yet", "not as expected"),
    ],
)
def test_a_step_demands_code_and_output(code: int, output: str, kind: str) -> None:
    step = Step(name="step", run="x", expect="^ok$")
    assert kind_of(demand, step, code, output, 1, 5.0) == kind
    demand(step, 0, "first\nok", 1, 5.0)


def test_a_failure_names_what_the_kernel_said() -> None:
    step = Step(name="step", run="x")
    trouble = Trouble("out of memory", "Out of memory: Killed process 7 (k3s-server)")
    with pytest.raises(BootError, match=r"Killed process 7 \(k3s-server\)"):
        demand(step, 137, "", 1, 5.0, [trouble])


@pytest.mark.parametrize(
    ("code", "output", "kind"),
    [
        (
            1,
            'level=fatal msg="Error: failed to find cpuset cgroup (v2)"',
            "cgroup controller missing",
        ),
        (132, "", "illegal instruction"),
        (132, "Illegal instruction", "illegal instruction"),
        (127, "a\nexec format error\nb", "code for another machine"),
        (139, "Segmentation fault", "the command failed"),
    ],
)
def test_a_failure_has_the_name_of_its_cause(code: int, output: str, kind: str) -> None:
    earlier = Trouble("out of memory", "Out of memory: Killed process 7 (another)")
    step = Step(name="step", run="x")
    assert kind_of(demand, step, code, output, 1, 5.0, [earlier]) == kind


def test_words_of_trouble_in_what_went_well_are_no_failure() -> None:
    demand(Step(name="step", run="x"), 0, "Illegal instruction", 1, 5.0)


def booted(uname: str = "armv6l", features: str = "vfp", missing: tuple[str, ...] = ()) -> Booted:
    return Booted(uname, "6.12", frozenset(features.split()), (), missing, STATE)


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        (booted("armv7l"), "uname says armv7l, not armv6l"),
        (booted(features="vfp neon"), "its CPU has neon"),
        (booted(missing=("overlay",)), "modules did not load: overlay"),
    ],
)
def test_a_guest_of_another_kind_is_refused(guest: Booted, said: str) -> None:
    assert MACHINE
    demand_guest(MACHINE, booted())
    with pytest.raises(BootError, match=said) as raised:
        demand_guest(MACHINE, guest)
    assert raised.value.kind == "wrong guest"


@pytest.mark.parametrize("name", PROJECT.scenarios)
def test_scenarios_have_their_files(name: str) -> None:
    for file in PROJECT.scenarios[name].files:
        assert (FILES / file).is_file()


def scenario(*steps: dict[str, Any], **more: Any) -> ScenarioTable:
    document = {"name": "x", "summary": "a try", "memory_mib": 64, "step": steps, **more}
    return ScenarioTable.model_validate_json(json.dumps(document))


BOOT, OFF = {"name": "boot", "power": "boot"}, {"name": "off", "power": "off"}


@pytest.mark.parametrize(
    "steps",
    [
        (BOOT, {"name": "run", "run": "true"}),
        ({"name": "run", "run": "true"}, OFF),
        (BOOT, {"name": "both", "run": "true", "power": "cut"}, OFF),
        (BOOT, {"name": "none"}, OFF),
        (BOOT, {"name": "wrong", "run": "true", "expect": "("}, OFF),
        (BOOT, {"name": "nowhere", "run": "true", "on": "second"}, OFF),
        (BOOT, {"name": "power of the host", "power": "cut", "on": "host"}, OFF),
    ],
)
def test_scenarios_that_make_no_sense_are_refused(steps: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(ValidationError):
        scenario(*steps)


BOOT_2, OFF_2 = ({**step, "on": "second"} for step in (BOOT, OFF))
BOARDS = ["board", "second"]


@pytest.mark.parametrize(
    ("boards", "steps"),
    [
        (BOARDS, (BOOT, OFF)),
        (BOARDS, (BOOT, BOOT_2, OFF)),
        (["board", "board"], (BOOT, OFF)),
        (["board", "host"], (BOOT, OFF)),
        ([], (BOOT, OFF)),
    ],
)
def test_every_board_has_a_name_a_boot_and_an_end(
    boards: list[str], steps: tuple[dict[str, Any], ...]
) -> None:
    with pytest.raises(ValidationError):
        scenario(*steps, boards=boards)


def test_only_more_boards_than_one_are_on_a_wire() -> None:
    steps = (BOOT, BOOT_2, OFF, OFF_2)
    two = scenario(*steps, boards=BOARDS)
    assert two.wired
    assert {name: plug.number for name, plug in plugs(two).items()} == {"board": 1, "second": 2}
    for table in (scenario(BOOT, OFF), scenario(*steps, boards=BOARDS, network=False)):
        assert not table.wired
        assert not plugs(table)


def test_only_boards_that_get_a_new_disk_are_renewed() -> None:
    new = {"name": "new", "power": "new", "on": "second"}
    cut = {"name": "cut", "power": "cut", "on": "second"}
    table = scenario(BOOT, BOOT_2, cut, new, {**BOOT_2, "name": "again"}, OFF, OFF_2, boards=BOARDS)
    assert table.renewed == {"second"}


def test_rounds_are_numbered_and_stand_between() -> None:
    cut = {"name": "cut", "power": "cut"}
    document = {"name": "x", "summary": "a try", "memory_mib": 64, "step": [BOOT]}
    document |= {"round": [{"name": "wait", "wait": 9}, cut, BOOT], "last": [OFF]}
    table = ScenarioTable.model_validate_json(json.dumps(document))
    names = [step.name for step in table.steps(2)]
    assert names == [
        *("boot", "wait, round 1", "cut, round 1", "boot, round 1"),
        *("wait, round 2", "cut, round 2", "boot, round 2", "off"),
    ]
    fewer = table.model_copy(update={"most_rounds": 1})
    assert [step.name for step in fewer.steps(2)] == [*names[:4], "off"]


def test_servers_on_the_host_may_start_before_the_board() -> None:
    host = {"name": "host", "run": "true", "on": "host"}
    assert scenario(host, BOOT, OFF).wants_host
    assert not scenario(BOOT, OFF).wants_host


def booter(tmp_path: Path, memory: int, emulator: str) -> Booter:
    assert MACHINE
    machine = MACHINE.model_copy(update={"memory_mib": memory, "emulator": emulator})
    nowhere = tmp_path / "k3s-none"
    return Booter("armv6", machine, nowhere, nowhere, nowhere, None, None)  # type: ignore[arg-type]


def test_what_is_lacking_is_said_before_anything_is_made(tmp_path: Path) -> None:
    wants_host = scenario({"name": "host", "run": "true", "on": "host"}, BOOT, OFF)
    with pytest.raises(MissingToolError, match="qemu-system-none is not installed"):
        booter(tmp_path, 512, "none").boot(tmp_path / "k3s-armv6", scenario(BOOT, OFF))
    with pytest.raises(NotBuiltError, match="invoke build --arch none"):
        booter(tmp_path, 512, "none").boot(tmp_path / "k3s-armv6", wants_host)


def test_a_wire_that_the_host_has_not_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qemu-system-none").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(boot, "TUN", tmp_path / "tun")
    two = scenario(BOOT, BOOT_2, OFF, OFF_2, boards=BOARDS)
    with pytest.raises(MissingToolError, match="joins boards by a wire") as raised:
        booter(tmp_path, 512, "none").boot(tmp_path / "k3s-armv6", two)
    assert "chmod 666" in raised.value.action


def test_a_machine_that_is_too_small_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qemu-system-none").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    network = PROJECT.scenarios["network"]
    native = tmp_path / "k3s-native"
    native.touch()
    small = dataclasses.replace(booter(tmp_path, 512, "none"), native=native)
    with pytest.raises(MissingToolError, match=r"512 MiB, and network wants"):
        small.boot(tmp_path / "k3s-armv6", network)
