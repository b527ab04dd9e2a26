"""How a source becomes files: one module per style, each tested on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildsys.styles import autotools, c, copy, go, kconfig, make
from buildsys.styles.context import Context

STYLES: Mapping[str, Callable[[Context], None]] = {
    "autotools": autotools.build,
    "c": c.build,
    "copy": copy.build,
    "go": go.build,
    "kconfig": kconfig.build,
    "make": make.build,
}

HOST_TOOLS: Mapping[str, tuple[str, ...]] = {
    "autotools": ("make",),
    "c": (),
    "copy": (),
    "go": (),
    "kconfig": ("make",),
    "make": ("make",),
}
"""Programs of the host that a style needs beside a POSIX shell and its usual tools."""

__all__ = ["HOST_TOOLS", "STYLES", "Context"]
