"""The steps of `invoke ci` are data; a run goes on after a failure where that makes sense."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from buildsys.actions import Actions
from buildsys.app import App, Settings
from buildsys.ci import pipeline
from buildsys.ci.steps import GROUPS, LEFT_OUT, PASSED, Ran, Step, steps
from buildsys.errors import StepsFailedError, UnknownNameError
from buildsys.load import load_project
from buildsys.model import Target
from buildsys.report import Progress

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def targets() -> list[Target]:
    return [*load_project(CHECKOUT).targets.values()]


def names(chosen: Sequence[Step]) -> list[str]:
    return [step.name for step in chosen]


def test_every_target_is_built_then_gets_every_verdict_that_its_release_wants(
    targets: list[Target],
) -> None:
    found = names(steps(targets))
    for target in targets:
        wants = target.release.verdicts if target.release else ("audit", "smoke")
        mine = [name for name in found if name.endswith(f" {target.name}")]
        assert mine == [f"{word} {target.name}" for word in ("build", *wants)]


def test_a_target_without_a_release_is_audited_and_smoked(targets: list[Target]) -> None:
    bare = targets[0].model_copy(update={"release": None})
    name = bare.name
    assert names(steps([bare], ["prove"])) == [f"audit {name}", f"smoke {name}"]


def test_all_tests_hold_those_of_the_units(targets: list[Target]) -> None:
    assert "unit" not in names(steps(targets))
    assert names(steps(targets, ["tests"])) == ["tests"]
    assert "unit" in names(steps(targets, ["check"]))
    assert names(steps(targets, ["check", "tests"]))[-1] == "tests"


def test_what_is_left_out_is_a_step_or_a_part_and_has_to_be_there(targets: list[Target]) -> None:
    some, name = targets[:1], targets[0].name
    left = names(steps(some, ["prove"], [f"smoke {name}"]))
    assert left == [n for n in names(steps(some, ["prove"])) if n != f"smoke {name}"]
    assert {step.group for step in steps(some, (), ["prove", "tests"])} == {
        "check",
        "build",
        "report",
    }
    assert "unit" in names(steps(some, (), ["tests"]))
    with pytest.raises(UnknownNameError):
        steps(some, (), ["smoke z80"])


def test_parts_come_in_order_whatever_order_they_are_asked_for(targets: list[Target]) -> None:
    assert steps(targets, ["prove", "mypy", "ruff"]) == steps(targets, ["ruff", "mypy", "prove"])
    for target in targets:
        found = [s.group for s in steps([target])]
        assert found == sorted(found, key=GROUPS.index)


def test_the_report_comes_last_whatever_failed(app: App, targets: list[Target]) -> None:
    chosen = steps(targets[:1])
    last = chosen[-1]
    assert (last.typed, last.target) == ("invoke report", "")
    failing = [sh(step.name, "exit 1", group=step.group, target=step.target) for step in chosen]
    found = results(app, *failing[:-1], replace(failing[-1], argv=("true",)))
    assert [name for name, result in found.items() if result == PASSED] == ["report"]
    assert LEFT_OUT in found.values()


def test_unknown_step_is_refused_by_name(targets: list[Target]) -> None:
    with pytest.raises(UnknownNameError, match="unknown step 'mypi'") as caught:
        steps(targets, ["check", "mypi"])
    assert "did you mean mypy?" in caught.value.action


def test_every_file_that_a_step_names_is_there(targets: list[Target]) -> None:
    for step in steps(targets):
        for pattern in step.files:
            assert list(CHECKOUT.glob(pattern)), f"{step.name}: {pattern}"


def test_every_shell_script_is_checked(targets: list[Target]) -> None:
    """Those of recipes that no step names are checked by the tests of their component."""
    patterns = [pattern for step in steps(targets) for pattern in step.files]
    checked = {path for pattern in patterns for path in CHECKOUT.glob(pattern)}
    scripts = {
        path
        for folder in (".ci", "buildsys")
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.read_bytes().startswith(b"#!")
    }
    assert len(scripts) > 5
    assert scripts <= checked


# ---- running them ----


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = App(Settings(cache=str(tmp_path / "cache")), tmp_path)
    made.progress = Progress(Console(file=io.StringIO()))
    return made


def sh(name: str, script: str, *, group: str = "check", target: str = "") -> Step:
    return Step(name, group, ("sh", "-c", script), target=target)


def results(app: App, *chosen: Step) -> dict[str, str]:
    return {ran.step.name: ran.result for ran in pipeline.run(app, chosen, silent())}


def silent() -> Actions:
    return Actions({}, io.StringIO())


def test_a_failure_is_told_by_its_cause_and_the_next_step_runs(app: App) -> None:
    found = results(
        app,
        sh("fails", "exit 3"),
        sh("killed", "kill -TERM $$"),
        sh("well", ": > here"),
        Step("absent", "check", ("no-such-program-here",)),
    )
    assert found == {
        "fails": "exit code 3",
        "killed": "killed by SIGTERM",
        "well": PASSED,
        "absent": "exit code 23",
    }
    assert (app.root / "here").is_file()


def test_what_is_about_a_target_that_failed_is_left_out(app: App) -> None:
    found = results(
        app,
        sh("build a", "exit 1", group="build", target="a"),
        sh("audit a", ": > wrong", group="prove", target="a"),
        sh("build b", "", group="build", target="b"),
    )
    assert found == {"build a": "exit code 1", "audit a": LEFT_OUT, "build b": PASSED}
    assert not (app.root / "wrong").exists()


def test_files_are_found_below_the_checkout_and_sorted(app: App) -> None:
    for name in ("b", "a"):
        (app.root / name).write_text("")
    step = Step("list", "check", ("sh", "-c", 'echo "$@" > out', "sh"), files=("[ab]",))
    assert results(app, step) == {"list": PASSED}
    assert (app.root / "out").read_text() == "a b\n"


def test_tests_are_not_told_of_the_runner(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    told = sh("told", '[ "$GITHUB_ACTIONS" = true ]')
    quiet = Step("quiet", "tests", ("sh", "-c", '[ -z "$GITHUB_ACTIONS" ]'), tests=True)
    assert results(app, told, quiet) == {"told": PASSED, "quiet": PASSED}


def test_each_step_is_folded_apart(app: App) -> None:
    log = io.StringIO()
    actions = Actions({"GITHUB_ACTIONS": "true"}, log)
    pipeline.run(app, [sh("one", "exit 1"), sh("two", "")], actions)
    assert log.getvalue().splitlines() == [
        f"::add-matcher::{app.root}/.github/matcher.json",
        "::group::one: sh -c exit 1",
        "::endgroup::",
        "::group::two: sh -c ",
        "::endgroup::",
    ]


def test_all_that_failed_is_named_with_what_to_type(app: App) -> None:
    step = Step("mypy", "check", ("mypy",))
    pipeline.raise_failed([Ran(step, PASSED, 1)])
    with pytest.raises(StepsFailedError) as caught:
        pipeline.raise_failed([Ran(step, "exit code 1", 1), Ran(step, LEFT_OUT, 0)])
    assert str(caught.value) == "failed: mypy, mypy\nnext: `mypy`; `mypy`"
