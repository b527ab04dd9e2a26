"""The scheduler: order, slots, memory, and what goes on after a failure."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from buildsys.scheduler import Outcome, Task, available_memory_mib, run_graph

pytestmark = pytest.mark.unit


MEETING = 30
"""Seconds after which tasks that must run together, and do not, fail."""


@dataclass
class Recorder:
    """Makes tasks and sees which ran, in what order, and which ran together.

    Those that `meet` wait for each other: they end only if they run at the same time.
    """

    order: list[str] = field(default_factory=list)
    together: list[frozenset[str]] = field(default_factory=list)
    _now: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def task(
        self,
        name: str,
        *needs: str,
        memory: int = 1,
        error: BaseException | None = None,
        meet: threading.Barrier | None = None,
    ) -> Task[str]:
        return Task(name, needs, memory, lambda: self._work(name, error, meet))

    def _work(self, name: str, error: BaseException | None, meet: threading.Barrier | None) -> str:
        with self._lock:
            self._now.add(name)
            self.order.append(name)
            self.together.append(frozenset(self._now))
        if meet:
            meet.wait(MEETING)
        else:
            time.sleep(0.02)  # what must not run together gets the time to do so
        with self._lock:
            self._now.remove(name)
        if error:
            raise error
        return f"result of {name}"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_nothing_to_do() -> None:
    assert run_graph([], slots=2, memory_mib=10) == {}


def test_each_follows_its_needs(recorder: Recorder) -> None:
    both = threading.Barrier(2)
    tasks = [
        recorder.task("a"),
        recorder.task("b", "a", meet=both),
        recorder.task("c", "a", meet=both),
        recorder.task("d", "b", "c"),
    ]
    done = run_graph(tasks, slots=4, memory_mib=100)
    assert recorder.order[0] == "a"
    assert recorder.order[-1] == "d"
    assert done == {name: Outcome(f"result of {name}") for name in "abcd"}
    assert frozenset("bc") in recorder.together


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_slots_are_used_and_never_exceeded(recorder: Recorder, slots: int) -> None:
    full = threading.Barrier(slots)
    tasks = [recorder.task(str(n), meet=full) for n in range(6)]
    done = run_graph(tasks, slots=slots, memory_mib=100)
    assert all(outcome.result for outcome in done.values()), done
    assert max(len(names) for names in recorder.together) == slots
    assert len(recorder.order) == 6


def test_memory_bounds_what_runs_together(recorder: Recorder) -> None:
    memory = {"a": 60, "b": 50, "c": 40, "d": 30, "e": 10}
    first = threading.Barrier(2)
    tasks = [
        recorder.task(name, memory=mib, meet=first if name in "ac" else None)
        for name, mib in memory.items()
    ]
    done = run_graph(tasks, slots=5, memory_mib=100)
    assert all(outcome.result for outcome in done.values()), done
    assert sorted(recorder.order) == list(memory)
    assert all(sum(memory[name] for name in names) <= 100 for names in recorder.together)
    # A small one passes a large one that does not fit yet.
    assert recorder.order.index("c") < recorder.order.index("b")


def test_task_larger_than_the_memory_runs_alone(recorder: Recorder) -> None:
    tasks = [recorder.task("small"), recorder.task("huge", memory=500), recorder.task("tiny")]
    done = run_graph(tasks, slots=3, memory_mib=100)
    assert done["huge"].result == "result of huge"
    assert all(names == {"huge"} for names in recorder.together if "huge" in names)


def test_failure_skips_what_depends_on_it_and_nothing_else(recorder: Recorder) -> None:
    error = ValueError("broken")
    tasks = [
        recorder.task("bad", error=error),
        recorder.task("good"),
        recorder.task("child", "bad", "good"),
        recorder.task("grandchild", "child"),
        recorder.task("friend", "good"),
    ]
    done = run_graph(tasks, slots=2, memory_mib=100)
    assert done["bad"] == Outcome(error=error)
    assert done["child"] == Outcome(waited_for="bad")
    assert done["grandchild"] == Outcome(waited_for="child")
    assert done["friend"].result == "result of friend"
    assert sorted(recorder.order) == ["bad", "friend", "good"]


def test_interrupt_stops_everything(recorder: Recorder) -> None:
    tasks = [recorder.task("a", error=KeyboardInterrupt()), recorder.task("b", "a")]
    with pytest.raises(KeyboardInterrupt):
        run_graph(tasks, slots=1, memory_mib=100)
    assert recorder.order == ["a"]


def test_available_memory(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n")
    assert available_memory_mib(meminfo) == 2048
    assert available_memory_mib() > 0
    meminfo.write_text("MemTotal: 9 kB\n")
    with pytest.raises(ValueError, match="MemAvailable"):
        available_memory_mib(meminfo)
