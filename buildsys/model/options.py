"""The table of each style in a recipe, `[go]`, `[autotools]` …; recipes/README.md explains them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from buildsys.model.base import FileName, Frozen, InnerPath, Name


class GoOptions(Frozen):
    """`style = "go"`: `go build` of packages of the main module."""

    build: Annotated[dict[FileName, str], Field(min_length=1)]
    cgo: bool = False
    tags: tuple[str, ...] = ()
    stamps: dict[str, str] = {}
    cflags: tuple[str, ...] = ()
    stage: dict[InnerPath, InnerPath] = {}
    overlay: InnerPath | None = None


class AutotoolsOptions(Frozen):
    """`style = "autotools"`: configure, make, make install."""

    configure: tuple[str, ...] = ()
    make: tuple[str, ...] = ()


class KconfigOptions(Frozen):
    """`style = "kconfig"`: a default configuration, changed values, make."""

    defconfig: str = "defconfig"
    set: dict[str, bool | str] = {}
    make: tuple[str, ...] = ()
    binary: InnerPath


class MakeOptions(Frozen):
    """`style = "make"`: plain make, then the named files are taken."""

    make: tuple[str, ...] = ()
    install: Annotated[dict[InnerPath, InnerPath], Field(min_length=1)]


class COptions(Frozen):
    """`style = "c"`: one program from our own C files."""

    program: FileName
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    libs: tuple[Name, ...] = ()


class CopyOptions(Frozen):
    """`style = "copy"`: files are taken from the source as they are."""


Options = GoOptions | AutotoolsOptions | KconfigOptions | MakeOptions | COptions | CopyOptions
