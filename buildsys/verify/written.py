"""Verdicts as `Verdict.write` and `invoke proof` left them: the one reader of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from buildsys.cache import file_sha256
from buildsys.errors import CorruptError
from buildsys.jsonfile import Data, read


class Run(Data):
    """One time that something was tried: when, in UTC, and for how many seconds."""

    started: str
    passed: bool
    seconds: float


class VerdictHead(Data):
    """What was tried on which bytes, how many they are, and how the last run ended.

    `runs` are all that the same bytes had, the last one too; older versions wrote neither them nor
    the `size`.
    """

    kind: str
    target: str
    file: str
    sha256: str
    size: int | None = None
    draft: bool = False
    passed: bool
    started: str
    seconds: float
    runs: tuple[Run, ...] = ()

    @property
    def all_runs(self) -> tuple[Run, ...]:
        """`runs`, also where none were written."""
        last = Run(started=self.started, passed=self.passed, seconds=self.seconds)
        return self.runs or (last,)

    def state(self, sha256: str) -> str:
        """Passed, FAILED, stale, or draft, for the executable with this sha256."""
        if self.sha256 != sha256:
            return "stale"
        if self.draft and self.passed:
            return "draft"
        return "passed" if self.passed else "FAILED"


class StepData(Data):
    """A step of a verdict; seconds of wall time."""

    name: str
    passed: bool
    seconds: float
    detail: str
    facts: dict[str, Any]


class VerdictData(VerdictHead):
    """A whole verdict. `log` lies beside it; one that is kept in docs/proof has none."""

    log: str = ""
    facts: dict[str, Any]
    steps: tuple[StepData, ...]


class ShortVerdict(VerdictHead):
    """What is kept of a verdict without a boot: its steps' number, and what failed."""

    tried: int
    failed: dict[str, str]


def place(artifacts: Path, suffix: str, kind: str) -> Path:
    """Where the verdict on `k3s-<suffix>` lies."""
    return artifacts / "verdicts" / f"{suffix}-{kind}.json"


def readable(path: Path) -> VerdictData | None:
    """The verdict at `path`; None where there is none that can be read."""
    try:
        return read(VerdictData, path)
    except (OSError, CorruptError):
        return None


def last_verdict(artifacts: Path, suffix: str, kind: str) -> str:
    """How `kind` ended last for `k3s-<suffix>`: none, passed, FAILED, stale, or draft.

    Stale is a verdict about other bytes than those of the executable that is there now; one that a
    draft passed is no more than that.
    """
    executable = artifacts / f"k3s-{suffix}"
    found = readable(place(artifacts, suffix, kind))
    return found.state(file_sha256(executable)) if found and executable.is_file() else "none"
