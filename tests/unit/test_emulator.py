"""The emulator: what runs under it, and the binfmt_misc line judged as the kernel judges it."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.emulator import Emulator, find_emulator, is_elf, is_native
from buildsys.errors import CorruptError, MissingToolError
from buildsys.fetch.debian import binary_path
from buildsys.load import load_project

from .conftest import CHECKOUT, Tree

CONTROL = """\
Package: qemu-user
Version: 1
Architecture: amd64
Maintainer: a test
Description: a test
"""

pytestmark = pytest.mark.unit

EMULATOR = Emulator(Path("/usr/bin/qemu-arm-static"), "arm1176")

EM_386, EM_S390, EM_ARM, EM_X86_64 = 3, 22, 40, 62
EXEC, DYN, RELOCATABLE = 2, 3, 1


def header(bits: int, order: str, machine: int, kind: int = EXEC, abi: int = 0) -> bytes:
    """The first 20 bytes of an ELF, after the System V ABI."""
    ident = bytes([0x7F, *b"ELF", bits // 32, 1 if order == "<" else 2, 1, abi]) + bytes(8)
    return ident + struct.pack(f"{order}HH", kind, machine)


def matches(line: bytes, program: bytes) -> bool:
    """As fs/binfmt_misc.c compares: unequal bits count where the mask has them."""
    _, _, kind, offset, magic, mask, _, _ = line.decode().split(":")
    assert (kind, offset) == ("M", "")
    wanted, masked = (
        bytes(int(byte, 16) for byte in re.findall(r"\\x([0-9a-f]{2})", part))
        for part in (magic, mask)
    )
    assert len(wanted) == len(masked) == 20
    return all(
        (seen ^ byte) & bits == 0 for seen, byte, bits in zip(program, wanted, masked, strict=False)
    )


@pytest.mark.parametrize(
    ("bits", "order", "machine"), [(32, "<", EM_ARM), (64, ">", EM_S390)], ids=["arm", "s390x"]
)
@pytest.mark.parametrize("kind", [EXEC, DYN])
def test_registration_takes_its_machines_programs_only(
    tmp_path: Path, bits: int, order: str, machine: int, kind: int
) -> None:
    elf = tmp_path / "k3s"
    elf.write_bytes(header(bits, order, machine, kind) + bytes(100))
    line = EMULATOR.registration("k3s-test", elf)
    assert line.startswith(b":k3s-test:M::")
    assert line.endswith(b":/usr/bin/qemu-arm-static:F")
    for same in (EXEC, DYN):
        assert matches(line, header(bits, order, machine, same))
    assert matches(line, header(bits, order, machine, abi=3))
    for other in (EM_X86_64, EM_386, machine + 1):
        assert not matches(line, header(bits, order, other))
    assert not matches(line, header(bits, order, machine, RELOCATABLE))
    assert not matches(line, header(96 - bits, order, machine))
    assert not matches(line, header(bits, "<>".replace(order, ""), machine))
    assert not matches(line, b"#!/bin/sh\n".ljust(20))


def test_elf_runs_under_the_emulator_and_a_script_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_bytes(header(32, "<", EM_ARM))
    (tmp_path / "bin/script").write_text("#!/bin/sh\n")
    (tmp_path / "bin/empty").write_text("")
    tool, script = str(tmp_path / "bin/tool"), str(tmp_path / "bin/script")
    assert EMULATOR.wrap(["bin/tool", "-v"], tmp_path) == [
        "/usr/bin/qemu-arm-static",
        "-cpu",
        "arm1176",
        "-0",
        "bin/tool",
        tool,
        "-v",
    ]
    assert EMULATOR.wrap(["bin/script", "-v"], tmp_path) == [script, "-v"]
    assert not is_elf(tmp_path / "bin/empty")


def test_static_emulator_is_preferred(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tree.load().targets["armv6"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="none of qemu-arm-static, qemu-arm is installed"):
        find_emulator(target)
    for name in ("qemu-arm", "qemu-arm-static"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert find_emulator(target) == Emulator(tmp_path / name, "arm1176")


@pytest.mark.parametrize(("machine", "native"), [("x86_64", False), ("armv6l", False)])
def test_arm_is_never_native_here(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, machine: str, native: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert is_native(tree.load().targets["armv6"]) == native


@pytest.mark.parametrize(
    ("target", "machines"),
    [
        ("amd64", {"x86_64"}),
        ("arm64", {"aarch64"}),
        ("riscv64", {"riscv64"}),
        ("s390x", {"s390x"}),
        ("ppc64le", {"ppc64le"}),
        ("386", {"i686"}),
        ("armv7", set()),
    ],
)
def test_each_host_runs_its_own_target(
    monkeypatch: pytest.MonkeyPatch, target: str, machines: set[str]
) -> None:
    loaded = load_project(CHECKOUT).targets[target]
    words = ("x86_64", "aarch64", "riscv64", "s390x", "ppc64le", "i686", "armv7l", "ppc64")
    native = set()
    for word in words:
        monkeypatch.setattr(platform, "machine", lambda word=word: word)
        native |= {word} if is_native(loaded) else set()
    assert native == machines


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(Settings(cache=str(tmp_path / "cache")))


def test_a_target_may_bring_its_emulator(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unpacked once; the package may go then."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    target = app.project.targets["386"]
    package = target.emulator.package
    assert package
    for name, text in (("DEBIAN/control", CONTROL), (package.program, "of the package")):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    deb = binary_path(package, app.cache)
    deb.parent.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-b", tmp_path / "tree", deb], check=True, capture_output=True)
    emulator = app.emulator(target)
    deb.unlink()
    assert app.emulator(target) == emulator
    assert emulator.cpu == target.emulator.cpu
    assert emulator.program.read_text() == "of the package"
    assert os.access(emulator.program, os.X_OK)


def test_the_package_is_for_hosts_that_run_it(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="none of qemu-i386-static, qemu-i386 is installed"):
        app.emulator(app.project.targets["386"])


def test_a_package_without_the_program_is_named(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    target = app.project.targets["386"]
    package = target.emulator.package
    assert package
    (tmp_path / "tree/DEBIAN").mkdir(parents=True)
    (tmp_path / "tree/DEBIAN/control").write_text(CONTROL)
    deb = binary_path(package, app.cache)
    deb.parent.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-b", tmp_path / "tree", deb], check=True, capture_output=True)
    with pytest.raises(CorruptError, match=f"has no file {package.program}"):
        app.emulator(target)
