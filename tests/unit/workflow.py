"""Workflows as data, for the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass(frozen=True)
class Workflow:
    """One file: its text and what YAML makes of it."""

    name: str
    text: str
    data: Mapping[Any, Any]

    @property
    def triggers(self) -> Mapping[str, Any]:
        """YAML 1.1, which PyYAML reads, takes the word `on` for true."""
        found: Mapping[str, Any] = self.data[True]
        return found

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self.data["jobs"]
        return found

    @property
    def steps(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every step, with its job's name."""
        for name, job in self.jobs.items():
            for step in job.get("steps", ()):
                yield name, step


def load(folder: Path) -> dict[str, Workflow]:
    """All workflows by their names."""
    return {
        path.stem: Workflow(path.stem, text := path.read_text("utf-8"), yaml.safe_load(text))
        for path in sorted(folder.glob("*.yml"))
    }


def filled(line: str, **values: str) -> list[str]:
    """The commands that a `run:` may become: each expression by its value, or each of its words.

    `a && '--flag' || ''` is a flag that is there or not.
    """
    found = EXPRESSION.search(line)
    if not found:
        return [line]
    inner = found[1]
    options = re.findall(r"'([^']*)'", inner) or [values[inner]]
    rests = (line[: found.start()] + option + line[found.end() :] for option in options)
    return [one for rest in rests for one in filled(rest, **values)]
