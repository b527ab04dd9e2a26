"""What people see: progress on standard error, tables on standard output, spans of time."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from buildsys.actions import runner

TOOL_KINDS = frozenset({"fetch", "compile", "compress"})
"""Kinds of span that are fetching, compilers, linkers and compression, not this tool's own work."""


@dataclass(frozen=True)
class Span:
    """A piece of work: its kind, its subject, begin and end in seconds of the monotonic clock.

    Where it was measured, `cpu` has the CPU seconds, and `peak_mib` the memory of the largest
    process.
    """

    kind: str
    name: str
    begin: float
    end: float
    cpu: float = 0.0
    peak_mib: float = 0.0


@dataclass
class Timeline:
    """Collects spans of one run; used from several threads."""

    begin: float = field(default_factory=time.monotonic)
    spans: list[Span] = field(default_factory=list)

    def add(
        self, kind: str, name: str, begin: float, cpu: float = 0.0, peak_mib: float = 0.0
    ) -> None:
        """Record a span that ends now."""
        self.spans.append(Span(kind, name, begin, time.monotonic(), cpu, peak_mib))

    def covered(self, kinds: frozenset[str]) -> float:
        """Seconds of wall time in which at least one span of `kinds` ran."""
        total, reached = 0.0, 0.0
        for span in sorted(self.spans, key=lambda s: s.begin):
            if span.kind in kinds and span.end > reached:
                total += span.end - max(span.begin, reached)
                reached = span.end
        return total

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds of this process and all that it waited for, by who used them."""
        spent = {
            name: sum(span.cpu for span in self.spans if span.kind == kind)
            for name, kind in (("compilers", "compile"), ("compression", "compress"))
        }
        used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        whole = sum(one.ru_utime + one.ru_stime for one in used)
        # Clocks of threads are read in ticks.
        spent["rest"] = max(0.0, whole - sum(spent.values()))
        return {name: round(seconds, 2) for name, seconds in spent.items()}

    def as_json(self) -> dict[str, object]:
        """Wall seconds, the share of tools in it, CPU seconds, seconds by kind and every span."""
        wall = time.monotonic() - self.begin
        kinds = sorted({span.kind for span in self.spans})
        return {
            "wall_seconds": round(wall, 3),
            "tool_share": round(self.covered(TOOL_KINDS) / wall, 4) if wall else 0.0,
            "cpu_seconds": self.cpu_seconds(),
            "seconds_by_kind": {k: round(self.covered(frozenset({k})), 3) for k in kinds},
            "spans": [
                {
                    "kind": s.kind,
                    "name": s.name,
                    "begin": round(s.begin - self.begin, 3),
                    "end": round(s.end - self.begin, 3),
                    **({"cpu": round(s.cpu, 2)} if s.cpu else {}),
                    **({"peak_mib": round(s.peak_mib, 1)} if s.peak_mib else {}),
                }
                for s in self.spans
            ],
        }


class Progress:
    """Steps that are under way: bars on a terminal, one line per finished step elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[Progress]:
        """Show the bars as long as the block runs."""
        with self._bars:
            yield self

    @contextmanager
    def step(self, verb: str, name: str) -> Iterator[None]:
        """One step: shown while it runs, a line with its seconds when it ended well."""
        bar = self._bars.add_task(f"{verb:<9}{name}", total=None)
        start = time.monotonic()
        try:
            yield
        finally:
            self._bars.remove_task(bar)
        self.line(f"{verb:<9}{name}  {time.monotonic() - start:.1f} s")

    @contextmanager
    def watched(self, text: str) -> Iterator[Callable[[str], None]]:
        """A step whose bar is told more while it runs; no line is written at its end."""
        bar = self._bars.add_task(text, total=None)
        try:
            yield lambda more: self._bars.update(bar, description=f"{text}  {more}")
        finally:
            self._bars.remove_task(bar)

    def line(self, text: str, style: str = "") -> None:
        """A line of its own."""
        with self._lock:
            self.console.print(text, style=style, markup=False)

    def failed(self, name: str, error: Exception) -> None:
        """A failure, in full."""
        self.line(f"FAILED   {name}: {error}", style="red")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output; columns that hold numbers only are set to the right.

    In a run of GitHub's it goes into the run's summary as well.
    """
    if title:
        print(title)
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(columns):
        numbers = rows and all(row[index][:1].isdigit() or row[index] in "-" for row in rows)
        table.add_column(name, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 160
    Console(highlight=False, width=width, markup=False).print(table)
    runner().table(title, columns, rows)
