"""Our launcher against upstream's own `cmd/k3s`, with the same payload, in one run.

The payload is that of artifacts/k3s-amd64, but `bin/k3s` is a program that does nothing, so that
what is measured is the launcher; the real one stays in the payload under another name.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import zstandard

from buildsys.app import App, Settings
from buildsys.bench.compare import Sample, sample
from buildsys.bundle.frame import Compressor
from buildsys.bundle.layout import assemble
from buildsys.bundle.make import entry_of, listings
from buildsys.bundle.manifest import Manifest
from buildsys.errors import BuildsysError, NotBuiltError
from buildsys.fetch import go_module
from buildsys.model import GoModuleSource
from buildsys.report import print_table
from buildsys.run import run as run_command
from buildsys.store import scan
from buildsys.verify.audit import unpack

TARGET = "amd64"
STEADY_RUNS = 300
FIRST_RUNS = 5
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  tmpfs on every Linux
UPSTREAM_LEVEL, UPSTREAM_WINDOW_LOG = 16, 25
"""How k3s's scripts/package-cli compresses."""


@dataclass(frozen=True)
class Pair:
    """Two executables with one payload, and the inner program by itself."""

    ours: Path
    theirs: Path
    bare: Path


def run() -> None:
    """Measure our launcher and upstream's: steady start; first start on tmpfs and on disk."""
    app = App(Settings())
    with app.cache.scratch("bench-launcher") as folder:
        pair = _prepare(app, folder)
        _steady(pair)
        _first_starts(pair, MEMORY_FOLDER, "first start on tmpfs")
        _first_starts(pair, folder, "first start on disk, ours with every file synced")


def _prepare(app: App, folder: Path) -> Pair:
    executable = app.artifacts / f"k3s-{TARGET}"
    if not executable.is_file():
        raise NotBuiltError(f"no {executable}", action=f"run `invoke build --arch {TARGET}`")
    tree = folder / "tree"
    manifest = unpack(executable, tree)
    (tree / "bin/k3s").rename(tree / "bin/k3s-payload")
    bare = _inner(app, folder)
    shutil.copy(bare, tree / "bin/k3s")
    # Upstream's launcher verifies the list of hashes, and wants an etc.
    sums = listings(file for file in scan(tree) if not Path(file.path).name.startswith("."))
    (tree / "bin/.sha256sums").write_bytes(sums["bin/.sha256sums"])
    (tree / "etc").mkdir(exist_ok=True)
    return Pair(_ours(app, folder, tree, manifest), _theirs(app, folder, tree), bare)


def _inner(app: App, folder: Path) -> Path:
    """A static program that ends at once."""
    source, program = folder / "inner.c", folder / "inner"
    source.write_text("int main(void) { return 0; }\n")
    zig = [str(app.toolchain.zig / "zig"), "cc", "-target", "x86_64-linux-musl", "-O2", "-static"]
    env = {"ZIG_GLOBAL_CACHE_DIR": str(app.cache.zig), "PATH": "/usr/bin:/bin"}
    argv = [*zig, str(source), "-o", str(program)]
    run_command(argv, env=env, cwd=folder, log=folder / "log")
    return program


def _ours(app: App, folder: Path, tree: Path, manifest: Manifest) -> Path:
    compressor = Compressor(
        app.cache, app.timeline, app.project.targets[TARGET].executable.window_mib
    )
    files = [file for file in scan(tree) if not file.link]
    entries = tuple(entry_of(file) for file in files)
    frames = [compressor.frame(tree / file.path, file.sha256) for file in files]
    ours = folder / "k3s-ours"
    with ours.open("wb") as out:
        # upstream's executable holds no images either
        bare = replace(manifest, files=entries, images=(), without=())
        assemble(out, _launcher(app), bare, frames)
    ours.chmod(0o755)
    return ours


def _launcher(app: App) -> Path:
    plan = app.plan([TARGET], ["launcher"])
    artifact = app.builder(isolated=True).store.get(plan.jobs[-1].key)
    assert artifact is not None, "the executable was built from it"
    return artifact.path(artifact.files[0].path)


def _theirs(app: App, folder: Path, tree: Path) -> Path:
    """Upstream's launcher from the same k3s module, its payload packed as upstream's scripts do."""
    source = app.project.recipes["k3s"].recipe.source
    assert isinstance(source, GoModuleSource)
    module = folder / "k3s-source"
    go_module.unpack(source, app.cache, module)
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(
            UPSTREAM_LEVEL, window_log=UPSTREAM_WINDOW_LOG, enable_ldm=True, threads=-1
        )
    )
    packed = compressor.compress(_tar(tree))
    name = f"{hashlib.sha256(packed).hexdigest()}.tar.zst"
    (module / "pkg/data/embed").mkdir(parents=True, exist_ok=True)
    (module / "pkg/data/embed" / name).write_bytes(packed)
    stamp = "-X github.com/k3s-io/k3s/pkg/version.Version=v0.0.0-bench"
    env = {**app.toolchain.go_environment(app.cache, online=False), "CGO_ENABLED": "0"}
    go = [str(app.toolchain.go / "bin/go"), "-C", str(module), "build", "-trimpath"]
    theirs = folder / "k3s-theirs"
    flags = ["-tags=urfave_cli_no_docs", "-buildvcs=false", f"-ldflags={stamp} -w -s"]
    run_command([*go, *flags, "-o", str(theirs), "./cmd/k3s"], env=env, log=folder / "log")
    return theirs


def _tar(tree: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(tree.rglob("*")):
            tar.add(path, path.relative_to(tree).as_posix(), recursive=False)
    return buffer.getvalue()


@contextmanager
def _data_dir(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a launcher whose data directory is new, below `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield {"PATH": "/usr/bin:/bin", "HOME": name, "K3S_DATA_DIR": str(Path(name).resolve())}


def _steady(pair: Pair) -> None:
    """Starts with the payload in place: what each launcher adds to the bare program."""
    with _data_dir(MEMORY_FOLDER) as ours, _data_dir(MEMORY_FOLDER) as theirs:
        calls = (
            ([str(pair.bare)], ours),
            ([str(pair.ours), "kubectl"], ours),
            ([str(pair.theirs), "kubectl"], theirs),
        )
        for argv, env in calls:
            _good(argv, env)
        rounds = [[_good(argv, env) for argv, env in calls] for _ in range(STEADY_RUNS)]
    # Differences within a round: what disturbs one round disturbs its three calls alike.
    added = [median(r[i].seconds - r[0].seconds for r in rounds) * 1000 for i in (1, 2)]
    rows = [
        ("bare program", f"{median(r[0].seconds for r in rounds) * 1000:.3f}", "-"),
        ("ours", f"{median(r[1].seconds for r in rounds) * 1000:.3f}", f"{added[0]:.3f}"),
        ("upstream's", f"{median(r[2].seconds for r in rounds) * 1000:.3f}", f"{added[1]:.3f}"),
    ]
    title = f"steady start, {STEADY_RUNS} runs each in turn: {added[1] / added[0]:.1f} times less"
    print_table(title, ("launcher", "median ms", "over bare ms"), rows)


def _first_starts(pair: Pair, folder: Path, title: str) -> None:
    """Starts that unpack everything."""
    taken: dict[str, list[Sample]] = {"ours": [], "upstream's": []}
    for _ in range(FIRST_RUNS + 1):
        for name, executable in (("ours", pair.ours), ("upstream's", pair.theirs)):
            os.sync()
            taken[name].append(_first_start(executable, folder))
    # The first round brought both executables into the page cache.
    seconds = {name: median(s.seconds for s in samples[1:]) for name, samples in taken.items()}
    peaks = {
        "ours": _peak_mib(pair.ours, folder),
        "upstream's": _peak_mib(pair.theirs, folder),
    }
    faster = seconds["upstream's"] / seconds["ours"]
    share = peaks["ours"] / peaks["upstream's"]
    print_table(
        f"{title}: {faster:.2f} times faster, {share:.1%} of the memory",
        ("launcher", "median s", "peak MiB"),
        [(name, f"{seconds[name]:.3f}", f"{peaks[name]:.1f}") for name in taken],
    )


def _first_start(executable: Path, folder: Path) -> Sample:
    with _data_dir(folder) as env:
        return _good([str(executable), "kubectl"], env)


def _good(argv: list[str], env: dict[str, str]) -> Sample:
    taken = sample(argv, env)
    if taken.status:
        raise BuildsysError(f"{argv[0]} ended with {taken.status}: nothing to compare")
    return taken


def _peak_mib(executable: Path, folder: Path) -> float:
    """Peak resident MiB of a first start, seen by a small parent.

    A child's maximum counts what its parent held at the fork, and this process holds a lot.
    """
    with _data_dir(folder) as env:
        argv = ["/usr/bin/time", "-f", "%M", str(executable), "kubectl"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024
