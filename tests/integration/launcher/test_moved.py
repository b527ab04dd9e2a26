"""A data directory that was moved, copied, or lost its links: each start makes them right again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .conftest import Call
from .pack import CNI_NAMES, Pack, k3s_like
from .state import assert_linked, version_dir

pytestmark = pytest.mark.integration

LINE = "Made the links in "


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "old"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def at(place: Path) -> dict[str, str]:
    return {"K3S_DATA_DIR": str(place)}


# ---- links ----


@pytest.mark.parametrize("stays", [False, True])
def test_links_follow(
    k3s: Path, call: Call, payload: Pack, old: Path, new: Path, stays: bool
) -> None:
    """A copy whose original is still there is the treacherous one: no link dangles."""
    call(k3s, "server", env=at(old))
    if stays:
        shutil.copytree(old, new, symlinks=True)
    else:
        old.rename(new)
    result = call(k3s, "server", env=at(new))
    assert result.code == 0 and f"{LINE}{new}/data again" in result.err
    assert_linked(new, payload)
    steady = call(k3s, "server", env=at(new))
    assert LINE not in steady.err and "lock" not in steady.err


def test_previous_follows(
    k3s: Path, call: Call, launcher_binary: Path, old: Path, new: Path, payload: Pack
) -> None:
    later = k3s_like(b"#!/bin/sh\n", extra={"etc/x": b"2"})
    after = later.write(launcher_binary, new.parent / "bin2" / "k3s")
    for executable in (k3s, after):
        call(executable, "server", env=at(old))
    old.rename(new)
    call(after, "server", env=at(new))
    assert_linked(new, later)
    assert os.readlink(new / "data/previous") == str(version_dir(new, payload))
    shutil.rmtree(version_dir(new, payload))
    call(after, "server", env=at(new))
    assert not (new / "data/previous").is_symlink()


@pytest.mark.parametrize("name", ["current", "cni", "cni/cni", "cni/flannel"])
def test_removed_link_comes_back(
    k3s: Path, call: Call, payload: Pack, data_dir: Path, name: str
) -> None:
    call(k3s, "server")
    path = data_dir / "data" / name
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
    assert LINE in call(k3s, "agent").err
    assert_linked(data_dir, payload)


def test_current_that_names_a_version_which_is_gone(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    call(k3s, "server")
    (data_dir / "data/current").unlink()
    (data_dir / "data/current").symlink_to(data_dir / "data" / ("0" * 64))
    call(k3s, "server")
    assert_linked(data_dir, payload)


def test_plugins_of_the_user_stay(k3s: Path, call: Call, old: Path, new: Path) -> None:
    call(k3s, "server", env=at(old))
    old.rename(new)
    cni = new / "data/cni"
    (cni / "bridge").unlink()
    (cni / "bridge").write_text("mine")
    (cni / "portmap").unlink()
    (cni / "portmap").symlink_to("/opt/cni/portmap")
    call(k3s, "server", env=at(new))
    assert (cni / "bridge").read_text() == "mine"
    assert os.readlink(cni / "portmap") == "/opt/cni/portmap"
    rest = [name for name in CNI_NAMES if name not in ("bridge", "portmap")]
    assert all((cni / name).resolve().is_relative_to(new) for name in rest)
    assert LINE not in call(k3s, "server", env=at(new)).err


def test_another_name_of_the_same_place_is_right(
    k3s: Path, call: Call, old: Path, new: Path
) -> None:
    call(k3s, "server", env=at(old))
    new.symlink_to(old)
    assert LINE not in call(k3s, "server", env=at(new)).err
    assert os.readlink(old / "data/current").startswith(str(old))


def test_only_a_start_does_it(k3s: Path, call: Call, old: Path, new: Path) -> None:
    call(k3s, "server", env=at(old))
    old.rename(new)
    for words in (["kubectl", "get"], ["server", "--help"]):
        assert LINE not in call(k3s, *words, env=at(new)).err
    assert os.readlink(new / "data/current").startswith(str(old))


# ---- what k3s wrote ----

KUBECONFIGS = ["admin", "supervisor", "controller", "scheduler", "api-server", "cloud-controller"]


def kubeconfig(place: str, ca: str = "server-ca.crt") -> str:
    """As k3s's template makes it (pkg/daemons/control/deps)."""
    return (
        "apiVersion: v1\nclusters:\n- cluster:\n    server: https://127.0.0.1:6444\n"
        f"    certificate-authority: {place}/server/tls/{ca}\n  name: local\nkind: Config\n"
        "users:\n- name: user\n  user:\n"
        f"    client-certificate: {place}/server/tls/client-admin.crt\n"
        f"    client-key: {place}/server/tls/client-admin.key\n"
    )


def write_all(data_dir: Path, text: str, names: list[str]) -> list[Path]:
    files = [data_dir / f"server/cred/{name}.kubeconfig" for name in names]
    files[0].parent.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.write_text(text)
    return files


def test_kubeconfigs_of_another_place(k3s: Path, call: Call, new: Path, old: Path) -> None:
    files = write_all(new, kubeconfig(str(old)), KUBECONFIGS)
    (mine,) = write_all(new, kubeconfig(str(old)), ["mine"])
    result = call(k3s, "server", env=at(new))
    for file in files:
        assert not file.exists()
        line = f"Removed {file}, which names another data directory: k3s makes it anew"
        assert result.err.count(line) == 1
    assert mine.exists()


def test_data_directory_is_that_of_the_inner_program(
    k3s: Path, call: Call, new: Path, old: Path
) -> None:
    files = write_all(new, kubeconfig(str(old)), ["admin"])
    call(k3s, "server", "--data-dir", str(new), env=at(old))
    assert not files[0].exists()


@pytest.mark.parametrize(
    "text",
    [
        "{new}",
        "/etc/mine.crt",
        "{old} with a CA of the user",
        "",
        "no kubeconfig\n",
        "    client-key: relative/server/tls/x.key\n",
        "    client-key: /x/server/tls/deeper/x.key\n",
    ],
)
def test_kubeconfigs_that_stay(k3s: Path, call: Call, new: Path, old: Path, text: str) -> None:
    if text == "{new}":
        text = kubeconfig(str(new))
    elif text == "{old} with a CA of the user":
        text = kubeconfig(str(old)).replace(f"{old}/server/tls/server-ca.crt", "/etc/ssl/my-ca.crt")
    files = write_all(new, text or "\n", KUBECONFIGS)
    assert "names another" not in call(k3s, "server", env=at(new)).err
    assert all(file.read_text() == (text or "\n") for file in files)


def test_name_of_the_root(k3s: Path, call: Call, new: Path) -> None:
    """The kubeconfigs of a data directory / begin with /server/tls."""
    (file,) = write_all(new, kubeconfig(""), ["admin"])
    assert f"Removed {file}" in call(k3s, "server", env=at(new)).err


@pytest.mark.parametrize("words", [["agent"], ["server", "--help"], ["token", "list"]])
def test_only_a_server_removes(
    k3s: Path, call: Call, new: Path, old: Path, words: list[str]
) -> None:
    files = write_all(new, kubeconfig(str(old)), KUBECONFIGS)
    call(k3s, *words, env=at(new))
    assert all(file.exists() for file in files)


def test_links_to_the_token(k3s: Path, call: Call, new: Path, old: Path) -> None:
    """k3s makes them when they are absent, and never looks where one that is there leads."""
    (new / "server").mkdir(parents=True)
    links = [new / "server/node-token", new / "server/agent-token"]
    for target, left in (
        (old / "server/token", False),
        (new / "server/token", True),
        (Path("/etc/my-token"), True),
    ):
        for link in links:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        result = call(k3s, "server", env=at(new))
        assert [link.is_symlink() for link in links] == [left, left]
        assert ("names another data directory" in result.err) != left


def test_what_cannot_be_removed(k3s: Path, call: Call, new: Path, old: Path) -> None:
    (file,) = write_all(new, kubeconfig(str(old)), ["admin"])
    call(k3s, "kubectl", env=at(new))
    inside = f'mount --bind "{new}/server" "{new}/server"; mount -o remount,bind,ro "{new}/server"'
    result = call(k3s, "server", env=at(new), inside=inside)
    assert result.code == 0
    assert f"{file} names another data directory, and cannot be removed" in result.err
