"""What a busy host takes from an emulator is read from the kernel's own accounts."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from buildsys.machine.starved import kept_waiting

pytestmark = pytest.mark.unit


def task(proc: Path, pid: int, tid: int, waited: int, children: str = "") -> None:
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text(f"5 {waited} 7\n")
    (folder / "children").write_text(children)


def test_the_longest_waits_of_a_process_and_its_children(tmp_path: Path) -> None:
    task(tmp_path, 10, 10, 1_000_000_000, "20 30")
    task(tmp_path, 20, 20, 2_000_000_000)
    task(tmp_path, 20, 21, 4_000_000_000)
    (tmp_path / "20/task/22").mkdir()  # a thread that ended meanwhile
    assert kept_waiting(10, tmp_path) == 5.0


def test_a_process_that_ended_waits_for_nothing(tmp_path: Path) -> None:
    assert kept_waiting(10, tmp_path) == 0.0


def test_a_real_process_that_sleeps_is_not_kept_waiting() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        time.sleep(0.5)
        assert kept_waiting(process.pid) < 0.5
    finally:
        process.kill()
        process.wait()
