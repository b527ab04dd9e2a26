"""Measurements, side by side in one run; no test asserts a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildsys.bench import defaults, launcher, noop, rebuild
from buildsys.errors import UnknownNameError

BENCHES: Mapping[str, Callable[[], None]] = {
    "defaults": defaults.run,
    "launcher": launcher.run,
    "noop": noop.run,
    "rebuild": rebuild.run,
}


def run(name: str) -> None:
    """Run a measurement, or list them. Raises `UnknownNameError`."""
    if name == "list":
        for known, bench in BENCHES.items():
            print(f"{known:<14}{(bench.__doc__ or '').splitlines()[0]}")
        return
    if name not in BENCHES:
        raise UnknownNameError("bench", name, BENCHES)
    BENCHES[name]()
