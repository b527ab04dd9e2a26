"""The one door for subprocesses: every end is explained."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from buildsys.errors import CommandError, DiskFullError, MissingToolError
from buildsys.run import TAIL_LINES, cause_of, output, run, tail

from .conftest import Golden

pytestmark = pytest.mark.unit


def failure(script: str, log: Path) -> CommandError:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", script], log=log, name="a job: sh")
    return caught.value


def test_well_ended_command_is_measured_and_logged(log: Path) -> None:
    # A grandchild's CPU counts: a compiler is one.
    script = "echo out; echo err >&2; (sh -c 'i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done')"
    done = run(["sh", "-c", script], log=log, shown=["a job"])
    assert 0.01 < done.cpu_seconds < 60
    assert 0.1 < done.peak_mib < 1000
    assert log.read_text() == "$ 'a job'\nout\nerr\n"


def test_log_is_appended_to(log: Path) -> None:
    run(["echo", "one"], log=log)
    run(["echo", "two"], log=log)
    assert log.read_text() == "$ echo one\none\n$ echo two\ntwo\n"


def test_folder_and_environment_are_the_given_ones(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "leaks")
    run(["sh", "-c", "pwd; echo $NAME$SECRET"], log=log, cwd=tmp_path, env={"NAME": "given"})
    assert log.read_text().splitlines()[1:] == [str(tmp_path), "given"]


def test_standard_input_is_empty(log: Path) -> None:
    run(["cat"], log=log)
    assert log.read_text() == "$ cat\n"


def test_exit_code(log: Path) -> None:
    assert "a job: sh failed: exit code 3" in str(failure("exit 3", log))


@pytest.mark.parametrize("name", ["SIGILL", "SIGSEGV", "SIGKILL", "SIGABRT"])
def test_signal_has_a_name(log: Path, name: str) -> None:
    direct = failure(f"kill -{name[3:]} $$", log)
    through_a_shell = failure(f"sh -c 'kill -{name[3:]} $$'; exit $?", log)
    assert f"killed by {name}" in str(direct)
    assert f"killed by {name}" in str(through_a_shell)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (1, "exit code 1"),
        (127, "exit code 127"),
        (128, "exit code 128"),
        (132, "killed by SIGILL"),
        (-signal.SIGILL, "killed by SIGILL"),
        (255, "exit code 255"),
    ],
)
def test_cause_in_words(status: int, text: str) -> None:
    assert cause_of(status) == text


@pytest.mark.parametrize("call", [run, output])
def test_program_that_is_not_there(log: Path, call: object) -> None:
    assert callable(call)
    with pytest.raises(MissingToolError, match="the program no-such-program is not installed"):
        call(["no-such-program"], log=log)


def test_failure_shows_the_last_lines_and_the_log(log: Path) -> None:
    log.write_text("a line of another command\n")
    error = failure("seq 100; echo 'the reason' >&2; exit 1", log)
    shown = [line for line in str(error).splitlines() if line.startswith("  | ")]
    assert len(shown) == TAIL_LINES
    assert shown[-2:] == ["  | 100", "  | the reason"]
    assert str(error).splitlines()[-1] == f"next: see {log}"
    assert "another command" not in str(error)


def test_text_of_a_failure(log: Path, golden: Golden) -> None:
    error = failure("echo 'x.c:1: error' >&2; kill -ILL $$", log)
    golden("run.txt", str(error).replace(str(log), "A.LOG") + "\n")


def test_only_this_commands_lines_are_shown(log: Path) -> None:
    failure("echo first; exit 1", log)
    assert "first" not in str(failure("exit 1", log))


@pytest.mark.parametrize("text", ["No space left on device", "no space left on device"])
def test_full_disk_is_recognised(log: Path, text: str) -> None:
    with pytest.raises(DiskFullError, match="while running a compiler"):
        run(["sh", "-c", f"echo 'ld: {text}' >&2; exit 1"], log=log, name="a compiler")


def test_full_disk_of_an_earlier_command_is_not_this_ones(log: Path) -> None:
    log.write_text("No space left on device\n")
    failure("exit 1", log)


def test_output_is_standard_output_alone(log: Path) -> None:
    assert output(["sh", "-c", "echo out; echo err >&2"], log=log) == "out\n"
    assert log.read_text() == "err\n"


def test_output_of_a_failure_is_in_the_message(log: Path) -> None:
    with pytest.raises(CommandError) as caught:
        output(["sh", "-c", "echo out; echo err >&2; exit 4"], log=log)
    assert "sh failed: exit code 4" in str(caught.value)
    assert "  | err" in str(caught.value)
    assert "  | out" in str(caught.value)


def test_tail_of_a_long_log_and_of_odd_bytes(log: Path) -> None:
    log.write_bytes(b"x" * 200_000 + b"\n\xff\xfelast\n")
    assert tail(log, count=1) == ["\ufffd\ufffdlast"]
    assert tail(log, count=2)[0].startswith("xxx")
