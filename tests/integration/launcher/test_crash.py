"""Kills, crowds and full disks during a first start: the old state or the new, never a half."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack, k3s_like
from .state import assert_linked, assert_old_or_new, assert_whole, leftovers, version_dir

pytestmark = pytest.mark.integration

MIB = 1 << 20


@pytest.fixture(scope="module")
def big(inner_program: bytes) -> Pack:
    """Some twenty megabytes in files of several sizes: long enough to be hit in the middle."""
    noise = random.Random(7)
    half = noise.randbytes(3 * MIB) + bytes(5 * MIB)
    return k3s_like(
        inner_program,
        {
            "bin/runc": half,
            "bin/containerd-shim-runc-v2": half[::-1],
            "bin/aux/iptables": noise.randbytes(MIB),
        },
    )


@pytest.fixture(scope="module")
def big_k3s(big: Pack, launcher_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return big.write(launcher_binary, tmp_path_factory.mktemp("big") / "k3s")


def start(exe: Path, data_dir: Path) -> subprocess.Popen[str]:
    env = {"K3S_DATA_DIR": str(data_dir), "PATH": "/usr/bin:/bin", "K3S_NODE_CHECKS": "off"}
    pipe = subprocess.PIPE
    return subprocess.Popen([exe, "server"], env=env, stdout=pipe, stderr=pipe, text=True)


def seconds_needed(exe: Path, data_dir: Path) -> float:
    begin = time.monotonic()
    start(exe, data_dir).communicate()
    shutil.rmtree(data_dir)
    return time.monotonic() - begin


@pytest.mark.parametrize(("kills", "upgrade"), [(200, False), (60, True)], ids=["first", "upgrade"])
def test_random_kills(
    big: Pack,
    big_k3s: Path,
    payload: Pack,
    k3s: Path,
    data_dir: Path,
    tmp_path: Path,
    moments: random.Random,
    kills: int,
    upgrade: bool,
) -> None:
    longest = seconds_needed(big_k3s, tmp_path / "measured")
    whole = 0
    for _ in range(kills):
        if upgrade and not data_dir.exists():
            start(k3s, data_dir).communicate()
        process = start(big_k3s, data_dir)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.communicate()
        if upgrade:
            assert_whole(data_dir, payload)
            assert os.readlink(data_dir / "data/current") in {
                str(version_dir(data_dir, p)) for p in (big, payload)
            }
        if assert_old_or_new(data_dir, big):
            # the next start must make the links, too, whatever the kill left of them
            assert start(big_k3s, data_dir).wait() == 0
            assert_linked(data_dir, big)
            shutil.rmtree(data_dir)
            whole += 1
    assert start(big_k3s, data_dir).wait() == 0
    assert_whole(data_dir, big)
    assert_linked(data_dir, big)
    assert not leftovers(data_dir)
    assert whole < kills, "no kill came early enough to prove anything"


def test_random_kills_of_a_repair(
    big: Pack, big_k3s: Path, data_dir: Path, tmp_path: Path, moments: random.Random
) -> None:
    """Whatever a kill leaves of it, the next start ends it: also what has its right size."""
    longest = seconds_needed(big_k3s, tmp_path / "measured")
    start(big_k3s, data_dir).communicate()
    top = version_dir(data_dir, big)
    cut = 0
    for _ in range(60):
        for name, data in big.files.items():
            damaged = top / f"{name}.new"
            damaged.write_bytes(data[: len(data) // 2] if name == "bin/runc" else data[::-1])
            damaged.chmod(int(big.mode(name), 8))
            damaged.rename(top / name)
        process = start(big_k3s, data_dir)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.communicate()
        cut += process.returncode < 0
        process = start(big_k3s, data_dir)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        assert_whole(data_dir, big)
        assert_linked(data_dir, big)
        assert not leftovers(data_dir)
    assert cut >= 20, "no kill came early enough to prove anything"


USERS = [
    "mine",
    "data/notes",
    "data/cni/bridge",
    "agent/images/mine.tar",
    "server/manifests/a.yaml",
]


def test_random_kills_of_a_node(
    big: Pack, launcher_binary: Path, data_dir: Path, tmp_path: Path, moments: random.Random
) -> None:
    """A first start of a server: nothing of the user's is lost, the next one ends right."""
    images = {"a.tar.zst": moments.randbytes(2 * MIB), "b.tar.zst": moments.randbytes(MIB)}
    exe = replace(big, images=images).write(launcher_binary, tmp_path / "node" / "k3s")
    longest = seconds_needed(exe, tmp_path / "measured")
    for _ in range(60):
        for name in USERS:
            (data_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (data_dir / name).write_text(name)
        empty = data_dir / "server/tls/server-ca.key"
        empty.parent.mkdir()
        empty.touch()
        process = start(exe, data_dir)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.communicate()
        process = start(exe, data_dir)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        assert_whole(data_dir, big)
        assert [(data_dir / name).read_text() for name in USERS] == USERS
        folder = data_dir / "agent/images"
        assert {name: (folder / name).read_bytes() for name in images} == images
        assert not leftovers(data_dir) and not empty.exists()
        shutil.rmtree(data_dir)


def test_20_starts_at_once(big: Pack, big_k3s: Path, data_dir: Path) -> None:
    crowd = [start(big_k3s, data_dir) for _ in range(20)]
    results = [(process.communicate(), process.returncode) for process in crowd]
    assert [code for _, code in results] == [0] * 20
    assert sum("Preparing data dir" in err for (_, err), _ in results) == 1
    assert_whole(data_dir, big)
    assert_linked(data_dir, big)
    assert not leftovers(data_dir)


def test_waiters_go_on_when_the_first_is_killed(big: Pack, big_k3s: Path, data_dir: Path) -> None:
    first = start(big_k3s, data_dir)
    stop_when_written(first, data_dir, big, MIB)
    crowd = [start(big_k3s, data_dir) for _ in range(5)]
    time.sleep(0.2)
    assert all(process.poll() is None for process in crowd)
    first.kill()
    first.communicate()
    results = [(process.communicate(), process.returncode) for process in crowd]
    assert [code for _, code in results] == [0] * 5
    assert sum("Preparing data dir" in err for (_, err), _ in results) == 1
    assert_whole(data_dir, big)


# ---- full disks ----


def written(data_dir: Path, pack: Pack) -> int:
    partial = data_dir / "data" / f"{pack.data_hash()}-tmp"
    return sum(p.lstat().st_size for p in partial.rglob("*") if p.is_file() and not p.is_symlink())


def stop_when_written(
    process: subprocess.Popen[str], data_dir: Path, pack: Pack, size: int
) -> None:
    """Lets it run in slices of a fraction of a millisecond; leaves it stopped."""
    process.send_signal(signal.SIGSTOP)
    while process.poll() is None:
        try:
            if written(data_dir, pack) >= size:
                return
        except FileNotFoundError:
            pass
        process.send_signal(signal.SIGCONT)
        time.sleep(0.0001)
        process.send_signal(signal.SIGSTOP)


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """A tmpfs of that size, in a mount namespace that a sleeping process keeps alive."""
    keeper = subprocess.Popen(
        [
            "unshare",
            "-Urm",
            "sh",
            "-c",
            f"mount -t tmpfs -o size={size} none /mnt && echo ready && exec sleep 600",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert keeper.stdout and keeper.stdout.readline() == "ready\n"
        yield Path(f"/proc/{keeper.pid}/root/mnt")
    finally:
        keeper.kill()
        keeper.communicate()


def payload_size(pack: Pack) -> int:
    return sum(len(data) for data in pack.files.values())


def test_20_disks_too_small(big: Pack, big_k3s: Path) -> None:
    """Refused before the first byte, with the number that is missing."""
    for i in range(20):
        size = payload_size(big) * i // 20 + 64 * 1024
        with small_disk(size) as disk:
            process = start(big_k3s, disk)
            _, err = process.communicate()
            assert process.returncode == 75, err
            assert "MiB needed" in err and "MiB missing" in err and f"{disk}/data" in err
            assert not version_dir(disk, big).exists() and not leftovers(disk)


def test_disk_full_at_20_offsets(big: Pack, big_k3s: Path) -> None:
    """Somebody else fills the disk while we unpack."""
    total = payload_size(big)
    failed = 0
    for i in range(20):
        with small_disk(total * 2) as disk:
            process = start(big_k3s, disk)
            stop_when_written(process, disk, big, total * (i + 1) // 25)
            fill(disk)
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate()
            if process.returncode == 0:
                assert_whole(disk, big)  # it was done before the disk was full
                continue
            failed += 1
            assert process.returncode == 75, err
            assert "No space left on device" in err and "MiB were still to be written" in err
            assert f"removed the partial {disk}/data/{big.data_hash()}-tmp" in err
            assert not version_dir(disk, big).exists() and not leftovers(disk)
            (disk / "filler").unlink()
            assert start(big_k3s, disk).wait() == 0
            assert_whole(disk, big)
    assert failed >= 15, "the disk was full too late to prove anything"


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        for size in (MIB, 4096):
            try:
                while filler.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def test_no_inodes_left(k3s: Path, call: Call, data_dir: Path, payload: Pack) -> None:
    data_dir.mkdir()
    result = call(k3s, "server", inside=f'mount -t tmpfs -o nr_inodes=20 none "{data_dir}"')
    assert result.code == 75
    assert "files needed" in result.err
