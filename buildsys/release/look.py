"""Looks at what a release depends on: the checkout, the artifacts, their verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from buildsys.errors import CommandError
from buildsys.jsonfile import read
from buildsys.model import Target
from buildsys.release.preflight import NOTES_FOLDER
from buildsys.release.version import Tag
from buildsys.run import output, run
from buildsys.verify.written import VerdictData, last_verdict


@dataclass(frozen=True)
class Checkout:
    """The git checkout at `root`; what git says goes to `log`. Raises `CommandError`."""

    root: Path
    log: Path

    @property
    def commit(self) -> str:
        """The commit that is checked out."""
        return self._git("rev-parse", "HEAD").strip()

    @property
    def changed(self) -> tuple[str, ...]:
        """What is not as the commit has it, untracked files too."""
        return tuple(self._git("status", "--porcelain").splitlines())

    def tagged(self, tag: Tag | None) -> str:
        """The commit that the tag names; empty where there is no such tag."""
        try:
            return self._git("rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}").strip()
        except CommandError:
            return ""

    def archive(self, path: Path) -> None:
        """Write the commit's files as a tar."""
        argv = ["git", "-C", str(self.root), "archive", "--format=tar", f"--output={path}"]
        run([*argv, "--prefix=k3s-buildsys/", "HEAD"], log=self.log)

    @property
    def origin(self) -> str:
        """The address that it was cloned from."""
        return self._git("remote", "get-url", "origin").strip()

    @property
    def noted(self) -> tuple[str, ...]:
        """Tags that have notes."""
        return tuple(sorted(path.stem for path in (self.root / NOTES_FOLDER).glob("v*.md")))

    def notes(self, tag: Tag | None) -> str:
        """What somebody wrote for people; empty where nobody did."""
        path = self.root / NOTES_FOLDER / f"{tag}.md"
        return path.read_text("utf-8") if tag and path.is_file() else ""

    def _git(self, *args: str) -> str:
        return output(["git", "-C", str(self.root), *args], log=self.log)


def verdict_states(artifacts: Path, targets: Iterable[Target]) -> dict[tuple[str, str], str]:
    """How every verdict that the targets' release needs ended."""
    return {
        (target.name, kind): last_verdict(artifacts, target.name, kind)
        for target in targets
        if target.release
        for kind in target.release.verdicts
    }


def passed_verdicts(artifacts: Path, target: Target, sha256: str) -> dict[str, VerdictData]:
    """All verdicts about these bytes that passed, by kind, those that nobody asked for too.

    Raises `CorruptError` for one that cannot be read.
    """
    paths = sorted((artifacts / "verdicts").glob(f"{target.name}-*.json"))
    verdicts = (read(VerdictData, path) for path in paths)
    return {one.kind: one for one in verdicts if one.state(sha256) == "passed"}
