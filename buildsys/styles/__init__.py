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

__all__ = ["HOST_TOOLS", "STYLES", "Context"]
