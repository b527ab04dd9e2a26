"""A bundle in a build's graph: what it holds is compressed as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from buildsys.bundle.make import Bundle, Bundler, Pressed
from buildsys.errors import BuildsysError
from buildsys.plan import BundlePlan, Job
from buildsys.report import Progress
from buildsys.scheduler import Outcome, Task
from buildsys.store import Artifact, Store

PRESS_MIB, PRESS_CORE_MIB = 300, 100
"""Memory of compressing at level 19 with two threads, and of each further one: 236 and 40 MiB were
measured with what compresses to nothing; a thread holds up to 32 MiB of output besides."""

BUNDLE_MIB = 100


@dataclass(frozen=True)
class BundleTasks:
    """The tasks of one bundle, after those of its jobs."""

    bundler: Bundler
    plan: BundlePlan
    progress: Progress
    pressed: dict[str, Pressed] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the last task, which makes the bundle."""
        return f"bundle k3s-{self.plan.suffix}"

    def press_name(self, job: Job) -> str:
        """Of the task that compresses an artifact."""
        return f"compress {job.recipe} of k3s-{self.plan.suffix}"

    def tasks(self) -> Iterator[Task[object]]:
        """One for each artifact that is compressed, then one for the bundle."""
        for job in self.plan.pressed:
            yield Task(
                self.press_name(job),
                (job.id,),
                PRESS_MIB,
                lambda cores, job=job: self._press(job, cores),  # type: ignore[misc]
                PRESS_CORE_MIB,
                # As urgent as it was, so that little is left when the last compiler ends.
                job.loaded.recipe.memory_mib,
            )
        needs = (*map(self.press_name, self.plan.pressed), self.plan.launcher.id)
        yield Task(self.name, needs, BUNDLE_MIB, lambda _: self._bundle())

    def made(self, outcomes: Mapping[str, Outcome[object]]) -> Bundle | BuildsysError | None:
        """How it ended: None where a component is not there. Raises what is a fault of ours."""
        last = outcomes[self.name]
        presses = [outcomes[name] for name in map(self.press_name, self.plan.pressed)]
        for error in (last.error, *(one.error for one in presses)):
            if isinstance(error, BuildsysError):
                return error
            if error:
                raise error
        return last.result if isinstance(last.result, Bundle) else None

    def _press(self, job: Job, cores: int) -> None:
        with self._reported():
            self.pressed[job.recipe] = self.bundler.press(self.plan, self._artifact(job), cores)

    def _bundle(self) -> Bundle:
        artifacts = {job.recipe: self._artifact(job) for job in self.plan.jobs}
        with self._reported(), self.progress.step("bundle", f"k3s-{self.plan.suffix}"):
            return self.bundler.make(self.plan, artifacts, self.pressed)

    def _artifact(self, job: Job) -> Artifact:
        artifact = Store(self.bundler.cache).get(job.key)
        assert artifact is not None, f"{job.id} was built before"
        return artifact

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except BuildsysError as error:
            self.progress.failed(f"k3s-{self.plan.suffix}", error)
            raise
