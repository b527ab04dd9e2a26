"""One class per kind of failure, each with its own exit code and its next action in the text."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class BuildsysError(Exception):
    """What failed, the likely cause and the next action; `exit_code` is the process's."""

    exit_code = 1

    def __init__(self, what: str, *, cause: str = "", action: str = "") -> None:
        self.what, self.cause, self.action = what, cause, action
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.cause:
            lines.append(f"cause: {self.cause}")
        if self.action:
            lines.append(f"next: {self.action}")
        return "\n".join(lines)


class UsageError(BuildsysError):
    """What was typed cannot be understood: a command, an option or a value."""

    exit_code = 3


class ScopeError(BuildsysError):
    """Work on several targets was not asked for in words: neither by --arch nor by --all."""

    exit_code = 4

    def __init__(self, doing: str, targets: Iterable[str]) -> None:
        names = sorted(targets)
        super().__init__(
            f"{doing} would be about {len(names)} targets, and none was named",
            action=f"name one with --arch ({', '.join(names)}), or type --all",
        )


class ConfigError(BuildsysError):
    """Mistakes in recipes or targets, all of them in one go."""

    exit_code = 10

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        listing = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"{count} mistake{'s' * (count != 1)} in recipes or targets:\n{listing}",
            action="mend the named keys; toolchains/README.md and recipes/README.md explain each",
        )


class UnknownNameError(BuildsysError):
    """A target, component or step that does not exist; the nearest names are offered."""

    exit_code = 11

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}", action=f"{hint}known: {', '.join(names)}")


class FetchError(BuildsysError):
    """A source could not be fetched: no network, refused, not there."""

    exit_code = 12


class HashMismatchError(BuildsysError):
    """A fetched file is not the pinned one; both hashes are shown, the file is kept aside."""

    exit_code = 13

    def __init__(self, subject: str, *, pinned: str, found: str, kept: Path | None) -> None:
        self.pinned, self.found, self.kept = pinned, found, kept
        aside = f"; the file is kept at {kept}" if kept else ""
        super().__init__(
            f"{subject}: hash does not match\n  pinned {pinned}\n  found  {found}{aside}",
            cause="the file changed at its origin or on the way, or the recipe's pin is wrong",
            action="fetch again; if it stays, compare with the origin before changing the recipe",
        )


class MissingSourceError(BuildsysError):
    """The build phase has no network and a source was not fetched before."""

    exit_code = 14

    def __init__(self, sources: Iterable[str]) -> None:
        listing = "\n".join(f"  {source}" for source in sources)
        super().__init__(
            f"sources are not fetched:\n{listing}",
            action="run `invoke fetch` with the same options while there is a network",
        )


class PatchError(BuildsysError):
    """A patch no longer applies; file, hunk and what stands there now are named."""

    exit_code = 15


class CommandError(BuildsysError):
    """A command failed: its name, the cause, the last lines and the log."""

    exit_code = 16


class DiskFullError(BuildsysError):
    """No space left; nothing that was complete is lost."""

    exit_code = 17

    def __init__(self, where: Path | str, doing: str) -> None:
        super().__init__(
            f"no space left on the file system of {where} while {doing}",
            action="free space (`invoke clean` removes what is not needed) and run the same again",
        )


class CorruptError(BuildsysError):
    """A store entry, download or executable is cut or changed on disk."""

    exit_code = 18


class UnsafeArchiveError(BuildsysError):
    """An archive's member would leave its folder, is no plain file, or unpacks to a bomb."""

    exit_code = 19


class CheckError(BuildsysError):
    """A file breaks its target's bounds or its recipe's promise, or is for another machine."""

    exit_code = 20


class AuditError(BuildsysError):
    """The audit found an ELF that the target cannot run, or its own control failed."""

    exit_code = 21


class SmokeError(BuildsysError):
    """The emulated server did not do what it must."""

    exit_code = 22


class MissingToolError(BuildsysError):
    """The host lacks a program; the command that installs it is named."""

    exit_code = 23


class BudgetError(BuildsysError):
    """A component or an executable is larger than its budget."""

    exit_code = 24


class NotWritableError(BuildsysError):
    """A folder that must be written cannot be created or written."""

    exit_code = 25


class NotBuiltError(BuildsysError):
    """What a command works on is not there: an executable, its verdicts, an older build."""

    exit_code = 26


class LackingError(BuildsysError):
    """A component was asked for that a target cannot have; `instead` is what works there."""

    exit_code = 27

    def __init__(self, component: str, target: str, reason: str, instead: str = "") -> None:
        works = f" (instead: {instead})" if instead else ""
        super().__init__(
            f"{target} has no {component}",
            cause=reason,
            action=f"leave it out; `invoke list --components` shows what each target has{works}",
        )


class BootError(BuildsysError):
    """A booted machine came to grief: how, in which step, at which guest second; last lines."""

    exit_code = 28

    def __init__(
        self, kind: str, doing: str, second: float, detail: str, lines: Iterable[str]
    ) -> None:
        self.kind = kind
        shown = "".join(f"\n  | {line}" for line in lines)
        super().__init__(
            f"{kind} at guest second {second:.0f}, in step {doing!r}: {detail}{shown}",
            action="the whole console is in the log beside the verdict",
        )


class ReleaseRefusedError(BuildsysError):
    """What must hold before a release does not: everything that is wrong, each with its cure."""

    exit_code = 29

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        listing = "\n".join(f"  {what}\n    next: {action}" for what, action in self.problems)
        count = len(self.problems)
        super().__init__(
            f"{count} thing{'s' * (count != 1)} must be mended before a release:\n{listing}",
            action="mend them, then run the same again; nothing was published",
        )


class PublishedError(BuildsysError):
    """What was published under this name has other bytes; it is never overwritten."""

    exit_code = 30


class UploadCutError(BuildsysError):
    """The connection to a store broke, or nobody answered."""

    exit_code = 31


class UploadRefusedError(BuildsysError):
    """A store refused a request, in its own words."""

    exit_code = 32


class NoRightsError(BuildsysError):
    """A store does not let this user in, or credentials are lacking or may not be sent there."""

    exit_code = 33


class RateLimitedError(BuildsysError):
    """A store takes no more requests for now."""

    exit_code = 34


class NothingToJudgeError(BuildsysError):
    """A file that was to be audited holds nothing that a CPU could run."""

    exit_code = 35


class NoDaemonError(BuildsysError):
    """No Docker daemon answers, or it does not let this user in."""

    exit_code = 40


class DaemonTooOldError(BuildsysError):
    """The Docker daemon cannot do what is asked of it."""

    exit_code = 41


class BinfmtError(BuildsysError):
    """The kernel has no binfmt_misc here, or refused a registration."""

    exit_code = 42


class BinfmtRightsError(BuildsysError):
    """Only root may register emulators, or take them back."""

    exit_code = 43


class ContainerError(BuildsysError):
    """A container did not start, or what was to run in it could not."""

    exit_code = 44


class MatrixTooLargeError(BuildsysError):
    """A CI would have more jobs than GitHub makes of one matrix."""

    exit_code = 50

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"the matrix has {count} jobs, and GitHub makes at most {limit} of one",
            action="name targets with --arch, in several matrices",
        )


class StepsFailedError(BuildsysError):
    """Steps of `invoke ci` failed or were left out; each was reported where it ran."""

    exit_code = 51

    def __init__(self, steps: Iterable[tuple[str, str]]) -> None:
        self.steps = tuple(steps)
        super().__init__(
            f"failed: {', '.join(name for name, _ in self.steps)}",
            action="; ".join(f"`{typed}`" for _, typed in self.steps),
        )


class SomeFailedError(BuildsysError):
    """Several jobs failed; each was reported on its own. Carries the first one's exit code."""

    def __init__(self, failures: Iterable[tuple[str, BuildsysError]]) -> None:
        self.failures = tuple(failures)
        self.exit_code = self.failures[0][1].exit_code
        names = ", ".join(name for name, _ in self.failures)
        super().__init__(f"failed: {names}", action="each failure is explained above")
