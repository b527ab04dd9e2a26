"""How our conntrack fails: the kernel's refusals and wrong command lines, also on an ARMv6 CPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from buildsys.app import App, Settings
from buildsys.emulator import find_emulator

from .conntrack_lab import TITLE, Done, Lab, lab, program

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seen() -> Iterator[Lab]:
    with lab(program("amd64")) as made:
        yield made


def test_without_the_capability(seen: Lab) -> None:
    drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    said = "Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this"
    for arguments in (["-L"], ["-C"], ["-F"], ["-S"], ["-D", "-s", "10.77.0.1"], ["-E"]):
        done = seen.near.run(*drop, seen.program, *arguments)
        assert done == Done(1, "", f"{TITLE}: {said}\n"), arguments
    assert "4001" in seen.flows()


def test_a_full_disk(seen: Lab) -> None:
    done = seen.near.run("sh", "-c", f"{seen.program} -L > /dev/full")
    assert done.code == 1 and "no space left on device" in done.err


WRONG = [
    ("-L -F", "Invalid commands combination"),
    ("--nothing", "unknown option `--nothing'"),
    ("-L -s", "option `-s' requires an argument"),
    ("-C -s 10.0.0.1", "Illegal option `--src' with this command"),
    ("-L --dport 53", "unknown option `--dport'"),
    ("-D -p none", "`none' unsupported protocol"),
    ("-D -s 10.0.0.1 -d fd00::1", "mismatched address family"),
    ("-D -m x", "`x' is no number that `--mark' takes"),
    ("-I -p tcp", "`--create' is not in this program, which lists, counts, deletes and watches"),
    ("-L expect", "the table `expect' is not in this program"),
    ("-L -o xml", "the output `xml' is not in this program"),
]


@pytest.mark.parametrize("target", ["amd64", "armv6"])
def test_wrong_command_lines(target: str) -> None:
    for options, said in WRONG:
        done = alone(target, *options.split())
        more = "Try `conntrack -h' or 'conntrack --help' for more information.\n"
        assert done == Done(2, "", f"{TITLE}: {said}\n{more}"), options


@pytest.mark.parametrize("target", ["amd64", "armv6"])
def test_version_and_help(target: str) -> None:
    version = alone(target, "--version")
    assert (version.code, version.err) == (0, "")
    assert re.fullmatch(rf"{re.escape(TITLE)}\n.*netlink v1\.3\.1; not conn.*\n", version.out)
    texts = {alone(target, *arguments).out for arguments in (["-h"], ["--help"], [])}
    assert len(texts) == 1 and "--orig-src" in texts.pop()


def test_an_emulator_without_netfilter_sockets() -> None:
    """qemu-user refuses them: the socket's error is told, nothing hangs."""
    done = alone("armv6", "-L")
    assert (done.code, done.out) == (1, "")
    assert re.match(rf"{re.escape(TITLE)}: Operation failed: protocol not supported; ", done.err)


def alone(target: str, *arguments: str) -> Done:
    """Run the program on its target's CPU, outside of any lab."""
    path = program(target)
    if target == "armv6":
        if not shutil.which("qemu-arm-static"):
            pytest.skip("qemu-arm-static is not installed: `invoke setup`")
        emulator = find_emulator(App(Settings()).project.targets[target])
        argv = emulator.wrap([path.name], path.parent)
    else:
        argv = [str(path)]
    done = subprocess.run([*argv, *arguments], capture_output=True, text=True, timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)
