"""Workflows hold no logic: pinned actions and `invoke` calls, in step with the plan's matrix."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.parser import Parser

import tasks
from buildsys.ci import matrix
from buildsys.ci.steps import GROUPS
from buildsys.ci.steps import steps as ci_steps
from buildsys.load import load_project
from buildsys.page.write import NAME as REPORT_NAME
from buildsys.plan import make_plan

from .conftest import CHECKOUT, TOOLCHAIN
from .workflow import EXPRESSION, Workflow, filled, load

pytestmark = pytest.mark.unit

WORKFLOWS = load(CHECKOUT / ".github/workflows")

SETUP = {
    "pip install -e .",
    "pip install -e '.[test]'",
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
}
"""What makes `invoke` and the sandboxes of jobs possible on a new machine."""

AS_ROOT = 'sudo -E env "PATH=$PATH" '
"""Before a call of `invoke` whose tests need root."""

ANYHOW = "${{ !cancelled() }}"

CONDITIONS = {
    "needs.plan.outputs.count != '0'",
    "steps.sources.outputs.cache-hit != 'true'",
    "steps.store.outputs.cache-hit != 'true'",
    ANYHOW,
    "${{ failure() }}",
    "${{ !cancelled() && needs.plan.result == 'success' && needs.plan.outputs.count != '0' }}",
}
"""Whether there is anything to do, whether a cache has it already, and what goes on regardless."""

VALUES = {"matrix.target": "armv6", "github.repository": "owner/repository"}

PINNED = re.compile(r"^\s*(?:- )?uses: ([\w-]+/[\w-]+)(?:/\w+)?@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")


def steps() -> Iterator[tuple[Workflow, str, Mapping[str, Any]]]:
    for workflow in WORKFLOWS.values():
        for job, step in workflow.steps:
            yield workflow, job, step


def runs() -> Iterator[str]:
    """Every command that a workflow may run."""
    for _, _, step in steps():
        for line in step.get("run", "").splitlines():
            yield from (one.removeprefix(AS_ROOT) for one in filled(line, **VALUES))


def test_the_three_are_there() -> None:
    assert set(WORKFLOWS) == {"check", "build", "release"}
    assert len([*steps()]) > 20


# ---- nothing but pinned actions and invoke ----


def test_every_step_is_a_pinned_action_or_a_call_of_invoke() -> None:
    for workflow, job, step in steps():
        assert len({"uses", "run"} & set(step)) == 1, (workflow.name, job, step)
    lines = [*runs()]
    assert [ln for ln in lines if ln not in SETUP and not ln.startswith("invoke ")] == []
    assert set(lines) >= SETUP


def test_every_action_is_pinned_by_commit_and_each_at_one_version() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for workflow in WORKFLOWS.values():
        for line in workflow.text.splitlines():
            if "uses:" in line and "uses: ./.github/" not in line:
                found = PINNED.match(line)
                assert found, f"{workflow.name}: {line}"
                pins.setdefault(found[1], set()).add((found[2], found[3]))
    assert {name.split("/")[0] for name in pins} == {"actions"}
    assert {name: len(found) for name, found in pins.items()} == dict.fromkeys(pins, 1)


def test_every_call_of_invoke_is_one_that_it_understands() -> None:
    contexts = Collection.from_module(tasks).to_contexts()
    called = set()
    for line in runs():
        if line.startswith("invoke "):
            for context in Parser(contexts).parse_argv(shlex.split(line)[1:]):
                called.add(context.name)
    assert called == {"ci", "clean", "fetch", "matrix", "release", "setup", "test"}


def test_the_script_for_a_bare_checkout_runs_every_step_or_says_so() -> None:
    """All but one target's builds and its long boots are left out there, for time."""
    text = (CHECKOUT / ".ci/run").read_text("utf-8").replace("\\\n", "")
    found = re.search(r"^.+ && \.venv/bin/invoke (.+)$", text, re.M)
    assert found
    contexts = Collection.from_module(tasks).to_contexts()
    setup, ci, built = Parser(contexts).parse_argv(shlex.split(found[1]))
    assert (setup.name, ci.name, built.name) == ("setup", "ci", "test")
    assert built.args["built"].value == "armv6"
    assert (ci.args["arch"].value, ci.args["only"].value) == (["armv6"], [])
    left_out = ci.args["without"].value
    assert f'echo "left out: {" and ".join(left_out)}"' in text
    target = load_project(CHECKOUT).targets["armv6"]
    assert {step.group for step in ci_steps([target], (), left_out)} == set(GROUPS)


def test_every_part_of_ci_is_run_by_one_workflow() -> None:
    assert [line for line in runs() if line.startswith("invoke test")] == ["invoke test --all"]
    calls = [line for line in runs() if line.startswith("invoke ci ")]
    parts = [part for line in calls for part in re.findall(r"--only (\w+)", line)]
    assert sorted(parts) == sorted(GROUPS)


def test_conditions_ask_only_whether_there_is_anything_to_do() -> None:
    found = {step["if"] for _, _, step in steps() if "if" in step}
    found |= {job["if"] for w in WORKFLOWS.values() for job in w.jobs.values() if "if" in job}
    assert found == CONDITIONS


# ---- rights and limits ----


def test_rights_are_none_but_reading_and_only_publishing_may_write() -> None:
    writers = []
    for workflow in WORKFLOWS.values():
        assert workflow.data["permissions"] == {}
        for name, job in workflow.jobs.items():
            rights = job["permissions"]
            if rights not in ({}, {"contents": "read"}):
                writers.append((workflow.name, name, rights))
    assert writers == [("release", "publish", {"contents": "write"})]


def test_the_token_is_given_to_the_step_that_publishes_only() -> None:
    holders = [
        (workflow.name, job, step.get("run", "").split()[:2])
        for workflow, job, step in steps()
        if "token" in str(step).lower() or "secrets" in str(step)
    ]
    assert holders == [("release", "publish", ["invoke", "release"])]
    assert all("secrets" not in workflow.text for workflow in WORKFLOWS.values())


def test_no_checkout_leaves_a_token_behind() -> None:
    checkouts = [s for _, _, s in steps() if str(s.get("uses")).startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_job_ends_and_every_workflow_knows_its_rivals() -> None:
    groups = []
    for workflow in WORKFLOWS.values():
        groups.append(workflow.data["concurrency"]["group"])
        for name, job in workflow.jobs.items():
            assert "uses" in job or "timeout-minutes" in job, (workflow.name, name)
    # A called workflow in its caller's group would wait for itself.
    assert len({*groups}) == len(groups)
    assert WORKFLOWS["release"].data["concurrency"]["cancel-in-progress"] is False


def test_nobody_elses_words_get_into_a_command() -> None:
    said = {e for _, _, s in steps() for e in EXPRESSION.findall(str(s.get("run", "")))}
    assert {e.split(" && ")[0] for e in said} <= {
        *VALUES,
        "inputs.release",
        "inputs.dry-run",
        "inputs.stable",
    }
    for workflow in ("build", "release"):
        for trigger in ("workflow_call", "workflow_dispatch"):
            inputs = (WORKFLOWS[workflow].triggers.get(trigger) or {}).get("inputs", {})
            assert {one["type"] for one in inputs.values()} <= {"boolean"}


# ---- the matrix ----


def test_what_the_jobs_ask_of_the_matrix_is_in_it() -> None:
    asked = set(re.findall(r"\bmatrix\.(\w+)", str(WORKFLOWS["build"].jobs["target"])))
    assert asked == {"target", "cache", "restore", "sources", "minutes"}
    assert asked <= {field.name for field in fields(matrix.TargetJob)}


def test_what_the_plan_hands_on_is_what_the_matrix_puts_out() -> None:
    project = load_project(CHECKOUT)
    plan = make_plan(project, project.targets, TOOLCHAIN)
    jobs = matrix.target_jobs(project, plan, project.targets.keys(), "code")
    assert [job.target for job in jobs] == [*project.targets]
    outputs = WORKFLOWS["build"].jobs["plan"]["outputs"]
    assert outputs == {
        name: f"${{{{ steps.matrix.outputs.{name} }}}}" for name in matrix.outputs(plan, jobs)
    }
    taken = WORKFLOWS["build"].jobs["target"]["strategy"]["matrix"]
    assert taken == "${{ fromJSON(needs.plan.outputs.matrix) }}"


def test_no_workflow_lists_targets() -> None:
    for name in load_project(CHECKOUT).targets:
        for workflow in WORKFLOWS.values():
            words = re.findall(r"\w+", workflow.text)  # a commit may hold a name
            assert name not in words


def test_every_job_with_tests_holds_its_skips_to_a_list() -> None:
    for workflow in WORKFLOWS.values():
        for name, job in workflow.jobs.items():
            lines = "\n".join(step.get("run", "") for step in job.get("steps", ()))
            if re.search(r"invoke (test|ci --only (tests|check))\b", lines):
                skips = job["env"]["K3S_TEST_SKIPS"]
                assert (CHECKOUT / f"tests/skips/{skips}.txt").is_file(), (workflow.name, name)
    assert "export K3S_TEST_SKIPS=ci\n" in (CHECKOUT / ".ci/run").read_text("utf-8")


def test_what_is_saved_in_a_cache_is_what_is_restored() -> None:
    """GitHub takes a cache of the same name with other paths for another one."""
    paths: dict[str, set[str]] = {}
    for _, _, step in steps():
        if str(step.get("uses")).startswith("actions/cache/"):
            keys = f"{step['with']['key']} {step['with'].get('restore-keys', '')}"
            kind = next(k for k in ("proven", "sources", "cache", "store-") if k in keys)
            paths.setdefault(kind.replace("cache", "store-"), set()).add(step["with"]["path"])
    assert set(paths) == {"proven", "sources", "store-"}
    assert all(len(found) == 1 for found in paths.values())


def test_a_target_that_failed_leaves_what_explains_it() -> None:
    left = {
        step["with"]["path"].strip(): (step["with"]["name"].split("-")[0], step.get("if"))
        for step in WORKFLOWS["build"].jobs["target"]["steps"]
        if str(step.get("uses")).startswith("actions/upload-artifact@")
    }
    assert left == {
        "artifacts/k3s-*\nartifacts/verdicts\nartifacts/timings-*.json": ("k3s", ANYHOW),
        f"artifacts/{REPORT_NAME}": ("report", ANYHOW),
        "~/.cache/k3s-buildsys/logs": ("logs", "${{ failure() }}"),
        "artifacts/proven/${{ matrix.target }}.json": ("proven", None),
    }


def test_artifacts_that_are_taken_are_those_that_were_left() -> None:
    left, taken = set(), set()
    for _, _, step in steps():
        uses = str(step.get("uses"))
        if uses.startswith("actions/upload-artifact@"):
            left.add(EXPRESSION.sub("*", step["with"]["name"]))
        elif uses.startswith("actions/download-artifact@"):
            taken.add(step["with"]["pattern"])
    assert taken == {"k3s-*", "proven-*"}
    assert taken <= left
