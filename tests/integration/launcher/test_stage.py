"""What a first start leaves in the data directory, and what an upgrade does to it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from .conftest import Call
from .pack import CNI_NAMES, Pack, k3s_like
from .state import assert_linked, assert_whole, leftovers, version_dir

pytestmark = pytest.mark.integration


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_start(k3s: Path, call: Call, payload: Pack, data_dir: Path) -> None:
    result = call(k3s, "server")
    assert result.code == 0
    assert result.program == str(version_dir(data_dir, payload) / "bin")
    assert_whole(data_dir, payload)
    assert_linked(data_dir, payload)
    assert not (version_dir(data_dir, payload) / ".links-pending").exists()
    assert {p.name for p in (data_dir / "data").iterdir()} == {
        payload.data_hash(),
        "cni",
        "current",
        ".lock",
    }


def test_sums_and_links_describe_the_folder(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    bin_dir = Path(call(k3s, "server").program)
    sums = [line.split() for line in (bin_dir / ".sha256sums").read_text().splitlines()]
    assert sums and all(
        hashlib.sha256((bin_dir / name).read_bytes()).hexdigest() == digest for digest, name in sums
    )
    links = [line.split() for line in (bin_dir / ".links").read_text().splitlines()]
    assert links and all(os.readlink(bin_dir / name) == target for name, target in links)


def test_modes_do_not_depend_on_the_umask(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    command = f'umask 077; "{k3s}" server >/dev/null; umask'
    shell = call(Path("/bin/sh"), "-c", command, name="sh")
    assert shell.out.strip() == "0077"
    top = version_dir(data_dir, payload)
    assert {
        mode(p) for p in (data_dir, data_dir / "data", data_dir / "data/cni", top, top / "bin")
    } == {0o755}
    assert mode(data_dir / "data/.lock") == 0o600
    assert_whole(data_dir, payload)


def test_inner_program_keeps_the_callers_umask(
    launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    exe = k3s_like(b"#!/bin/sh\numask\n").write(launcher_binary, tmp_path / "k3s")
    for _ in range(2):
        assert call(Path("/bin/sh"), "-c", f'umask 027; "{exe}" server', name="sh").out == "0027\n"


def test_second_start_writes_nothing(k3s: Path, call: Call, data_dir: Path) -> None:
    call(k3s, "server")
    before = {p: p.lstat().st_ctime_ns for p in data_dir.rglob("*")}
    result = call(k3s, "server")
    assert (result.code, result.err) == (0, "")
    assert {p: p.lstat().st_ctime_ns for p in data_dir.rglob("*")} == before


@pytest.mark.parametrize("folder", ["with some spaces", "quote'\"s", "Umlaut-ä", "a/b/c/d/e/f"])
def test_odd_paths(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, folder: str
) -> None:
    exe = payload.write(launcher_binary, tmp_path / folder / "k3s of mine")
    data_dir = tmp_path / folder / "data of mine"
    assert call(exe, "server", env={"K3S_DATA_DIR": str(data_dir)}).code == 0
    assert_whole(data_dir, payload)
    assert_linked(data_dir, payload)


def test_large_file_in_several_blocks(
    launcher_binary: Path, call: Call, inner_program: bytes, tmp_path: Path, data_dir: Path
) -> None:
    noise = os.urandom(3 << 20)
    pack = k3s_like(
        inner_program,
        {"bin/runc": noise + bytes(40 << 20) + noise, "bin/empty": b""},
        window_log=23,
    )
    assert call(pack.write(launcher_binary, tmp_path / "k3s"), "server").code == 0
    assert_whole(data_dir, pack)


def test_window_above_eight_mebibytes_is_refused(
    launcher_binary: Path, call: Call, inner_program: bytes, tmp_path: Path, data_dir: Path
) -> None:
    pack = k3s_like(inner_program, {"bin/runc": os.urandom(17 << 20)}, window_log=24)
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "too much memory" in result.err
    assert not version_dir(data_dir, pack).exists() and not leftovers(data_dir)


# ---- data/cni ----


def test_a_users_own_plugins_are_spared(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    cni = data_dir / "data/cni"
    cni.mkdir(parents=True)
    (cni / "bridge").write_text("mine")
    (cni / "calico").write_text("mine too")
    (cni / "portmap").symlink_to("/opt/cni/bin/portmap")
    (cni / "flannel").symlink_to(f"/old/place/data/{'0' * 64}/bin/cni")
    (cni / "cni").write_text("the multi-call binary is never the user's")
    result = call(k3s, "server")
    assert "Keeping your own CNI plugin" in result.err
    assert (cni / "bridge").read_text() == "mine"
    assert (cni / "calico").read_text() == "mine too"
    assert os.readlink(cni / "portmap") == "/opt/cni/bin/portmap"
    ours = str(version_dir(data_dir, payload) / "bin/cni")
    assert {os.readlink(cni / name) for name in ("cni", "flannel", "loopback")} == {ours}


def test_upgrade_moves_the_plugins(
    launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    for pack in versions(launcher_binary, tmp_path, 2):
        call(tmp_path / pack.data_hash(), "server")
        assert_linked(data_dir, pack)
    assert sorted(p.name for p in (data_dir / "data/cni").iterdir()) == sorted(["cni", *CNI_NAMES])


# ---- current, previous, pruning ----


def versions(launcher: Path, tmp_path: Path, count: int) -> list[Pack]:
    """Different payloads, each with an executable named by its hash."""
    packs = [k3s_like(f"#!/bin/sh\nexec sleep $1 # {i}\n".encode()) for i in range(count)]
    for pack in packs:
        pack.write(launcher, tmp_path / pack.data_hash())
    return packs


def kept(data_dir: Path) -> set[str]:
    return {p.name for p in (data_dir / "data").iterdir() if len(p.name) >= 64}


def test_upgrades(launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path) -> None:
    packs = versions(launcher_binary, tmp_path, 4)
    names = [pack.data_hash() for pack in packs]
    links = data_dir / "data"
    for i, pack in enumerate(packs):
        assert call(tmp_path / names[i], "kubectl", "0").code == 0
        assert_whole(data_dir, pack)
        assert os.readlink(links / "current") == str(links / names[i])
        assert kept(data_dir) == set(names[max(0, i - 1) : i + 1])
        if i:
            assert os.readlink(links / "previous") == str(links / names[i - 1])


def test_a_version_that_runs_is_kept(
    launcher_binary: Path, call: Call, inner_program: bytes, tmp_path: Path, data_dir: Path
) -> None:
    """A container's shim outlives two upgrades."""
    sleep = Path("/bin/sleep").read_bytes()
    shim = k3s_like(inner_program, {"bin/containerd-shim-runc-v2": sleep})
    call(shim.write(launcher_binary, tmp_path / "k3s"), "server")
    running = subprocess.Popen([version_dir(data_dir, shim) / "bin/containerd-shim-runc-v2", "600"])
    try:
        packs = versions(launcher_binary, tmp_path, 3)
        for pack in packs:
            result = call(tmp_path / pack.data_hash(), "kubectl", "0")
        assert "a process still runs from it" in result.err
        assert kept(data_dir) == {pack.data_hash() for pack in [shim, *packs[1:]]}
    finally:
        running.kill()
        running.wait()


def test_foreign_names_are_never_pruned(
    launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    others = ["notes", "0" * 63, "0" * 65, "G" * 64, "x-tmp", "cni-tmp"]
    for name in others:
        (data_dir / "data" / name).mkdir(parents=True)
    for pack in versions(launcher_binary, tmp_path, 3):
        call(tmp_path / pack.data_hash(), "kubectl", "0")
    assert all((data_dir / "data" / name).is_dir() for name in others)


def test_links_are_not_followed_when_pruning(
    launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (data_dir / "data").mkdir(parents=True)
    (data_dir / "data" / f"{'a' * 64}-tmp").symlink_to(precious)
    inside = data_dir / "data" / f"{'b' * 64}-tmp"
    inside.mkdir()
    (inside / "link").symlink_to(precious)
    for pack in versions(launcher_binary, tmp_path, 1):
        call(tmp_path / pack.data_hash(), "kubectl", "0")
    assert (precious / "file").read_text() == "x"
    assert not leftovers(data_dir)


def test_leftovers_of_a_killed_extraction_go(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    for name in (payload.data_hash(), "a" * 64, f"{'b' * 64}-old"):
        (data_dir / "data" / f"{name}-tmp" / "bin/aux").mkdir(parents=True)
        (data_dir / "data" / f"{name}-tmp" / "bin/k3s").write_text("half")
    assert call(k3s, "server").code == 0
    assert_whole(data_dir, payload)
    assert not leftovers(data_dir)


def test_a_gutted_version_is_unpacked_anew(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    call(k3s, "server")
    (version_dir(data_dir, payload) / "bin/k3s").unlink()
    result = call(k3s, "server")
    assert result.code == 0
    assert "bin/k3s is damaged: it is not there" in result.err
    assert_whole(data_dir, payload)
    assert not (data_dir / "data/previous").exists()


def test_interrupted_links_are_finished(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    """A power cut after the rename and before the links: the mark is still there."""
    call(k3s, "server")
    top = version_dir(data_dir, payload)
    (top / ".links-pending").touch()
    shutil.rmtree(data_dir / "data/cni")
    (data_dir / "data/current").unlink()
    assert call(k3s, "server").code == 0
    assert_linked(data_dir, payload)
    assert not (top / ".links-pending").exists()


# ---- directories that do not want to ----


def test_read_only_and_empty(k3s: Path, call: Call, data_dir: Path) -> None:
    data_dir.mkdir()
    inside = f'mount -t tmpfs none "{data_dir}"; mount -o remount,ro,bind "{data_dir}"'
    result = call(k3s, "server", inside=inside)
    assert result.code == 73
    assert f"{data_dir}/data: Read-only file system" in result.err
    assert "mounted read-only" in result.err and "--data-dir" in result.err


@pytest.mark.parametrize("pending", [False, True])
def test_read_only_and_unpacked(
    k3s: Path, call: Call, data_dir: Path, payload: Pack, pending: bool
) -> None:
    call(k3s, "server")
    if pending:
        (version_dir(data_dir, payload) / ".links-pending").touch()
    inside = f'mount --bind "{data_dir}" "{data_dir}"; mount -o remount,ro,bind "{data_dir}"'
    result = call(k3s, "server", inside=inside)
    assert result.code == 0
    assert ("links cannot be updated" in result.err) == pending


def test_missing_parents_are_made(k3s: Path, call: Call, tmp_path: Path, payload: Pack) -> None:
    deep = tmp_path / "a/b/c"
    assert call(k3s, "server", env={"K3S_DATA_DIR": str(deep)}).code == 0
    assert_whole(deep, payload)


def test_a_file_in_the_way(k3s: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call(k3s, "server", env={"K3S_DATA_DIR": str(tmp_path / "file/x")})
    assert result.code == 73
    assert "Not a directory" in result.err


def test_not_allowed(k3s: Path, call: Call) -> None:
    result = call(k3s, "server", env={"K3S_DATA_DIR": "/proc/1/x"})
    assert result.code == 73
    assert "cannot make or open the data directory" in result.err


def test_mounted_noexec(k3s: Path, call: Call, data_dir: Path) -> None:
    data_dir.mkdir()
    result = call(k3s, "server", inside=f'mount -t tmpfs -o noexec none "{data_dir}"')
    assert result.code == 126
    assert "noexec" in result.err


def test_data_may_be_a_link(
    k3s: Path, call: Call, data_dir: Path, payload: Pack, tmp_path: Path
) -> None:
    (tmp_path / "big disk").mkdir()
    data_dir.mkdir()
    (data_dir / "data").symlink_to(tmp_path / "big disk")
    assert call(k3s, "server").code == 0
    assert_whole(data_dir, payload)


def test_the_lock_is_no_link(k3s: Path, call: Call, data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "data").mkdir(parents=True)
    (data_dir / "data/.lock").symlink_to(tmp_path / "elsewhere")
    assert call(k3s, "server").code == 73
    assert not (tmp_path / "elsewhere").exists()
