"""What `invoke ci` runs, as data: steps in order, each a command that anybody can type. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from buildsys.errors import UnknownNameError
from buildsys.model import Target


@dataclass(frozen=True)
class Step:
    """A command; `files` are globs whose files it gets as well.

    A step is left out where another one about the same `target` failed before it. What a step with
    `tests` prints is not about this run: it is not told that a runner reads it.
    """

    name: str
    group: str
    argv: tuple[str, ...]
    files: tuple[str, ...] = ()
    target: str = ""
    tests: bool = False

    @property
    def typed(self) -> str:
        """The command as people type it."""
        return " ".join((*self.argv, *self.files))


PASSED, LEFT_OUT = "passed", "left out"


@dataclass(frozen=True)
class Ran:
    """How a step ended, in words, and after how many seconds."""

    step: Step
    result: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it ended well."""
        return self.result == PASSED


_SHELLCHECK = ("shellcheck", "-f", "gcc")

_WRAPPERS = ("ar", "cc", "collect", "hostcc", "ld", "objcopy", "pkg-config", "ranlib", "strip")

CHECK = (
    Step("ruff", "check", ("ruff", "check", "--output-format=concise", ".")),
    Step("format", "check", ("ruff", "format", "--check", ".")),
    Step("mypy", "check", ("mypy",)),
    Step(
        "shellcheck wrappers",
        "check",
        (*_SHELLCHECK, "-x", "-P", "buildsys/wrappers", "-s", "sh"),
        tuple(f"buildsys/wrappers/{name}" for name in _WRAPPERS),
    ),
    Step(
        "shellcheck scripts", "check", _SHELLCHECK, (".ci/run", "recipes/klipper-lb/src/klipper-lb")
    ),
    Step(
        "shellcheck guests",
        "check",
        (*_SHELLCHECK, "-s", "dash"),
        (
            *(f"buildsys/machine/guest/{name}" for name in ("init", "agent", "library")),
            "buildsys/machine/host/*",
            "buildsys/machine/scenarios/files/*.sh",
        ),
    ),
    Step(
        "shellcheck installer",
        "check",
        (*_SHELLCHECK, "-s", "sh"),
        ("buildsys/release/install.sh",),
    ),
    Step("actionlint", "check", ("actionlint", "-oneline")),
    Step("unit", "check", ("invoke", "test", "--unit"), tests=True),
)

TESTS = Step("tests", "tests", ("invoke", "test"), tests=True)
"""All tests, those of `unit` too."""

REPORT = Step("report", "report", ("invoke", "report"))
"""On all that is built. It is about no one target: what failed is what it is read for."""

GROUPS = ("check", "build", "tests", "prove", "report")
"""What steps come in, in their order: some tests want the executables."""


def steps(
    targets: Iterable[Target], only: Collection[str] = (), without: Collection[str] = ()
) -> tuple[Step, ...]:
    """All steps for `targets`, or those that `only` names, but not those that `without` names.

    By their own name or their group's. Raises `UnknownNameError`.
    """
    about = (step for target in targets for step in of_target(target))
    everything = sorted((*CHECK, TESTS, *about, REPORT), key=lambda s: GROUPS.index(s.group))
    names = {step.name for step in everything} | set(GROUPS)
    for name in (*only, *without):
        if name not in names:
            raise UnknownNameError("step", name, names)
    kept = (s for s in everything if not {s.name, s.group} & set(without))
    chosen = tuple(s for s in kept if not only or {s.name, s.group} & set(only))
    return tuple(s for s in chosen if s.name != "unit" or TESTS not in chosen)


def of_target(target: Target) -> Iterator[Step]:
    """Building a target, then proving it."""
    name = target.name
    yield Step(f"build {name}", "build", ("invoke", "build", "--arch", name), target=name)
    for kind in verdicts_of(target):
        yield Step(f"{kind} {name}", "prove", command(name, kind), target=name)


def command(target: str, kind: str) -> tuple[str, ...]:
    """What makes a verdict."""
    if kind in ("audit", "smoke"):
        return ("invoke", kind, "--arch", target)
    return ("invoke", "smoke", "--arch", target, "--scenario", kind)


def verdicts_of(target: Target) -> tuple[str, ...]:
    """What must pass on a target: all that its release wants, else what every target has."""
    return target.release.verdicts if target.release else ("audit", "smoke")
