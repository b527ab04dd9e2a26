"""Judging every object that goes into a link."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from buildsys.elf.attributes import ArmTag, value_name
from buildsys.elf.bounds import Bounds
from buildsys.elf.code import code_violations
from buildsys.elf.contents import Content, contents_of, printable
from buildsys.elf.facts import facts_of
from buildsys.elf.image import ELF_MAGIC, ElfError, Image
from buildsys.elf.rules import Violation, lacks_attributes, violation, violations

# From least to most capable, to name the highest seen in a report; the M profiles stand aside.
_CPU_RANK: Final = (0, 1, 2, 3, 4, 5, 6, 11, 12, 9, 7, 8, 10, 13, 16, 17, 21, 15, 14, 18, 19, 20)
_FP_RANK: Final = (0, 1, 2, 4, 3, 6, 5, 8, 7)

_BITCODE: Final = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")  # bare, and in LLVM's wrapper


@dataclass(frozen=True, slots=True)
class ObjectsReport:
    """What went into the links of a job, and which of it the target's CPU cannot run.

    `count` is the number of ELF objects, `without_attributes` how many of them say nothing about
    their CPU; `excused` are violations that a `Guarded` covers, to be shown, not hidden.
    """

    count: int
    without_attributes: int
    highest_cpu_arch: str | None
    highest_fp_arch: str | None
    violations: tuple[tuple[str, Violation], ...]
    excused: tuple[tuple[str, Violation], ...]


def check_objects(paths: Iterable[Path | str], bounds: Bounds) -> ObjectsReport:
    """Judge every object in the given files (.o, .a, or anything that holds some).

    A broken file becomes a violation of the rule `readable`, so that one does not hide the next; so
    does a member that hides its instructions, LLVM bitcode. An object without attributes has its
    code searched instead. Raises OSError if a file cannot be opened.
    """
    tally = _Tally(bounds)
    for path in paths:
        tally.add_file(Path(path))
    return tally.report()


class _Tally:
    """Counts while `check_objects` runs."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._count = 0
        self._silent = 0
        self._cpu: set[int] = set()
        self._fp: set[int] = set()
        self._found: list[tuple[str, Violation]] = []
        self._excused: list[tuple[str, Violation]] = []

    def add_file(self, path: Path) -> None:
        try:
            for content in contents_of(path):
                self._add(content)
        except ElfError as error:
            self._broken(error)

    def _add(self, content: Content) -> None:
        if content.magic.startswith(ELF_MAGIC):
            try:
                self._add_object(Image(content.file, content.name))
            except ElfError as error:
                self._broken(error)
        elif content.magic.startswith(_BITCODE):
            found = violation("readable", "format", "LLVM bitcode", "ELF")
            self._found.append((content.name, found))

    def _add_object(self, image: Image) -> None:
        facts = facts_of(image)
        self._count += 1
        found = violations(facts, self._bounds)
        if facts.arm is not None:
            self._cpu.update(facts.arm.numbers(ArmTag.CPU_ARCH))
            self._fp.update(facts.arm.numbers(ArmTag.FP_ARCH))
        elif lacks_attributes(facts):
            self._silent += 1
            found += code_violations(image, self._bounds)
        for one in found:
            excused = is_excused(image.name, one, self._bounds)
            (self._excused if excused else self._found).append((image.name, one))

    def _broken(self, error: ElfError) -> None:
        found = Violation("readable", "file", error.reason, "a whole file", error.reason)
        self._found.append((error.name, found))

    def report(self) -> ObjectsReport:
        """Give the counts as a frozen value."""
        return ObjectsReport(
            count=self._count,
            without_attributes=self._silent,
            highest_cpu_arch=_highest(ArmTag.CPU_ARCH, self._cpu, _CPU_RANK),
            highest_fp_arch=_highest(ArmTag.FP_ARCH, self._fp, _FP_RANK),
            violations=tuple(self._found),
            excused=tuple(self._excused),
        )


def _highest(tag: ArmTag, values: set[int], rank: tuple[int, ...]) -> str | None:
    """Name the most capable value; one that the rank does not know is above all."""
    if not values:
        return None

    def order(value: int) -> tuple[int, int]:
        return (rank.index(value), 0) if value in rank else (len(rank), value)

    return value_name(tag, max(values, key=order))


def is_excused(label: str, one: Violation, bounds: Bounds) -> bool:
    """Whether the object's own name and the attribute are those of a `Guarded`."""
    own = label.split("#")[0].rstrip(")").rsplit("(", 1)[-1].rsplit("/", 1)[-1]
    return any(
        own == printable(guard.name) and one.attribute == guard.attribute
        for guard in bounds.guarded
    )
