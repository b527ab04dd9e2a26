"""install.sh itself: its linter, its exit codes, and one that was cut."""

from __future__ import annotations

import re
import subprocess

import pytest

from buildsys.app import ROOT
from buildsys.errors import (
    BuildsysError,
    CheckError,
    CommandError,
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
        "command_failed": CommandError,
        "disk_full": DiskFullError,
        "corrupt": CorruptError,
        "wrong_machine": CheckError,
        "start_failed": SmokeError,
        "missing_tool": MissingToolError,
        "not_writable": NotWritableError,
    }
    assert {n: int(c) for n, c in codes.items()} == {n: e.exit_code for n, e in errors.items()}


def test_each_exit_is_in_the_table_of_the_documentation() -> None:
    text = SCRIPT.read_text()
    table = (ROOT / "docs/install.md").read_text().partition("## Exit codes")[2]
    listed = {int(n) for row in re.findall(r"^\|([ \d,]+)\|", table, re.M) for n in row.split(",")}
    scripts = text.index("# ---- the scripts beside it"), text.index("\nwrite_scripts()")
    own = text[: scripts[0]] + text[scripts[1] :]
    named = dict(re.findall(r"(\w+)=(\d+)", own.partition("say() {")[0]))
    used = set(re.findall(r"\bfail \$(\w+)", own))
    assert used == set(named)
    exits = {int(n) for n in re.findall(r"\bexit (\d+)", own)} - {0}
    mine = {int(code) for code in named.values()} | exits
    # The table has the codes of the scripts that it writes as well.
    assert mine <= listed <= mine | {int(n) for n in re.findall(r"\bexit (\d+)", text)}
    # No other way out: whatever else is handed on was explained, or is a signal's.
    assert set(re.findall(r'\bexit ("?\$\w+"?)', own)) == {'"$1"'}


def test_script_that_was_cut_runs_nothing(make: Make, server: Server) -> None:
    machine = with_old(make())
    before = everything(machine)
    text = SCRIPT.read_bytes()
    for part in range(1, 20):
        given = text[: len(text) * part // 20]
        machine.run("sh", "-s", "-", given=given, variables={"GITHUB_URL": server.url})
        assert everything(machine) == before
    assert not server.requests
