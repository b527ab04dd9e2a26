"""What all results are printed by."""

from __future__ import annotations

import json

MIB = 1024 * 1024


def print_json(value: object) -> None:
    """`value` as JSON on standard output."""
    print(json.dumps(value, indent=2))


def mib(size: int | None) -> str:
    """A size in bytes as MiB; a dash where there is none."""
    return "-" if size is None else f"{size / MIB:.2f}"
