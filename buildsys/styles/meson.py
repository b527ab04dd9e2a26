"""`style = "meson"`: meson, ninja, install, all of it static and cross-compiled.

Sources: mesonbuild.com, "Cross compilation" and "Reference tables" for the machine files.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from buildsys.model import MesonOptions, Target
from buildsys.styles.context import Context

CPU_FAMILIES: Mapping[str, str] = {"powerpc64le": "ppc64"}
"""First word of a target's triple → meson's name of its family, where they differ."""

TOOLS: Mapping[str, str] = {
    "c": "cc",
    "ar": "ar",
    "ranlib": "ranlib",
    "strip": "strip",
    "pkg-config": "pkg-config",
}
"""Meson's name of a tool → the wrapper in the job's `bin`."""


def build(context: Context) -> None:
    """Configure for the target, build, install; `out` then holds the prefix's content."""
    options = context.recipe.options
    assert isinstance(options, MesonOptions)
    _link_interpreter(context)
    # Users of a library find it there, so its .pc file tells the truth.
    prefix, folder = context.path(f"deps/{context.recipe.name}"), context.path("tmp/meson")
    _meson(
        context,
        "setup",
        *_write_machines(context),
        f"--prefix={prefix}",
        "--libdir=lib",
        "--buildtype=plain",
        "--default-library=static",
        "--prefer-static",
        # What a source lacks is a recipe's affair; meson would fetch it.
        "--wrap-mode=nodownload",
        *options.options,
        folder,
    )
    _forget_probes(context)
    _run(context, _ninja(context), f"-j{context.jobs}", "-C", folder)
    stage = context.path("tmp/install")
    _meson(context, "install", "--no-rebuild", f"--destdir={stage}", "-C", folder)
    context.run(["cp", "-R", f"{stage}{prefix}/.", context.path("out")])


def cross_file(target: Target) -> str:
    """Meson's description of the machine that the programs are for, and of their compiler."""
    word = target.c.triple.split("-")[0]
    machine = {
        "system": "linux",
        "cpu_family": CPU_FAMILIES.get(word, word),
        "cpu": target.c.mcpu,
        "endian": target.elf.endian,
    }
    # Meson would try to run what it made, where build machine and target look alike.
    properties = {"needs_exe_wrapper": True}
    return _sections(binaries=TOOLS, host_machine=machine, properties=properties)


def native_file() -> str:
    """Meson's description of the build machine: programs that a build makes and runs itself."""
    return _sections(binaries={"c": "hostcc", "ar": "ar", "strip": "strip"})


def _sections(**sections: Mapping[str, str | bool]) -> str:
    lines: list[str] = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_text(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _text(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'"


def _write_machines(context: Context) -> list[str]:
    """Write both files; the options that name them."""
    texts = {"cross": cross_file(context.target), "native": native_file()}
    for kind, text in texts.items():
        (context.sandbox.host("tmp") / f"{kind}.ini").write_text(text, "ascii")
    return [f"--{kind}-file={context.path(f'tmp/{kind}.ini')}" for kind in texts]


def _link_interpreter(context: Context) -> None:
    """Put the Python that runs us on the job's PATH, so that scripts find the same one as meson.

    A virtual environment's own link may lie below /tmp, which a job does not see.
    """
    (context.sandbox.host("bin") / "python3").symlink_to(Path(sys.executable).resolve())


def _forget_probes(context: Context) -> None:
    """Remove what was collected for the audit so far: setup links probes and nothing else.

    For some of them clang takes a C library and a linker that it finds on the host.
    """
    objects = context.sandbox.host("objects")
    shutil.rmtree(objects)
    objects.mkdir()


def _ninja(context: Context) -> str:
    return context.path("ninja/data/bin/ninja")


def _meson(context: Context, *arguments: str) -> None:
    _run(context, "python3", "-m", "mesonbuild.mesonmain", *arguments)


def _run(context: Context, *argv: str) -> None:
    """Run a command that finds meson: ninja's own commands call it, too."""
    env = {
        # The folder that holds the package mesonbuild.
        "PYTHONPATH": context.path(""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NINJA": _ninja(context),
    }
    context.run(argv, env=env)
