"""Which executable install.sh chooses for a machine, and what it refuses."""

from __future__ import annotations

import os

import pytest

from buildsys.errors import CheckError

from ..flat import MACHINES, NEXT, Published, program, version
from ..server import Server
from .installing import ARM11, MARKS, Make, everything, install, installed, refused, with_old

pytestmark = MARKS

CORTEX_A = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt"


@pytest.mark.parametrize(
    ("name", "bits", "features", "target"),
    [
        ("armv6l", 32, ARM11, "armv6"),
        ("armv7l", 32, CORTEX_A, "armv7"),
        ("armv7l", 32, ARM11, "armv6"),
        ("armv8l", 32, "", "armv7"),
        ("aarch64", 64, "fp asimd", "arm64"),
        ("aarch64", 32, "fp asimd", "armv7"),
        ("x86_64", 64, "", "amd64"),
        ("x86_64", 32, "", "386"),
        ("i686", 32, "", "386"),
        ("riscv64", 64, "", "riscv64"),
    ],
)
@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_what_runs_there_is_installed(
    make: Make, server: Server, tools: str, name: str, bits: int, features: str, target: str
) -> None:
    machine = make(tools)
    machine.is_a(name, bits, features)
    installed(machine, server)
    assert machine.k3s.read_bytes() == program(target, version(target))
    assert os.access(machine.k3s, os.X_OK)


@pytest.mark.parametrize(
    ("name", "bits", "there", "target"),
    [
        ("armv7l", 32, ("armv6", "amd64"), "armv6"),
        ("aarch64", 32, ("armv6", "arm64"), "armv6"),
        ("aarch64", 32, ("arm64",), "arm64"),
        ("x86_64", 32, ("amd64",), "amd64"),
    ],
)
def test_next_best_of_a_release_with_fewer_targets(
    make: Make,
    public: Published,
    server: Server,
    name: str,
    bits: int,
    there: tuple[str, ...],
    target: str,
) -> None:
    public.release(NEXT, *there)
    machine = make()
    machine.is_a(name, bits, CORTEX_A if name == "armv7l" else "")
    installed(machine, server)
    assert machine.k3s.read_bytes() == program(target, version(target, NEXT))


@pytest.mark.parametrize(
    ("name", "features", "there"),
    [
        ("armv5tel", "swp half thumb fastmult edsp", tuple(MACHINES)),
        ("armv6l", "swp half thumb fastmult edsp java", tuple(MACHINES)),
        ("armv6l", ARM11, ("armv7", "amd64")),
        ("aarch64", "fp asimd", ("armv6", "armv7")),
        ("mips", "", tuple(MACHINES)),
    ],
)
def test_what_would_die_is_refused(
    make: Make,
    public: Published,
    server: Server,
    name: str,
    features: str,
    there: tuple[str, ...],
) -> None:
    public.release(NEXT, *there)
    machine = with_old(make())
    machine.is_a(name, 64 if name == "aarch64" else 32, features)
    before = everything(machine)
    done = install(machine, server)
    refused(done, CheckError, f"no k3s of {NEXT} runs on this machine: {name}", there[0])
    assert everything(machine) == before


def test_userland_is_told_by_its_programs_where_nothing_else_tells(
    make: Make, server: Server
) -> None:
    """busybox has no getconf: od reads its own header. Here it is told of another one."""
    machine = make()
    machine.is_a("aarch64", 64, "fp asimd")
    (machine.root / "fake/getconf").unlink()
    installed(machine, server)
    assert machine.k3s.read_bytes() == program("arm64", version("arm64"))
    real = 'exec /bin/busybox od "$@"'
    machine.fake("od", f'#!/bin/sh\ncase "$*" in */proc/self/exe) echo 1 ;; *) {real} ;; esac\n')
    installed(machine, server)
    assert machine.k3s.read_bytes() == program("armv7", version("armv7"))
