"""The targets of this repository, judged together: what no single table can say of itself."""

from __future__ import annotations

from typing import get_args

import pytest

from buildsys.load import load_project
from buildsys.model import Target
from buildsys.model.target import Cpu
from buildsys.plan import elf_part

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

TARGETS = load_project(CHECKOUT).targets

# GOARCH → the ELF header's machine, bits and byte order (debug/elf and cmd/link of Go), and the
# first word of zig's triple.
MACHINES = {
    "386": ("386", 32, "little", "x86"),
    "amd64": ("x86_64", 64, "little", "x86_64"),
    "arm": ("arm", 32, "little", "arm"),
    "arm64": ("aarch64", 64, "little", "aarch64"),
    "ppc64le": ("ppc64", 64, "little", "powerpc64le"),
    "riscv64": ("riscv", 64, "little", "riscv64"),
    "s390x": ("s390", 64, "big", "s390x"),
}

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def test_each_cpu_that_the_launcher_can_name_has_a_target() -> None:
    assert {target.executable.cpu for target in TARGETS.values()} == set(get_args(Cpu))
    assert all(name == target.executable.cpu for name, target in TARGETS.items())


@every_target
def test_compilers_bounds_and_names_are_of_one_machine(target: Target) -> None:
    word = target.c.triple.split("-")[0]
    bounds = (target.elf.machine, target.elf.bits, target.elf.endian, word)
    assert bounds == MACHINES[target.go["GOARCH"]]
    assert "-linux-musl" in target.c.triple


@every_target
def test_what_go_is_told_is_what_the_audit_demands(target: Target) -> None:
    assert target.elf.go == target.go


@every_target
def test_the_emulator_is_proven_by_code_that_dies(target: Target) -> None:
    assert target.control is not None
    assert target.control.mcpu != target.c.mcpu


@every_target
def test_the_board_is_released_to_whom_it_was_booted_as(target: Target) -> None:
    assert target.machine and target.release
    assert target.machine.uname in target.release.uname
    assert target.machine.kernel.release in target.machine.kernel.image


def test_a_bound_that_came_later_changes_no_older_key() -> None:
    assert "riscv_isa" not in elf_part(TARGETS["armv6"].elf)
    assert elf_part(TARGETS["riscv64"].elf)["riscv_isa"] == "rv64gc"
