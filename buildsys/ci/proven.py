"""What is remembered of targets that passed: a file for each, in `artifacts/proven`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from buildsys import jsonfile
from buildsys.cache import write_atomic
from buildsys.ci.matrix import Proven
from buildsys.errors import CorruptError


def folder(artifacts: Path) -> Path:
    """Where the files lie."""
    return artifacts / "proven"


def read(artifacts: Path) -> Iterator[Proven]:
    """All that is remembered; what cannot be read is not."""
    for path in sorted(folder(artifacts).glob("*.json")):
        with suppress(OSError, CorruptError):
            yield jsonfile.read(Proven, path)


def remember(artifacts: Path, proven: Proven) -> Path:
    """Write what passed; the file."""
    path = folder(artifacts) / f"{proven.target}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(asdict(proven), indent=1) + "\n").encode())
    return path


def forget(artifacts: Path, target: str) -> None:
    """A target that is tried again is not proven until it passed."""
    (folder(artifacts) / f"{target}.json").unlink(missing_ok=True)


def code_digest(package: Path) -> str:
    """Sha256 over this library: it audits, boots and judges."""
    total = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(f"{path.relative_to(package)}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
