"""install.sh from the folder of a build, and where data and images go."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from buildsys.errors import CorruptError, UnknownNameError

from ..flat import K3S, Published, program, version
from ..machine import Machine
from ..server import Server
from .installing import ARM11, MARKS, SCRIPT, Make, install, installed, refused

pytestmark = MARKS

# A script to the shell that stands for the kernel, as `flat.program` is.
PATHS = """\
if [ "$1" = --show-paths ]; then
    printf '%s|' "$PWD" "$K3S_DATA_DIR" "$@" >/asked
    data=/mnt/k3s
    printf 'config\\t/x\\ndata-dir\\t%s\\nreal-data-dir\\t/real\\n' $data
    printf 'images-dir\\t%s/agent/images\\n' $data
    exit "${SHOW_PATHS_STATUS:-0}"
fi
"""


def with_paths(target: str = "amd64", status: int = 0) -> bytes:
    """A program that can say where its data are."""
    plain = program(target, version(target))
    asked = PATHS.replace('"${SHOW_PATHS_STATUS:-0}"', str(status))
    return plain.replace(b"\necho 'k3s", b"\n" + asked.encode() + b"echo 'k3s", 1)


def build(folder: Path, target: str, content: bytes, images: bytes = b"") -> None:
    """What `invoke build` leaves of a target."""
    folder.mkdir(exist_ok=True)
    files = {f"k3s-{target}": content}
    if images:
        files[f"k3s-airgap-images-{target}.tar.zst"] = images
    written = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in files.items()
    }
    record = {
        "target": target,
        "version": K3S,
        **written[f"k3s-{target}"],
        "files": written,
        "components": [{"recipe": "x", "files": [], "sha256": "0", "version": "9"}],
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / f"k3s-{target}.json").write_text(json.dumps(record, indent=2) + "\n")


def run(machine: Machine, *arguments: str) -> tuple[int, str]:
    done = machine.run("sh", "/artifacts/install.sh", *arguments)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(params=["dash+curl", "busybox"])
def board(request: pytest.FixtureRequest, make: Make) -> Machine:
    """A Pi Zero with the builds of two targets."""
    machine = make(str(request.param))
    machine.is_a("armv6l", 32, ARM11)
    for target in ("armv6", "amd64"):
        build(machine.root / "artifacts", target, program(target, version(target)), b"images")
    (machine.root / "artifacts/install.sh").write_bytes(SCRIPT.read_bytes())
    return machine


def test_folder_of_builds_is_a_place(board: Machine) -> None:
    code, text = run(board, "--from", "/artifacts", "agent", "--from", "x")
    assert code == 0, text
    assert board.k3s.read_bytes() == program("armv6", version("armv6"))
    assert (
        board.read("var/lib/rancher/k3s/agent/images/k3s-airgap-images-armv6.tar.zst") == "images"
    )
    assert "set -- 'agent' '--from' 'x' " in board.read("etc/rancher/k3s/k3s-agent.start")
    code, text = run(board)
    assert code == 0, text
    assert "is that already" in text


def test_build_that_changed_is_refused(board: Machine) -> None:
    path = board.root / "artifacts/k3s-armv6"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = install(board, None, INSTALL_K3S_FROM="/artifacts")
    refused(done, CorruptError, "it has the sha256")
    (board.root / "artifacts/k3s-armv6.json").write_text('{"version": "v1", "files"')
    done = install(board, None, INSTALL_K3S_FROM="/artifacts")
    refused(done, CorruptError, "k3s-armv6.json is not whole")


def test_images_of_another_build_are_left_out(board: Machine) -> None:
    (board.root / "artifacts/k3s-airgap-images-armv6.tar.zst").write_bytes(b"others")
    done = installed(board, None, INSTALL_K3S_FROM="/artifacts")
    assert "is not of this k3s: it is left out" in done.stderr
    assert not (board.root / "var/lib/rancher/k3s/agent/images").exists()


def test_help_and_from(make: Make) -> None:
    machine = make("busybox")
    done = machine.run("sh", "-s", "-", "--help", given=SCRIPT.read_bytes())
    assert done.returncode == 0
    assert "usage: sh install.sh [--from PLACE]" in done.stdout
    done = machine.run("sh", "-s", "-", "--from", given=SCRIPT.read_bytes())
    refused(done, UnknownNameError, "--from names no place")


def test_pipe_does_not_take_what_lies_in_the_working_folder(
    make: Make, public: Published, server: Server
) -> None:
    """L3: a pipe's $0 is `sh`, and in /tmp such a file is anybody's."""
    machine = make("dash+curl")
    (machine.root / "sh").write_text("x")
    for path in public.flat().iterdir():
        (machine.root / path.name).write_bytes(path.read_bytes())
    refused(install(machine, None), UnknownNameError, "nobody said where from")


@pytest.mark.parametrize(
    ("word", "features", "target"),
    [
        ("armv7l", "fp asimd", "armv7"),
        ("armv6l", "fp asimd", "armv6"),
        ("arm", ARM11, "armv7"),
        ("armhf", "fp asimd", "armv7"),
        ("armv6", "fp asimd", "armv6"),
        ("arm64", "", "arm64"),
        ("386", "", "386"),
    ],
)
def test_arch_is_believed(
    make: Make, server: Server, word: str, features: str, target: str
) -> None:
    machine = make("busybox")
    machine.is_a("aarch64", 64, features)
    installed(machine, server, ARCH=word)
    assert machine.k3s.read_bytes() == program(target, version(target))


# ---- where data and images go ----


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_images_go_where_the_new_executable_says(make: Make, tools: str) -> None:
    machine = make(tools)
    build(machine.root / "artifacts", "amd64", with_paths(), b"images")
    variables = {"INSTALL_K3S_FROM": "/artifacts", "K3S_DATA_DIR": "/of/the variable"}
    installed(machine, None, "server", "--x=a b", "", **variables)
    assert machine.read("asked") == "/|/of/the variable|--show-paths|server|--x=a b||"
    images = machine.root / "mnt/k3s/agent/images"
    assert (images / "k3s-airgap-images-amd64.tar.zst").read_bytes() == b"images"
    # M6: k3s leaves the mode of agent/ as it is, and registries' passwords will be in there.
    assert [path.stat().st_mode & 0o777 for path in (images, images.parent)] == [0o700] * 2
    assert "recorded_data_dir='/mnt/k3s'" in machine.read("etc/rancher/k3s/k3s.start")
    assert not (machine.root / "var/lib/rancher").exists()


def test_configuration_that_cannot_be_read_ends_it_before_anything_changed(make: Make) -> None:
    machine = make("dash+curl")
    build(machine.root / "artifacts", "amd64", with_paths(status=79), b"images")
    done = install(machine, None, INSTALL_K3S_FROM="/artifacts")
    refused(done, UnknownNameError, "cannot tell where k3s keeps its data (exit code 79)")
    assert not machine.k3s.exists()


@pytest.mark.parametrize(
    ("arguments", "variable", "data"),
    [
        (("--data-dir", "/mnt/a b"), "", "mnt/a b"),
        (("--data-dir=/mnt/k3s", "x"), "/of/variable", "mnt/k3s"),
        (("-d", "/mnt/k3s"), "", "mnt/k3s"),
        ((), "/of/variable", "of/variable"),
    ],
)
def test_older_executable(make: Make, arguments: tuple[str, ...], variable: str, data: str) -> None:
    machine = make("dash+curl")
    build(machine.root / "artifacts", "amd64", program("amd64", version("amd64")), b"images")
    variables = {"K3S_DATA_DIR": variable} if variable else {}
    done = installed(
        machine, None, "server", *arguments, INSTALL_K3S_FROM="/artifacts", **variables
    )
    assert (machine.root / data / "agent/images/k3s-airgap-images-amd64.tar.zst").is_file()
    assert "this k3s cannot say where its data are" in done.stderr
