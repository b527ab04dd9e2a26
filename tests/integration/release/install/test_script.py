"""install.sh itself: its linter, its exit codes, and one that was cut."""

from __future__ import annotations

import re
import subprocess

import pytest

from buildsys.errors import (
    BuildsysError,
    CheckError,
    CorruptError,
    DiskFullError,
    FetchError,
    MissingToolError,
    NotWritableError,
    SmokeError,
    UnknownNameError,
)

from ..server import Server
from .installing import MARKS, SCRIPT, Make, everything, installed, with_old

pytestmark = MARKS


def test_shellcheck() -> None:
    done = subprocess.run(["shellcheck", "-s", "sh", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("init", ["systemd", "openrc"])
def test_shellcheck_of_what_it_writes(make: Make, server: Server, init: str) -> None:
    machine = make(init=init)
    installed(machine, server)
    names = [str(machine.bin / f"k3s-{name}.sh") for name in ("killall", "rollback", "uninstall")]
    # Values of the machine: not used by each of them, and ls of names that we gave.
    argv = ["shellcheck", "-s", "sh", "-e", "SC2034,SC2012,SC2317", *names]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_exit_codes_are_those_of_the_errors() -> None:
    codes = dict(re.findall(r"(\w+)=(\d+)", SCRIPT.read_text().partition("say() {")[0]))
    errors: dict[str, type[BuildsysError]] = {
        "unknown_name": UnknownNameError,
        "fetch_failed": FetchError,
        "disk_full": DiskFullError,
        "corrupt": CorruptError,
        "wrong_machine": CheckError,
        "start_failed": SmokeError,
        "missing_tool": MissingToolError,
        "not_writable": NotWritableError,
    }
    assert {n: int(c) for n, c in codes.items()} == {n: e.exit_code for n, e in errors.items()}


def test_script_that_was_cut_runs_nothing(make: Make, server: Server) -> None:
    machine = with_old(make())
    before = everything(machine)
    text = SCRIPT.read_bytes()
    for part in range(1, 20):
        given = text[: len(text) * part // 20]
        machine.run("sh", "-s", "-", given=given, variables={"GITHUB_URL": server.url})
        assert everything(machine) == before
    assert not server.requests
