"""Executables that are cut, altered, hostile, or for another machine."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .conftest import Call, Result
from .pack import Pack, k3s_like
from .state import assert_whole, leftovers, version_dir

pytestmark = pytest.mark.integration


def assert_refused(result: Result, code: int, *words: str) -> None:
    assert result.code == code, result
    for word in words:
        assert word in result.err


def assert_nothing_left(data_dir: Path, pack: Pack) -> None:
    assert not version_dir(data_dir, pack).exists()
    assert not leftovers(data_dir)
    assert not (data_dir / "data/current").exists()


# ---- cut and altered ----


@pytest.fixture
def big(inner_program: bytes) -> Pack:
    return k3s_like(inner_program, {"bin/runc": random.Random(1).randbytes(1 << 20)})


def test_truncated_at_random(
    big: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    whole = big.write(launcher_binary, tmp_path / "whole").read_bytes()
    start = launcher_binary.stat().st_size
    cut = tmp_path / "k3s"
    for _ in range(50):
        cut.write_bytes(whole[: random.randrange(start, len(whole))])
        cut.chmod(0o755)
        assert_refused(call(cut, "server"), 65, "damaged", "truncated", "download it again")
        assert_refused(call(cut, "--version"), 65, "damaged")
    assert not data_dir.exists()


def test_flipped_at_random(
    big: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    whole = bytearray(big.write(launcher_binary, tmp_path / "whole").read_bytes())
    start = launcher_binary.stat().st_size
    tail = len(whole) - 3000  # the manifest and the footer
    flipped = tmp_path / "k3s"
    harmless = 0
    for i in range(200):
        at = random.randrange(start if i % 2 else tail, len(whole))
        bit = 1 << random.randrange(8)
        whole[at] ^= bit
        flipped.write_bytes(whole)
        flipped.chmod(0o755)
        result = call(flipped, "server")
        whole[at] ^= bit
        if result.code == 0:
            # a bit that no decoder looks at, such as padding in a frame: the files are right
            assert_whole(data_dir, big)
            shutil.rmtree(data_dir)
            harmless += 1
            continue
        assert result.code in (65, 76), (at, bit, result)
        assert "download" in result.err
        assert_nothing_left(data_dir, big)
    assert harmless < 10


def test_a_flip_names_the_file(
    big: Pack, launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    exe = big.write(launcher_binary, tmp_path / "k3s")
    line = next(
        line for line in exe.read_bytes().split(b"\n") if line.endswith(b" bin/runc")
    ).decode()
    offset, length = (int(field) for field in line.split()[4:6])
    data = bytearray(exe.read_bytes())
    data[offset + length // 2] ^= 4
    exe.write_bytes(data)
    result = call(exe, "server")
    assert_refused(result, 65, "bin/runc", "removed the partial")


def test_steady_start_survives_a_damaged_frame(
    big: Pack, launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    """What is unpacked already does not depend on the frames any more."""
    exe = big.write(launcher_binary, tmp_path / "k3s")
    call(exe, "server")
    data = bytearray(exe.read_bytes())
    data[launcher_binary.stat().st_size + 100] ^= 1
    exe.write_bytes(data)
    assert call(exe, "server").code == 0


def test_something_appended(k3s: Path, call: Call) -> None:
    k3s.write_bytes(k3s.read_bytes() + b"\n")
    assert_refused(call(k3s, "server"), 65, "no footer at its end")


def test_launcher_alone(launcher_binary: Path, call: Call) -> None:
    assert_refused(call(launcher_binary, "server"), 65, "no footer at its end")
    assert call(launcher_binary, "help").code == 0


# ---- of the future ----


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, ("bundle format 2", "knows 1")),
        ({"kind": 7}, ("payload kind 7", "knows 1")),
        (
            {"edit_manifest": lambda text: text.replace("k3s-bundle 1", "k3s-bundle 2")},
            ("manifest format 2",),
        ),
    ],
)
def test_unknown_formats(
    payload: Pack,
    launcher_binary: Path,
    call: Call,
    tmp_path: Path,
    change: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    exe = replace(payload, **change).write(launcher_binary, tmp_path / "k3s")
    assert_refused(call(exe, "server"), 76, *words, "download")
    assert_refused(call(exe, "--version"), 76, *words)


# ---- hostile manifests ----


def edit(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "bin/../../evil",
        "/tmp/evil",
        "bin/..",
        "bin/./x",
        "bin//x",
        "bin/",
        "evil",
        "sbin/x",
        "bin/a\\b",
        "binx/y",
        ".",
        "bin",
    ],
)
def test_paths_outside(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path, path: str
) -> None:
    for pack in (
        replace(payload, files={**payload.files, path: b"x"}),
        replace(payload, links={**payload.links, path: "k3s"}),
    ):
        assert_refused(
            call(pack.write(launcher_binary, tmp_path / "k3s"), "server"),
            65,
            "not below bin/ or etc/",
        )
    assert not data_dir.exists()


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../x", "../bin/../../x", "..//x", "", "a/../../../x"]
)
def test_links_outside(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path, target: str
) -> None:
    pack = replace(payload, links={**payload.links, "bin/x": target})
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 65
    assert not data_dir.exists()


@pytest.mark.parametrize("target", ["k3s", "aux/../k3s", "../etc/x", "./k3s"])
def test_links_inside(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path, target: str
) -> None:
    pack = replace(payload, links={**payload.links, "bin/x": target})
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    if target.startswith("./"):
        assert_refused(result, 65)
    else:
        assert_whole(data_dir, pack)


def test_no_file_goes_through_a_link(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    """A link first, then a file below it: refused, wherever the link points."""

    def link_first(text: str) -> str:
        lines = text.splitlines(keepends=True)
        lines.insert(8, "link bin/way ../bin\n")
        return "".join(lines)

    pack = replace(payload, files={**payload.files, "bin/way/evil": b"x"}, edit_manifest=link_first)
    assert_refused(
        call(pack.write(launcher_binary, tmp_path / "k3s"), "server"), 65, "way, which is no folder"
    )
    assert_nothing_left(data_dir, pack)


MANGLED = [
    edit("file 0755", "file 4755"),
    edit("file 0755", "file 755"),
    edit("file 0755", "file 07x5"),
    edit("end\n", ""),
    edit("end\n", "end\nfile x\n"),
    edit(" bin/k3s\n", " bin/k3s extra\n"),
    edit("link ", "link  "),
    edit("cpu amd64", "cpu z80"),
    edit("cpu amd64", "cpu armv6"),
    edit("cpu amd64\n", ""),
    edit("data ", "data 00"),
    edit("version v1", "version " + "v" * 80),
    lambda text: text.replace(
        "\nend\n",
        "\n" + next(li for li in text.splitlines() if li.endswith(" bin/k3s")) + "\nend\n",
    ),
    lambda text: text.replace("file 0755 ", "file 0755 1", 1),
    lambda text: "\n".join(
        " ".join([*li.split()[:4], "99999999999", *li.split()[5:]])
        if li.endswith("bin/k3s")
        else li
        for li in text.split("\n")
    ),
]


@pytest.mark.parametrize("mangle", MANGLED, ids=range(len(MANGLED)))
def test_mangled_manifests(
    payload: Pack,
    launcher_binary: Path,
    call: Call,
    tmp_path: Path,
    data_dir: Path,
    mangle: Callable[[str], str],
) -> None:
    pack = replace(payload, edit_manifest=mangle)
    assert_refused(
        call(pack.write(launcher_binary, tmp_path / "k3s"), "server"), 65, "download it again"
    )
    assert_nothing_left(data_dir, pack)


def test_frames_without_checksum(
    payload: Pack, launcher_binary: Path, call: Call, tmp_path: Path
) -> None:
    exe = replace(payload, checksum=False).write(launcher_binary, tmp_path / "k3s")
    assert_refused(call(exe, "server"), 65, "no checksum")


# ---- another CPU ----


def on_arm(exe: Path, data_dir: Path, cpu: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "QEMU_CPU": cpu,
        "K3S_DATA_DIR": str(data_dir),
        "PATH": "/usr/bin:/bin",
        "K3S_NODE_CHECKS": "off",
    }
    return subprocess.run(
        ["qemu-arm-static", exe, *words], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("cpu", "need", "message"),
    [
        ("arm1176", "armv7", "this k3s is for ARMv7, this CPU is ARMv6: take k3s-armv6"),
        ("arm1176", "armv6", ""),
        ("cortex-a7", "armv7", ""),
        ("cortex-a7", "armv6", ""),
        ("max", "armv7", ""),
    ],
)
def test_too_old_a_cpu(
    arm_launcher_binary: Path,
    inner_program: bytes,
    tmp_path: Path,
    data_dir: Path,
    cpu: str,
    need: str,
    message: str,
) -> None:
    pack = k3s_like(inner_program, head={"target": need, "cpu": need})
    exe = pack.write(arm_launcher_binary, tmp_path / "k3s")
    assert on_arm(exe, data_dir, cpu, "--version").stdout.startswith("k3s version ")
    result = on_arm(exe, data_dir, cpu, "server")
    if message:
        assert (result.returncode, result.stderr) == (78, f"k3s: {message}\n")
        assert not data_dir.exists()
    else:
        assert "server" not in result.stderr.split("Preparing")[0]
        assert_whole(data_dir, pack)
