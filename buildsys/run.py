"""The one door for subprocesses: output to a log, failures explained, time and memory measured."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from buildsys.errors import CommandError, DiskFullError, MissingToolError

FULL_BYTES = 64 * 1024
"""With less than this left, a command that failed is taken to have failed for it."""

_FULL_WORDS = ("No space left on device", "no space left on device", "NoSpaceLeft")

# $1 is the parent. If it died before setpriv asked for its death to be told, nobody tells it now.
_ORPHAN = '[ "$PPID" = "$1" ] || exit 1; shift; exec "$@"'

TAIL_LINES = 25
"""How many last lines of a log a failure shows."""


@dataclass(frozen=True)
class Finished:
    """A command that ended well: CPU seconds of all its processes, peak memory of the largest."""

    cpu_seconds: float
    peak_mib: float


def run(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    name: str = "",
    shown: Sequence[str] = (),
) -> Finished:
    """Run `argv` with both outputs appended to `log`; wait for it.

    `name` is what a failure calls it, `shown` what the log says was run.

    Raises `CommandError` with the cause, the last lines and the log's path; `DiskFullError` where
    the log says that the disk was full; `MissingToolError` where the program does not exist.
    """
    title = name or Path(argv[0]).name
    with log.open("ab") as out:
        offset = out.tell()
        out.write(f"$ {shlex.join(shown or argv)}\n".encode())
        out.flush()
        process = _start(argv, out, subprocess.STDOUT, env, cwd)
        status, usage = _wait(process)
    if status != 0:
        raise _explain(title, status, log, offset)
    return Finished(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def output(argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path) -> str:
    """Run a short command and return its standard output; standard error goes to `log`."""
    with log.open("ab") as err:
        offset = err.tell()
        process = _start(argv, subprocess.PIPE, err, env, None)
        text, _ = process.communicate()
        if process.returncode:
            err.write(text)
    if process.returncode:
        raise _explain(Path(argv[0]).name, process.returncode, log, offset)
    return str(text, "utf-8", "replace")


def shown(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> int:
    """Run `argv` with our own outputs, for people to read; its exit status, negative a signal.

    Raises `MissingToolError` where the program does not exist.
    """
    demand(argv[0], env)
    sys.stdout.flush()
    return subprocess.run(
        ending_with_us(argv), stdin=subprocess.DEVNULL, env=env, cwd=cwd
    ).returncode


def demand(program: str, env: Mapping[str, str]) -> None:
    """Raises `MissingToolError` where there is no such program."""
    if not shutil.which(program, path=env.get("PATH")):
        raise MissingToolError(
            f"the program {program} is not installed",
            action="run `invoke doctor`, then `invoke setup`",
        )


def with_sbin() -> dict[str, str]:
    """Our environment, in which root's programs are found as well: mkfs.ext4 is a user's, too."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


def _start(
    argv: Sequence[str],
    out: IO[bytes] | int,
    err: IO[bytes] | int,
    env: Mapping[str, str] | None,
    cwd: Path | None,
) -> subprocess.Popen[bytes]:
    demand(argv[0], env or os.environ)
    return subprocess.Popen(
        ending_with_us(argv),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )


def ending_with_us(argv: Sequence[str]) -> list[str]:
    """`argv` such that the kernel kills it when this process ends, however it ends."""
    return ["setpriv", "--pdeathsig", "KILL", "sh", "-c", _ORPHAN, "sh", str(os.getpid()), *argv]


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
    """Wait; return the exit status (negative: signal) and what it used."""
    _, raw, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(raw)
    return process.returncode, usage


@contextmanager
def workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads. An interrupt of the block leaves at once, without waiting for them."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def cause_of(status: int) -> str:
    """A process status in words: exit code, or the signal's name."""
    if status < 0:
        status = 128 - status
    # A shell between us and the program reports a signal as 128 + its number.
    if status > 128 and status - 128 in set(signal.Signals):
        return f"killed by {signal.Signals(status - 128).name}"
    return f"exit code {status}"


def _explain(title: str, status: int, log: Path, offset: int) -> Exception:
    lines = tail(log, offset)
    text = "\n".join(lines)
    free = os.statvfs(log.parent)
    # On a full disk the log may be cut before the words that say so.
    full = free.f_bavail * free.f_frsize < FULL_BYTES
    if full or any(word in text for word in _FULL_WORDS):
        return DiskFullError(log, f"running {title}")
    shown = "\n".join(f"  | {line}" for line in lines)
    return CommandError(f"{title} failed: {cause_of(status)}\n{shown}", action=f"see {log}")


def tail(log: Path, offset: int = 0, count: int = TAIL_LINES) -> list[str]:
    """The last `count` lines of `log` after `offset`."""
    with log.open("rb") as file:
        file.seek(max(offset, file.seek(0, os.SEEK_END) - 64 * 1024))
        return file.read().decode("utf-8", "replace").splitlines()[-count:]
