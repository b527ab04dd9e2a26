"""Applying patches, exactly or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from buildsys.errors import CommandError, PatchError
from buildsys.run import run, tail

CONTEXT_LINES = 6
"""How many lines of the file a failed hunk shows."""

ALL_LINES = 10_000
"""git goes on to the other files after a refusal, so it may stand far above the last lines."""


def apply_patch(patch: Path, folder: Path, name: str, log: Path) -> None:
    """Apply `patch` (-p1, no fuzz) to the tree in `folder`.

    Raises `PatchError` that names file and hunk and shows what stands there now.
    """
    # A ceiling above the folder: git must not take a checkout around it for the tree's own.
    env = {
        "PATH": "/usr/bin:/bin",
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
    }
    argv = ["git", "apply", "--verbose", "--whitespace=nowarn", "-p1", str(patch.absolute())]
    start = log.stat().st_size if log.exists() else 0
    try:
        run(argv, cwd=folder, env=env, log=log, name="git apply")
    except CommandError as error:
        raise PatchError(
            f"{name} does not apply:\n{_explain(tail(log, start, ALL_LINES), folder)}",
            cause="the source changed under the patch",
            action=f"rework the patch against the new source; see {log}",
        ) from error


def _explain(lines: list[str], folder: Path) -> str:
    text = "\n".join(lines)
    found = re.findall(r"error: patch failed: (.+):(\d+)", text)
    if not found:
        errors = re.findall(r"error: .*", text)
        return "\n".join(f"  {line}" for line in errors) or text
    return "\n".join(_hunk(folder, name, int(line)) for name, line in found)


def _hunk(folder: Path, name: str, line: int) -> str:
    head = f"  {name}, hunk at line {line}; there stands now:"
    try:
        lines = (folder / name).read_text("utf-8", "replace").splitlines()
    except OSError:
        return f"  {name}, hunk at line {line}: the file is not there"
    shown = lines[line - 1 : line - 1 + CONTEXT_LINES] or ["(the file is shorter)"]
    return "\n".join([head, *(f"    {line + i}: {text}" for i, text in enumerate(shown))])
