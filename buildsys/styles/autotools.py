"""`style = "autotools"`: ./configure, make, make install, all of it static and cross-compiled."""

from __future__ import annotations

from collections.abc import Mapping

from buildsys.model import AutotoolsOptions, Target
from buildsys.styles.context import Context

GNU_WORDS: Mapping[str, str] = {"x86": "i686"}
"""First word of a target's triple → the name that config.sub knows, where they differ."""


def host(target: Target) -> str:
    """The target as a configure script takes it."""
    word, _, rest = target.c.triple.partition("-")
    return f"{GNU_WORDS.get(word, word)}-{rest}"


def build(context: Context) -> None:
    """Configure for the target, make, install; `out` then holds the prefix's content."""
    options = context.recipe.options
    assert isinstance(options, AutotoolsOptions)
    # Users of a library find it there, so its .pc file tells the truth.
    prefix = context.path(f"deps/{context.recipe.name}")
    context.run(
        [
            "sh",
            "./configure",
            # A fixed name, so that every host configures the same, as for another machine.
            "--build=x86_64-build-linux-gnu",
            f"--host={host(context.target)}",
            f"--prefix={prefix}",
            f"--sysconfdir={prefix}/etc",
            # Autoconf's own default ends in -g, after the wrapper's -g0.
            "CFLAGS=-O2",
            "--disable-shared",
            "--enable-static",
            "--disable-dependency-tracking",
            *options.configure,
        ]
    )
    context.run(["make", f"-j{context.jobs}", *options.make])
    stage = context.path("tmp/install")
    context.run(["make", "install", f"DESTDIR={stage}", *options.make])
    context.run(["cp", "-R", f"{stage}{prefix}/.", context.path("out")])
