"""What GitHub's runner reads: folds and annotations in a log, the run's summary, outputs.

Formats: docs.github.com, "Workflow commands for GitHub Actions". The runner reads both streams of
a step; these go to standard error, where they cannot spoil data.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from buildsys.errors import BuildsysError, ConfigError, SomeFailedError

SWITCH = "GITHUB_ACTIONS"
"""The environment variable that the runner sets to "true"."""

_FILE = re.compile(r"(?:^|[\s('\"])((?:recipes|toolchains|docs|\.github)/[\w.+/-]*\w\.\w+)", re.M)
"""A file of the checkout, as errors name them."""


@dataclass(frozen=True)
class Annotation:
    """A remark on a run, shown at its top, and beside `file` where it names one."""

    level: str
    title: str
    message: str
    file: str = ""


def annotations_of(error: BuildsysError) -> Iterator[Annotation]:
    """One for each thing that went wrong."""
    if isinstance(error, SomeFailedError):
        for name, failure in error.failures:
            yield _error(name, str(failure))
    elif isinstance(error, ConfigError):
        for problem in error.problems:
            yield _error("mistake in recipes or targets", problem)
    else:
        yield _error(f"exit code {error.exit_code}", str(error))


def _error(title: str, message: str) -> Annotation:
    named = _FILE.search(message)
    return Annotation("error", title, message, named[1] if named else "")


def command(name: str, message: str, **properties: str) -> str:
    """A workflow command: one line, whatever `message` holds."""
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name}{' ' * bool(given)}{given}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as GitHub's Markdown has it."""
    lines = [columns, ["---"] * len(columns), *rows]
    table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    return f"{f'**{title}**' if title else ''}\n\n{table}\n\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


class Actions:
    """Writes for GitHub's runner. Does nothing where there is none."""

    def __init__(self, environment: Mapping[str, str], log: TextIO) -> None:
        self._log = log
        self._runs = environment.get(SWITCH) == "true"
        self._files = {
            key: environment[name]
            for key, name in (("summary", "GITHUB_STEP_SUMMARY"), ("output", "GITHUB_OUTPUT"))
            if self._runs and environment.get(name)
        }

    @contextmanager
    def folded(self, title: str) -> Iterator[None]:
        """Fold what is printed while the block runs. Folds cannot lie in folds."""
        self._say("group", title)
        try:
            yield
        finally:
            self._say("endgroup", "")

    def annotate(self, error: BuildsysError) -> None:
        """Annotate the run with what went wrong."""
        for one in annotations_of(error):
            self._say(one.level, one.message, file=one.file, title=one.title)

    def warn(self, title: str, message: str) -> None:
        """Annotate the run with what a reader should know."""
        self._say("warning", message, title=title)

    def match(self, matchers: Path) -> None:
        """Let the runner annotate the lines that these problem matchers know."""
        self._say("add-matcher", str(matchers))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table to the run's summary."""
        self._append("summary", markdown(title, columns, rows))

    def output(self, name: str, value: str) -> None:
        """Set an output of the step; `value` is one line."""
        if "\n" in value:
            raise ValueError(f"output {name}: more than one line")
        self._append("output", f"{name}={value}\n")

    def _say(self, name: str, message: str, **properties: str) -> None:
        if self._runs:
            sys.stdout.flush()
            print(command(name, message, **properties), file=self._log, flush=True)

    def _append(self, key: str, text: str) -> None:
        if key in self._files:
            with Path(self._files[key]).open("a", encoding="utf-8") as file:
                file.write(text)


def runner() -> Actions:
    """The runner of this process, if there is one."""
    return Actions(os.environ, sys.stderr)
