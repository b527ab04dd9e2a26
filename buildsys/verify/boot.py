"""Boots: a scenario, step by step, on the target's own machine; ends in a verdict."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buildsys.cache import Cache, file_sha256
from buildsys.doctor import packages_of
from buildsys.errors import MissingToolError, NotBuiltError
from buildsys.machine.board import Board, keep_disk
from buildsys.machine.kernel import read_kernel
from buildsys.machine.place import Place
from buildsys.machine.qemu import Files
from buildsys.model import MachineTable, ScenarioTable
from buildsys.report import Progress
from buildsys.run import run, with_sbin
from buildsys.verify.older import find_older
from buildsys.verify.verdict import Verdict
from buildsys.verify.walk import Walk, plugs

FILES = Path(__file__).parent.parent / "machine" / "scenarios" / "files"
"""What scenarios need in the guest, at /scenario."""

IMAGES = "var/lib/rancher/k3s/agent/images"

GUEST_LOG = "/var/log/k3s.log"

TUN = Path("/dev/net/tun")
"""What the wire between boards is made by."""


@dataclass(frozen=True)
class Booter:
    """Runs scenarios on one target's machine.

    `package` is the kernel's, `busybox` the target's, `native` a k3s that runs on the host.
    """

    target: str
    machine: MachineTable
    package: Path
    busybox: Path
    native: Path
    cache: Cache
    progress: Progress
    extra: Mapping[str, bytes] = field(default_factory=dict)
    """More files for the guest, by their path in it."""

    def boot(self, executable: Path, scenario: ScenarioTable, given: Path | None = None) -> Verdict:
        """Run every step until one fails; failures are in the verdict.

        `given` is the older executable for a scenario that wants one (see `find_older`). Raises
        `MissingToolError` for an emulator or a machine that cannot carry the scenario, and
        `NotBuiltError` for a file that it wants.
        """
        demand_boot(self.target, self.machine, self.native, executable, scenario)
        older = find_older(executable, given) if scenario.older else None
        suffix = executable.name.removeprefix("k3s-")
        log = executable.parent / "verdicts" / f"{suffix}-{scenario.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        verdict = Verdict(scenario.name, self.target, executable, log)
        if older:
            verdict.facts["older"] = file_sha256(older)
        with (
            self.cache.scratch(f"boot-{suffix}-{scenario.name}") as folder,
            tempfile.TemporaryDirectory(prefix="k3s-boot-") as sockets,
        ):
            begin = time.monotonic()
            files = {name: _files(folder, Path(sockets), name) for name in scenario.boards}
            for board in self._boards(executable, scenario, older):
                board.prepare(files[board.name], folder / "prepare.log")
            for name in scenario.renewed:
                keep_disk(files[name])
            seconds = time.monotonic() - begin
            name = f"{executable.name}: {scenario.name}"
            self.progress.line(f"boot     {name}: board made in {seconds:.1f} s")
            taps = [plug.tap for plug in plugs(scenario).values()]
            place = Place.made(folder, self.native if scenario.wants_host else None, taps)
            walk = Walk(self.machine, self.progress, scenario, verdict, files, place)
            try:
                walk.all()
            finally:
                walk.end()
                _append_logs(files, place, log)
        return verdict

    def _boards(self, executable: Path, scenario: ScenarioTable, older: Path | None) -> list[Board]:
        wanted = (*self.machine.boot_modules, *self.machine.modules)
        kernel = read_kernel(self.package, self.machine.kernel, wanted)
        files = {f"scenario/{name}": (FILES / name).read_bytes() for name in scenario.files}
        files |= self.extra
        if scenario.images:
            files |= airgap_files(executable)
        if older:
            files["scenario/older"] = older.read_bytes()
        parts = (self.machine, kernel, self.busybox, executable, files)
        return [Board(name, *parts) for name in scenario.boards]


def demand_boot(
    target: str, machine: MachineTable, native: Path, executable: Path, scenario: ScenarioTable
) -> None:
    """See that this host has what the scenario requires; nothing is fetched or made for that.

    Raises `MissingToolError`, and `NotBuiltError` for a file.
    """
    if scenario.wants_host and not native.is_file():
        raise NotBuiltError(
            f"{scenario.name} runs servers on the host, and there is no {native}",
            action=f"run `invoke build --arch {native.name.removeprefix('k3s-')}`",
        )
    program = f"qemu-system-{machine.emulator}"
    if not shutil.which(program):
        raise MissingToolError(
            f"{program} is not installed, and boots of {target} run in it",
            action=f"run `invoke setup --for boot --arch {target}`",
        )
    if machine.memory_mib < scenario.memory_mib:
        raise MissingToolError(
            f"{target}'s machine has {machine.memory_mib} MiB, and {scenario.name} "
            f"wants {scenario.memory_mib}",
            action="choose another scenario; `invoke smoke --list` shows what each wants",
        )
    if scenario.wired and not os.access(TUN, os.R_OK | os.W_OK):
        raise MissingToolError(
            f"{scenario.name} joins boards by a wire, and {TUN} does not open",
            cause="the kernel was built without it, or only root may open it",
            action=f"modprobe tun; chmod 666 {TUN}, as Debian has it",
        )
    _demand_programs(target, machine)
    if scenario.images:
        airgap_archive(executable)


def _demand_programs(target: str, machine: MachineTable) -> None:
    """What makes a board's disk and reads it, and what changes its device tree."""
    programs = ["unshare", "dpkg-deb", "mkfs.ext4", "debugfs"]
    programs += ["fdtput"] if machine.device_tree else []
    path = with_sbin()["PATH"]
    if missing := [name for name in programs if not shutil.which(name, path=path)]:
        raise MissingToolError(
            f"boots of {target} require {', '.join(missing)}, not installed",
            action=f"apt-get install {' '.join(packages_of(missing))} "
            "(or `invoke setup --for boot`)",
        )


def airgap_archive(executable: Path) -> Path | None:
    """The airgap archive beside the executable; None for an executable that embeds images.

    Raises `NotBuiltError` where it is not there.
    """
    record = json.loads(executable.with_name(f"{executable.name}.json").read_text("utf-8"))
    if record["embedded_size"]:
        return None
    name = f"k3s-airgap-images-{executable.name.removeprefix('k3s-')}.tar.zst"
    path = executable.with_name(name)
    if not path.is_file():
        raise NotBuiltError(f"there is no {path}", action="run `invoke build` for the target")
    return path


def airgap_files(executable: Path) -> dict[str, bytes]:
    """The airgap archive where k3s imports it, if there is one. Raises as `airgap_archive`."""
    path = airgap_archive(executable)
    return {f"{IMAGES}/{path.name}": path.read_bytes()} if path else {}


def _files(folder: Path, sockets: Path, board: str) -> Files:
    """A board's own folders."""
    files = Files(folder / f"board-{board}", sockets / board)
    for path in (files.folder, files.sockets):
        Path(path).mkdir()
    return files


def _append_logs(boards: Mapping[str, Files], place: Place, log: Path) -> None:
    """K3s's own logs, read out of the disks that it wrote, and those of the host's programs."""
    for files in boards.values():
        command = f"dump {GUEST_LOG} {files.folder / 'guest-k3s.log'}"
        argv = ["debugfs", "-R", command, str(files.disk)]
        run(argv, log=place.folder / "debugfs.log", env=with_sbin())
    with log.open("ab") as out:
        for part in place.logs():
            name = part.relative_to(place.folder)
            out.write(f"\n== {name}\n".encode() + part.read_bytes())
