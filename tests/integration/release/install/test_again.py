"""Run again: what the service was told before holds, one by one."""

from __future__ import annotations

import pytest

from buildsys.errors import UnknownNameError

from ..machine import Machine
from ..server import Server
from .installing import MARKS, Make, install, installed, refused
from .test_options import started

pytestmark = MARKS

AGENT = {"K3S_URL": "https://10.0.0.1:6443", "K3S_TOKEN": "secret"}
UNITS = "etc/systemd/system"


def told(machine: Machine, service: str = "k3s-agent") -> dict[str, str]:
    """What the environment file says to a shell."""
    path = f"/{UNITS}/{service}.service.env"
    done = machine.run("sh", "-c", f"set -a; . {path}; env -0", variables={"X": "1"})
    pairs = (line.partition("=") for line in done.stdout.split("\0") if line)
    system = ("PATH", "HOME", "X", "PWD", "OLDPWD", "SHLVL", "_")
    return {name: value for name, _, value in pairs if name not in system}


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_variables_are_kept_one_by_one(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    kept = {"CONTAINERD_HTTPS_PROXY": "http://c:1", "no_proxy": "10.0.0.0/8"}
    installed(machine, server, "agent", **AGENT, **kept)
    path = machine.root / UNITS / "k3s-agent.service.env"
    path.write_text("# by hand\nexport MINE='two\nlines'\n" + path.read_text())
    installed(machine, server, "agent", https_proxy="http://p:3128")
    mine = {"MINE": "two\nlines"}
    assert told(machine) == {**AGENT, **kept, **mine, "https_proxy": "http://p:3128"}
    installed(machine, server, "agent", K3S_TOKEN="new", no_proxy="")
    del kept["no_proxy"]
    expected = {**AGENT, **kept, **mine, "https_proxy": "http://p:3128", "K3S_TOKEN": "new"}
    assert told(machine) == expected
    assert path.read_text().startswith("# by hand\n")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_values_of_many_lines_are_read_exactly(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    lines = "first\nK3S_DEBUG=true\nexport K3S_X='y'\n"
    installed(machine, server, PEM=lines, K3S_TOKEN=lines + '"\\$x`')
    assert told(machine, "k3s") == {"K3S_TOKEN": lines + '"\\$x`'}


def test_value_that_no_file_can_hold_is_refused_by_name(make: Make, server: Server) -> None:
    done = install(make("dash+curl"), server, K3S_TOKEN="a\x1bb")
    refused(done, UnknownNameError, "the value of K3S_TOKEN cannot be given to a service")


@pytest.mark.parametrize("init", ["systemd", "openrc"])
def test_agent_stays_an_agent(make: Make, server: Server, init: str) -> None:
    machine = make("dash+curl", init=init)
    flags = ["--node-label=a b", "", "--x"]
    installed(machine, server, "agent", *flags, **AGENT)
    start = machine.read("etc/rancher/k3s/k3s-agent.start")
    done = installed(machine, server)
    assert "nothing changed: k3s-agent is not restarted" in done.stdout
    assert start.splitlines()[-1] == "set -- 'agent' '--node-label=a b' '' '--x' "
    assert machine.read("etc/rancher/k3s/k3s-agent.start") == start
    assert not list(machine.root.glob("etc/*/*/k3s.service"))
    # Flags without a command are the new ones of the service that is here.
    installed(machine, server, "--debug")
    assert "'agent' '--debug'" in machine.read("etc/rancher/k3s/k3s-agent.start")
    assert not (machine.root / "etc/rancher/k3s/k3s.start").exists()


def test_start_says_where_everything_is(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    installed(machine, server, "server", "--data-dir", "/mnt/my k3s", "a\nb")
    path = machine.root / "etc/rancher/k3s/k3s.start"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == (
        "environment='/etc/systemd/system/k3s.service.env' \n"
        "recorded_data_dir='/mnt/my k3s' \n"
        "set -- 'server' '--data-dir' '/mnt/my k3s' 'a\nb' \n"
    )


def test_two_services_are_asked_about(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    installed(machine, server, "server", "--x")
    done = installed(machine, server, "agent", **AGENT)
    assert "k3s-agent comes beside what is installed here: k3s" in done.stderr
    refused(install(machine, server), UnknownNameError, "several services: k3s-agent k3s")
    installed(machine, server, INSTALL_K3S_NAME="k3s")
    assert started(machine) in (
        '"/usr/local/bin/k3s" "server" "--x"',
        '"/usr/local/bin/k3s" "agent"',
    )
    assert "'--x'" in machine.read("etc/rancher/k3s/k3s.start")


def test_service_of_another_script_is_not_guessed(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    (machine.root / UNITS / "k3s-agent.service").write_text("[Service]\nExecStart=k3s agent --x\n")
    refused(install(machine, server), UnknownNameError, "nobody knows what k3s-agent is started")


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_empty_arguments_and_line_breaks_stay(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    words = "server --flannel-iface '' \"two\nlines\" --disable traefik"
    installed(machine, server, "", "last\n", INSTALL_K3S_EXEC=words)
    assert started(machine) == (
        '"/usr/local/bin/k3s" "server" "--flannel-iface" "" "two\\nlines" "--disable" "traefik"'
        ' "" "last\\n"'
    )


def test_start_that_failed_is_tried_again(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    works = (machine.root / "fake/systemctl").read_text()
    machine.fake("systemctl", '#!/bin/sh\n[ "$1" != restart ]\n')
    assert install(machine, server).returncode == 22
    machine.fake("systemctl", works)
    installed(machine, server)
    assert machine.calls[-1] == "systemctl restart k3s"
    assert not (machine.root / "etc/rancher/k3s/k3s.due").exists()
