"""The table of each style in a recipe, `[go]`, `[autotools]` …; recipes/README.md explains them."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from buildsys.model.base import FileName, Frozen, InnerPath, Name, NpmIntegrity, Sha256


class GoOptions(Frozen):
    """`style = "go"`: `go build` of packages of the main module.

    `stage` copies inside the source before the build, `needed` copies there from what the recipe
    needs (<need>/<path in its artifact>).
    """

    model_config = ConfigDict(serialize_by_alias=True)

    build: Annotated[dict[FileName, str], Field(min_length=1)]
    cgo: bool = False
    tags: tuple[str, ...] = ()
    stamps: dict[str, str] = {}
    cflags: tuple[str, ...] = ()
    stage: dict[InnerPath, InnerPath] = {}
    needed: Annotated[dict[InnerPath, InnerPath], Field(alias="from")] = {}
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


class MesonOptions(Frozen):
    """`style = "meson"`: meson setup, ninja, meson install. `options` are "-Dname=value"."""

    options: tuple[str, ...] = ()


class COptions(Frozen):
    """`style = "c"`: one program from C files. `packages` are names that pkg-config knows."""

    program: FileName
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    libs: tuple[Name, ...] = ()
    packages: tuple[str, ...] = ()


class CertdataOptions(Frozen):
    """`style = "certdata"`: Mozilla's list of certificate authorities as one PEM file."""

    file: InnerPath


class YarnOptions(Frozen):
    """`style = "yarn"`: a script of package.json, with the packages that yarn.lock names.

    `version` and `integrity` pin yarn itself (npm's @yarnpkg/cli-dist), `packages` is the sha256
    of the list of all that yarn.lock names. `output` is the folder that the script makes.
    """

    version: Annotated[str, StringConstraints(pattern=r"^[2-9][0-9]*\.[0-9.]+$")]
    integrity: NpmIntegrity
    packages: Sha256
    folder: InnerPath = "."
    script: str = "build"
    output: InnerPath
    env: dict[str, str] = {}


class CopyOptions(Frozen):
    """`style = "copy"`: files are taken from the source as they are."""


Options = (
    GoOptions
    | AutotoolsOptions
    | KconfigOptions
    | MakeOptions
    | MesonOptions
    | COptions
    | CertdataOptions
    | YarnOptions
    | CopyOptions
)
