"""What all values read from files share: frozen, no unknown keys, no silent conversion."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


class Frozen(BaseModel):
    """Base of every value read from a file: immutable, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or text != str(path) or " " in text:
        raise ValueError("must be a relative path without '..', spaces or a trailing slash")
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=64)]
"""Name of a recipe or target; it becomes a file name."""

InnerPath = Annotated[str, AfterValidator(_inside)]
"""A relative POSIX path that cannot leave its folder."""

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~:%-]*$")]
"""One path component, as archives and patches are named."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A sha256 in lower-case hex."""

GoSum = Annotated[str, StringConstraints(pattern=r"^h1:[A-Za-z0-9+/]{43}=$")]
"""Go's h1 module hash (golang.org/x/mod/sumdb/dirhash)."""

NpmIntegrity = Annotated[str, StringConstraints(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$")]
"""A package's sha512 as npm's registry and lock files write it."""

Sentence = Annotated[str, StringConstraints(min_length=3, max_length=400)]
"""Text for people."""
