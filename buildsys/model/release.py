"""How a target is released: `[release]` in toolchains/<name>.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from buildsys.model.base import FileName, Frozen, Name

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")]


class UpstreamTable(Frozen):
    """What upstream's install.sh asks for on this target's machines.

    `file` is the executable, `arch` the word in sha256sum-<arch>.txt. `flat` gives it that name in
    the flat release as well, where only one target can have it.
    """

    file: FileName
    arch: Word
    flat: bool = False


class ReleaseTable(Frozen):
    """What must be proven before a release, and how installers find the target.

    `verdicts` are "audit", "smoke" and names of scenarios; `uname` is what `uname -m` may say.
    """

    verdicts: Annotated[tuple[Name, ...], Field(min_length=1)]
    uname: Annotated[tuple[Word, ...], Field(min_length=1)]
    upstream: UpstreamTable | None = None
