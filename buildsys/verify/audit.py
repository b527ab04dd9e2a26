"""The audit of one executable: every ELF in it, judged by its target's bounds and then run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildsys.bundle.layout import content, frames, read_manifest
from buildsys.bundle.manifest import Manifest
from buildsys.cache import Cache, disk_errors
from buildsys.check import elf_problems
from buildsys.elf import Image, code_violations
from buildsys.emulator import Emulator, is_elf
from buildsys.errors import AuditError
from buildsys.load import Project
from buildsys.model import Recipe, Target
from buildsys.run import cause_of
from buildsys.styles.context import fill
from buildsys.toolchain import Toolchain
from buildsys.verify.control import compile_control
from buildsys.verify.images import audit_images
from buildsys.verify.verdict import Verdict

TEST_SECONDS = 180
"""How long one component's test may run. k3s itself needs about 5 s under qemu-arm."""


@dataclass(frozen=True)
class Auditor:
    """Audits executables of one target under its emulator."""

    project: Project
    target: Target
    cache: Cache
    toolchain: Toolchain
    emulator: Emulator
    beside: Mapping[str, Path]
    """Components that are not unpacked from the executable: name → folder of their files."""

    def audit(self, executable: Path, record: Mapping[str, Any]) -> Verdict:
        """Take `executable` apart in a scratch folder and try every rule on it.

        `record` is the JSON beside it. What fails is in the verdict; nothing is raised for it.
        """
        log = executable.parent / "verdicts" / f"{executable.name.removeprefix('k3s-')}-audit.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        verdict = Verdict("audit", self.target.name, executable, log)
        with self.cache.scratch(f"audit-{self.target.name}") as folder:
            for name in ("data", "empty", "control", "images"):
                (folder / name).mkdir()
            with verdict.step("unpack") as step:
                manifest = unpack(executable, folder / "data")
                step.facts = {"files": len(manifest.files), "data": manifest.data}
            if not verdict.passed:
                return verdict
            self._bounds(verdict, executable, folder / "data")
            self._linked(verdict, record)
            audit_images(verdict, executable, record, self.target, folder / "images")
            self._controls(verdict, folder / "control", log)
            self._version(verdict, executable, manifest, folder / "empty", log)
            for component in record["components"]:
                recipe = self.project.recipes[component["name"]].recipe
                if recipe.output.into == "executable":
                    with verdict.step(f"run {recipe.name}"):
                        self._test(recipe, folder / "data", log)
            for name, files in self.beside.items():
                with verdict.step(f"run {name}, not of the executable"):
                    self._test(self.project.recipes[name].recipe, files, log)
        return verdict

    def _bounds(self, verdict: Verdict, executable: Path, data: Path) -> None:
        bounds = self.target.elf.bounds()
        with verdict.step("bounds launcher"):
            count, problems = elf_problems(executable, bounds)
            _demand(not problems and count == 1, problems or ["the executable is no ELF"])
        for path in sorted(p for p in data.rglob("*") if p.is_file() and not p.is_symlink()):
            name = path.relative_to(data).as_posix()
            with verdict.step(f"bounds {name}") as step:
                count, problems = elf_problems(path, bounds)
                if is_elf(path):
                    with path.open("rb") as file:
                        problems += [v.text for v in code_violations(Image(file, name), bounds)]
                step.facts = {"elves": count}
                _demand(not problems, problems)

    def _linked(self, verdict: Verdict, record: Mapping[str, Any]) -> None:
        """What went into each link, as its build's check recorded it: linked files do not tell."""
        for component in (*record["components"], *record["images"]):
            checks = component["checks"]
            with verdict.step(f"linked objects {component['name']}") as step:
                step.facts = dict(checks)
                _demand("linked_objects" in checks, ["its build recorded no check"])

    def _controls(self, verdict: Verdict, folder: Path, log: Path) -> None:
        """The emulator must run the target's own code and kill that of the next CPU up."""
        if self.target.control is None:
            return
        with verdict.step("control of this CPU runs"):
            status, text = self._control(folder, self.target.c.mcpu, log)
            _demand(status == 0 and "control" in text, [f"{cause_of(status)}: {text}"])
        with verdict.step("control of the next CPU dies") as step:
            status, text = self._control(folder, self.target.control.mcpu, log)
            step.facts = {"mcpu": self.target.control.mcpu, "status": cause_of(status)}
            _demand(
                "SIGILL" in cause_of(status),
                [
                    f"code for {self.target.control.mcpu} ended with {cause_of(status)}, not "
                    f"SIGILL: this emulator proves nothing"
                ],
            )

    def _control(self, folder: Path, mcpu: str, log: Path) -> tuple[int, str]:
        triple = self.target.c.triple
        program = compile_control(self.toolchain, self.cache, triple, mcpu, folder / "room", log)
        return self._run([program.name], program.parent, folder, log)

    def _version(
        self, verdict: Verdict, executable: Path, manifest: Manifest, empty: Path, log: Path
    ) -> None:
        """`--version` under the emulated CPU, in an empty folder that stays empty."""
        with verdict.step("run launcher") as step:
            argv = [executable.name, "--data-dir", str(empty), "--version"]
            status, text = self._run(argv, executable.parent, empty, log)
            step.facts = {"output": text.strip()}
            _demand(status == 0 and text.strip() == manifest.said, [f"{cause_of(status)}: {text}"])
            _demand(not list(empty.iterdir()), ["it extracted something"])

    def _test(self, recipe: Recipe, data: Path, log: Path) -> None:
        test = recipe.test
        _demand(test is not None, [f"the recipe of {recipe.name} has no test"])
        assert test is not None
        status, text = self._run(list(test.argv), data, data, log)
        pattern = fill(test.expect, recipe, self.toolchain.go_version, quote=re.escape)
        _demand(status == test.exit, [f"{' '.join(test.argv)}: {cause_of(status)}", text[-2000:]])
        _demand(
            re.search(pattern, text, re.MULTILINE) is not None,
            [f"{' '.join(test.argv)}: the output has nothing like {pattern!r}:", text[-2000:]],
        )

    def _run(self, argv: list[str], folder: Path, cwd: Path, log: Path) -> tuple[int, str]:
        wrapped = self.emulator.wrap(argv, folder)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "QEMU_CPU": self.emulator.cpu}
        try:
            done = subprocess.run(
                wrapped,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TEST_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise AuditError(f"{argv[0]} did not end within {TEST_SECONDS} s") from error
        text = done.stdout.decode("utf-8", "replace")
        with log.open("a") as file:
            file.write(f"$ {' '.join(wrapped)}\n{text}\n[{cause_of(done.returncode)}]\n")
        return done.returncode, text


def unpack(executable: Path, folder: Path) -> Manifest:
    """Unpack every frame of an executable, checked by size and sha256. Raises `CorruptError`."""
    manifest = read_manifest(executable)
    with disk_errors(folder, f"unpacking {executable.name}"):
        for entry, frame in frames(executable, manifest):
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(executable, entry, frame))
            path.chmod(entry.mode)
        for name, text in manifest.links.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(text)
    return manifest


def _demand(condition: bool, problems: list[str]) -> None:
    if not condition:
        raise AuditError("\n".join(problems))
