"""The corresponding source of what is under the GPL or LGPL, and of this build, as one tar.

Its bytes depend on the pins and on the commit alone, so that it can be compared.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from buildsys.cache import Cache, disk_errors, file_sha256, unfinished
from buildsys.errors import CorruptError
from buildsys.fetch import debian, go_module
from buildsys.model import DebianSource, GoModuleSource, Recipe
from buildsys.model.recipe import EPOCH

BUILD = "k3s-buildsys.tar"
"""Member with the checkout: recipes, patches, and all that controls how the rest is built."""

_README = """\
Corresponding source of k3s {tag}: of every component under the GPL or LGPL, as it was fetched.
{build} is the build system at commit {commit}: its recipes and patches say what
was made of these files, and its README how. Recipes without files here are in it as a whole.

"""


class Sink(Protocol):
    """What a tar is written to."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""


class _Hash:
    """A sink that only hashes."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self.sha256.update(data)
        return len(data)


def write_sources(
    path: Path, tag: str, commit: str, recipes: Sequence[Recipe], cache: Cache, checkout: Path
) -> bool:
    """Write the tar to `path`; whether that was needed. `checkout` is the build system's own tar.

    Raises `CorruptError` for a fetched file that is no longer what its recipe pins.
    """
    members = list(_members(tag, commit, recipes, cache, checkout))
    total = _Hash()
    _write(total, members)
    if path.is_file() and file_sha256(path) == total.sha256.hexdigest():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(path, f"writing {path.name}"), unfinished(path) as temporary:
        with temporary.open("wb") as out:
            _write(out, members)
        temporary.replace(path)
    return True


def _members(
    tag: str, commit: str, recipes: Sequence[Recipe], cache: Cache, checkout: Path
) -> Iterator[tuple[str, bytes | Path]]:
    """Name and content of each member."""
    about = _README.format(tag=tag, build=BUILD, commit=commit)
    lines = (f"{r.name} {r.version}, {r.license}: {r.source.label}\n" for r in recipes)
    yield "README", (about + "".join(lines)).encode()
    yield BUILD, checkout
    for recipe in recipes:
        for file in _files(recipe, cache):
            yield f"{recipe.name}/{file.name}", file


def _files(recipe: Recipe, cache: Cache) -> Iterator[Path]:
    source = recipe.source
    if isinstance(source, GoModuleSource):
        yield go_module.zip_path(source, cache)
    if isinstance(source, DebianSource):
        for name, sha in sorted(source.files.items()):
            path = debian.file_path(name, sha, cache)
            if file_sha256(path) != sha:
                raise CorruptError(
                    f"{path} is not what {recipe.name} pins",
                    cause="the file was cut or edited after it was fetched",
                    action="remove it and run the same again, which fetches it",
                )
            yield path


def _write(out: Sink, members: Iterable[tuple[str, bytes | Path]]) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for name, content in members:
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            info = tarfile.TarInfo(f"k3s-sources/{name}")
            info.size, info.mtime, info.mode = size, int(EPOCH.timestamp()), 0o644
            with _opened(content) as source:
                tar.addfile(info, source)


def _opened(content: bytes | Path) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
