"""The program `k3s-build`: the commands of `tasks.py`, from anywhere inside a checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

NOT_HERE = 3
"""The exit code of a command line that cannot be understood (`buildsys/errors.py`)."""


def main() -> None:
    """Find the checkout around this folder, or `-r FOLDER`, and run the commands there."""
    asked = sys.argv[2] if sys.argv[1:2] in (["-r"], ["--search-root"]) and sys.argv[2:] else "."
    try:
        start = Path(asked).resolve(strict=True)
    except OSError as error:
        _refuse(f"the folder {asked} cannot be opened: {error.strerror}")
    root = checkout_around(start)
    if root is None:
        _refuse(f"no checkout of k3s-buildsys is in {start}, nor in a folder above it")
    sys.path.insert(0, str(root))
    import tasks
    from buildsys.cli.program import run

    run(tasks)


def checkout_around(start: Path) -> Path | None:
    """The nearest folder, `start` or above, that is a checkout of this project."""
    for folder in (start, *start.parents):
        if (folder / "tasks.py").is_file() and (folder / "buildsys/cli/program.py").is_file():
            return folder
    return None


def _refuse(what: str) -> NoReturn:
    text = f"error: {what}\nnext: go into the checkout, or name it: k3s-build -r FOLDER COMMAND\n"
    os.write(2, text.encode("utf-8", "backslashreplace"))
    sys.exit(NOT_HERE)
