"""metrics-server: says its version, and refuses a kubeconfig that is wrong."""

from __future__ import annotations

import pytest

from .conftest import GetImage

pytestmark = [pytest.mark.slow, pytest.mark.built]
"""It compiles for minutes, unless that was done before."""

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""

# As k3s's manifest runs it.
USER = "1000:0"
ARGUMENTS = ("--cert-dir=/tmp", "--secure-port=10250", "--metric-resolution=15s")


def kubeconfigs(path: str) -> list[str]:
    """All options that name a kubeconfig."""
    kinds = ("", "authentication-", "authorization-")
    return [f"--{kind}kubeconfig={path}" for kind in kinds]


def test_says_its_version(image: GetImage) -> None:
    server = image("metrics-server")
    done = server.run(*server.command("--version"), user=USER)
    assert (done.code, done.out) == (0, "v0.7.2\n")


def test_refuses_a_kubeconfig_that_is_not_there(image: GetImage) -> None:
    server = image("metrics-server")
    argv = server.command(*kubeconfigs("/nowhere"), *ARGUMENTS)
    done = server.run(*argv, user=USER, net="own")
    assert done.code != 0
    assert "/nowhere: no such file or directory" in done.err


def test_refuses_an_api_that_does_not_answer(image: GetImage) -> None:
    server = image("metrics-server")
    (server.root / "kubeconfig").write_text(KUBECONFIG)
    argv = server.command(*kubeconfigs("/kubeconfig"), *ARGUMENTS)
    done = server.run(*argv, user=USER, net="own")
    assert done.code != 0
    assert "127.0.0.1:1: connect: connection refused" in done.err
