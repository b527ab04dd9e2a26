"""Where a recipe's source comes from; every kind is pinned by hash."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from buildsys.model.base import FileName, Frozen, GoSum, InnerPath, Sha256

DebianName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]

ModulePath = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$")
]


class GoModuleSource(Frozen):
    """A Go module, fetched by the go command and built as the main module from a writable copy.

    Without `dependencies` it is fetched alone: for styles that do not compile Go.
    """

    kind: Literal["go-module"]
    module: ModulePath
    version: Annotated[str, StringConstraints(pattern=r"^v[0-9][A-Za-z0-9.+-]*$")]
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None
    sum: GoSum
    mod_sum: GoSum
    dependencies: bool = True

    @property
    def path(self) -> str:
        """How the go command names the module."""
        return f"{self.module}@{self.version}"

    @property
    def label(self) -> str:
        """How the source is named to people."""
        return self.path if self.dependencies else f"{self.path} (alone)"

    @property
    def digest(self) -> str:
        """The pinned hash that stands for the whole source."""
        return self.sum

    @property
    def date(self) -> datetime | None:
        """The commit's date, which a pseudo-version carries (go.dev/ref/mod#pseudo-versions)."""
        found = re.search(r"[.-](\d{14})-[0-9a-f]{12}$", self.version)
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if found else None


class DebianBinary(Frozen):
    """A Debian binary package, pinned by the file's sha256."""

    package: DebianName
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.+~:-]*$")]
    suite: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    architecture: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+$")]
    sha256: Sha256

    @property
    def label(self) -> str:
        """How the package is named to people."""
        return f"debian:{self.package}:{self.architecture}={self.version}"


class DebianSource(Frozen):
    """A Debian source package: each file of its .dsc with its sha256."""

    kind: Literal["debian-source"]
    package: DebianName
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.+~:-]*$")]
    suite: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    files: Annotated[dict[FileName, Sha256], Field(min_length=2)]
    debian_patches: bool = True

    @field_validator("files")
    @classmethod
    def _known_parts(cls, files: dict[str, str]) -> dict[str, str]:
        """Unpacking knows dpkg's formats "3.0 (quilt)" and "3.0 (native)" (dpkg-source(1))."""
        for name in files:
            if not re.search(r"\.(dsc|asc|tar\.\w+)$", name) or ".orig-" in name:
                raise ValueError(f"{name}: neither .dsc, .asc, nor a whole archive of format 3.0")
        return files

    @property
    def label(self) -> str:
        """How the source is named to people."""
        return f"debian:{self.package}={self.version}"

    @property
    def digest(self) -> str:
        """The pinned hash that stands for the whole source: that of the .dsc."""
        return next(
            (f"sha256:{sha}" for name, sha in self.files.items() if name.endswith(".dsc")), ""
        )


class LocalSource(Frozen):
    """A folder of the recipe itself; its hash is taken when the recipe is loaded."""

    kind: Literal["local"]
    path: InnerPath

    @property
    def label(self) -> str:
        """How the source is named to people."""
        return f"local:{self.path}"

    @property
    def digest(self) -> str:
        """Local sources are hashed by the loader, see `LoadedRecipe.inputs`."""
        return ""


Source = Annotated[GoModuleSource | DebianSource | LocalSource, Field(discriminator="kind")]
