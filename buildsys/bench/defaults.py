"""What a board's defaults save, measured on the emulated board in one boot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from buildsys.app import App, Settings
from buildsys.model import ScenarioTable, Step, Target
from buildsys.model.board import BoardDefault
from buildsys.report import print_table
from buildsys.verify.verbs import booter_of, raise_failed
from buildsys.verify.verdict import Verdict

SERVER = "start server --disable=traefik,metrics-server,servicelb,coredns,local-storage"
"""Without pods: what they take would blur what k3s takes."""

IDLE_SECONDS = 120
"""Of the guest, before memory is read: Go gives pages back to the kernel over some minutes."""

WITHOUT = {"GOGC": "100"}
"""What Go does where they are not set (pkg.go.dev/runtime, Environment Variables)."""


def run() -> None:
    """Boot each board with defaults; memory of an idle server with all, without each, with none."""
    app = App(Settings())
    for target in app.project.targets.values():
        executable = app.artifacts / f"k3s-{target.name}"
        if target.machine and target.executable.default and executable.is_file():
            with app.progress.running():
                verdict = booter_of(app, target).boot(executable, scenario(target))
            raise_failed("defaults", [verdict])
            _show(target, verdict)


def variants(defaults: Iterable[BoardDefault]) -> dict[str, str]:
    """Each variant with the assignments that k3s is started behind."""
    names = [default.env for default in defaults if default.env]
    without = {f"without {name}": f"{name}={WITHOUT[name]} " for name in names}
    return {"all": "", **without, "none": "K3S_BOARD_DEFAULTS=off "}


def scenario(target: Target) -> ScenarioTable:
    """A first start, which makes what the others find, then each variant in turn."""
    found = variants(target.executable.default)
    steps = [
        Step(name="boot", power="boot", within=120),
        Step(name="network", run="wired"),
        *_start("first", ""),
        Step(name="settle", run="sleep 30", within=60),
        *(step for name, before in found.items() for step in _idle(name, before)),
        Step(name="off", power="off", within=120),
    ]
    return ScenarioTable(
        name="defaults",
        summary="An idle server with its agent, with all of a board's defaults and fewer",
        memory_mib=400,
        network=False,
        steady=True,
        step=tuple(steps),
    )


def _idle(name: str, before: str) -> Iterator[Step]:
    yield Step(name=f"stop for {name}", run="stop TERM", within=120)
    yield from _start(name, before)
    yield Step(name=f"idle with {name}", run=f"sleep {IDLE_SECONDS}", within=IDLE_SECONDS + 60)


def _start(name: str, before: str) -> Iterator[Step]:
    yield Step(name=f"start with {name}", run=f"{before}{SERVER}", within=120)
    registered = "logged 'Successfully registered node'"
    yield Step(name=f"up with {name}", run=registered, within=240, every=2)


def _show(target: Target, verdict: Verdict) -> None:
    facts = {step.name: step.facts for step in verdict.steps}
    rows = [
        (
            name,
            f"{facts[f'up with {name}']['guest_seconds']}",
            f"{facts[f'idle with {name}']['rss_mib']}",
            f"{facts[f'idle with {name}']['available_mib']}",
        )
        for name in variants(target.executable.default)
    ]
    title = f"{target.name}: an idle server with its agent, after {IDLE_SECONDS} guest seconds"
    print_table(title, ("defaults", "guest s to a node", "k3s MiB", "available MiB"), rows)
