"""Real programs for `invoke audit FILE --against`: by Go, by zig, and Debian's own."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard

from buildsys.app import App, Settings
from buildsys.bundle.layout import assemble
from buildsys.bundle.manifest import Entry, Manifest
from buildsys.fetch import apt
from buildsys.verify.control import compile_control

GoProgram = Callable[..., bytes]
CProgram = Callable[[str], bytes]

INNER = "package main\n\nfunc main() { println(6 + 1) }\n"


@pytest.fixture(scope="session")
def app() -> App:
    return App(Settings())


@pytest.fixture(scope="session")
def go_program(app: App, tmp_path_factory: pytest.TempPathFactory) -> GoProgram:
    """A Go program for GOARM=`level`, stripped as upstream strips; with `embed`: the wrapper."""

    def build(level: str, embed: Mapping[str, bytes] | None = None) -> bytes:
        folder = tmp_path_factory.mktemp("go")
        (folder / "go.mod").write_text("module example.org/k3s\n\ngo 1.25\n")
        wrapper = Path(__file__).with_name("wrapper.go").read_text()
        (folder / "main.go").write_text(wrapper if embed else INNER)
        for name, data in (embed or {}).items():
            (folder / "embed").mkdir(exist_ok=True)
            (folder / "embed" / name).write_bytes(data)
        env = app.toolchain.go_environment(app.cache, online=False)
        env |= {"GOOS": "linux", "GOARCH": "arm", "GOARM": level, "CGO_ENABLED": "0"}
        argv = [str(app.toolchain.go / "bin/go"), "build", "-ldflags=-s -w", "-o", "k3s", "."]
        subprocess.run(argv, cwd=folder, env=env, check=True)
        return (folder / "k3s").read_bytes()

    return build


@pytest.fixture(scope="session")
def c_program(app: App, tmp_path_factory: pytest.TempPathFactory) -> CProgram:
    """A static C program for zig's `mcpu`."""

    def build(mcpu: str) -> bytes:
        folder = tmp_path_factory.mktemp("c")
        triple, log = "arm-linux-musleabihf", folder / "log"
        program = compile_control(app.toolchain, app.cache, triple, mcpu, folder / "room", log)
        return program.read_bytes()

    return build


def tarball(files: Mapping[str, bytes]) -> bytes:
    """As upstream's scripts pack it: links among the files, one frame with a window of 32 MiB."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("./bin/kubectl")
        link.type, link.linkname = tarfile.SYMTYPE, "k3s"
        tar.addfile(link)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        16, window_log=25, enable_ldm=True, write_checksum=True, threads=2
    )
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(out.getvalue()) + packer.flush()


def bundle(app: App, path: Path, files: Mapping[str, bytes]) -> Path:
    """An executable of this project with its real launcher for ARMv6."""
    result = app.build(app.plan(["armv6"], ["launcher"]))
    outcome = result.outcomes["launcher-armv6"]
    assert outcome.result, outcome.error
    launcher = outcome.result.artifact.path("k3s-launcher")
    entries = [Entry(n, 0o755, len(d), hashlib.sha256(d).hexdigest()) for n, d in files.items()]
    frames = []
    for index, data in enumerate(files.values()):
        frames.append(path.with_name(f"frame-{index}"))
        frames[-1].write_bytes(zstandard.ZstdCompressor().compress(data))
    manifest = Manifest("armv6", "v1", "c0ffee", "go1.25.5", "armv6", tuple(entries), {})
    with path.open("wb") as out:
        assemble(out, launcher, manifest, frames)
    return path


@pytest.fixture(scope="session")
def debian_package(app: App, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary package of Debian's armhf."""
    folder = tmp_path_factory.mktemp("debian")
    log = folder / "apt.log"
    mirror = os.environ.get("K3S_BUILDSYS_DEBIAN_MIRROR")
    command = apt.configured(app.cache, "stable", mirror, log, "armhf")
    with app.cache.lock("apt"):
        subprocess.run([*command, "update"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, "download", "hello"], cwd=folder, check=True)
    (package,) = folder.glob("*.deb")
    return package
