"""A bundle in a build's graph: compressed piece by piece, and what becomes of a failure."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from buildsys.bundle import Bundle, Bundler, BundleTasks
from buildsys.cache import Cache
from buildsys.errors import CorruptError
from buildsys.plan import BundlePlan, Job
from buildsys.report import Progress, Timeline
from buildsys.scheduler import Outcome, Task, run_graph
from buildsys.store import Artifact

from .conftest import Add, Tree, flip

pytestmark = pytest.mark.unit


@dataclass
class Made:
    """A bundle's tasks over artifacts that are in the store, and what was said."""

    tasks: BundleTasks
    artifacts: dict[str, Artifact]
    said: io.StringIO

    def run(self, work: Callable[[str], None] = lambda _: None) -> dict[str, Outcome[object]]:
        """Run the graph; `work` is what each component's job does."""
        jobs: list[Task[object]] = [
            Task(job.id, (), 1, lambda _, name=job.recipe: work(name))  # type: ignore[misc]
            for job in self.tasks.plan.jobs
        ]
        return run_graph([*jobs, *self.tasks.tasks()], slots=2, memory_mib=4000)


@pytest.fixture
def made(tree: Tree, cache: Cache, tmp_path: Path, add: Add) -> Made:
    artifacts = {
        "k3s": add("1" * 64, {"bin/k3s": b"program " * 500}, recipe="k3s"),
        "one": add("2" * 64, {"bin/one": b"other"}, recipe="one"),
        "start": add("3" * 64, {"launcher": b"\x7fELF start"}, recipe="start"),
    }
    tree.recipe("k3s")
    tree.recipe("start", into="launcher")
    project = tree.load()
    jobs = {
        name: Job(name, "armv6", artifact.key, (), project.recipes[name])
        for name, artifact in artifacts.items()
    }
    members = (jobs["k3s"], jobs["one"])
    plan = BundlePlan("armv6", "full", "f" * 64, jobs["start"], members, (), (), ())
    said = io.StringIO()
    progress = Progress(Console(file=said, soft_wrap=True, highlight=False))
    bundler = Bundler(
        project,
        cache,
        Timeline(),
        tmp_path / "artifacts",
        "go1.25.5",
        lambda name: progress.step("compress", name),
    )
    return Made(BundleTasks(bundler, plan, progress), artifacts, said)


def test_each_artifact_is_compressed_then_the_bundle_made(made: Made) -> None:
    bundle = made.tasks.made(made.run())
    assert isinstance(bundle, Bundle)
    assert bundle.path.is_file()
    for text in ("compress k3s for armv6  ", "compress one for armv6  ", "bundle   k3s-armv6  "):
        assert text in made.said.getvalue()


def test_the_same_bytes_as_one_after_the_other(made: Made) -> None:
    bundle = made.tasks.made(made.run())
    assert isinstance(bundle, Bundle)
    first = bundle.path.read_bytes()
    again = made.tasks.bundler.make(replace(made.tasks.plan, key="e" * 64), made.artifacts)
    assert not again.cached
    assert again.path.read_bytes() == first


def test_damage_is_the_bundles_error_and_said_once(made: Made) -> None:
    flip(made.artifacts["one"].path("bin/one"), 0)
    error = made.tasks.made(made.run())
    assert isinstance(error, CorruptError)
    assert made.said.getvalue().count("bin/one has sha256") == 1
    assert not (made.tasks.bundler.artifacts / "k3s-armv6").exists()
    assert "compress k3s for armv6" in made.said.getvalue(), "what is whole is kept for next time"


def test_without_a_component_there_is_no_bundle(made: Made) -> None:
    def work(name: str) -> None:
        if name == "one":
            raise CorruptError("no one")

    assert made.tasks.made(made.run(work)) is None
    assert "bundle" not in made.said.getvalue()


def test_a_fault_of_ours_is_raised(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("buildsys.bundle.frame.Compressor.frame", broken)
    outcomes = made.run()
    with pytest.raises(ZeroDivisionError):
        made.tasks.made(outcomes)
