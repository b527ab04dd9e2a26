"""Empty files that a power loss left of a first start are removed; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Call

pytestmark = pytest.mark.integration

OF_SERVER = [
    "server/tls/client-ca.crt",
    "server/tls/client-ca.key",
    "server/tls/client-ca.nochain.crt",
    "server/tls/service.key",
    "server/tls/dynamic-cert.json",
    "server/tls/etcd/peer-ca.key",
    "server/tls/etcd/server-client.crt",
    "server/tls/kube-controller-manager/kube-controller-manager.crt",
    "server/tls/kube-scheduler/kube-scheduler.key",
    "server/tls/temporary-certs/apiserver-loopback-client__.crt",
    "server/cred/admin.kubeconfig",
    "server/cred/ipsec.psk",
    "server/cred/passwd",
    "server/cred/encryption-config.json",
    "server/cred/encryption-state.json",
    "server/token",
    "server/agent-token",
]
OF_AGENT = [
    "agent/client-kubelet.key",
    "agent/serving-kubelet.crt",
    "agent/kubelet.kubeconfig",
    "agent/etc/rancher/node/password",
    "agent/etc/rancher/node/id",
]
NEVER = [
    "server/tls/dynamic-cert-regenerate",
    "server/tls/.hidden.crt",
    "server/tls/client-ca.pem",
    "server/tls/deeper/client-ca.crt",
    "server/cred/notes",
    "server/node-token",
    "server/db/state.db",
    "server/db/etcd/name",
    "agent/images/mine.tar",
    "agent/containerd/io.containerd.metadata.v1.bolt/meta.db",
    "agent/etc/containerd/config.toml",
    "agent/etc/containerd/my.crt",
    "mine.key",
]


def make(data_dir: Path, names: list[str], content: str = "") -> None:
    for name in names:
        path = data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def left(data_dir: Path) -> set[str]:
    return {
        str(path.relative_to(data_dir))
        for path in data_dir.rglob("*")
        if path.is_file() and path.relative_to(data_dir).parts[0] != "data"
    }


@pytest.mark.parametrize(
    ("command", "removed"), [("server", [*OF_SERVER, *OF_AGENT]), ("agent", OF_AGENT)]
)
def test_empty_files_are_removed(
    k3s: Path, call: Call, data_dir: Path, command: str, removed: list[str]
) -> None:
    make(data_dir, [*OF_SERVER, *OF_AGENT, *NEVER])
    result = call(k3s, command)
    assert result.code == 0
    assert left(data_dir) == {*OF_SERVER, *OF_AGENT, *NEVER} - set(removed)
    lines = [line for line in result.err.splitlines() if "level=warning" in line]
    assert len(lines) == len(removed)
    for name in removed:
        assert sum(f"Removed {data_dir}/{name}, which was empty" in line for line in lines) == 1
    assert "level=warning" not in call(k3s, command).err


def test_one_byte_is_enough(k3s: Path, call: Call, data_dir: Path) -> None:
    make(data_dir, [*OF_SERVER, *OF_AGENT], content="\n")
    assert "level=warning" not in call(k3s, "server").err
    assert left(data_dir) == {*OF_SERVER, *OF_AGENT}


def test_only_files(k3s: Path, call: Call, data_dir: Path, tmp_path: Path) -> None:
    """A user's own CA may be a link; where that leads is not ours."""
    mine = tmp_path / "mine.crt"
    mine.touch()
    (data_dir / "server/tls/folder.crt").mkdir(parents=True)
    link = data_dir / "server/tls/root-ca.crt"
    link.symlink_to(mine)
    assert "level=warning" not in call(k3s, "server").err
    assert link.is_symlink() and mine.exists() and (data_dir / "server/tls/folder.crt").is_dir()


@pytest.mark.parametrize("words", [["token", "list"], ["server", "--help"], ["kubectl", "get"]])
def test_nobody_else_heals(k3s: Path, call: Call, data_dir: Path, words: list[str]) -> None:
    make(data_dir, OF_SERVER)
    call(k3s, *words)
    assert left(data_dir) == set(OF_SERVER)


def test_data_directory_is_that_of_the_inner_program(
    k3s: Path, call: Call, data_dir: Path, tmp_path: Path
) -> None:
    make(data_dir, OF_SERVER)
    make(tmp_path / "other", OF_SERVER)
    call(k3s, "server", "--data-dir", str(tmp_path / "other"))
    assert left(data_dir) == set(OF_SERVER)
    assert not left(tmp_path / "other")


def test_password_of_the_node(k3s: Path, call: Call) -> None:
    inside = "mount -t tmpfs none /etc; mkdir -p /etc/rancher/node; : > /etc/rancher/node/password"
    result = call(k3s, "agent", inside=inside)
    assert "Removed /etc/rancher/node/password, which was empty" in result.err
    assert "delete secret NODE.node-password.k3s" in result.err


def test_lost_token(k3s: Path, call: Call, data_dir: Path) -> None:
    make(data_dir, ["server/cred/passwd"])
    assert "give it with --token" in call(k3s, "server").err


def test_what_cannot_be_removed(k3s: Path, call: Call, data_dir: Path) -> None:
    """k3s starts and has the last word."""
    make(data_dir, ["server/token"])
    folder = data_dir / "server"
    inside = f'mount --bind "{folder}" "{folder}"; mount -o remount,bind,ro "{folder}"'
    result = call(k3s, "server", inside=inside)
    assert result.arguments[-1] == "server"
    assert f"{folder}/token is empty" in result.err and "cannot be removed" in result.err


# ---- a datastore that nobody can open ----

LOST = ["server/cred/passwd", "server/tls/server-ca.key", "server/tls/client-ca.key"]


def lose(data_dir: Path) -> None:
    make(data_dir, LOST)
    make(data_dir, ["server/db/state.db", "server/db/state.db-wal"], "encrypted")


@pytest.mark.parametrize("more", [[], ["server/token", "server/tls/service.key"]])
def test_lost_datastore_is_moved_aside(
    k3s: Path, call: Call, data_dir: Path, more: list[str]
) -> None:
    lose(data_dir)
    make(data_dir, more)
    result = call(k3s, "server")
    assert f"Moved {data_dir}/server/db to {data_dir}/server/db-lost" in result.err
    assert left(data_dir) == {"server/db-lost/state.db", "server/db-lost/state.db-wal"}
    assert "level=warning" not in call(k3s, "server").err


@pytest.mark.parametrize(
    "written",
    [
        "server/cred/passwd",
        "server/token",
        "server/tls/server-ca.key",
        "server/tls/client-ca.key",
        "server/tls/service.key",
        "server/db/etcd/member/snap/db",
    ],
)
def test_datastore_that_may_be_opened_stays(
    k3s: Path, call: Call, data_dir: Path, written: str
) -> None:
    lose(data_dir)
    make(data_dir, [written], "something")
    assert "Moved" not in call(k3s, "server").err
    assert (data_dir / "server/db/state.db").exists()


def test_password_that_was_never_written(k3s: Path, call: Call, data_dir: Path) -> None:
    lose(data_dir)
    (data_dir / "server/cred/passwd").unlink()
    assert "Moved" not in call(k3s, "server").err


@pytest.mark.parametrize(
    ("words", "config", "env"),
    [
        (["--token", "x"], "", {}),
        (["-t", "x"], "", {}),
        (["-t=x"], "", {}),
        (["--token-file=/x"], "", {}),
        (["--server=https://x"], "", {}),
        (["-s", "https://x"], "", {}),
        (["--datastore-endpoint", "mysql://"], "", {}),
        ([], "token: x\n", {}),
        ([], "server: https://x\n", {}),
        ([], "", {"K3S_TOKEN": "x"}),
        ([], "", {"K3S_TOKEN_FILE": "/x"}),
        ([], "", {"K3S_URL": "https://x"}),
        ([], "", {"K3S_DATASTORE_ENDPOINT": "mysql://"}),
        ([], "", {"K3S_CONFIG_FILE": "https://x/config.yaml"}),
    ],
)
def test_token_that_is_given_may_open_it(
    k3s: Path,
    call: Call,
    data_dir: Path,
    tmp_path: Path,
    words: list[str],
    config: str,
    env: dict[str, str],
) -> None:
    lose(data_dir)
    file = tmp_path / "config.yaml"
    file.write_text(config)
    result = call(k3s, "server", *words, env={"K3S_CONFIG_FILE": str(file), **env})
    assert "Moved" not in result.err
    assert (data_dir / "server/db/state.db").exists()


def test_one_is_aside_already(k3s: Path, call: Call, data_dir: Path) -> None:
    lose(data_dir)
    make(data_dir, ["server/db-lost/state.db"], "of before")
    result = call(k3s, "server")
    assert "cannot be moved" in result.err and "move the folder server/db away" in result.err
    assert (data_dir / "server/db-lost/state.db").read_text() == "of before"


def test_agent_has_no_datastore(k3s: Path, call: Call, data_dir: Path) -> None:
    lose(data_dir)
    assert "Moved" not in call(k3s, "agent").err
