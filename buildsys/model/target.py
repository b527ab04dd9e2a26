"""A target: for what machine, `toolchains/<name>.toml`; toolchains/README.md is its contract."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from buildsys.elf import Bounds, Guarded
from buildsys.model.base import Frozen, InnerPath, Name, Sentence
from buildsys.model.board import BoardDefault
from buildsys.model.machine import MachineTable
from buildsys.model.release import ReleaseTable
from buildsys.model.source import DebianBinary

Cpu = Literal["armv6", "armv7", "arm64", "amd64", "riscv64", "s390x", "ppc64le", "386"]


class CTable(Frozen):
    """How zig compiles C: its target triple, CPU and, where it is named, floating-point unit.

    `fpu` is for 32-bit ARM: what `mcpu` takes away, zig's assembler still accepts and records.
    """

    triple: str
    mcpu: str
    fpu: str | None = None


class GuardedObject(Frozen):
    """An object that names a newer CPU but asks before it uses it; `why` says how we know."""

    name: str
    attribute: str
    why: Sentence


class ElfTable(Frozen):
    """Upper bounds that check and audit enforce on every ELF; the words are those of `Bounds`."""

    machine: str
    bits: Literal[32, 64]
    endian: Literal["little", "big"] = "little"
    cpu_arch: str | None = None
    fp_arch: str | None = None
    thumb: str | None = None
    simd: str | None = None
    vfp_args: str | None = None
    divide: bool = False
    multiprocessing: bool = False
    x86_isa: str | None = None
    riscv_isa: str | None = None
    go: dict[str, str] = {}
    guarded: tuple[GuardedObject, ...] = ()

    @model_validator(mode="after")
    def _known_words(self) -> ElfTable:
        self.bounds()
        return self

    def bounds(self) -> Bounds:
        """The table as the rules take it. Raises ValueError for a word that they do not know."""
        values = self.model_dump(exclude={"go", "guarded"})
        guarded = tuple(Guarded(g.name, g.attribute, g.why) for g in self.guarded)
        return Bounds(**values, go=tuple(self.go.items()), guarded=guarded)


class EmulatorPackage(DebianBinary):
    """A qemu-user of Debian's where the host's own would not do, and the program's path in it."""

    program: InnerPath
    why: Sentence


class EmulatorTable(Frozen):
    """qemu-user: the program's suffix (qemu-<user>-static) and the CPU that it plays.

    The host's program is taken, or on a host of its architecture that of `package`.
    """

    user: str
    cpu: str
    package: EmulatorPackage | None = None


class ControlTable(Frozen):
    """A CPU whose code must die under this target's emulator: proof that the emulator can tell."""

    mcpu: str


class ExecutableTable(Frozen):
    """The self-extracting executable: lowest CPU, zstd window and size budget, both in MiB.

    `embed` names the image components that it carries; `embed_budget_mib` bounds them apart.
    `default` is what it sets for k3s on a board where the user chose nothing.
    """

    cpu: Cpu
    window_mib: Annotated[int, Field(ge=1, le=128)]
    budget_mib: float
    launcher_mcpu: str | None = None
    embed: tuple[Name, ...] = ()
    embed_budget_mib: float = 0
    default: Annotated[tuple[BoardDefault, ...], Field(max_length=32)] = ()

    @model_validator(mode="after")
    def _set_once(self) -> ExecutableTable:
        """Of two for the same thing the launcher would take the second for the user's."""
        seen: set[tuple[str, str]] = set()
        for default in self.default:
            for command, name in sorted(default.subjects & seen):
                raise ValueError(f"default: {name} is there twice for {command}")
            seen |= default.subjects
        return self


class PlatformTable(Frozen):
    """The images' platform, as containerd matches it: linux/<architecture>[/<variant>]."""

    platform: Annotated[
        str, StringConstraints(pattern=r"^linux/(arm/v[67]|arm64|amd64|386|riscv64|s390x|ppc64le)$")
    ]


class Target(Frozen):
    """One kind of machine."""

    name: Name
    summary: Sentence
    go: dict[str, str]
    c: CTable
    elf: ElfTable
    emulator: EmulatorTable
    control: ControlTable | None = None
    image: PlatformTable
    executable: ExecutableTable
    machine: MachineTable | None = None
    release: ReleaseTable | None = None

    @model_validator(mode="after")
    def _platform(self) -> Target:
        """A platform that Go's settings do not make would start, and die, on another CPU."""
        _, architecture, *variant = self.image.platform.split("/")
        made = self.go.get("GOARCH")
        variants = [f"v{self.go['GOARM']}"] if made == "arm" and "GOARM" in self.go else []
        if (architecture, variant) != (made, variants):
            raise ValueError(
                f"image.platform: {self.image.platform} is not what [go] makes: "
                f"linux/{'/'.join([str(made), *variants])}"
            )
        return self
