"""A recipe: what to build, from what, how, and how it proves itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from buildsys.model.base import FileName, Frozen, InnerPath, Name, Sentence
from buildsys.model.options import (
    AutotoolsOptions,
    COptions,
    CopyOptions,
    GoOptions,
    KconfigOptions,
    MakeOptions,
    Options,
)
from buildsys.model.source import GoModuleSource, Source

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""The date of what has none. Not 1970: k3s takes a file of that date for unchanged (k3s#14568)."""

StyleName = Literal["go", "autotools", "kconfig", "make", "c", "copy"]


class Patch(Frozen):
    """A change of ours to a source, with its reason."""

    file: FileName
    targets: tuple[Name, ...] = ()
    why: Sentence
    origin: Sentence


class Output(Frozen):
    """What the artifact holds and where it goes.

    `files` maps a path under the style's output to a path in the artifact, `links` a path in the
    artifact to a symlink's text. `budget_mib` bounds the component's compressed size in MiB.
    """

    into: Literal["executable", "launcher", "build"]
    files: Annotated[dict[InnerPath, InnerPath], Field(min_length=1)]
    links: dict[InnerPath, str] = {}
    budget_mib: float | None = None

    @model_validator(mode="after")
    def _executable_paths(self) -> Output:
        if self.into == "executable":
            for path in [*self.files.values(), *self.links]:
                if not path.startswith(("bin/", "etc/")):
                    raise ValueError(f"{path}: files of the executable lie below bin/ or etc/")
        return self


class RecipeTest(Frozen):
    """A command that the audit runs under the target's emulated CPU, in the artifact's folder."""

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    expect: str
    exit: int = 0


class Recipe(Frozen):
    """One component: `recipes/<name>/recipe.toml`."""

    name: Name
    summary: Sentence
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~_-]*$")]
    license: str
    style: StyleName
    needs: tuple[Name, ...] = ()
    memory_mib: Annotated[int, Field(gt=0)] = 500
    source: Source
    go: GoOptions | None = None
    autotools: AutotoolsOptions | None = None
    kconfig: KconfigOptions | None = None
    make: MakeOptions | None = None
    c: COptions | None = None
    patch: tuple[Patch, ...] = ()
    output: Output
    test: RecipeTest | None = None

    @model_validator(mode="after")
    def _one_table(self) -> Recipe:
        given = {
            name for name in ("go", "autotools", "kconfig", "make", "c") if getattr(self, name)
        }
        wanted = {self.style} - {"copy"}
        if given != wanted:
            raise ValueError(
                f"style {self.style!r} goes with the table {sorted(wanted)}, found {sorted(given)}"
            )
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

    def patches_for(self, target: str) -> tuple[Patch, ...]:
        """The patches that apply to `target`, in the recipe's order."""
        return tuple(p for p in self.patch if not p.targets or target in p.targets)
