"""What was removed, how much that was, and what stayed."""

from __future__ import annotations

import sys
from pathlib import Path

from buildsys.remove import Remover
from buildsys.show.common import mib, print_json

FEW = 8
"""So many entries of one folder are named; of more only their number and size."""


def removed(remover: Remover, *, as_json: bool) -> None:
    """Paths and MiB on standard error, or JSON on standard output."""
    if as_json:
        print_json(remover.as_json())
        return
    done = "would remove" if remover.dry else "removed"
    by_folder: dict[Path, dict[Path, int]] = {}
    for path, size in remover.removed.items():
        by_folder.setdefault(path.parent, {})[path] = size
    for folder, entries in by_folder.items():
        if len(entries) > FEW:
            _say(f"{mib(sum(entries.values())):>10} MiB  {folder}: {len(entries)} entries")
        else:
            for path, size in entries.items():
                _say(f"{mib(size):>10} MiB  {path}")
    for path, reason in remover.left.items():
        _say(f"stays: {path}: {reason}")
    count = len(remover.removed)
    _say(f"{done} {count} {'entry' if count == 1 else 'entries'}, {mib(remover.size)} MiB")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
