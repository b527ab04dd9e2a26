"""The airgap file, imported by the containerd that is in the executable, under the target's CPU."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import App
from buildsys.emulator import find_emulator, is_native
from tests.chosen import TARGETS

from .conftest import MakeAirgap

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]

# Without its CRI: that wants cgroups, and ctr does not ask it.
CONFIG = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri",
]
[grpc]
address = "{folder}/socket"
"""


@dataclass(frozen=True)
class Containerd:
    """A running containerd in a folder of its own; `program` is k3s, with how it is started."""

    program: tuple[str, ...]
    folder: Path

    def ctr(self, *argv: str) -> str:
        """Run ctr in the namespace of Kubernetes; its output."""
        line = [*_called("ctr", self.program), f"--address={self.folder}/socket", "-n", "k8s.io"]
        done = subprocess.run([*line, *argv], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _called(name: str, program: tuple[str, ...]) -> list[str]:
    """k3s under another name: by the emulator's option, or by a link natively."""
    if len(program) == 1:
        link = Path(program[0]).with_name(name)
        return [str(link)]
    return [*program[:-1], "-0", name, program[-1]]


@contextmanager
def containerd(program: tuple[str, ...], folder: Path) -> Iterator[Containerd]:
    (folder / "config.toml").write_text(CONFIG.format(folder=folder))
    argv = [*_called("containerd", program), "--config", str(folder / "config.toml")]
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as one:
        try:
            for _ in range(600):
                if (folder / "socket").exists() or one.poll() is not None:
                    break
                time.sleep(0.1)
            assert one.poll() is None, (folder / "log").read_text()
            yield Containerd(program, folder)
        finally:
            one.terminate()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("suffix", ["zst", "gz"])
def test_containerd_imports_every_image_by_its_name(
    app: App, airgap: MakeAirgap, target: str, suffix: str, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("containerd is started by root only")
    built = app.build(app.plan([target], ["k3s"])).outcomes[f"k3s-{target}"]
    assert built.result, built.error
    program: tuple[str, ...] = (str(built.result.artifact.path("bin/k3s")),)
    if not is_native(app.project.targets[target]):
        emulator = find_emulator(app.project.targets[target])
        program = (str(emulator.program), "-cpu", emulator.cpu, *program)
    made = airgap(target)
    archive = {"zst": made.zst, "gz": made.gz}[suffix]
    with containerd(program, tmp_path) as running:
        # As k3s imports it; unpacked it would be by a snapshotter of the host's kernel.
        running.ctr("images", "import", "--no-unpack", "--all-platforms", str(archive))
        assert sorted(running.ctr("images", "list", "--quiet").split()) == sorted(made.names)
        for image in made.images:
            found = running.ctr("images", "list", f"name=={image['image']}")
            assert image["digest"] in found
            assert image["platform"] in found
