"""Embedded images in agent/images: placed, kept, replaced and removed; never what is the user's."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from buildsys.bundle.layout import assemble, read_manifest
from buildsys.bundle.manifest import Default, Embedded, Entry, Manifest

from .conftest import Call
from .pack import HEAD, Pack
from .state import assert_whole

pytestmark = pytest.mark.integration

RECORD = ".k3s-embedded"
TEMPORARIES = {".k3s-embedded-tmp", ".k3s-embedded-new"}

NOISE = random.Random(3)
CORE, EXTRA = "core.tar.zst", "extra+1_2.tar.zst"
V1 = {CORE: NOISE.randbytes(300_000), EXTRA: NOISE.randbytes(1000)}
V2 = {CORE: NOISE.randbytes(310_000), "new.tar.zst": b""}
SAME_SIZE = {**V1, CORE: NOISE.randbytes(300_000)}

Make = Callable[..., Path]


@pytest.fixture
def make(payload: Pack, launcher_binary: Path, tmp_path: Path) -> Make:
    """Executables with one payload and different images."""

    def write(images: dict[str, bytes], name: str = "k3s") -> Path:
        return replace(payload, images=images).write(launcher_binary, tmp_path / "bin" / name)

    return write


@pytest.fixture
def folder(data_dir: Path) -> Path:
    return data_dir / "agent/images"


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != RECORD}


def recorded(folder: Path) -> list[str]:
    record = folder / RECORD
    return [line.split()[4] for line in record.read_text().splitlines()] if record.exists() else []


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files they are, and when each was last touched in any way."""
    return {p.name: (p.lstat().st_ino, p.lstat().st_ctime_ns) for p in folder.iterdir()}


def damage(executable: Path, inside: bytes) -> None:
    raw = bytearray(executable.read_bytes())
    raw[raw.index(inside) + len(inside) // 2] ^= 1
    executable.write_bytes(raw)


# ---- placing ----


@pytest.mark.parametrize("command", ["server", "agent"])
def test_first_start(make: Make, call: Call, folder: Path, payload: Pack, command: str) -> None:
    exe = make(V1)
    result = call(exe, command)
    assert result.code == 0
    assert result.arguments == ["k3s", command]
    assert content(folder) == V1
    assert sorted(recorded(folder)) == sorted(V1)
    assert_whole(folder.parents[1], payload)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in (*V1, RECORD)} == {0o644}
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_modes_do_not_depend_on_the_umask(make: Make, call: Call, folder: Path) -> None:
    shell = call(Path("/bin/sh"), "-c", f'umask 077; "{make(V1)}" server; umask', name="sh")
    assert shell.out.endswith("0077\n")
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in V1} == {0o644}


def test_second_start_writes_nothing(make: Make, call: Call, folder: Path) -> None:
    exe = make(V1)
    call(exe, "server")
    before = state(folder)
    result = call(exe, "server")
    assert (result.code, result.err) == (0, "")
    assert state(folder) == before


def test_a_steady_start_needs_no_lock(make: Make, call: Call, folder: Path) -> None:
    exe = make(V1)
    call(exe, "server")
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        result = call(Path("/usr/bin/timeout"), "20", str(exe), "server", name="timeout")
    finally:
        os.close(fd)
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ["server", "--help"],
        ["server", "-h"],
        ["server", "help"],
        ["server", "--version"],
        ["agent", "--node-name", "x", "--help"],
        ["help", "server"],
        ["kubectl", "get"],
        ["etcd-snapshot", "save"],
        ["token", "list"],
        ["check-config"],
        ["--version"],
    ],
)
def test_not_for_other_commands(make: Make, call: Call, folder: Path, words: list[str]) -> None:
    assert call(make(V1), *words).code == 0
    assert not folder.parent.exists()


def test_log_level_is_no_question(make: Make, call: Call, folder: Path) -> None:
    assert call(make(V1), "server", "-v", "3").code == 0
    assert content(folder) == V1


@pytest.mark.parametrize("removed", [[CORE], [CORE, EXTRA]])
def test_what_the_user_removed_stays_away(
    make: Make, call: Call, folder: Path, removed: list[str]
) -> None:
    exe = make(V1)
    call(exe, "server")
    for name in removed:
        (folder / name).unlink()
    before = state(folder)
    for _ in range(2):
        assert call(exe, "server").err == ""
        assert state(folder) == before
    said = call(exe, "server", "--debug").err
    assert f"{folder}/{CORE} was removed since k3s placed it" in said


def test_how_it_comes_back(make: Make, call: Call, folder: Path) -> None:
    """Without its line, which the message at debug level says."""
    exe = make(V1)
    call(exe, "server")
    (folder / CORE).unlink()
    kept = state(folder)[EXTRA]
    lines = (folder / RECORD).read_text().splitlines(keepends=True)
    (folder / RECORD).write_text("".join(line for line in lines if CORE not in line))
    assert call(exe, "server").err.count("Placing") == 1
    assert content(folder) == V1
    assert state(folder)[EXTRA] == kept


def test_another_version_has_another_archive(make: Make, call: Call, folder: Path) -> None:
    """What was removed are these bytes, not the name for ever; what is the same stays away."""
    call(make(V1), "server")
    for name in V1:
        (folder / name).unlink()
    call(make(SAME_SIZE), "server")
    assert content(folder) == {CORE: SAME_SIZE[CORE]}


def test_a_fresh_folder_gets_all(make: Make, call: Call, folder: Path) -> None:
    exe = make(V1)
    call(exe, "server")
    shutil.rmtree(folder)
    call(exe, "server")
    assert content(folder) == V1


def test_a_kill_before_the_rename_is_no_removal(make: Make, call: Call, folder: Path) -> None:
    """The line is written, the archive still has its temporary name."""
    exe = make(V1)
    call(exe, "server")
    (folder / CORE).rename(folder / ".k3s-embedded-tmp")
    assert call(exe, "server").code == 0
    assert content(folder) == V1


def test_folder_may_be_a_link(make: Make, call: Call, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "big disk")
    assert call(make(V1), "server").code == 0
    assert content(tmp_path / "big disk") == V1


def test_64_images(make: Make, call: Call, folder: Path) -> None:
    """More than the first KiB of the manifest holds."""
    images = {f"{'n' * 110}-{i:02}.tar.zst": bytes([i]) * i for i in range(64)}
    exe = make(images)
    assert call(exe, "server").code == 0
    assert content(folder) == images
    assert call(exe, "server").err == ""
    assert call(make({}), "server").code == 0
    assert content(folder) == {}


# ---- other versions ----


def test_upgrade(make: Make, call: Call, folder: Path) -> None:
    call(make(V1, "old"), "server")
    result = call(make(V2, "new"), "server")
    assert result.code == 0
    assert content(folder) == V2
    assert sorted(recorded(folder)) == sorted(V2)
    assert f"Removed {folder}/{EXTRA}" in result.err
    assert call(make(V1, "old"), "server").code == 0
    assert content(folder) == V1


def test_same_size_in_the_same_second(make: Make, call: Call, folder: Path) -> None:
    """Size and time alone would not tell them apart, so the time is moved on."""
    for round_ in range(6):
        images = (V1, SAME_SIZE)[round_ % 2]
        assert call(make(images), "server").code == 0
        assert content(folder) == images


def test_a_clock_that_was_set_back(make: Make, call: Call, folder: Path) -> None:
    """A board without a clock starts in 1970; k3s wants a file to be newer than the one before."""
    call(make(V1), "server")
    later = 4_000_000_000
    os.utime(folder / CORE, (later, later))
    record = folder / RECORD
    lines = [line.split() for line in record.read_text().splitlines()]
    changed = [[*li[:2], str(later) if li[4] == CORE else li[2], *li[3:]] for li in lines]
    record.write_text("".join(" ".join(line) + "\n" for line in changed))
    assert call(make(V1), "server").err == ""
    assert call(make(SAME_SIZE), "server").code == 0
    assert content(folder) == SAME_SIZE
    assert (folder / CORE).stat().st_mtime == later + 1


def test_a_version_without_images_cleans_up(make: Make, call: Call, folder: Path) -> None:
    call(make(V1, "old"), "server")
    plain = make({}, "plain")
    assert call(plain, "kubectl").code == 0
    assert content(folder) == V1
    result = call(plain, "server")
    assert result.code == 0
    assert list(folder.iterdir()) == []
    assert result.err.count("Removed") == 2
    assert call(plain, "server").err == ""


def test_a_version_without_images_makes_no_folder(make: Make, call: Call, folder: Path) -> None:
    assert call(make({}), "server").code == 0
    assert not folder.parent.exists()


def test_import_cache_of_k3s_is_emptied_only_when_something_is_placed(
    make: Make, call: Call, folder: Path
) -> None:
    """k3s's cache overlooks a new archive of the same size."""
    folder.mkdir(parents=True)
    cache = folder / ".cache.json"
    cache.write_text("{}")
    call(make(V1), "server")
    assert cache.read_text() == ""
    cache.write_text("{}")
    call(make(V1), "server")
    assert cache.read_text() == "{}"
    call(make(SAME_SIZE), "server")
    assert cache.read_text() == ""


# ---- what is the user's ----


def test_a_users_file_of_that_name(make: Make, call: Call, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / CORE).write_bytes(b"mine")
    (folder / "other.tar.zst").write_bytes(b"mine too")
    before = state(folder)
    for images in (V1, V2, {}):
        result = call(make(images), "server")
        assert result.code == 0
        assert result.err.count(f"Keeping your own {folder}/{CORE}") == (CORE in images)
        assert content(folder) == {**images, CORE: b"mine", "other.tar.zst": b"mine too"}
        assert CORE not in recorded(folder)
    assert state(folder) == before


def test_the_right_bytes_are_the_users_all_the_same(make: Make, call: Call, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / CORE).write_bytes(V1[CORE])
    assert "Keeping your own" in call(make(V1), "server").err
    assert call(make({}), "server").code == 0
    assert content(folder) == {CORE: V1[CORE]}


@pytest.mark.parametrize("kind", ["folder", "link", "dangling"])
def test_no_file_at_all(make: Make, call: Call, folder: Path, tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious"
    folder.mkdir(parents=True)
    if kind == "folder":
        (folder / CORE).mkdir()
    else:
        (folder / CORE).symlink_to(precious)
    if kind == "link":
        precious.write_bytes(b"precious")
    for images in (V1, {}):
        assert call(make(images), "server").code == 0
        assert (folder / CORE).is_dir() or os.readlink(folder / CORE) == str(precious)
    assert precious.exists() == (kind == "link")
    assert kind != "link" or precious.read_bytes() == b"precious"


@pytest.mark.parametrize("by", ["content", "time"])
def test_a_file_of_ours_that_was_changed_is_the_users(
    make: Make, call: Call, folder: Path, by: str
) -> None:
    call(make(V1), "server")
    for name in V1:
        if by == "content":
            (folder / name).write_bytes(b"changed")
        else:
            os.utime(folder / name, (1, 1))
    before = content(folder)
    result = call(make(SAME_SIZE), "server")
    assert result.err.count("Keeping your own") == 2
    assert content(folder) == before
    assert call(make({}), "server").code == 0
    assert content(folder) == before


def test_a_changed_file_is_not_cleaned_up(make: Make, call: Call, folder: Path) -> None:
    call(make(V1), "server")
    (folder / CORE).write_bytes(b"changed")
    result = call(make({}), "server")
    assert result.err.count("it was changed since") == 1
    assert content(folder) == {CORE: b"changed"}
    assert call(make({}), "server").err == ""


@pytest.mark.parametrize(
    "line",
    [
        "image 4 {} {} ../../precious.tar.zst",
        "image 4 {} {} /tmp/precious.tar.zst",
        "image 4 {} {} precious",
        "image 4 {} {} .precious.tar.zst",
        "image 4 {} xyz kept.tar.zst",
        "image 4 {} kept.tar.zst",
        "image four {} {} kept.tar.zst",
        "image 4 {} {} kept.tar.zst more",
        "",
        "\0",
        "x" * 70_000,
    ],
)
def test_a_record_that_makes_no_sense(make: Make, call: Call, folder: Path, line: str) -> None:
    folder.mkdir(parents=True)
    files = [folder / "kept.tar.zst", folder / "precious", folder / ".precious.tar.zst"]
    files.append(folder.parents[1] / "precious.tar.zst")
    for file in files:
        file.write_text("mine")
        os.utime(file, (5, 5))
    (folder / RECORD).write_text(line.format(5, "a" * 64) + "\n")
    for images in (V1, {}):
        assert call(make(images), "server").code == 0
    assert all(file.read_text() == "mine" for file in files)


def test_a_record_cut_in_its_last_line(make: Make, call: Call, folder: Path) -> None:
    call(make(V1), "server")
    record = folder / RECORD
    record.write_text(record.read_text()[:-3])
    result = call(make(V1), "server")
    assert result.err.count("Keeping your own") == 1
    assert content(folder) == V1


def test_the_record_is_no_link(make: Make, call: Call, folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (folder / RECORD).symlink_to(tmp_path / "elsewhere")
    assert call(make(V1), "server").code == 0
    assert content(folder) == V1
    assert not (tmp_path / "elsewhere").exists()


# ---- switched off ----


def test_skip(make: Make, call: Call, folder: Path) -> None:
    exe = make(V1)
    result = call(exe, "server", env={"K3S_EMBEDDED_IMAGES": "skip"})
    assert (result.code, folder.parent.exists()) == (0, False)
    call(exe, "server")
    for other in (V2, {}):
        call(make(other), "server", env={"K3S_EMBEDDED_IMAGES": "skip"})
        assert content(folder) == V1


def test_a_wrong_word_does_not_skip(make: Make, call: Call, folder: Path) -> None:
    result = call(make(V1), "server", env={"K3S_EMBEDDED_IMAGES": "no"})
    assert "only 'skip' means something" in result.err
    assert content(folder) == V1


# ---- damaged and hostile ----


def test_a_damaged_image(make: Make, call: Call, folder: Path) -> None:
    exe = make(V1)
    damage(exe, V1[CORE])
    for _ in range(2):
        result = call(exe, "server")
        assert result.code == 0
        assert result.arguments == ["k3s", "server"]
        assert f"embedded image {CORE} in {exe} is damaged" in result.err
        assert content(folder) == {EXTRA: V1[EXTRA]}
        assert recorded(folder) == [EXTRA]
    assert call(make(V1), "server").code == 0
    assert content(folder) == V1


def test_a_damaged_image_does_not_replace_the_old_one(make: Make, call: Call, folder: Path) -> None:
    call(make(V1), "server")
    exe = make(V2)
    damage(exe, V2[CORE])
    assert call(exe, "server").code == 0
    assert content(folder) == {**V2, CORE: V1[CORE]}
    assert call(make({}), "server").code == 0
    assert content(folder) == {}


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    "mangle",
    [
        swap(f" {CORE}", " ../core.tar.zst"),
        swap(f" {CORE}", " a/core.tar.zst"),
        swap(f" {CORE}", " .tar.zst"),
        swap(f" {CORE}", " .core.tar.zst"),
        swap(f" {CORE}", " core.tar"),
        swap(f" {CORE}", " core.txt"),
        swap(f" {CORE}", " c\x1bore.tar.zst"),
        swap(f" {CORE}", " " + "c" * 121 + ".tar.zst"),
        swap(f" {CORE}", ""),
        swap(f" {CORE}", f" {CORE} more"),
        swap("image 300000 ", "image 99999999999 "),
        swap("image 300000 ", "image -1 "),
        swap("image 300000 ", "image 18446744073709551615 "),
        swap("image 300000 ", "image 300000 0"),
        swap("image 300000 ", "image 300000"),
        lambda text: text.replace("image ", "images ").replace("end\n", "image x\nend\n"),
    ],
)
def test_mangled_lines(
    payload: Pack,
    launcher_binary: Path,
    call: Call,
    tmp_path: Path,
    data_dir: Path,
    mangle: Callable[[str], str],
) -> None:
    pack = replace(payload, images=V1, edit_manifest=mangle)
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert "manifest" in result.err and "\x1b" not in result.err
    assert not data_dir.exists()


def test_a_changed_manifest_is_noticed_in_a_steady_start(
    make: Make, call: Call, folder: Path
) -> None:
    exe = make(V1)
    call(exe, "server")
    raw = exe.read_bytes()
    exe.write_bytes(raw.replace(b"\nimage 300000 ", b"\nimbge 300000 "))
    result = call(exe, "server")
    assert result.code == 65
    assert content(folder) == V1


# ---- folders that do not want to ----


def test_a_file_in_the_way(make: Make, call: Call, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("")
    result = call(make(V1), "server")
    assert result.code == 73
    assert "something else is in the way" in result.err
    assert f"cannot open the folder {folder}: Not a directory" in result.err
    assert "K3S_EMBEDDED_IMAGES=skip" in result.err


@pytest.mark.parametrize("images", [V1, V2, {}], ids=["same", "new", "none"])
def test_read_only(make: Make, call: Call, folder: Path, images: dict[str, bytes]) -> None:
    call(make(V1), "server")
    exe = make(images)
    inside = f'mount --bind "{folder}" "{folder}"; mount -o remount,ro,bind "{folder}"'
    result = call(exe, "server", inside=inside)
    assert content(folder) == V1
    if images == V2:
        assert result.code == 73
        assert "Read-only file system" in result.err
        result = call(exe, "server", env={"K3S_EMBEDDED_IMAGES": "skip"}, inside=inside)
    assert result.code == 0
    assert ("cannot remove the old" in result.err) == (not images)


# ---- without them ----


def containerd_ran(folder: Path) -> None:
    """Its database is where k3s has it."""
    database = folder.parent / "containerd/io.containerd.metadata.v1.bolt/meta.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"x")


@pytest.mark.parametrize("ran", [False, True])
def test_no_room(make: Make, call: Call, folder: Path, ran: bool) -> None:
    """Fatal only where no containerd can have the images from before."""
    call(make({}), "server")
    folder.mkdir(parents=True)
    if ran:
        containerd_ran(folder)
    inside = f'mount -t tmpfs -o size=100k none "{folder}"'
    result = call(make(V1), "server", inside=inside)
    assert "not enough space for the embedded images" in result.err
    assert "1 MiB needed" in result.err and "K3S_EMBEDDED_IMAGES=skip" in result.err
    assert result.code == (0 if ran else 75)
    if ran:
        assert result.program
        assert result.err.count("level=warning") == 1 and result.err.count("\n") == 1
        assert "containerd may have them from before" in result.err


def test_not_writable_is_a_warning(make: Make, call: Call, folder: Path) -> None:
    call(make(V1), "server")
    containerd_ran(folder)
    inside = f'mount --bind "{folder}" "{folder}"; mount -o remount,ro,bind "{folder}"'
    result = call(make(V2), "server", inside=inside)
    assert result.code == 0
    assert "The embedded images are not placed" in result.err and "read-only" in result.err
    assert content(folder) == V1
    assert call(make(V2), "server").code == 0
    assert content(folder) == V2


# ---- as the build writes it ----


def test_an_executable_of_the_build(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, folder: Path
) -> None:
    """The build's own writer and the launcher mean the same format."""

    def stored(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    def sha256(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    images = {"k3s-coredns.tar.zst": b"one image", "k3s-pause.tar.zst": b"another"}
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    manifest = Manifest(
        target=HEAD["target"],
        version=HEAD["version"],
        commit=HEAD["commit"],
        go=HEAD["go"],
        cpu=HEAD["cpu"],
        files=tuple(
            Entry(path, int(payload.mode(path), 8), len(data), sha256(data))
            for path, data in payload.files.items()
        ),
        links=dict(payload.links),
        images=tuple(Embedded(n, len(data), sha256(data)) for n, data in images.items()),
        without=("traefik", "servicelb"),
        defaults=(Default("server", 1 << 40, "env", "GOGC", "40", "For every machine."),),
    )
    frames = [
        stored(f"frame-{i}", compressor.compress(data))
        for i, data in enumerate(payload.files.values())
    ]
    exe = tmp_path / "k3s"
    with exe.open("wb") as out:
        archives = [stored(name, data) for name, data in images.items()]
        assemble(out, launcher_binary, manifest, frames, archives)
    exe.chmod(0o755)
    for _ in ("first", "steady"):
        result = call(exe, "server")
        assert result.arguments == ["k3s", "server", "--disable=traefik", "--disable=servicelb"]
        assert result.environment["GOGC"] == "40"
        assert content(folder) == images
    assert read_manifest(exe).images[1].offset


# ---- ARMv6 ----


def test_on_armv6(
    payload: Pack, arm_launcher_binary: Path, folder: Path, tmp_path: Path, data_dir: Path
) -> None:
    """Under the emulated CPU: placed, steady, replaced, removed; a damaged one is not placed."""
    env = {
        "QEMU_CPU": "arm1176",
        "K3S_DATA_DIR": str(data_dir),
        "PATH": "/usr/bin:/bin",
        "K3S_NODE_CHECKS": "off",
    }

    def start(images: dict[str, bytes], *, damaged: bool = False) -> str:
        pack = replace(
            payload, images=images, without=["traefik"], head={"target": "armv6", "cpu": "armv6"}
        )
        exe = pack.write(arm_launcher_binary, tmp_path / "k3s")
        if damaged:
            damage(exe, images[CORE])
        argv = ["qemu-arm-static", str(exe), "server", "--debug"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        assert "adding --disable=traefik" in done.stderr
        assert f"Running {data_dir}/data/" in done.stderr
        return done.stderr

    assert start(V1).count("Placing") == 2
    assert content(folder) == V1
    before = state(folder)
    assert "Placing" not in start(V1)
    assert state(folder) == before
    assert "is damaged" in start(SAME_SIZE, damaged=True)
    assert content(folder) == V1
    start(V2)
    assert content(folder) == V2
    start({})
    assert content(folder) == {}
