"""pause: process 1 of a pod's namespace."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from .conftest import GetImage
from .unpacked import wait_for


def children(pid: int) -> list[str]:
    """The children of a process, zombies included."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_reaps_an_orphan_and_ends_on_sigterm(image: GetImage) -> None:
    pause = image("pause")
    with pause.started(*pause.command()) as running:
        # A shell in the pod's process namespace that ends before its child does.
        leaving = "sleep 1 & exit 0"
        subprocess.run(["nsenter", f"--target={running.pid}", "--pid", "sh", "-c", leaving])
        orphans = wait_for(lambda: children(running.pid))
        assert len(orphans) == 1
        wait_for(lambda: not children(running.pid))
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait() == 0
        assert "Shutting down, got signal: Terminated" in running.rest()


def test_runs_as_its_own_user(image: GetImage) -> None:
    pause = image("pause")
    with pause.started(*pause.command()) as running:
        status = Path(f"/proc/{running.pid}/status").read_text()
        assert "\nUid:\t65535\t65535\t65535\t65535\n" in status
        assert "\nGid:\t65535\t65535\t65535\t65535\n" in status
