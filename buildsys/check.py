"""The check step of a job: are the promised files there, and can the target run what went in?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from buildsys.elf import Bounds, ElfError, check_objects, elves_in, violations
from buildsys.errors import CheckError
from buildsys.styles import Context


def check_outputs(context: Context, picked: Path) -> dict[str, Any]:
    """Pick the recipe's output into the folder `picked` and check it.

    Returns what was seen, as plain data for the artifact's record. Raises `CheckError` that names
    each file, object and attribute out of bounds.
    """
    picked.mkdir()
    _pick(context, picked)
    if context.machine is None:
        return _without_code(context, picked)
    bounds = context.target.elf.bounds()
    elves, found = elf_problems(picked, bounds)
    # Linked files keep the attributes of their first object only, so the inputs are judged too.
    objects = [path for path in context.sandbox.host("objects").rglob("*") if path.is_file()]
    report = check_objects(objects, bounds)
    found += [f"linked object {_object_name(name)}: {v.text}" for name, v in report.violations]
    if found:
        raise CheckError(
            f"{context.recipe.name} is not code for {context.target.name}:\n"
            + "\n".join(f"  {line}" for line in found),
            cause="a file was compiled for another CPU, or a flag overrides the target's",
            action=f"look for -march, -mcpu or prebuilt objects in {context.recipe.name}",
        )
    return {
        "elves": elves,
        "linked_objects": report.count,
        "objects_without_attributes": report.without_attributes,
        "highest_cpu_arch": report.highest_cpu_arch,
        "highest_fp_arch": report.highest_fp_arch,
        "excused": sorted({f"{_object_name(name)}: {v.text}" for name, v in report.excused}),
    }


def _without_code(context: Context, picked: Path) -> dict[str, Any]:
    """The check of an artifact for all targets: machine code in it is for one of them at most."""
    found = [name for name, _ in elves_in(picked)]
    if found:
        raise CheckError(
            f"{context.recipe.name} is shared by all targets, but holds machine code:\n"
            + "\n".join(f"  {name}" for name in found),
            cause="the recipe says shared = true",
            action="remove that line, or leave the files out",
        )
    return {"elves": 0}


def elf_problems(path: Path, bounds: Bounds) -> tuple[int, list[str]]:
    """Number of ELFs in a file or tree, archives included, and what breaks the bounds in words."""
    count, found = 0, []
    try:
        for name, facts in elves_in(path):
            count += 1
            found += [f"{name}: {violation.text}" for violation in violations(facts, bounds)]
    except ElfError as error:
        found.append(str(error))
    return count, found


def _object_name(name: str) -> str:
    """Objects are collected under their full paths; the part from the job's folder on says all."""
    _, _, inner = name.rpartition("/objects/")
    return inner or name


def _pick(context: Context, picked: Path) -> None:
    output, out = context.recipe.output, context.sandbox.host("out")
    for origin, place in output.files.items():
        if not _take(out / origin, picked / place, os.link):
            raise CheckError(
                f"{context.recipe.name}: the build made no {origin}",
                cause="the recipe's output and what the style installs differ",
                action=f"correct output.files; there is: {', '.join(_listing(out)) or 'nothing'}",
            )
    for origin, place in output.needed.items():
        # No link: an edit of one artifact must not reach the other.
        if not _take(_needed_file(context, origin), picked / place, shutil.copy2):
            raise CheckError(
                f"{context.recipe.name}: what it needs has no {origin}",
                cause="output.from of this recipe and output of the other differ",
                action="correct output.from",
            )
    for place, text in output.links.items():
        path = picked / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(text)


def _needed_file(context: Context, origin: str) -> Path:
    need, _, inner = origin.partition("/")
    return context.sandbox.host(f"deps/{need}") / inner


def _take(source: Path, place: Path, copy: Callable[[Path, Path], object]) -> bool:
    """Put a file or folder where the artifact has it; whether it is there at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
    elif source.is_file():
        copy(source, place)
    return source.exists()


def _listing(folder: Path) -> Iterator[str]:
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    for index, name in enumerate(sorted(names)):
        if index == 20:
            yield "…"
            return
        yield name
