"""Which target of a release a machine wants. Pure; install.sh has the same rules."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from buildsys.download.record import Offered, Record
from buildsys.errors import UnknownNameError

AUTO = "auto"


@dataclass(frozen=True)
class Host:
    """A machine: what `uname -m` says, the bits of its programs, the CPU's features.

    Without features nothing is known of them.
    """

    machine: str
    bits: int = 64
    features: frozenset[str] = frozenset()

    def may(self, feature: str) -> bool:
        """Whether the CPU has the feature, or does not say."""
        return not self.features or feature in self.features


def suitable(host: Host) -> tuple[str, ...]:
    """What `uname -m` says on the machines whose executables run on `host`, the best first.

    A kernel of 64 bits also runs what is made for it, but a system of 32 bits wants pods and tools
    of its own kind.
    """
    narrow = host.bits == 32
    if host.machine in ("aarch64", "arm64"):
        return ("armv7l", "armv6l", "aarch64") if narrow else ("aarch64",)
    if host.machine in ("x86_64", "amd64"):
        return ("i686", "x86_64") if narrow else ("x86_64",)
    if fnmatchcase(host.machine, "i?86"):
        return ("i686",)
    if host.machine == "armv8l":
        return ("armv7l", "armv6l")
    # With a lesser floating-point unit than that of the Cortex-A it is an ARMv6 to us.
    units = {"armv7l": "vfpv3", "armv6l": "vfp"}
    if host.machine.startswith("armv7"):
        return tuple(name for name, unit in units.items() if host.may(unit))
    if host.machine in units:
        return (host.machine,) if host.may(units[host.machine]) else ()
    return (host.machine,)


def choose(record: Record, arch: str, host: Host) -> Offered:
    """The target called `arch`, or the best for `host`. Raises `UnknownNameError`."""
    if arch != AUTO:
        if arch not in record.targets:
            raise UnknownNameError("arch", arch, [*record.targets, AUTO])
        return record.targets[arch]
    for name in suitable(host):
        for target in record.targets.values():
            if name in target.uname:
                return target
    known = [name for target in record.targets.values() for name in target.uname]
    raise UnknownNameError(f"machine for {record.tag}", host.machine, known)
