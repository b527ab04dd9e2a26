"""Removing what was made: outputs, logs, caches; what nothing needs any more."""

from __future__ import annotations

import os
from pathlib import Path

from buildsys import ours
from buildsys.app import App
from buildsys.fetch import debian
from buildsys.model import DebianSource
from buildsys.output import Output
from buildsys.plan import Plan
from buildsys.remove import Remover
from buildsys.trim import ENVIRONMENT, bound, trim


def clean(app: App, *, everything: bool, verdicts: bool, dry: bool) -> Remover:
    """Remove artifacts, logs, what was set aside and what killed runs left; what was removed.

    With `everything` the whole cache, with `verdicts` these too. It waits for those who use the
    cache. Raises `NotWritableError` for a cache folder that is not ours, before anything is gone.
    """
    remover, cache = Remover(dry), app.cache_at
    if not cache.root.is_dir():
        Output(app.artifacts, app.project).clean(remover, verdicts=verdicts)
        return remover
    cache.demand_ours()
    with app.alone():
        Output(app.artifacts, app.project).clean(remover, verdicts=verdicts)
        spared = () if everything else {*ours.INSIDE} - {"logs", "aside", "work"}
        for name, inside in ours.INSIDE.items():
            if name not in spared and name != "locks":
                remover.within(cache.root / name, inside)
        if everything:
            _remove_root(cache.root, remover)
    return remover


def _remove_root(root: Path, remover: Remover) -> None:
    """Remove the folders that are empty now, and the root if nothing else is in it."""
    remover.within(root / "locks", ours.INSIDE["locks"])
    marks = {ours.TAG, ours.MARKER}
    for name in ours.INSIDE:
        remover.empty(root / name)
    for path in sorted(root.iterdir()):
        if path.name not in {*marks, *ours.INSIDE}:
            remover.foreign(path)
    if not remover.dry and not {path.name for path in root.iterdir()} - marks:
        for name in marks:
            (root / name).unlink(missing_ok=True)
        remover.empty(root)


def shrink(app: App) -> Remover | None:
    """Keep the caches below their bound, unless another run uses them; what was removed.

    Nothing goes that this run used, or that a recipe or target of this checkout names.
    """
    limit = bound(os.environ)
    with app.alone(wait=False) as got:
        if limit is None or not got:
            return None
        remover = trim(app.cache, limit, app.began, _named(app))
    if remover.removed:
        app.progress.line(
            f"cache: {remover.in_a_line()} not used for the longest time removed, to stay below "
            f"{limit >> 30} GiB ({ENVIRONMENT})"
        )
    return remover


def _named(app: App) -> set[Path]:
    """The downloads from Debian, and the emulators, of this checkout's recipes and targets."""
    project, cache = app.project, app.cache
    files = [
        debian.file_path(name, sha256, cache)
        for loaded in project.recipes.values()
        if isinstance(loaded.recipe.source, DebianSource)
        for name, sha256 in loaded.recipe.source.files.items()
    ]
    for target in project.targets.values():
        binaries = [target.emulator.package, target.machine and target.machine.kernel]
        files += [debian.binary_path(one, cache) for one in binaries if one]
    folders = {path.parent for path in files}
    return folders | {cache.emulators / folder.name for folder in folders}


def prune(app: App, plan: Plan, *, dry: bool = False) -> Remover:
    """Remove from the store what the plan has no use for; what was removed.

    It waits for those who use the cache.
    """
    remover, store = Remover(dry), app.cache.store
    with app.alone():
        remover.within(store, ours.INSIDE["store"], {job.key for job in plan.jobs})
    return remover
