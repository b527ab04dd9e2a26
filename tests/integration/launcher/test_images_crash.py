"""Kills, crowds and full disks while embedded images are placed: each is whole or absent."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack
from .test_crash import MIB, fill, small_disk, start
from .test_images import RECORD, TEMPORARIES, content, recorded

pytestmark = pytest.mark.integration

NOISE = random.Random(11)
V1 = {
    f"{name}.tar.zst": NOISE.randbytes(size * MIB)
    for name, size in zip("abc", (3, 1, 2), strict=True)
}
V2 = {**{name: NOISE.randbytes(len(data)) for name, data in V1.items()}, "d.tar.zst": b"d"}
del V2["b.tar.zst"]
TEMPORARY = ".k3s-embedded-tmp"


@pytest.fixture
def executables(payload: Pack, launcher_binary: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A version with images, one with others, one without any; all with one payload."""
    old, new, plain = (
        replace(payload, images=images).write(launcher_binary, tmp_path / "bin" / str(i))
        for i, images in enumerate((V1, V2, {}))
    )
    return old, new, plain


def images_of(data_dir: Path) -> Path:
    return data_dir / "agent/images"


def assert_each_is_whole(folder: Path) -> None:
    """At any moment: only whole archives, and temporaries that k3s passes over."""
    if not folder.exists():
        return
    for name, data in content(folder).items():
        assert name in TEMPORARIES or data in (V1.get(name), V2.get(name)), name


def assert_placed(folder: Path, images: dict[str, bytes]) -> None:
    assert content(folder) == images
    assert sorted(recorded(folder)) == sorted(images)


# ---- kills ----


@pytest.mark.parametrize("upgrade", [False, True], ids=["first", "upgrade"])
def test_random_kills(
    executables: tuple[Path, Path, Path],
    data_dir: Path,
    moments: random.Random,
    *,
    upgrade: bool,
) -> None:
    old, new, plain = executables
    folder = images_of(data_dir)
    start(plain, data_dir).communicate()
    begin = time.monotonic()
    start(new, data_dir).communicate()
    longest = time.monotonic() - begin
    interrupted = leftovers = 0
    for round_ in range(100):
        shutil.rmtree(folder)
        if upgrade:
            assert start(old, data_dir).wait() == 0
        process = start(new, data_dir)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.communicate()
        assert_each_is_whole(folder)
        found = set(content(folder)) if folder.exists() else set()
        leftovers += bool(found & TEMPORARIES)
        interrupted += found != set(V2)
        # whatever the kill left is known as ours: the next start takes it over, or away
        after, images = ((new, V2), (old, V1), (plain, {}))[round_ % 3]
        process = start(after, data_dir)
        _, err = process.communicate()
        assert process.returncode == 0
        assert "Keeping" not in err
        if images or folder.exists():
            assert_placed(folder, images)
        folder.mkdir(parents=True, exist_ok=True)
    assert interrupted >= 20, "no kill came early enough to prove anything"
    assert leftovers >= 5, "no kill came while an image was copied"


def stop_at(process: subprocess.Popen[str], reached: Path, size: int) -> None:
    """Lets it run in slices of a fraction of a millisecond; leaves it stopped."""
    process.send_signal(signal.SIGSTOP)
    while process.poll() is None:
        if reached.exists() and reached.stat().st_size >= size:
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.0001)
        process.send_signal(signal.SIGSTOP)
    pytest.fail(f"it ended before {reached.name} had {size} bytes")


def test_the_first_kill_of_all_is_cleaned_up_by_a_version_without_images(
    executables: tuple[Path, Path, Path], data_dir: Path
) -> None:
    new, plain = executables[1:]
    folder = images_of(data_dir)
    process = start(new, data_dir)
    stop_at(process, folder / TEMPORARY, 1)
    process.kill()
    process.communicate()
    assert TEMPORARY in content(folder)
    assert start(plain, data_dir).wait() == 0
    assert list(folder.iterdir()) == []


def test_a_users_file_that_appears_meanwhile(
    executables: tuple[Path, Path, Path], data_dir: Path
) -> None:
    folder = images_of(data_dir)
    process = start(executables[0], data_dir)
    stop_at(process, folder / TEMPORARY, 1)
    (folder / "a.tar.zst").write_bytes(b"mine")
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate()
    assert process.returncode == 0
    assert f"Keeping your own {folder}/a.tar.zst" in err
    assert content(folder) == {**V1, "a.tar.zst": b"mine"}
    assert "a.tar.zst" not in recorded(folder)


# ---- crowds ----


def test_20_starts_at_once(executables: tuple[Path, Path, Path], data_dir: Path) -> None:
    crowd = [start(executables[0], data_dir) for _ in range(20)]
    results = [(process.communicate(), process.returncode) for process in crowd]
    assert [code for _, code in results] == [0] * 20
    assert sum(err.count("Placing") for (_, err), _ in results) == len(V1)
    assert_placed(images_of(data_dir), V1)


def test_versions_at_once(executables: tuple[Path, Path, Path], data_dir: Path) -> None:
    crowd = [start(executables[i % 3], data_dir) for i in range(18)]
    errors = [process.communicate()[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 18
    assert not any("Keeping" in err for err in errors)
    assert_each_is_whole(images_of(data_dir))
    assert start(executables[1], data_dir).wait() == 0
    assert_placed(images_of(data_dir), V2)


def test_a_waiter_goes_on_when_the_first_is_killed(
    executables: tuple[Path, Path, Path], data_dir: Path
) -> None:
    folder = images_of(data_dir)
    first = start(executables[0], data_dir)
    stop_at(first, folder / TEMPORARY, 1)
    second = start(executables[0], data_dir)
    time.sleep(0.2)
    assert second.poll() is None
    first.kill()
    first.communicate()
    _, err = second.communicate()
    assert second.returncode == 0
    assert "Another k3s holds it, waiting" in err
    assert_placed(folder, V1)


# ---- room ----


def start_skipping(exe: Path, data_dir: Path) -> int:
    env = {
        "K3S_DATA_DIR": str(data_dir),
        "PATH": "/usr/bin:/bin",
        "K3S_EMBEDDED_IMAGES": "skip",
        "K3S_NODE_CHECKS": "off",
    }
    return subprocess.run([exe, "server"], env=env, capture_output=True, check=False).returncode


@pytest.mark.parametrize("room", [0, 1, 3, 5])
def test_no_room_for_all(executables: tuple[Path, Path, Path], payload: Pack, room: int) -> None:
    """Refused before the first is written; the message says how to start all the same."""
    unpacked = sum(len(data) for data in payload.files.values()) + 96 * 4096
    with small_disk(unpacked + room * MIB) as disk:
        process = start(executables[0], disk)
        _, err = process.communicate()
        assert process.returncode == 75, err
        assert f"not enough space for the embedded images in {images_of(disk)}: 7 MiB needed" in err
        assert "MiB missing" in err
        assert "set K3S_EMBEDDED_IMAGES=skip to start without" in err
        assert content(images_of(disk)) == {}
        assert start_skipping(executables[0], disk) == 0
        assert content(images_of(disk)) == {}


def test_only_what_is_missing_needs_room(
    executables: tuple[Path, Path, Path], payload: Pack
) -> None:
    unpacked = sum(len(data) for data in payload.files.values()) + 96 * 4096
    with small_disk(unpacked + 7 * MIB) as disk:
        assert start(executables[0], disk).wait() == 0
        record = images_of(disk) / RECORD
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if "b.tar.zst" not in line))
        (images_of(disk) / "b.tar.zst").unlink()
        assert start(executables[0], disk).wait() == 0
        assert_placed(images_of(disk), V1)


def test_disk_full_meanwhile(executables: tuple[Path, Path, Path]) -> None:
    """Somebody else fills the disk while we copy: what is whole stays, the rest comes later."""
    old, new, plain = executables
    for i in range(6):
        with small_disk(32 * MIB) as disk:
            folder = images_of(disk)
            for before in (plain, old)[: 1 + i % 2]:
                assert start(before, disk).wait() == 0
            process = start(new, disk)
            stop_at(process, folder / TEMPORARY, (i + 1) * 256 * 1024)
            fill(disk)
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate()
            assert process.returncode == 75, err
            assert "No space left on device" in err and "K3S_EMBEDDED_IMAGES=skip" in err
            assert_each_is_whole(folder)
            assert not set(content(folder)) & TEMPORARIES
            (disk / "filler").unlink()
            assert start(new, disk).wait() == 0
            assert_placed(folder, V2)


def test_memory_does_not_grow_with_the_image(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    images = {"big.tar.zst": os.urandom(64 * MIB)}
    exe = replace(payload, images=images).write(launcher_binary, tmp_path / "k3s")
    limited = call(Path("/bin/sh"), "-c", f'ulimit -v 12288; exec "{exe}" server', name="sh")
    assert limited.code == 0, limited.err
    assert_placed(images_of(data_dir), images)
    assert (images_of(data_dir) / RECORD).stat().st_size < 256
