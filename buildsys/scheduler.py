"""Running a graph of work in parallel, bounded by cores and by the memory that each declares.

What can use several cores is told at its start how many: the heaviest of all that is under way or
waits takes every core, the next half of them, then a quarter, down to two. That is more than there
are, for compilers wait for one another and linkers have one thread; what must not be exceeded is
the memory, and where a share does not fit in what is left, it becomes smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from buildsys.run import workers

Result = TypeVar("Result")

MEASURED_CORES = 2
"""Of the machine on which the memory of recipes is measured."""


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A piece of work: its name, the names it waits for, its memory in MiB, the work itself.

    `work` is told its number of cores: one where `core_mib` is 0, else any. `memory_mib` is for
    `MEASURED_CORES`, `core_mib` for each further one. What has more `weight` comes first and takes
    more cores; without it that is the memory.
    """

    name: str
    needs: tuple[str, ...]
    memory_mib: int
    work: Callable[[int], Result]
    core_mib: int = 0
    weight: int = 0

    def memory(self, cores: int) -> int:
        """What it takes with so many cores, in MiB."""
        return self.memory_mib + self.core_mib * max(0, cores - MEASURED_CORES)

    @property
    def rank(self) -> int:
        """How heavy it is among others."""
        return self.weight or self.memory_mib


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """How a task ended: a result, an error, or skipped because `waited_for` did not end well."""

    result: Result | None = None
    error: BaseException | None = None
    waited_for: str = ""


def run_graph(
    tasks: Sequence[Task[Result]], *, slots: int, memory_mib: int
) -> dict[str, Outcome[Result]]:
    """Run all tasks, each after its needs; what does not depend on a failure goes on.

    At most `slots` at once, which is the number of cores, and together within `memory_mib`; a task
    that is larger than that runs alone. `tasks` is in an order in which each follows its needs.
    """
    waiting = {task.name: task for task in by_urgency(tasks)}
    running: dict[Future[Result], Started[Result]] = {}
    done: dict[str, Outcome[Result]] = {}
    with workers(slots) as pool:
        while waiting or running:
            _skip(waiting, done)
            for start in startable(waiting, [*running.values()], done, slots, memory_mib):
                del waiting[start.task.name]
                running[pool.submit(start.task.work, start.cores)] = start
            if not running:
                continue
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                task = running.pop(future).task
                error = future.exception()
                done[task.name] = Outcome(error=error) if error else Outcome(future.result())
                if isinstance(error, KeyboardInterrupt):
                    raise error
    return done


@dataclass(frozen=True)
class Started(Generic[Result]):
    """A task that runs, and the cores that it may use."""

    task: Task[Result]
    cores: int

    @property
    def memory_mib(self) -> int:
        """What it takes."""
        return self.task.memory(self.cores)


def by_urgency(tasks: Sequence[Task[Result]]) -> list[Task[Result]]:
    """The heaviest first, and with it what it waits for; each still follows its needs."""
    urgency = {task.name: task.rank for task in tasks}
    for task in reversed(tasks):
        for need in task.needs:
            urgency[need] = max(urgency[need], urgency[task.name])
    return sorted(tasks, key=lambda task: -urgency[task.name])


def _skip(waiting: dict[str, Task[Result]], done: dict[str, Outcome[Result]]) -> None:
    for name, task in list(waiting.items()):
        broken = [n for n in task.needs if n in done and (done[n].error or done[n].waited_for)]
        if broken:
            del waiting[name]
            done[name] = Outcome(waited_for=broken[0])


def startable(
    waiting: Mapping[str, Task[Result]],
    running: Sequence[Started[Result]],
    done: Mapping[str, Outcome[Result]],
    slots: int,
    memory_mib: int,
) -> list[Started[Result]]:
    """What is to be started now: pure. `waiting` is in the order of urgency."""
    busy = [*running]
    left_over = (*waiting.values(), *(one.task for one in running))
    ranks = sorted({task.rank for task in left_over if task.core_mib}, reverse=True)
    for task in waiting.values():
        if len(busy) >= slots:
            break
        if all(need in done for need in task.needs):
            left = memory_mib - sum(one.memory_mib for one in busy)
            cores = _share(task, ranks, slots)
            while cores > MEASURED_CORES and task.memory(cores) > left:
                cores -= 1
            if not busy or task.memory(cores) <= left:
                busy.append(Started(task, cores))
    return busy[len(running) :]


def _share(task: Task[Result], ranks: Sequence[int], slots: int) -> int:
    """The cores that it would have if memory had no end; `ranks` are those of all that is left."""
    if not task.core_mib:
        return 1
    return min(slots, max(MEASURED_CORES, slots >> ranks.index(task.rank)))


def available_memory_mib(meminfo: Path = Path("/proc/meminfo")) -> int:
    """MemAvailable in MiB, as the kernel estimates it."""
    for line in meminfo.read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    raise ValueError(f"no MemAvailable in {meminfo}")
