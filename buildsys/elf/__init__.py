"""ELF files: what they say about themselves, and whether a target's CPU can run them."""

from buildsys.elf.attributes import ArmTag, Attributes, RiscvTag
from buildsys.elf.bounds import Bounds, Guarded
from buildsys.elf.code import ConstantPairs, code_violations, constant_pairs
from buildsys.elf.contents import Limits, contents_of, elves_in
from buildsys.elf.facts import ElfFacts, Stack, read_facts
from buildsys.elf.gobuild import GoBuild
from buildsys.elf.image import ElfError, Image, Segment
from buildsys.elf.objects import ObjectsReport, check_objects
from buildsys.elf.rules import Violation, lacks_attributes, violations

__all__ = [
    "ArmTag",
    "Attributes",
    "Bounds",
    "ConstantPairs",
    "ElfError",
    "ElfFacts",
    "GoBuild",
    "Guarded",
    "Image",
    "Limits",
    "ObjectsReport",
    "RiscvTag",
    "Segment",
    "Stack",
    "Violation",
    "check_objects",
    "code_violations",
    "constant_pairs",
    "contents_of",
    "elves_in",
    "lacks_attributes",
    "read_facts",
    "violations",
]
