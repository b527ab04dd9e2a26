"""A run of the tests names what it left out, and fails by a skip that its list does not hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from buildsys import testing
from buildsys.app import App, Settings
from buildsys.errors import UnknownNameError

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

INI = """\
[pytest]
markers =
    slow: not now
addopts = -p no:cacheprovider -m 'not slow'
"""

TESTS = """\
import pytest

def test_runs():
    pass

def test_skips():
    pytest.skip("this kernel has no moon")

@pytest.mark.slow
def test_waits():
    pass
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs tests of our own under the conftest.py of the project's."""
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((CHECKOUT / "tests/conftest.py").read_text("utf-8"))
    (tmp_path / "skips").mkdir()
    (tmp_path / "skips/here.txt").write_text("# why\nthis kernel has no .* # it is made so\n")
    (tmp_path / "skips/none.txt").write_text("this kernel\n")

    def call(*options: str, skips: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "K3S_TEST_SKIPS": skips}
        argv = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, cwd=tmp_path)

    return call


WORKERS: Sequence[Sequence[str]] = ([], ["-n", "2"])


@pytest.mark.parametrize("options", WORKERS, ids=["alone", "two workers"])
def test_a_skip_that_is_not_allowed_fails_the_run(run: Run, options: Sequence[str]) -> None:
    done = run(*options, skips="none")
    assert done.returncode == 1, done.stdout
    assert "FAILED: 1 skips that tests/skips does not allow this run:" in done.stdout
    assert "test_it.py::test_skips: this kernel has no moon" in done.stdout


@pytest.mark.parametrize("options", WORKERS, ids=["alone", "two workers"])
@pytest.mark.parametrize("skips", ["here", ""])
def test_one_that_is_allowed_does_not(run: Run, options: Sequence[str], skips: str) -> None:
    done = run(*options, skips=skips)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout


@pytest.mark.parametrize("options", WORKERS, ids=["alone", "two workers"])
def test_what_is_left_out_is_named(run: Run, options: Sequence[str]) -> None:
    out = run(*options).stdout
    assert "1 tests left out (-m); `invoke test --all` runs them:\n  test_it.py: 1\n" in out
    assert "left out" not in run(*options, "-m", "").stdout


@pytest.mark.parametrize("name", ["nowhere", "../skips/here"])
def test_a_list_that_is_not_there_ends_the_run(run: Run, name: str) -> None:
    done = run(skips=name)
    assert done.returncode == 4
    assert "there is no such list in tests/skips: here, none" in done.stderr


def test_every_list_of_the_project_can_be_read() -> None:
    from tests.conftest import LISTS, allowed

    names = [path.stem for path in LISTS.glob("*.txt")]
    assert sorted(names) == ["ci", "github"]
    assert all(allowed(name) for name in names)


# ---- the command ----


def words(**options: object) -> tuple[list[str], Mapping[str, str]]:
    run = testing.command(App(Settings()).targets, **options)  # type: ignore[arg-type]
    return run.line.split(" -m pytest ")[1].split(), run.environment


def test_the_command_for_each_choice() -> None:
    many, none = words(), words(everything=True)
    assert many[0][0] == "-n" and many[0][2:] == ["--dist", "loadfile", "tests"]
    assert none[0][4:] == ["-m", "''", "tests"]
    assert words(unit=True) == (["tests/unit"], {})
    built, environment = words(built="armv6")
    assert built[4:] == ["-m", "built", "tests"]
    assert environment == {testing.TARGETS: "armv6"}
    with pytest.raises(UnknownNameError):
        words(built="z80")
