"""Workflows under their linter, the matrix as a clean clone prints it, and what is remembered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from buildsys.actions import runner
from buildsys.app import ROOT, App, Settings
from buildsys.cache import default_root
from buildsys.ci import pipeline
from buildsys.ci.steps import of_target
from buildsys.clean import prune
from buildsys.store import Store
from tests.folders import PAUSE, Folders

pytestmark = pytest.mark.integration

VERSION = "v1.35.0+k3s-test"

WORKFLOWS = ".github/workflows"


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


# ---- the linter ----


@pytest.fixture(scope="module")
def linter() -> Path:
    """Built from its recipe, or from the store."""
    return pipeline.linter(App(Settings(cache=str(default_root(os.environ)))))


def lint(linter: Path, root: Path) -> tuple[int, str]:
    done = subprocess.run([linter, "-oneline"], cwd=root, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A repository of nothing but the workflows."""
    shutil.copytree(ROOT / WORKFLOWS, tmp_path / WORKFLOWS)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def test_workflows_are_clean(linter: Path) -> None:
    assert lint(linter, ROOT) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("build", "needs: plan\n", "needs: plann\n", 'needs job "plann" which does not exist'),
        ("check", "runs-on:", "run-on:", 'unexpected key "run-on"'),
        ("build", "steps.matrix.outputs", "steps.matrx.outputs", 'property "matrx" is not defined'),
        ("release", "contents: write", "contents: wrote", '"wrote" is invalid'),
        ("release", "release: true", "releases: true", 'input "releases" is not defined'),
        ("check", "pull_request:", "pull_requests:", 'unknown Webhook event "pull_requests"'),
    ],
)
def test_the_linter_can_tell(
    linter: Path, copied: Path, file: str, old: str, new: str, said: str
) -> None:
    path = copied / WORKFLOWS / f"{file}.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    status, shown = lint(linter, copied)
    assert status == 1
    assert said in shown
    assert f"{WORKFLOWS}/{file}.yml:" in shown


# ---- the job that plans, in a clean clone ----


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git has of this checkout, and nothing else."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, root], check=True)
    return root


def invoke(root: Path, *arguments: str, **environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(root), "K3S_BUILDSYS_CACHE": str(root / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=root,
        env={**env, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("flags", [(), ("--release",)])
def test_the_outputs_are_what_is_printed_and_have_every_target(
    clone: Path, flags: tuple[str, ...]
) -> None:
    output, summary = clone / "cache.output", clone / "cache.summary"
    told = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    invoke(clone, "matrix", *flags, **told)
    lines = output.read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    printed = json.loads(invoke(clone, "matrix", *flags, "--json"))
    assert json.loads(outputs["matrix"]) == printed
    planned = json.loads(invoke(clone, "plan", "--json"))
    targets = [bundle["target"] for bundle in planned["bundles"]]
    assert [job["target"] for job in printed["include"]] == targets
    assert outputs["count"] == str(len(targets))
    # An empty cache holds nothing: all that the plan has is to be built.
    keys = {(job["target"], job["recipe"]) for job in planned["jobs"]}
    for job in printed["include"]:
        of = {recipe for target, recipe in keys if target in (job["target"], "any")}
        assert set(job["build"]) == of
    assert all(f"| {target} | yes |" in summary.read_text() for target in targets)


# ---- what is remembered ----


class Project(Folders):
    """A checkout of three recipes and one target."""

    def fill(self) -> None:
        for name, into in (("k3s", "executable"), ("launcher", "launcher")):
            self.recipe(name, into=into, version=VERSION)
        self.image("pause", PAUSE)
        self.armv6()

    def app(self) -> App:
        return App(Settings(cache=str(self.root / "cache")), self.root)

    def build(self) -> None:
        app = self.app()
        assert app.build(app.plan(["armv6"])).bundles

    def ci(self, *failing: str, groups: tuple[str, ...] = ("build", "prove")) -> None:
        """Run the steps of the target, all but `failing` ones ending well."""
        app = self.app()
        steps = [
            replace(step, argv=("false" if step.name in failing else "true",))
            for step in of_target(app.project.targets["armv6"])
            if step.group in groups
        ]
        pipeline.run(app, steps, runner())

    def due(self, *, release: bool = False) -> list[str]:
        return [job.target for job in pipeline.jobs_due(self.app(), [], release=release)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "checkout")
    made.fill()
    made.build()
    return made


def test_a_target_that_passed_is_left_out_until_something_changes(project: Project) -> None:
    assert project.due() == ["armv6"]
    project.ci()
    assert project.due() == []
    assert project.due(release=True) == ["armv6"]
    project.write("recipes/k3s/src/tool", "another program\n")
    assert project.due() == ["armv6"]


def test_proving_apart_from_building_is_remembered_as_well(project: Project) -> None:
    project.ci(groups=("build",))
    assert project.due() == ["armv6"]
    project.ci(groups=("prove",))
    assert project.due() == []


@pytest.mark.parametrize("step", ["build armv6", "smoke armv6", "utilities armv6"])
def test_a_target_that_failed_is_due(project: Project, step: str) -> None:
    project.ci()
    project.ci(step)
    assert project.due() == ["armv6"]


def test_a_target_that_failed_again_without_a_build_is_due(project: Project) -> None:
    project.ci()
    project.ci("smoke armv6", groups=("prove",))
    assert project.due() == ["armv6"]


def test_an_executable_of_another_plan_proves_nothing(project: Project) -> None:
    project.write("recipes/k3s/src/tool", "another program\n")
    project.ci()
    assert project.due() == ["armv6"]


def test_the_store_shrinks_to_what_a_target_is_made_of(project: Project) -> None:
    old = {*Store(project.app().cache).keys()}
    project.write("recipes/k3s/src/tool", "another program\n")
    project.build()
    app = project.app()
    both = {*Store(app.cache).keys()}
    removed = {path.name for path in prune(app, app.plan(["armv6"])).removed}
    assert removed == old - {job.key for job in app.plan(["armv6"]).jobs}
    assert len(removed) == 1
    assert {*Store(app.cache).keys()} == both - removed
    project.build()
