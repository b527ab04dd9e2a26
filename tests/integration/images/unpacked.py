"""An image as a container has it: its files in a folder, its programs started in there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from buildsys.emulator import find_emulator, is_elf, is_native
from buildsys.image.layer import entries_of, write_layer
from buildsys.image.oci import PATH
from buildsys.model import Recipe, Target
from buildsys.store import Artifact

from .inside import Order

INSIDE = Path(__file__).with_name("inside.py")
PATIENCE_SECONDS = 300

Found = TypeVar("Found")


@dataclass(frozen=True)
class Unpacked:
    """An image of one target below `root`; tests may write into it, every test has its own."""

    recipe: Recipe
    target: Target
    root: Path

    @property
    def native(self) -> bool:
        """Whether this machine runs its programs itself."""
        return is_native(self.target)

    def command(self, *arguments: str) -> list[str]:
        """What a container runs: the entrypoint with `arguments`, or with the image's own."""
        table = self.recipe.image
        assert table
        return [*table.entrypoint, *(arguments or table.cmd)]

    def argv(self, *argv: str, env: Mapping[str, str], user: str, net: str) -> list[str]:
        """The command line that starts `argv` in the image; see `started`."""
        table = self.recipe.image
        assert table
        user = user or table.user
        order = Order(
            root=str(self.root),
            argv=list(argv),
            env={"PATH": PATH, **table.env, **self._emulation(), **env},
            user=user if ":" in user else f"{user}:{user}",
            registration=self._registration(),
            net=net == "own",
        )
        within = [] if net in ("", "own") else ["nsenter", f"--net={Path('/run/netns') / net}"]
        return [*within, sys.executable, str(INSIDE), json.dumps(asdict(order))]

    @contextmanager
    def started(
        self, *argv: str, env: Mapping[str, str] | None = None, user: str = "", net: str = ""
    ) -> Iterator[Running]:
        """A running program of the image, as process 1 of its own; killed at the end.

        `user` is uid:gid (default: the image's). `net` is "" for the host's network, "own" for an
        empty one, or names a network namespace: one of `ip netns`, or a path.
        """
        line = self.argv(*argv, env=env or {}, user=user, net=net)
        with subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                yield Running(process, self.root)
            finally:
                if process.poll() is None:
                    # unshare's --kill-child is lost when the program becomes another user.
                    for pid in _programs(process.pid, self.root):
                        os.kill(pid, signal.SIGKILL)
                    process.kill()

    def run(
        self, *argv: str, env: Mapping[str, str] | None = None, user: str = "", net: str = ""
    ) -> Finished:
        """Run a program of the image to its end; the parameters are those of `started`."""
        line = self.argv(*argv, env=env or {}, user=user, net=net)
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_SECONDS
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _emulation(self) -> dict[str, str]:
        return {} if self.native else {"QEMU_CPU": find_emulator(self.target).cpu}

    def _registration(self) -> str:
        if self.native:
            return ""
        files = (path for path in sorted(self.root.rglob("*")) if path.is_file())
        elf = next(path for path in files if not path.is_symlink() and is_elf(path))
        name = f"images-{self.target.name}"
        return find_emulator(self.target).registration(name, elf).decode()


@dataclass(frozen=True)
class Finished:
    """How a program ended."""

    code: int
    out: str
    err: str


@dataclass
class Running:
    """A program of an image that was started; its output and errors are one text."""

    process: subprocess.Popen[bytes]
    root: Path
    _text: bytearray = field(default_factory=bytearray)

    @property
    def pid(self) -> int:
        """The program's process number on the host; it is 1 in its own namespace."""
        return wait_for(lambda: next(_programs(self.process.pid, self.root), 0))

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def wait_for_line(self, words: str) -> str:
        """Read its output until a line has `words`; that line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self._text += line
            if words in line.decode():
                return line.decode()
        raise AssertionError(f"it ended without {words!r}:\n{self._text.decode()}")

    def rest(self) -> str:
        """All output, the lines that were read included; waits for its end."""
        assert self.process.stdout
        return (bytes(self._text) + self.process.stdout.read()).decode()


def _programs(parent: int, root: Path) -> Iterator[int]:
    """Children of `parent` that are the program, no longer what enters the image."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(OSError):
            program = Path(f"/proc/{child}/exe").readlink()
            if program.name.startswith("qemu-") or program.is_relative_to(root):
                yield int(child)


def wait_for(look: Callable[[], Found | None]) -> Found:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def unpack(recipe: Recipe, target: Target, artifact: Artifact, folder: Path) -> Unpacked:
    """Unpack the image's layer as a container's file system, with the places of its mounts."""
    assert recipe.image
    layer, root = folder / f"{recipe.name}.tar", folder / recipe.name
    entries = entries_of(artifact.files, artifact.folder / "files", recipe.image.folders)
    write_layer(entries, layer, 0)
    with tarfile.open(layer) as tar:
        # Our own layer. As an attribute, which Python 3.11.2 does not know and passes over.
        tar.extraction_filter = lambda member, _: member
        tar.extractall(root)
    layer.unlink()
    for name in ("proc", "dev"):
        (root / name).mkdir(exist_ok=True)
    return Unpacked(recipe, target, root)
