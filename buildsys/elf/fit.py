"""Whether a file that somebody else built runs on a target's CPU: yes, no, or not to be told.

The rules are those of `violations`; some of them are this project's own demands on what it builds
(static, no executable stack), and no reason for a CPU to refuse a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from buildsys.elf.attributes import ArmTag
from buildsys.elf.bounds import Bounds
from buildsys.elf.code import code_violations
from buildsys.elf.facts import ElfFacts, facts_of
from buildsys.elf.image import ElfError, Image
from buildsys.elf.objects import is_excused
from buildsys.elf.rules import Violation, violations

Result = Literal["runs", "refused", "unknown"]

# From least to most; `go help environment`. A program for less runs where more is there.
_GO_LEVELS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "GOARM": ("5", "6", "7"),
        "GO386": ("softfloat", "sse2"),
        "GOAMD64": ("v1", "v2", "v3", "v4"),
        "GOPPC64": ("power8", "power9", "power10"),
        "GORISCV64": ("rva20u64", "rva22u64", "rva23u64"),
    }
)
_ON_OTHER_CPUS: Final = "em-247"  # eBPF: the kernel runs it, on every CPU


@dataclass(frozen=True, slots=True)
class Fit:
    """One ELF file against a target's bounds.

    `barriers` are why the CPU would not run it, `doubts` why that cannot be told, `notes` what a
    board must have besides, or what is unusual. `interpreter` is the program's own loader, or None.
    """

    name: str
    machine: str
    kind: str
    interpreter: str | None = None
    barriers: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def result(self) -> Result:
        """In one word."""
        if self.barriers:
            return "refused"
        return "unknown" if self.doubts else "runs"


def fit(image: Image, bounds: Bounds) -> Fit | None:
    """Judge an ELF file; None for one that is not for a CPU. Raises ElfError if it is broken."""
    facts = facts_of(image)
    if facts.machine == _ON_OTHER_CPUS:
        return None
    found = violations(facts, replace(bounds, allow_dynamic=True))
    needs: tuple[str, ...] = ()
    if not any(one.rule == "machine" for one in found):
        found += code_violations(image, bounds)
        needs = (f"needs {facts.interpreter} on the board",) if facts.interpreter else ()
    if facts.kind == "REL":
        found = tuple(one for one in found if not is_excused(image.name, one, bounds))
    sorted_out: dict[str, list[str]] = {"barrier": [], "doubt": [], "note": []}
    for one in found:
        if not _is_less(one):
            sorted_out[_weight(one, facts)].append(one.text)
    return Fit(
        facts.name,
        facts.machine,
        facts.kind,
        facts.interpreter,
        tuple(sorted_out["barrier"]),
        tuple(sorted_out["doubt"]),
        (*needs, *sorted_out["note"]),
    )


def unreadable(error: ElfError) -> Fit:
    """What is known of a file that is broken."""
    return Fit(error.name, "", "", doubts=(f"cannot be read: {error.reason}",))


def _weight(one: Violation, facts: ElfFacts) -> str:
    if one.rule in ("stack", "segments"):
        return "note"
    if one.rule == "sections" or one.found in ("none", "not recorded"):
        return "doubt"
    # How functions hand over floats matters where one calls another's library.
    if facts.is_static and one.attribute in ("float ABI", ArmTag.ABI_VFP_ARGS.label):
        return "note"
    return "barrier"


def _is_less(one: Violation) -> bool:
    """Whether Go was told to make do with less than the target has."""
    levels = _GO_LEVELS.get(one.attribute, ())
    found, allowed = one.found.partition(",")[0], one.allowed.partition(",")[0]
    return {found, allowed} <= {*levels} and levels.index(found) <= levels.index(allowed)
