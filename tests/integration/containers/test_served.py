"""Our image as people run rancher/k3s: a server on linux/arm/v6, with the executable built."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from buildsys.app import App
from buildsys.docker import daemon
from buildsys.docker.verbs import maker_of
from buildsys.verify.smoke import READY_SECONDS

from .conftest import Docker, started

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NAME = "served"


@pytest.fixture
def server(
    app: App, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Docker]:
    """A daemon with a server in a container of that name."""
    executable = app.artifacts / "k3s-armv6"
    if not executable.is_file():
        pytest.skip("artifacts/k3s-armv6 is not built")
    folder = tmp_path_factory.mktemp("made")
    shutil.copy(executable, folder)
    shutil.copy(executable.with_name("k3s-armv6.json"), folder)
    made = replace(maker_of(app), artifacts=folder).make(app.targets(["armv6"]))
    with started(tmp_path_factory.mktemp("bridged"), bridge=True) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.host)
        name, *_ = daemon.load(daemon.connect(), made, 0)
        registered = docker.invoke("binfmt", "--arch=armv6")
        assert registered.returncode == 0, registered.stderr
        options = ("--detach", f"--name={NAME}", "--privileged", "--platform=linux/arm/v6")
        # Its agent would want a kernel of its own: none runs under qemu-user.
        docker("run", *options, name, "server", "--disable-agent")
        yield docker


def test_server_is_ready_on_an_arm1176(server: Docker) -> None:
    inside = ("exec", NAME)
    begin = time.monotonic()
    while (asked := server.run(*inside, "kubectl", "get", "--raw=/readyz")).stdout != "ok":
        assert time.monotonic() - begin < READY_SECONDS["emulated"], asked.stderr
        assert server("container", "inspect", "--format={{.State.Running}}", NAME) == "true\n", (
            server.run("logs", "--tail=20", NAME).stderr
        )
        time.sleep(1)
    print(f"ready after {time.monotonic() - begin:.0f} s")
    assert server(*inside, "uname", "-m") == "armv6l\n"
    version = json.loads(server(*inside, "kubectl", "version", "--output=json"))
    assert version["serverVersion"]["platform"] == "linux/arm"
    assert "kube-system" in server(*inside, "kubectl", "get", "namespaces")
    state = json.loads(server.invoke("binfmt", "--arch=armv6", "--json").stdout)["targets"]
    assert [(one["runs"], one["cpu"]) for one in state] == [("ours", "arm1176")]
