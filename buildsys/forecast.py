"""What a build is going to do, how long it takes and how much disk, before it begins. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from buildsys.plan import Plan

TARGET_CPU_SECONDS = 2608
"""All of armv6 from an empty cache, measured on an idle machine of two cores at e8565c2; amd64 took
2504.
"""

FIRST_TARGET_GIB, NEXT_TARGET_GIB = 16, 11
"""What the cache was measured to hold after armv6 alone, and what amd64 added to it: 27 together.
"""


@dataclass(frozen=True)
class Machine:
    """What the estimate knows: jobs at a time, and the seconds that components took here before."""

    jobs: int
    seconds: Mapping[str, float]


def forecast(plan: Plan, stored: Collection[str], machine: Machine) -> str:
    """One line for people; `stored` are the ids of the jobs whose artifact is there."""
    targets = list(dict.fromkeys(bundle.target for bundle in plan.bundles)) or list(
        dict.fromkeys(job.target for job in plan.jobs)
    )
    missing = [job.recipe for job in plan.jobs if job.id not in stored]
    count = len(plan.jobs)
    subject = f"{count} component{'s' * (count != 1)} for {', '.join(targets)}"
    if not missing:
        return f"{subject}: all stored, nothing to build"
    parts = [f"{len(missing)} to build", f"{count - len(missing)} stored"]
    whole = len(plan.bundles)
    seconds = _seconds(missing, machine, whole)
    parts.append(f"about {_shown(seconds)}" if seconds is not None else "time unknown")
    if whole:
        gib = FIRST_TARGET_GIB + NEXT_TARGET_GIB * (whole - 1)
        parts.append(f"up to {gib} GiB in the cache")
    return f"{subject}: {', '.join(parts)}"


def _seconds(missing: Collection[str], machine: Machine, targets: int) -> float | None:
    """Of wall time; None where nothing was measured."""
    if all(name in machine.seconds for name in missing):
        each = [machine.seconds[name] for name in missing]
        return max(sum(each) / machine.jobs, *each, 0.0)
    return TARGET_CPU_SECONDS * targets / machine.jobs if targets else None


def _shown(seconds: float) -> str:
    return f"{max(seconds, 1):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
