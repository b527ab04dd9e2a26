"""The variables and arguments of upstream's install.sh, as ours takes them."""

from __future__ import annotations

import os
import re

import pytest

from buildsys.errors import FetchError, MissingToolError, SmokeError

from ..flat import NEXT, TAG, Published, program, version
from ..machine import Machine
from ..server import Answer, Server
from .installing import MARKS, OLD, RIGHT, TOOLSETS, Make, install, installed, refused, with_old

pytestmark = MARKS


def started(machine: Machine) -> str:
    """The command line of the service."""
    unit = next((machine.root / "etc/systemd/system").glob("*.service")).read_text()
    found = re.search("^ExecStart=(.*)$", unit, re.M)
    assert found, unit
    return found[1]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("--disable=traefik", ()),
        ("server --disable=traefik", ()),
        ("server", ("--disable=traefik",)),
        ("", ("server", "--disable=traefik")),
        ("", ("--disable=traefik",)),
    ],
)
def test_command_as_upstream_puts_it_together(
    make: Make, server: Server, words: str, arguments: tuple[str, ...]
) -> None:
    machine = make()
    installed(machine, server, *arguments, INSTALL_K3S_EXEC=words)
    assert started(machine) == '"/usr/local/bin/k3s" "server" "--disable=traefik"'


ODD = ["server", "--node-label=a b", "--x=it's", '--y="q"', "--z=50%$HOME\\n"]


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_arguments_reach_systemd_as_they_are(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    installed(machine, server, *ODD, INSTALL_K3S_EXEC="--first='one word'")
    # With a flag first the command is the default one, and what follows are its arguments.
    words = ["/usr/local/bin/k3s", "server", "--first=one word", *ODD]
    # As systemd.service(5) takes them: C escapes in quotes, %% and $$ are themselves.
    escaped = [w.replace("\\", "\\\\").replace('"', '\\"') for w in words]
    doubled = [w.replace("%", "%%").replace("$", "$$") for w in escaped]
    assert started(machine) == " ".join(f'"{word}"' for word in doubled)


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_openrc(make: Make, server: Server, tools: str) -> None:
    machine = make(tools, init="openrc")
    installed(machine, server, *ODD, K3S_TOKEN='it\'s "$HOME"')
    assert machine.calls == ["rc-update add k3s default", "rc-service k3s restart"]
    # Split, globbed, then evaluated, as openrc-run does (test_openrc.py has the real one).
    reading = (
        '. /etc/init.d/k3s; eval set -- $command $command_args; printf "%s|" "$@" "$K3S_TOKEN"'
    )
    done = machine.run("sh", "-c", reading)
    assert done.stdout == "|".join(["/usr/local/bin/k3s", *ODD, 'it\'s "$HOME"', ""]), done.stderr
    assert os.access(machine.root / "etc/init.d/k3s", os.X_OK)


def test_agent_and_its_environment(make: Make, server: Server) -> None:
    machine = make()
    given = {"K3S_URL": "https://10.0.0.1:6443", "K3S_TOKEN": 'a"$`\\', "https_proxy": "http://p"}
    installed(machine, server, **given, no_proxy="*", OTHER="x")
    path = machine.root / "etc/systemd/system/k3s-agent.service.env"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    assert lines[0] == 'K3S_TOKEN="a\\"\\$\\`\\\\"'
    assert {line.partition("=")[0] for line in lines} == {*given, "no_proxy"}
    assert started(machine) == '"/usr/local/bin/k3s" "agent"'
    assert machine.calls[-1] == "systemctl restart k3s-agent"


@pytest.mark.parametrize(
    ("variables", "calls"),
    [
        ({"INSTALL_K3S_SKIP_ENABLE": "true"}, []),
        ({"INSTALL_K3S_SKIP_START": "true"}, ["systemctl daemon-reload", "systemctl enable k3s"]),
        (
            {"INSTALL_K3S_NAME": "lab", "INSTALL_K3S_TYPE": "exec"},
            [
                "systemctl daemon-reload",
                "systemctl enable k3s-lab",
                "systemctl restart k3s-lab",
            ],
        ),
    ],
)
def test_service(make: Make, server: Server, variables: dict[str, str], calls: list[str]) -> None:
    machine = make()
    installed(machine, server, **variables)
    assert machine.calls == calls
    name = f"k3s{'-lab' if 'INSTALL_K3S_NAME' in variables else ''}.service"
    kind = variables.get("INSTALL_K3S_TYPE", "notify")
    assert f"\nType={kind}\n" in machine.read(f"etc/systemd/system/{name}")


def test_folders(make: Make, server: Server) -> None:
    machine = make()
    folders = {"INSTALL_K3S_BIN_DIR": "/opt/k3s bin", "INSTALL_K3S_SYSTEMD_DIR": "/opt/units"}
    installed(machine, server, **folders)
    names = {path.name for path in (machine.root / "opt/k3s bin").iterdir()}
    links = {"kubectl", "crictl", "ctr"}
    scripts = {f"k3s-{name}.sh" for name in ("killall", "rollback", "uninstall")}
    assert names == {"k3s"} | links | scripts
    assert (machine.root / "opt/units/k3s.service").is_file()
    assert list((machine.root / "etc/systemd/system").iterdir()) == []
    assert list(machine.bin.iterdir()) == []
    done = machine.run("/opt/k3s bin/k3s-uninstall.sh")
    assert list((machine.root / "opt/k3s bin").iterdir()) == [], done.stderr


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("", {"kubectl": "k3s", "crictl": "mine"}),
        ("skip", {"crictl": "mine"}),
        ("force", {"kubectl": "k3s", "crictl": "k3s", "ctr": "k3s"}),
    ],
)
def test_links(make: Make, server: Server, wish: str, expected: dict[str, str]) -> None:
    """Where it says nothing, what is there already, in the folder or on PATH, stays."""
    machine = make()
    (machine.bin / "crictl").symlink_to("mine")
    machine.fake("ctr", "#!/bin/sh\n")
    installed(machine, server, INSTALL_K3S_SYMLINK=wish)
    found = {path.name: str(path.readlink()) for path in machine.bin.iterdir() if path.is_symlink()}
    assert found == expected


@pytest.mark.parametrize("variable", ["SKIP_DOWNLOAD", "BIN_DIR_READ_ONLY"])
def test_executable_that_is_there_is_taken(make: Make, server: Server, variable: str) -> None:
    machine = make(disk="ro" if variable == "BIN_DIR_READ_ONLY" else "")
    wish = {f"INSTALL_K3S_{variable}": "true"}
    refused(install(machine, server, **wish), FetchError, "there is no /usr/local/bin/k3s")
    with_old(machine)
    installed(machine, server, **wish)
    assert machine.k3s.read_bytes() == OLD
    assert not server.requests
    assert machine.calls[-1] == "systemctl restart k3s"


@pytest.mark.parametrize("tools", TOOLSETS)
def test_place_and_channel_as_upstream_says_them(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    away = Answer(302, b"", {"Location": f"/download/{TAG.text.replace('+', '%2B')}"})
    server.faults.plan("GET", "/channels/stable", away)
    server.faults.plan("GET", f"/download/{TAG}", Answer(200, b"a page"))
    variables = {
        "INSTALL_K3S_ARTIFACT_URL": f"{server.url}/download",
        "INSTALL_K3S_CHANNEL_URL": f"{server.url}/channels",
    }
    done = install(machine, None, **variables)
    assert done.returncode == 0, done.stderr
    assert machine.k3s.read_bytes() == RIGHT


def test_version_that_is_said(make: Make, public: Published, server: Server) -> None:
    public.release(NEXT)
    machine = make()
    installed(machine, server, INSTALL_K3S_VERSION=TAG.text)
    assert machine.k3s.read_bytes() == RIGHT
    installed(machine, server, INSTALL_K3S_CHANNEL="latest")
    assert machine.k3s.read_bytes() == program("amd64", version("amd64", NEXT))


def test_service_that_does_not_start_names_the_way_back(make: Make, server: Server) -> None:
    machine = with_old(make())
    machine.fake("systemctl", '#!/bin/sh\n[ "$1" != restart ]\n')
    refused(install(machine, server), SmokeError, "k3s did not start", "k3s-rollback.sh")
    assert (machine.bin / "k3s-previous").read_bytes() == OLD


def test_neither_systemd_nor_openrc(make: Make, server: Server) -> None:
    machine = make()
    (machine.root / "fake/systemctl").unlink()
    (machine.root / "run/systemd/system").rmdir()
    refused(install(machine, server), MissingToolError, "neither systemd nor OpenRC")
