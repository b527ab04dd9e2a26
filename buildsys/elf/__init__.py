"""ELF files: what they say about themselves, and whether a target's CPU can run them."""

from buildsys.elf.attributes import ArmTag, Attributes, RiscvTag
from buildsys.elf.bounds import Bounds, Guarded
from buildsys.elf.carried import carried_in
from buildsys.elf.code import ConstantPairs, code_violations, constant_pairs
from buildsys.elf.contents import Content, Limits, contents_of, elves_in
from buildsys.elf.facts import ElfFacts, Stack, header_of, read_facts
from buildsys.elf.fit import Fit, fit, unreadable
from buildsys.elf.gobuild import GoBuild
from buildsys.elf.image import ELF_MAGIC, ElfError, Image, LimitError, Segment
from buildsys.elf.objects import ObjectsReport, check_objects
from buildsys.elf.rules import Violation, lacks_attributes, violations
from buildsys.elf.window import Part

__all__ = [
    "ELF_MAGIC",
    "ArmTag",
    "Attributes",
    "Bounds",
    "ConstantPairs",
    "Content",
    "ElfError",
    "ElfFacts",
    "Fit",
    "GoBuild",
    "Guarded",
    "Image",
    "LimitError",
    "Limits",
    "ObjectsReport",
    "Part",
    "RiscvTag",
    "Segment",
    "Stack",
    "Violation",
    "carried_in",
    "check_objects",
    "code_violations",
    "constant_pairs",
    "contents_of",
    "elves_in",
    "fit",
    "header_of",
    "lacks_attributes",
    "read_facts",
    "unreadable",
    "violations",
]
