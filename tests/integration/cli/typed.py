"""Typing a command into a real shell, as people do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildsys.app import ROOT

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    code: int
    out: str
    err: str


def typed(
    line: str, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, path: str = PATH
) -> Ended:
    """Run `line` by bash; the code is that of the first program of a pipe."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("K3S_", "PY"))}
    done = subprocess.run(
        ["bash", "-c", f"{line}\nexit ${{PIPESTATUS[0]}}"],
        cwd=cwd,
        env={**kept, "PATH": path, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
    )
    text = (str(part, "utf-8", "replace") for part in (done.stdout, done.stderr))
    return Ended(done.returncode, *text)
