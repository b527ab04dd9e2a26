"""Standard output and error that no reader who left, full disk or old encoding can break."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import TextIO

from buildsys.errors import DiskFullError, NotWritableError


class _End(io.FileIO):
    """The end of a stream; used from several threads."""

    def write(self, data: object) -> int:
        """Write. Where nobody reads any more, leave quietly with 141, as SIGPIPE ends a program.

        Output that has no room ends the process with a code; progress that has none is dropped.
        """
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BlockingIOError:
            raise
        except BrokenPipeError:
            os._exit(128 + signal.SIGPIPE)
        except OSError as error:
            if self.fileno() != 1:
                return memoryview(data).nbytes  # type: ignore[arg-type]
            _leave(error)
            raise


def _leave(error: OSError) -> None:
    text = (
        f"error: standard output cannot be written: {error.strerror}\n"
        "next: free space there, or send it elsewhere, and run the same again\n"
    )
    os.write(2, text.encode())
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    os._exit((DiskFullError if full else NotWritableError).exit_code)


def guard() -> None:
    """Put safe streams in the place of this process's own."""
    # Of streams that were closed before we came: no file of ours must get their numbers.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = _guarded(sys.stdout, 1, "replace")
    sys.stderr = _guarded(sys.stderr, 2, "backslashreplace")


def _guarded(stream: TextIO | None, number: int, unknown: str) -> TextIO:
    """`stream` again, on a safe end; characters that it has no code for are replaced."""
    old = stream if isinstance(stream, io.TextIOWrapper) else None
    if old:
        old.flush()
    end = _End(number, "w", closefd=False)
    whole = bool(old and old.write_through)
    return io.TextIOWrapper(
        end if whole else io.BufferedWriter(end),
        encoding=old.encoding if old else "utf-8",
        errors=unknown,
        line_buffering=bool(old and old.line_buffering),
        write_through=whole,
    )
