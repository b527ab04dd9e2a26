"""What a run of the tests leaves out is said by name, and what it skips is held to a list.

K3S_TEST_SKIPS names a list in tests/skips: a skip whose reason it does not allow fails the run. So
no job of a CI loses a test because its machine changed, or because it runs as another user.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SKIPS = "K3S_TEST_SKIPS"

LISTS = Path(__file__).with_name("skips")


def allowed(name: str) -> list[re.Pattern[str]]:
    """The patterns of the list `name`: one on a line, each for a whole reason; # begins a comment.

    Raises `pytest.UsageError` where there is no such list.
    """
    path = LISTS / f"{name}.txt"
    if not re.fullmatch(r"[a-z0-9-]+", name) or not path.is_file():
        known = ", ".join(sorted(found.stem for found in LISTS.glob("*.txt")))
        raise pytest.UsageError(f"{SKIPS}={name}: there is no such list in tests/skips: {known}")
    lines = (line.partition(" # ")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


class Account:
    """Counts what one run left out and what it skipped without leave."""

    def __init__(self, patterns: list[re.Pattern[str]] | None) -> None:
        self.patterns = patterns
        self.left_out: Counter[str] = Counter()
        self.refused: list[str] = []

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.left_out.update(item.nodeid.partition("::")[0] for item in items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Of several workers each collects everything: what one says holds for all."""
        self.left_out = Counter(getattr(node, "workeroutput", {}).get("left_out", self.left_out))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail") or self.patterns is None:
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(pattern.fullmatch(reason) for pattern in self.patterns):
            self.refused.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["left_out"] = dict(self.left_out)
        elif self.refused:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        """What a reader must know beside the counts."""
        if self.left_out:
            total = sum(self.left_out.values())
            yield f"{total} tests left out (-m); `invoke test --all` runs them:"
            yield from (f"  {path}: {count}" for path, count in sorted(self.left_out.items()))
        if self.refused:
            yield f"FAILED: {len(self.refused)} skips that tests/skips does not allow this run:"
            yield from (f"  {line}" for line in self.refused)


def pytest_configure(config: pytest.Config) -> None:
    name = os.environ.get(SKIPS, "")
    config.pluginmanager.register(Account(allowed(name) if name else None), "account")
