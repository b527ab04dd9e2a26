"""A build where nothing changed, beside bare `invoke --version`."""

from __future__ import annotations

import sys
from pathlib import Path

from buildsys.bench.compare import compare

RUNS = 7


def run() -> None:
    """Build armv6 again where nothing changed, beside bare `invoke --version`."""
    invoke = str(Path(sys.executable).with_name("invoke"))
    compare(
        {
            "invoke build --arch armv6": [invoke, "build", "--arch", "armv6"],
            "invoke --version": [invoke, "--version"],
        },
        runs=RUNS,
    )
