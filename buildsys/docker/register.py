"""Registering emulators with the kernel, and taking them back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import Cache
from buildsys.docker.binfmt import ROOT, Step, own_names, steps
from buildsys.elf import header_of, read_facts
from buildsys.emulator import Emulator, header_mask
from buildsys.errors import BinfmtError, BinfmtRightsError, MissingToolError
from buildsys.model import Target

REMOVE = b"-1"
"""What an entry is told to be gone."""


@dataclass(frozen=True)
class Registrar:
    """Writes to the binfmt_misc at `root`; `emulator` finds that of a target.

    Small files lie in the cache for a moment.
    """

    cache: Cache
    emulator: Callable[[Target], Emulator]
    root: Path = ROOT

    def register(self, target: Target) -> bool:
        """Register the target's emulator; whether an older registration was replaced.

        It then comes before all others for the same programs, which stay as they are. The kernel
        opens the emulator's file now and keeps it: it may be replaced or removed. Raises
        `BinfmtError`, `BinfmtRightsError`, `MissingToolError`, and what finding it raises.
        """
        demand_foreign(target, Path(sys.executable).read_bytes()[:20])
        emulator = self.emulator(target)
        demand_static(emulator, target)
        self.mount()
        replaced = self.remove(target)
        with (
            self.cache.scratch("binfmt") as scratch,
            # An interpreter's name becomes an argument, so it has no folder: the kernel looks here.
            chdir(scratch),
        ):
            try:
                for step in steps(target, emulator):
                    self._add(step)
            except BinfmtError:
                self.remove(target)
                raise
        return replaced

    def remove(self, target: Target) -> bool:
        """Remove the target's entries; whether there were any. Raises `BinfmtRightsError`."""
        paths = [self.root / name for name in own_names(target)]
        found = [path for path in paths if path.exists()]
        for path in found:
            self._write(path, REMOVE, f"removing {path.name}")
        return bool(found)

    def mount(self) -> None:
        """Mount binfmt_misc if it is not. Raises `BinfmtError` or `BinfmtRightsError`."""
        if (self.root / "register").exists():
            return
        if os.geteuid():
            raise self._no_rights("binfmt_misc is not mounted")
        argv = ["mount", "-t", "binfmt_misc", "none", str(self.root)]
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode or not (self.root / "register").exists():
            raise BinfmtError(
                f"binfmt_misc is not mounted at {self.root}, and cannot be: {done.stderr.strip()}",
                cause="the kernel was built without it, or this is a container without rights",
                action="`modprobe binfmt_misc`, or run it on the host itself",
            )

    def _add(self, step: Step) -> None:
        if step.file:
            Path(step.interpreter).write_bytes(step.file)
            Path(step.interpreter).chmod(0o755)
        self._write(self.root / "register", step.line, f"registering {step.name}")

    def _write(self, path: Path, data: bytes, doing: str) -> None:
        try:
            with path.open("wb", buffering=0) as file:
                file.write(data)
        except PermissionError as error:
            if os.geteuid():
                raise self._no_rights(f"{doing}: {error.strerror}") from error
            raise BinfmtError(
                f"the kernel refused {doing}: {error.strerror}",
                cause="the cache lies on a file system that is mounted noexec, or this is a "
                "container without rights",
                action="move the cache with --cache, or run it on the host itself",
            ) from error
        except OSError as error:
            raise BinfmtError(
                f"the kernel refused {doing}: {error.strerror}",
                cause="an entry of that name is there, or the kernel's binfmt_misc has no F "
                "(before Linux 4.8)",
                action=f"look at {self.root}",
            ) from error

    def _no_rights(self, what: str) -> BinfmtRightsError:
        return BinfmtRightsError(
            f"this user may not register emulators: {what}",
            cause="what is registered holds for the whole machine, so only root may",
            action="run the same as root (`sudo .venv/bin/invoke binfmt …`)",
        )


def demand_foreign(target: Target, host: bytes) -> None:
    """Raise `BinfmtError` where the `host`'s own programs would go to the emulator as well.

    They are told by the header of one of them: 20 bytes.
    """
    header = header_of(target.elf.machine, target.elf.bits, target.elf.endian)
    mask = header_mask(header)
    if all((a ^ b) & bits == 0 for a, b, bits in zip(header, host, mask, strict=True)):
        raise BinfmtError(
            f"this machine's own programs are {target.name}'s: none of them would run any more",
            cause="the kernel would give every program to the emulator, the emulator included",
            action=f"nothing is needed: {target.name} runs here as it is",
        )


def demand_static(emulator: Emulator, target: Target) -> None:
    """Raise `MissingToolError` for an emulator whose libraries are not in the containers."""
    with emulator.program.open("rb") as file:
        interpreter = read_facts(file, emulator.program.name).interpreter
    if interpreter:
        raise MissingToolError(
            f"{emulator.program} is no static program: in a container it misses its libraries, and "
            f"{target.name} would not run there",
            action="apt-get install qemu-user-static",
        )
