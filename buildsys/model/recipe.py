"""A recipe: what to build, from what, how, and how it proves itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from buildsys.model.base import FileName, Frozen, InnerPath, Name, Sentence
from buildsys.model.image import ImageTable
from buildsys.model.options import (
    AutotoolsOptions,
    CertdataOptions,
    COptions,
    CopyOptions,
    GoOptions,
    KconfigOptions,
    MakeOptions,
    MesonOptions,
    Options,
    YarnOptions,
)
from buildsys.model.source import GoModuleSource, ModulePath, Source

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""The date of what has none. Not 1970: k3s takes a file of that date for unchanged (k3s#14568)."""

StyleName = Literal["go", "autotools", "kconfig", "make", "meson", "c", "certdata", "copy", "yarn"]

TABLES = tuple(style for style in get_args(StyleName) if style != "copy")
"""Styles that have a table of their name in the recipe."""

Place = Literal["executable", "launcher", "image", "build"]
"""Where an artifact goes; `build` means into other components only."""


class Patch(Frozen):
    """A change of ours to a source, with its reason.

    With `module` it changes that Go module as the source's go.mod takes it, not the source itself.
    """

    file: FileName
    module: ModulePath | None = None
    targets: tuple[Name, ...] = ()
    why: Sentence
    origin: Sentence


class Output(Frozen):
    """What the artifact holds and where it goes.

    `files` maps a path under the style's output to a path in the artifact, `needed` does so for
    what the recipe needs (<need>/<path in its artifact>), `links` maps a path in the artifact to a
    symlink's text. `budget_mib` bounds the component's compressed size in MiB.
    """

    # "from" is no name in Python; a dump has it again.
    model_config = ConfigDict(serialize_by_alias=True)

    into: Place
    files: dict[InnerPath, InnerPath] = {}
    needed: Annotated[dict[InnerPath, InnerPath], Field(alias="from")] = {}
    links: dict[InnerPath, str] = {}
    budget_mib: float | None = None

    @model_validator(mode="after")
    def _paths(self) -> Output:
        if not self.files and not self.needed:
            raise ValueError("files: there are none")
        if self.into == "executable":
            for path in [*self.files.values(), *self.needed.values(), *self.links]:
                if not path.startswith(("bin/", "etc/")):
                    raise ValueError(f"{path}: files of the executable lie below bin/ or etc/")
        return self


class RecipeTest(Frozen):
    """A command that the audit runs under the target's emulated CPU, in the artifact's folder."""

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    expect: str
    exit: int = 0


class Recipe(Frozen):
    """One component: `recipes/<name>/recipe.toml`.

    `needs` is needed to build it, `requires` to run it. `disable` is k3s's name for it in
    `--disable`. `shared` artifacts hold no machine code and are the same for all targets.
    `lacking` names targets that cannot have it, with the reason. `host_tools` are programs of the
    host that its build calls beside those of its style.
    """

    name: Name
    summary: Sentence
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~_-]*$")]
    license: str
    style: StyleName
    needs: tuple[Name, ...] = ()
    requires: tuple[Name, ...] = ()
    disable: Name | None = None
    shared: bool = False
    lacking: dict[Name, Sentence] = {}
    memory_mib: Annotated[int, Field(gt=0)] = 500
    host_tools: tuple[Name, ...] = ()
    source: Source
    go: GoOptions | None = None
    autotools: AutotoolsOptions | None = None
    kconfig: KconfigOptions | None = None
    make: MakeOptions | None = None
    meson: MesonOptions | None = None
    c: COptions | None = None
    certdata: CertdataOptions | None = None
    yarn: YarnOptions | None = None
    patch: tuple[Patch, ...] = ()
    output: Output
    image: ImageTable | None = None
    test: RecipeTest | None = None

    @model_validator(mode="after")
    def _one_table(self) -> Recipe:
        given = {name for name in TABLES if getattr(self, name)}
        wanted = {self.style} - {"copy"}
        if given != wanted:
            raise ValueError(
                f"style {self.style!r} goes with the table {sorted(wanted)}, found {sorted(given)}"
            )
        return self

    @model_validator(mode="after")
    def _image_table(self) -> Recipe:
        if (self.output.into == "image") != (self.image is not None):
            raise ValueError("[image] goes with output.into = 'image', and the other way round")
        return self

    @model_validator(mode="after")
    def _needed_paths(self) -> Recipe:
        staged = self.go.needed if self.go else {}
        for key, paths in (("output.from", self.output.needed), ("go.from", staged)):
            for path in paths:
                if path.split("/")[0] not in self.needs:
                    raise ValueError(f"{key}: {path} begins with none of what it needs")
        return self

    @property
    def options(self) -> Options:
        """The table of the recipe's style."""
        table = CopyOptions() if self.style == "copy" else getattr(self, self.style)
        assert isinstance(table, Options)
        return table

    @property
    def date(self) -> datetime:
        """The source's own date where it has one: what "now" is to everything built from it."""
        if isinstance(self.source, GoModuleSource) and self.source.date:
            return self.source.date
        return EPOCH

    @model_validator(mode="after")
    def _modules(self) -> Recipe:
        if self.style != "go" and any(patch.module for patch in self.patch):
            raise ValueError("patch.module goes with style = 'go'")
        return self

    def patches_for(self, target: str) -> tuple[Patch, ...]:
        """The patches that apply to `target`, in the recipe's order."""
        return tuple(p for p in self.patch if not p.targets or target in p.targets)
