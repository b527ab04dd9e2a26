"""How a source becomes files: one module per style, each tested on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildsys.styles import autotools, c, certdata, copy, go, kconfig, make, meson, yarn
from buildsys.styles.context import Context

STYLES: Mapping[str, Callable[[Context], None]] = {
    "autotools": autotools.build,
    "c": c.build,
    "certdata": certdata.build,
    "copy": copy.build,
    "go": go.build,
    "kconfig": kconfig.build,
    "make": make.build,
    "yarn": yarn.build,
    "meson": meson.build,
}

HOST_TOOLS: Mapping[str, tuple[str, ...]] = {
    "autotools": ("make",),
    "c": (),
    "certdata": (),
    "copy": (),
    "go": (),
    "kconfig": ("make",),
    "make": ("make",),
    "yarn": (),
    "meson": (),
}
"""Programs of the host that a style needs beside a POSIX shell and its usual tools."""

CORE_MIB: Mapping[str, int] = {
    "autotools": 75,
    "c": 0,
    "certdata": 0,
    "copy": 0,
    "go": 100,
    "kconfig": 75,
    "make": 75,
    "yarn": 0,
    "meson": 75,
}
"""Memory in MiB that a job takes for each core beyond the two of its recipe's `memory_mib`; 0 where
a style works on one core whatever it has.

Measured: containerd-shim-runc-v2 for amd64 took 291 MiB with one compiler process, 355 with four
and 462 with eight, 24 for each; packages of k3s and traefik are up to four times as large. A
process of zig's clang is resident with 60 to 73 MiB."""

__all__ = ["CORE_MIB", "HOST_TOOLS", "STYLES", "Context"]
