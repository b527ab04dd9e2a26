"""Runs a program as on a kernel without legacy iptables: nobody answers its socket options.

A seccomp filter (Documentation/userspace-api/seccomp_filter.rst) refuses just these, on x86-64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
RET_ERRNO, RET_ALLOW = 0x00050000, 0x7FFF0000
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, THIRD_ARGUMENT = 0, 16 + 2 * 8
GETSOCKOPT, FIRST_OPTION, SECOND_OPTION = 55, 64, 65

PROGRAM = [
    (LOAD, 0, 0, NUMBER),
    (JUMP_EQUAL, 0, 3, GETSOCKOPT),
    (LOAD, 0, 0, THIRD_ARGUMENT),
    (JUMP_EQUAL, 2, 0, FIRST_OPTION),
    (JUMP_EQUAL, 1, 0, SECOND_OPTION),
    (RETURN, 0, 0, RET_ALLOW),
    (RETURN, 0, 0, RET_ERRNO | errno.ENOPROTOOPT),
]


def forget_legacy_tables() -> None:
    """From now on, and in what is executed, the options that ask the tables are not known."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("=HBBI", *line) for line in PROGRAM)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(PROGRAM), ctypes.addressof(buffer))
    calls = [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, program, 0, 0)]
    for call in calls:
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    forget_legacy_tables()
    os.execv(sys.argv[1], sys.argv[1:])
