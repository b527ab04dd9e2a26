"""The scheduler: order, slots, memory, and what goes on after a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from buildsys.build import joined, task_of
from buildsys.bundle import Bundler, BundleTasks
from buildsys.cache import Cache
from buildsys.load import load_project
from buildsys.plan import make_plan
from buildsys.report import Progress, Timeline
from buildsys.scheduler import (
    Outcome,
    Started,
    Task,
    available_memory_mib,
    by_urgency,
    run_graph,
    startable,
)

from .conftest import CHECKOUT, TOOLCHAIN

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
        return Task(name, needs, memory, lambda _: self._work(name, error, meet))

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


# ---- how many cores each may use ----


@dataclass
class Host:
    """A machine that only counts, in a time of its own: a task takes its weight by its cores."""

    slots: int
    memory_mib: int
    cores: dict[str, int] = field(default_factory=dict)
    peak_mib: int = 0
    idle: list[str] = field(default_factory=list)
    """What could have run while cores had nothing to do."""

    def run(self, tasks: Sequence[Task[object]]) -> None:
        """Run them all, as `run_graph` does."""
        waiting = {task.name: task for task in by_urgency(tasks)}
        running: dict[str, tuple[float, Started[object]]] = {}
        done: dict[str, Outcome[object]] = {}
        now = 0.0
        while waiting or running:
            busy = [one for _, one in running.values()]
            for start in startable(waiting, busy, done, self.slots, self.memory_mib):
                task = waiting.pop(start.task.name)
                running[task.name] = (now + task.rank / start.cores, start)
                self.cores[task.name] = start.cores
            self._look(waiting, [one for _, one in running.values()], done)
            now, ended = min((end, name) for name, (end, _) in running.items())
            del running[ended]
            done[ended] = Outcome()

    def _look(
        self,
        waiting: Mapping[str, Task[object]],
        running: Sequence[Started[object]],
        done: Mapping[str, Outcome[object]],
    ) -> None:
        claimed = sum(one.memory_mib for one in running)
        self.peak_mib = max(self.peak_mib, claimed)
        if sum(one.cores for one in running) < self.slots:
            self.idle += [
                task.name
                for task in waiting.values()
                if all(need in done for need in task.needs)
                and task.memory_mib <= self.memory_mib - claimed
            ]


def real_tasks(target: str) -> list[Task[object]]:
    """A whole build's graph, as it is declared to the scheduler, without its work."""
    project = load_project(CHECKOUT)
    planned = make_plan(project, [target], TOOLCHAIN)
    (bundle,) = planned.bundles
    bundler = Bundler(project, Cache(Path("/nonexistent")), Timeline(), Path("/nonexistent"), "go1")
    jobs: list[Task[object]] = [task_of(job, lambda _: None) for job in planned.jobs]
    further = BundleTasks(bundler, bundle, Progress()).tasks()
    return [replace(task, work=lambda _: None) for task in joined(jobs, further)]


@pytest.mark.parametrize(("slots", "memory_mib"), [(64, 32 << 10), (64, 8 << 10), (16, 6 << 10)])
def test_many_cores_stay_within_the_memory(slots: int, memory_mib: int) -> None:
    host = Host(slots, memory_mib)
    tasks = real_tasks("armv6")
    host.run(tasks)
    assert len(host.cores) == len(tasks)
    assert 0 < host.peak_mib <= memory_mib


@pytest.mark.parametrize(("slots", "memory_mib"), [(64, 32 << 10), (64, 8 << 10), (2, 4 << 10)])
def test_all_cores_are_claimed_as_far_as_the_graph_lets_them(slots: int, memory_mib: int) -> None:
    host = Host(slots, memory_mib)
    host.run(real_tasks("armv6"))
    assert host.idle == []


def test_of_many_cores_the_heaviest_has_all() -> None:
    host = Host(64, 32 << 10)
    host.run(real_tasks("armv6"))
    assert host.cores["k3s-armv6"] == 64
    assert host.cores["compress k3s of k3s-armv6"] > 8
    assert host.cores["busybox-armv6"] >= 2


@pytest.mark.parametrize("slots", [1, 2, 3, 8, 64])
def test_what_is_alone_has_all_cores(slots: int) -> None:
    host = Host(slots, 32 << 10)
    k3s = next(task for task in real_tasks("armv6") if task.name == "k3s-armv6")
    host.run([replace(k3s, needs=())])
    assert host.cores == {"k3s-armv6": slots}


def test_two_cores_work_as_ever() -> None:
    """All memory of recipes was measured so: each compiles on both."""
    host = Host(2, 22 << 10)
    tasks = real_tasks("armv6")
    host.run(tasks)
    assert {host.cores[task.name] for task in tasks if task.core_mib} == {2}
    assert {host.cores[task.name] for task in tasks if not task.core_mib} == {1}


def test_the_heaviest_gets_most_and_fits() -> None:
    host = Host(16, 4000)
    tasks: list[Task[object]] = [
        Task("heavy", (), 1000, lambda _: None, core_mib=100),
        Task("light", (), 500, lambda _: None, core_mib=100),
        Task("single", (), 100, lambda _: None),
    ]
    host.run(tasks)
    assert host.cores == {"heavy": 16, "light": 8, "single": 1}
    host = Host(16, 2000)
    host.run(tasks)
    assert host.cores["heavy"] == 12, "1000 + 10 x 100 MiB are all there is"
    host = Host(16, 900)
    host.run(tasks)
    assert host.cores["heavy"] == 2, "too large even so, and alone"


def test_what_is_compressed_comes_before_the_compilers_of_its_weight() -> None:
    """Else all of it would be left at the end."""
    order = [task.name for task in by_urgency(real_tasks("armv6"))]
    assert order.index("compress k3s of k3s-armv6") < order.index("traefik-armv6")
    alike = ["metrics-server-armv6", "compress metrics-server of k3s-armv6"]
    assert order.index(alike[1]) == order.index(alike[0]) + 1


def test_what_others_wait_for_comes_before_its_weight(recorder: Recorder) -> None:
    tasks = [
        recorder.task("middle", memory=50),
        recorder.task("tiny", memory=1),
        recorder.task("huge", "tiny", memory=90),
    ]
    run_graph(tasks, slots=1, memory_mib=100)
    assert recorder.order == ["tiny", "huge", "middle"]
