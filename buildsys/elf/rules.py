"""What breaks the bounds that a target sets on its ELF files.

A linked file's attributes prove little: LLVM's linker keeps only the first object's
`.ARM.attributes`, the C runtime's start file, and a v7 object behind it leaves no trace. So
`check_objects` judges every object that goes into a link, and `code_violations` looks at the
linked instructions themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from buildsys.elf.attributes import ArmTag, Attributes, RiscvTag, riscv_extensions, value_name
from buildsys.elf.bounds import (
    CPU_ARCH,
    FP_ARCH,
    RISCV_ISA,
    SIMD,
    THUMB,
    VFP_ARGS,
    X86_ISA,
    Bounds,
)
from buildsys.elf.facts import ElfFacts
from buildsys.elf.gobuild import GoBuild

_EABI: Final = 5


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken bound: the rule's name, the attribute, what was found and what is allowed."""

    rule: str
    attribute: str
    found: str
    allowed: str
    text: str


def violation(rule: str, attribute: str, found: str, allowed: str) -> Violation:
    """Make the violation whose text is the usual sentence."""
    return Violation(
        rule, attribute, found, allowed, f"{attribute} is {found}, allowed is {allowed}"
    )


def violations(facts: ElfFacts, bounds: Bounds) -> tuple[Violation, ...]:
    """Every bound that the file breaks, empty if none.

    A file of another machine is judged no further: the rest would only repeat that. An object
    without attributes (assembly, Go's own) passes the rules on attributes; count it with
    `lacks_attributes`.
    """
    wrong_kind = tuple(_machine(facts, bounds))
    if wrong_kind:
        return wrong_kind
    found = [*_linking(facts, bounds), *_stack(facts), *_go(facts.go, bounds)]
    found += [*_x86(facts, bounds), *_riscv(facts, bounds), *_ppc64(facts)]
    if facts.machine == "arm":
        found += _arm_header(facts, bounds)
        found += _arm_proof(facts, bounds)
        if facts.arm is not None:
            found += _arm_attributes(facts.arm, bounds)
    return tuple(found)


def lacks_attributes(facts: ElfFacts) -> bool:
    """Whether the file is of a machine that records build attributes and holds none: "unknown"."""
    return (facts.machine == "arm" and facts.arm is None) or (
        facts.machine == "riscv" and facts.riscv is None
    )


def _machine(facts: ElfFacts, bounds: Bounds) -> Iterator[Violation]:
    for attribute, found, allowed in (
        ("machine", facts.machine, bounds.machine),
        ("bits", str(facts.bits), str(bounds.bits)),
        ("endian", facts.endian, bounds.endian),
    ):
        if found != allowed:
            yield violation("machine", attribute, found, allowed)
    if facts.kind not in ("REL", "EXEC", "DYN"):
        yield violation("machine", "kind", facts.kind, "REL, EXEC, DYN")


def _linking(facts: ElfFacts, bounds: Bounds) -> Iterator[Violation]:
    if facts.is_program and not facts.is_static and not bounds.allow_dynamic:
        found = ", ".join(filter(None, (facts.interpreter, *facts.needed)))
        yield violation("static", "linking", f"dynamic ({found})", "static")
    if facts.is_program and not facts.has_sections:
        # Without sections neither attributes nor Go's record can be found: nothing to judge.
        yield violation("sections", "section headers", "none", "present")


def _stack(facts: ElfFacts) -> Iterator[Violation]:
    if facts.stack.executable:
        yield violation("stack", "stack", f"executable ({facts.stack.why})", "not executable")
    for segment in facts.writable_code:
        where = f"{segment.permissions} at {segment.address:#x}"
        yield violation("segments", "segment", where, "writable or executable")


def _go(build: GoBuild | None, bounds: Bounds) -> Iterator[Violation]:
    if build is None:
        return
    for key, allowed in bounds.go:
        found = build.setting(key)
        if found is None:
            yield violation("go", key, "not recorded", allowed)
        elif not _go_equal(key, found, allowed):
            yield violation("go", key, found, allowed)


def _go_equal(key: str, found: str, allowed: str) -> bool:
    """GOARM=6 stands for "6,hardfloat" (`go help environment`); the others are compared as text."""
    if key == "GOARM":
        return _goarm(found) == _goarm(allowed)
    return found == allowed


def _goarm(value: str) -> tuple[str, str]:
    level, _, floats = value.partition(",")
    return level, floats or ("softfloat" if level == "5" else "hardfloat")


def _x86(facts: ElfFacts, bounds: Bounds) -> Iterator[Violation]:
    if bounds.x86_isa is None or facts.x86_isa_needed is None:
        return
    if facts.x86_isa_needed & ~X86_ISA[bounds.x86_isa]:
        enough = (name for name, bits in X86_ISA.items() if not facts.x86_isa_needed & ~bits)
        yield violation("x86", "X86_ISA_1_NEEDED", next(enough, "beyond v4"), bounds.x86_isa)


def _riscv(facts: ElfFacts, bounds: Bounds) -> Iterator[Violation]:
    """Judge the extensions, which a linker joins over all objects, and how floats are handed over.

    Go's own linker records no attributes: its record stands for them, as on ARM.
    """
    if bounds.riscv_isa is None or facts.machine != "riscv":
        return
    archs = facts.riscv.texts(RiscvTag.ARCH) if facts.riscv else ()
    named = frozenset().union(*map(riscv_extensions, archs))
    if beyond := named - RISCV_ISA[bounds.riscv_isa]:
        yield violation("attributes", "RISCV_arch", ", ".join(sorted(beyond)), bounds.riscv_isa)
    if facts.is_program and not archs and facts.go is None:
        yield violation("attributes", "build attributes", "none", "present in a linked file")
    # All of rv64gc's users have D, and the ABI lp64d.
    if facts.float_abi != "double":
        yield violation("abi", "float ABI", str(facts.float_abi), "double")


def _ppc64(facts: ElfFacts) -> Iterator[Violation]:
    """Little-endian POWER is ELFv2 everywhere; 0 is an object that does not care."""
    if (
        facts.machine == "ppc64"
        and facts.endian == "little"
        and facts.ppc64_abi not in (None, 0, 2)
    ):
        yield violation("abi", "ELF ABI", f"v{facts.ppc64_abi}", "v2")


def _arm_header(facts: ElfFacts, bounds: Bounds) -> Iterator[Violation]:
    """Judge the header's flags: EABI version 5 and, in a linked file, the float ABI.

    aaelf32 gives the float flags a meaning in linked files only (clang marks plain assembly "soft"
    whatever the target), and Go's own linker leaves them out.
    """
    if facts.eabi != _EABI:
        yield violation("abi", "EABI version", str(facts.eabi), str(_EABI))
    if not facts.is_program or bounds.vfp_args is None:
        return
    if facts.float_abi not in (None, bounds.vfp_args):
        yield violation("abi", "float ABI", str(facts.float_abi), bounds.vfp_args)


def _arm_proof(facts: ElfFacts, bounds: Bounds) -> Iterator[Violation]:
    """Demand that a linked ARM file says for which CPU it is: in attributes or Go's record."""
    if facts.is_program and bounds.cpu_arch and facts.arm is None and facts.go is None:
        yield violation("attributes", "build attributes", "none", "present in a linked file")


def _arm_attributes(arm: Attributes, bounds: Bounds) -> Iterator[Violation]:
    for tag, bound, allowed in _arm_limits(bounds):
        for value in arm.numbers(tag):
            if value not in allowed:
                yield violation("attributes", tag.label, value_name(tag, value), bound)
    yield from _vfp_args(arm, bounds)


def _arm_limits(bounds: Bounds) -> Iterator[tuple[ArmTag, str, frozenset[int]]]:
    """List the tags that the bounds judge, each with the bound in words and allowed values."""
    named = (
        (ArmTag.CPU_ARCH, bounds.cpu_arch, CPU_ARCH),
        (ArmTag.FP_ARCH, bounds.fp_arch, FP_ARCH),
        (ArmTag.THUMB_ISA_USE, bounds.thumb, THUMB),
        (ArmTag.ADVANCED_SIMD_ARCH, bounds.simd, SIMD),
    )
    for tag, word, sets in named:
        if word is not None:
            yield tag, word, sets[word]
    if bounds.cpu_arch is not None:
        yield from _arm_extensions(bounds, bounds.cpu_arch)


def _arm_extensions(bounds: Bounds, cpu_arch: str) -> Iterator[tuple[ArmTag, str, frozenset[int]]]:
    """Add what follows from the architecture without a bound of its own."""
    # Before v7 there are no profiles, so an "application" there means that `.arch armv7-a` stood
    # in the assembly: clang then leaves CPU_arch at the command line's v6.
    old = cpu_arch in ("v6", "v6K", "v6KZ")
    classic = frozenset({0, ord("S")})
    profiles = ("none, classic", classic) if old else ("application", classic | {ord("A")})
    yield ArmTag.CPU_ARCH_PROFILE, *profiles
    yield ArmTag.MPEXTENSION_USE, *_switch(bounds.multiprocessing, {0}, 1)
    yield ArmTag.DIV_USE, *_switch(bounds.divide, {0, 1}, 2)
    half_precision = bounds.fp_arch in ("VFPv4-D16", "VFPv4", "FP-v8")
    yield ArmTag.FP_HP_EXTENSION, *_switch(half_precision, {0}, 1)
    for tag in (ArmTag.WMMX_ARCH, ArmTag.MVE_ARCH, ArmTag.T2EE_USE):
        yield tag, "none", frozenset({0})


def _switch(on: bool, without: set[int], extra: int) -> tuple[str, frozenset[int]]:
    return ("any", frozenset(without | {extra})) if on else ("none", frozenset(without))


def _vfp_args(arm: Attributes, bounds: Bounds) -> Iterator[Violation]:
    if bounds.vfp_args is None:
        return
    for value in arm.numbers(ArmTag.ABI_VFP_ARGS):
        # Assembly seldom states it. Omitted means 0, and so does the number model, which then says
        # that no floating-point numbers are used: nothing can be passed the wrong way.
        silent = value == 0 and arm.numbers(ArmTag.ABI_FP_NUMBER_MODEL) == (0,)
        if not silent and value not in VFP_ARGS[bounds.vfp_args]:
            name = value_name(ArmTag.ABI_VFP_ARGS, value)
            yield violation("attributes", ArmTag.ABI_VFP_ARGS.label, name, bounds.vfp_args)
