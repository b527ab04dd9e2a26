"""The first line of a build: what it does, how long, how much disk."""

from __future__ import annotations

import pytest

from buildsys.cli.scope import demand_scope
from buildsys.errors import ScopeError, UsageError
from buildsys.forecast import Machine, forecast
from buildsys.load import load_project
from buildsys.plan import make_plan

from .conftest import CHECKOUT, TOOLCHAIN

pytestmark = pytest.mark.unit


def test_nothing_known_of_a_whole_target() -> None:
    plan = make_plan(load_project(CHECKOUT), ["armv6"], TOOLCHAIN)
    said = forecast(plan, (), Machine(2, {}))
    count = len(plan.jobs)
    assert said == (
        f"{count} components for armv6: {count} to build, 0 stored, about 22 min, "
        "up to 16 GiB in the cache"
    )
    two = make_plan(load_project(CHECKOUT), ["armv6", "amd64"], TOOLCHAIN)
    assert "for armv6, amd64:" in forecast(two, (), Machine(2, {}))
    assert "about 43 min, up to 27 GiB" in forecast(two, (), Machine(2, {}))


def test_times_are_those_that_were_measured_here() -> None:
    plan = make_plan(load_project(CHECKOUT), ["armv6"], TOOLCHAIN, ["pigz"])
    names = sorted(job.recipe for job in plan.jobs)
    assert names == ["pigz", "zlib"]
    assert forecast(plan, (), Machine(2, {"pigz": 7})) == (
        "2 components for armv6: 2 to build, 0 stored, time unknown"
    )
    assert "2 to build, 0 stored, about 60 s" in forecast(
        plan, (), Machine(2, {"pigz": 60, "zlib": 8})
    )
    zlib = next(job.id for job in plan.jobs if job.recipe == "zlib")
    assert "1 to build, 1 stored, about 7 s" in forecast(plan, [zlib], Machine(1, {"pigz": 7}))


def test_nothing_to_build() -> None:
    plan = make_plan(load_project(CHECKOUT), ["armv6"], TOOLCHAIN, ["zlib"])
    said = forecast(plan, [job.id for job in plan.jobs], Machine(2, {}))
    assert said == "1 component for armv6: all stored, nothing to build"


def test_several_targets_are_asked_for_in_words() -> None:
    with pytest.raises(ScopeError) as caught:
        demand_scope("build", [], False, ["b", "a"])
    assert "2 targets" in str(caught.value) and "--arch (a, b), or type --all" in str(caught.value)
    demand_scope("build", [], True, ["b", "a"])
    demand_scope("build", ["a", "b"], False, ["b", "a"])
    demand_scope("image", [], False, ["a"])
    with pytest.raises(UsageError):
        demand_scope("build", ["a"], True, ["b", "a"])
