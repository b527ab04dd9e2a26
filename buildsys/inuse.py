"""Who uses a cache: a lock that users share, and that one who removes from it has to himself."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def share(lock: Path, owner: object, wait: Callable[[], None]) -> Callable[[], None]:
    """Hold the lock until `owner` or this process is gone, or what is returned is called.

    `wait` is called where somebody has it to himself, before it is waited for.
    """
    handle = _opened(lock)
    _flock(handle, fcntl.LOCK_SH, wait)
    return weakref.finalize(owner, os.close, handle)


@contextmanager
def alone(lock: Path, wait: Callable[[], None] | None) -> Iterator[bool]:
    """Run the block while nobody else holds the lock; whether that is so.

    It waits for others after a call of `wait`; with None it does not, and that is not so.
    """
    handle = _opened(lock)
    try:
        yield _flock(handle, fcntl.LOCK_EX, wait)
    finally:
        os.close(handle)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)


def _flock(handle: int, kind: int, wait: Callable[[], None] | None) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if wait is None:
            return False
        wait()
        fcntl.flock(handle, kind)
    return True
