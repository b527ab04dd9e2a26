"""Docker, the pure parts: the image's contract, names and addresses, emulators in a row, errors."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from buildsys.app import App, Settings
from buildsys.bundle.manifest import Entry, Manifest
from buildsys.cache import Cache
from buildsys.docker import contract
from buildsys.docker.backend import Order, is_docker, options
from buildsys.docker.base import base_of, hooks, wheel_platforms
from buildsys.docker.binfmt import State, entries, own_names, parse, states, steps
from buildsys.docker.daemon import connect, demand_version, part_for
from buildsys.docker.privileged import argv, failure, kept
from buildsys.docker.push import url_of
from buildsys.docker.register import Registrar, demand_foreign
from buildsys.elf import header_of
from buildsys.emulator import Emulator
from buildsys.errors import (
    BinfmtError,
    BinfmtRightsError,
    BuildsysError,
    DaemonTooOldError,
    NoDaemonError,
    NoRightsError,
    UnknownNameError,
)
from buildsys.image import Image, Layer
from buildsys.image.oci import Blob
from buildsys.load import load_project
from buildsys.model import Target

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

EMULATOR = Emulator(Path("/usr/bin/qemu-arm-static"), "arm1176")


@pytest.fixture(scope="module")
def targets() -> dict[str, Target]:
    return dict(load_project(CHECKOUT).targets)


def manifest(files: tuple[str, ...], links: dict[str, str]) -> Manifest:
    listed = tuple(Entry(path, 0o755, 1, "0" * 64) for path in files)
    return Manifest("armv6", "v1+k3s1", "0", "go1", "armv6", listed, links)


def test_image_has_tools_unpacked_and_k3s_once() -> None:
    found = manifest(
        ("bin/k3s", "bin/runc", "bin/cni", "bin/busybox", "bin/aux/ip", "bin/.links", "etc/x"),
        {
            "bin/sh": "busybox",
            "bin/aux/mount": "../busybox",
            "bin/bridge": "cni",
            "bin/containerd": "k3s",
            "bin/kubectl": "k3s",
        },
    )
    kept = contract.tools(found)
    assert kept == {"bin/busybox", "bin/aux/ip"}
    assert contract.links(found, kept) == {
        "bin/sh": "busybox",
        "bin/aux/mount": "../busybox",
        "bin/kubectl": "k3s",
        "bin/crictl": "k3s",
        "bin/ctr": "k3s",
    }


def image(platform: str) -> Image:
    return Image("k3s", f"k3s:v1-{platform}", platform, Blob(b"{}"), Layer("0" * 64, 1))


@pytest.mark.parametrize(
    ("architecture", "platforms", "taken"),
    [
        ("amd64", ("linux/amd64", "linux/arm/v6"), "linux/amd64"),
        ("arm", ("linux/arm/v7", "linux/arm/v6", "linux/arm64"), "linux/arm/v6"),
        ("s390x", ("linux/amd64", "linux/arm/v6"), None),
        ("s390x", ("linux/arm/v6",), "linux/arm/v6"),
    ],
)
def test_plain_name_is_what_the_daemon_runs(
    architecture: str, platforms: tuple[str, ...], taken: str | None
) -> None:
    part = part_for(architecture, [image(platform) for platform in platforms])
    assert (part.platform if part else None) == taken


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("registry.example/k3s", "https://registry.example/k3s"),
        ("127.0.0.1:5000/a/k3s", "http://127.0.0.1:5000/a/k3s"),
        ("localhost/k3s", "http://localhost/k3s"),
        ("https://localhost/k3s", "https://localhost/k3s"),
    ],
)
def test_only_this_machine_is_spoken_to_without_tls(address: str, url: str) -> None:
    assert url_of(address) == url


def test_plain_http_elsewhere_is_refused() -> None:
    with pytest.raises(NoRightsError, match=r"registry\.example"):
        url_of("http://registry.example/k3s")


# ---- the daemon ----


@pytest.mark.parametrize("version", ["20.10.24+dfsg1", "28.2.2", "library-import"])
def test_daemon_new_enough(version: str) -> None:
    demand_version(version)


@pytest.mark.parametrize("version", ["19.03.15", "1.13.1", "20.9"])
def test_daemon_too_old(version: str) -> None:
    with pytest.raises(DaemonTooOldError, match=rf"version {version}, and 20\.10 is the oldest"):
        demand_version(version)


def test_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(NoDaemonError, match=r"no Docker daemon answers(.|\n)*DOCKER_HOST"):
        connect()


# ---- emulators ----


def run_by_kernel(
    program: bytes, argv: list[str], lines: dict[str, bytes], root: Path
) -> list[str]:
    """What the kernel makes of a program by the lines written to `register`, step by step."""
    files = {}
    for name, line in lines.items():
        _, _, _, _, magic, mask, interpreter, flags = line.decode().split(":")
        (root / name).write_text(
            f"enabled\ninterpreter {interpreter}\nflags: {flags}\noffset 0\n"
            f"magic {magic.replace(chr(92) + 'x', '')}\nmask {mask.replace(chr(92) + 'x', '')}\n"
        )
        files[name] = flags
    path = argv[0]
    while taking := [e for e in entries(root) if e.takes(program)]:
        kept = [path, argv[0]] if "P" in files[taking[0].name] else [path]
        argv = [taking[0].interpreter, *kept, *argv[1:]]
        path = taking[0].interpreter
        program = MARKS.get(path, b"")
    return argv


MARKS: dict[str, bytes] = {}


def test_row_of_entries_names_the_cpu(
    targets: dict[str, Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = steps(targets["armv6"], EMULATOR)
    assert [step.name for step in made] == list(reversed(own_names(targets["armv6"])))
    monkeypatch.setitem(MARKS, "arm1176", made[2].file)
    monkeypatch.setitem(MARKS, "-cpu", made[1].file)
    (tmp_path / "register").touch()
    lines = {step.name: step.line for step in made}
    header = header_of("arm", 32, "little")
    assert run_by_kernel(header, ["/bin/sh", "-c", "true"], lines, tmp_path) == [
        "/usr/bin/qemu-arm-static",
        "-cpu",
        "arm1176",
        "/bin/sh",
        "/bin/sh",
        "-c",
        "true",
    ]
    other = header_of("aarch64", 64, "little")
    assert run_by_kernel(other, ["/bin/sh"], lines, tmp_path) == ["/bin/sh"]
    # The kernel takes lines of at most 1920 bytes (fs/binfmt_misc.c, MAX_REGISTER_LENGTH).
    for target in targets.values():
        for step in steps(target, replace(EMULATOR, cpu=target.emulator.cpu)):
            assert len(step.line) < 1920
            assert step.line.count(b":") == 7


def test_no_two_targets_share_a_mark(targets: dict[str, Target]) -> None:
    marks = [s.file for t in targets.values() for s in steps(t, EMULATOR) if s.file]
    assert len(marks) == 2 * len(targets)
    # One that another begins with would take its file.
    assert not [(a, b) for a in marks for b in marks if a != b and b.startswith(a)]


def test_header_is_that_of_real_programs() -> None:
    own = Path("/proc/self/exe").read_bytes()[:20]
    known = [header_of("x86_64", 64, "little"), header_of("aarch64", 64, "little")]
    assert any(own[:7] == header[:7] and own[18:] == header[18:] for header in known)


def test_newest_registration_counts(targets: dict[str, Target]) -> None:
    text = "enabled\ninterpreter {}\nflags: F\noffset 0\nmagic 7f454c460101\n"
    stock = parse("qemu-arm", text.format("/usr/bin/qemu-arm-static"), 1)
    ours = parse(own_names(targets["armv6"])[0], text.format("arm1176"), 2)
    off = parse("off", text.replace("enabled", "disabled").format("/x"), 3)
    chosen = {"armv6": targets["armv6"]}
    (state,) = states(chosen, [off, ours, stock], frozenset())
    assert (state.runs, state.others) == ("ours", ("qemu-arm",))
    (state,) = states(chosen, [replace(stock, since=3), ours], frozenset())
    assert (state.runs, state.interpreter) == ("other", "qemu-arm")
    (state,) = states(chosen, [], frozenset())
    assert state.runs == "nobody"
    (state,) = states({"amd64": targets["amd64"]}, [], frozenset({"amd64"}))
    assert state.runs == "host"


def test_hosts_own_programs_are_refused(targets: dict[str, Target]) -> None:
    host = header_of("x86_64", 64, "little")
    with pytest.raises(BinfmtError, match="own programs are amd64's"):
        demand_foreign(targets["amd64"], host)
    demand_foreign(targets["armv6"], host)
    demand_foreign(targets["386"], host)


def registrar(cache: Cache, root: Path) -> Registrar:
    return Registrar(cache, lambda _: EMULATOR, root)


def test_no_rights(
    targets: dict[str, Target], cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BinfmtRightsError, match=r"not mounted(.|\n)*as root"):
        registrar(cache, tmp_path).mount()
    name = own_names(targets["armv6"])[0]
    (tmp_path / name).touch()
    monkeypatch.setattr(Path, "open", _refuse)
    with pytest.raises(BinfmtRightsError, match=rf"removing {name}"):
        registrar(cache, tmp_path).remove(targets["armv6"])


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_kernel_without_binfmt_misc(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(BinfmtError, match=r"not mounted at .*, and cannot be"):
        registrar(cache, tmp_path / "nowhere").mount()


# ---- emulators by a container ----


def test_the_same_verb_registers_inside() -> None:
    assert argv(["armv6", "386"], remove=False)[1:] == [
        *("-m", "invoke", "binfmt", "--json", "--cache=/var/cache/k3s-buildsys"),
        *("--arch=armv6", "--arch=386"),
    ]
    assert argv([], remove=True)[-1] == "--remove"


def test_registration_gone_with_its_container() -> None:
    ours, gone = State("armv6", "arm1176", "ours", "entry"), State("386", "pentium3", "nobody")
    assert kept([ours, gone], ["armv6"]) == [ours]
    with pytest.raises(
        BinfmtError, match=r"^386: the registration was gone(.|\n)*have root `mount"
    ):
        kept([ours, gone], ["armv6", "386"])


def test_error_inside_keeps_its_words_and_code() -> None:
    error = failure(43, "error: no rights\ncause: x\n")
    assert (error.exit_code, str(error)) == (43, "no rights\ncause: x")
    assert BuildsysError.exit_code == 1
    error = failure(125, "docker: no such image\n")
    assert (error.exit_code, error.cause) == (44, "docker: no such image")


# ---- building in a container ----


def test_backend_is_one_of_two() -> None:
    assert is_docker("docker")
    assert not is_docker("native")
    with pytest.raises(UnknownNameError, match="unknown backend 'podman'"):
        is_docker("podman")


def test_the_same_is_asked_inside() -> None:
    order = Order(["armv6"], ["pause", "runc"], "full", 2, draft=True, json=True)
    assert order.argv("/cache")[1:] == [
        *("-m", "invoke", "build", "--offline", "--cache=/cache", "--profile=full"),
        *("--arch=armv6", "--only=pause", "--only=runc", "--jobs=2", "--draft", "--json"),
    ]


def test_container_gets_no_network_and_the_same_paths(tmp_path: Path) -> None:
    app = App(Settings(cache=str(tmp_path / "cache")), tmp_path)
    found = options(app, 1000)
    assert found["network_mode"] == "none"
    assert found["cap_add"] == []
    mounts = [(m["Source"], m["Target"], m["ReadOnly"]) for m in found["mounts"]]
    assert mounts == [
        (str(path), str(path), path == tmp_path)
        for path in (tmp_path, tmp_path / "artifacts", tmp_path / "cache")
    ]


def test_base_is_named_after_all_that_is_in_it() -> None:
    base = base_of()
    assert {"bzip2", "git", "make", "python3-venv", "util-linux"} <= set(base.packages)
    assert not {"docker.io", "skopeo"} & set(base.packages)
    assert any(line.startswith("ziglang==") for line in base.requirements)
    others = [replace(base, packages=("git",)), replace(base, requirements=("x==1",))]
    assert len({base.name, *(other.name for other in others)}) == 3


def test_names_with_spaces_stay_one_word() -> None:
    _, copy, _, install, remove = hooks("/a b/wheels", ["x==1", "y>1"])
    assert copy == "sync-in '/a b/wheels' /wheels"
    assert install.endswith("x==1 'y>1'")
    assert remove == 'rm -r "$1/wheels"'


def test_wheels_are_for_the_glibc_of_the_image() -> None:
    options = wheel_platforms("aarch64")
    assert options[:2] == ["--platform", "manylinux_2_36_aarch64"]
    assert "manylinux2014_aarch64" in options
    assert "manylinux_2_37_aarch64" not in options
