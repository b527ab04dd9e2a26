"""Running a graph of work in parallel, bounded by cores and by the memory that each declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from buildsys.run import workers

Result = TypeVar("Result")


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A piece of work: its name, the names it waits for, its memory in MiB, the work itself."""

    name: str
    needs: tuple[str, ...]
    memory_mib: int
    work: Callable[[], Result]


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

    At most `slots` at once, and together within `memory_mib`; a task that is larger than that
    runs alone. `tasks` is in an order in which each follows its needs.
    """
    waiting = {task.name: task for task in tasks}
    running: dict[Future[Result], Task[Result]] = {}
    done: dict[str, Outcome[Result]] = {}
    with workers(slots) as pool:
        while waiting or running:
            _skip(waiting, done)
            for task in _startable(waiting, running, done, slots, memory_mib):
                running[pool.submit(task.work)] = waiting.pop(task.name)
            if not running:
                continue
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                task = running.pop(future)
                error = future.exception()
                done[task.name] = Outcome(error=error) if error else Outcome(future.result())
                if isinstance(error, KeyboardInterrupt):
                    raise error
    return done


def _skip(waiting: dict[str, Task[Result]], done: dict[str, Outcome[Result]]) -> None:
    for name, task in list(waiting.items()):
        broken = [n for n in task.needs if n in done and (done[n].error or done[n].waited_for)]
        if broken:
            del waiting[name]
            done[name] = Outcome(waited_for=broken[0])


def _startable(
    waiting: Mapping[str, Task[Result]],
    running: Mapping[Future[Result], Task[Result]],
    done: Mapping[str, Outcome[Result]],
    slots: int,
    memory_mib: int,
) -> list[Task[Result]]:
    chosen: list[Task[Result]] = []
    for task in waiting.values():
        busy = [*running.values(), *chosen]
        used = sum(other.memory_mib for other in busy)
        if len(busy) >= slots:
            break
        ready = all(need in done for need in task.needs)
        if ready and (not busy or used + task.memory_mib <= memory_mib):
            chosen.append(task)
    return chosen


def available_memory_mib(meminfo: Path = Path("/proc/meminfo")) -> int:
    """MemAvailable in MiB, as the kernel estimates it."""
    for line in meminfo.read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    raise ValueError(f"no MemAvailable in {meminfo}")
