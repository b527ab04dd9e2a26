"""Becomes a program of an image, in namespaces of its own; run as a program by `unpacked.py`.

Reads its `Order` from the first argument. What is started is process 1 there: when this process
dies, it dies with all its children.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from dataclasses import dataclass

_CLONE_NEWUSER = 0x10000000
_USERS = 65536

# $1 is the image's root, $2 the emulator's registration or nothing, $3 "net" or nothing.
_ENTER = """set -e
root=$1 registration=$2 net=$3
shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
if [ -n "$registration" ]; then
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    printf %s "$registration" >/proc/sys/fs/binfmt_misc/register
fi
if [ -n "$net" ]; then ip link set lo up; fi
exec "$@"
"""


@dataclass(frozen=True)
class Order:
    """What to start. `user` is uid:gid; `net` asks for a network namespace of its own."""

    root: str
    argv: list[str]
    env: dict[str, str]
    user: str
    registration: str
    net: bool


def main() -> None:
    """Enter the namespaces and become the program."""
    order = Order(**json.loads(sys.argv[1]))
    if order.registration:
        own_users()
    kinds = ["--mount", "--pid", *(["--net"] if order.net else [])]
    chroot = shutil.which("chroot") or "/usr/sbin/chroot"
    argv = [
        *("unshare", *kinds, "--fork", "--kill-child", "sh", "-c", _ENTER, "sh"),
        *(order.root, order.registration, "net" if order.net else ""),
        *("env", "-i", *(f"{name}={value}" for name, value in order.env.items())),
        *(chroot, f"--userspec={order.user}", "--groups=", order.root, *order.argv),
    ]
    os.execvp(argv[0], argv)


def own_users() -> None:
    """Enter a user namespace: Linux has a binfmt_misc for each. Every user there is itself.

    Raises `OSError` for all but root, who alone may map more than itself.
    """
    reading, writing = os.pipe()
    me = os.getpid()
    mapper = os.fork()
    if not mapper:
        os.read(reading, 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{me}/{name}", "w") as file:  # noqa: PTH123
                file.write(f"0 0 {_USERS}")
        os._exit(0)
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(writing, b"!")
    if os.waitpid(mapper, 0)[1]:
        raise OSError("the users were not mapped")


if __name__ == "__main__":
    main()
