"""Getting pinned sources and unpacking them; the only part of a build that uses the network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from buildsys.cache import Cache, disk_errors
from buildsys.errors import BuildsysError, FetchError
from buildsys.fetch import apt, debian, go_module, yarn
from buildsys.load import LoadedRecipe
from buildsys.model import (
    DebianBinary,
    DebianSource,
    GoModuleSource,
    LocalSource,
    Source,
    YarnOptions,
)
from buildsys.report import Progress
from buildsys.run import workers
from buildsys.toolchain import Toolchain

ATTEMPTS = 3
"""How often a download is tried; between tries it waits 2, then 4 seconds."""

PARALLEL = 4
"""Downloads at once: they wait for the network, not for cores."""


Fetchable = Source | yarn.LockedPackages | DebianBinary


def wanted(loaded: LoadedRecipe) -> Iterator[Fetchable]:
    """All that must be fetched for a recipe: its source, and what a lock file in that names."""
    yield loaded.recipe.source
    if isinstance(loaded.recipe.options, YarnOptions):
        yield yarn.LockedPackages(loaded)


@dataclass(frozen=True)
class Fetcher:
    """What fetching needs to know: cache, toolchain (for the go command) and mirrors."""

    cache: Cache
    toolchain: Toolchain
    debian_mirror: str | None = None
    go_proxy: str | None = None

    def lacks(self, source: Fetchable) -> str | None:
        """What of `source` is not in the cache, in words; None where it is complete."""
        if isinstance(source, GoModuleSource):
            return go_module.lacks(source, self.cache)
        if isinstance(source, DebianSource):
            return debian.lacks(source, self.cache)
        if isinstance(source, DebianBinary):
            return debian.lacks_binary(source, self.cache)
        if isinstance(source, yarn.LockedPackages):
            return yarn.lacks(source.loaded.recipe, self.cache)
        return None

    def complete(self, source: Fetchable, log: Path) -> None:
        """Get `source` unless it is there or comes while we wait. Raises as `fetch` does."""
        with self.cache.lock(log_name(source)):
            if self.lacks(source):
                self.fetch(source, log)

    def fetch(self, source: Fetchable, log: Path) -> None:
        """Get `source`, with retries. Raises `FetchError` or `HashMismatchError`."""
        if isinstance(source, yarn.LockedPackages):
            self.complete(source.loaded.recipe.source, log)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if isinstance(source, GoModuleSource):
                    go_module.fetch(source, self.cache, self.toolchain, self.go_proxy, log)
                elif isinstance(source, DebianSource):
                    debian.fetch(source, self.cache, self.debian_mirror, log)
                elif isinstance(source, DebianBinary):
                    debian.fetch_binary(source, self.cache, self.debian_mirror, log)
                elif isinstance(source, yarn.LockedPackages):
                    self._fetch_packages(source.loaded, log)
                return
            except FetchError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(2**attempt)

    def _fetch_packages(self, loaded: LoadedRecipe, log: Path) -> None:
        def unpack(folder: Path) -> None:
            self.unpack(loaded, folder, log)

        yarn.fetch(loaded.recipe, self.cache, self.toolchain, unpack, log)

    def unpack(self, loaded: LoadedRecipe, folder: Path, log: Path) -> None:
        """Put a writable copy of the recipe's source into `folder`, checked against its pins."""
        source = loaded.recipe.source
        if isinstance(source, GoModuleSource):
            go_module.unpack(source, self.cache, folder)
        elif isinstance(source, DebianSource):
            debian.unpack(source, self.cache, folder, log)
        elif isinstance(source, LocalSource):
            copy_inputs(loaded, source.path, folder)


def copy_inputs(loaded: LoadedRecipe, prefix: str, folder: Path) -> None:
    """Copy the recipe's own files below `prefix` to `folder`, modes 0644 or 0755."""
    for name, digest in loaded.inputs.items():
        if not name.startswith(f"{prefix}/"):
            continue
        path = folder / name.removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((loaded.folder / name).read_bytes())
        path.chmod(0o755 if digest.startswith("x:") else 0o644)


def fetch_all(
    sources: Iterable[Fetchable],
    fetcher: Fetcher,
    progress: Progress,
    span: Callable[[str, str, float], None],
) -> dict[str, BuildsysError]:
    """Fetch every source that is not complete yet, in parallel; each only once.

    `span` is told (kind, name, start) of each finished download. Returns what failed, by the
    source's label, after it was shown; what was fetched stays. Raises `MissingToolError` before
    anything is fetched where this host cannot fetch Debian's packages, and some are missing.
    """
    lacking = {s.label: s for s in sources if fetcher.lacks(s)}
    if any(isinstance(s, DebianSource | DebianBinary) for s in lacking.values()):
        apt.demand_host()
        log = fetcher.cache.logs / "debian-mirror.log"
        mirror = apt.chosen_mirror(fetcher.debian_mirror, log, progress)
        fetcher = replace(fetcher, debian_mirror=mirror)
    failures: dict[str, BuildsysError] = {}

    def one(source: Fetchable) -> None:
        start = time.monotonic()
        log = fetcher.cache.logs / f"fetch-{log_name(source)}.log"
        try:
            with (
                disk_errors(fetcher.cache.root, f"fetching {source.label}"),
                progress.step("fetch", source.label),
            ):
                log.unlink(missing_ok=True)
                fetcher.complete(source, log)
        except BuildsysError as error:
            failures[source.label] = error
            progress.failed(source.label, error)
        span("fetch", source.label, start)

    with workers(PARALLEL) as pool:
        list(pool.map(one, lacking.values()))
    return failures


def log_name(source: Fetchable) -> str:
    """The source's label as one file name."""
    return re.sub(r"[^A-Za-z0-9@.+=_-]+", "_", source.label)
