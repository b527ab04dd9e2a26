"""Where commands of a job run: their own user, mount, network and process namespaces.

The job's folder is mounted over /tmp, so every path that a compiler sees is the same on every
machine, and there is no network. Where the kernel forbids that to users, the job runs in the open,
at its real paths; the output says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import disk_errors

INSIDE = Path("/tmp")  # noqa: S108  a mount point of the job's own, not the host's folder

# $1 is the job's folder; then pairs "host path, name in the folder" up to "--".
_ENTER = """set -e
root=$1; shift
while [ "$1" != -- ]; do mount --rbind "$1" "$root/$2"; shift 2; done
shift
mount --rbind "$root" /tmp
cd "$1"; shift
exec "$@"
"""


@dataclass(frozen=True)
class Sandbox:
    """A job's folder. `shared` maps a name in the folder to the host path that appears there."""

    root: Path
    shared: Mapping[str, Path]
    isolated: bool

    def prepare(self) -> None:
        """Create the folder and the places of what is shared."""
        with disk_errors(self.root, "preparing a job's folder"):
            for name in ("src", "out", "bin", "home", "tmp", "deps", "objects"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            for name, path in self.shared.items():
                place = self.root / name
                if self.isolated:
                    place.mkdir(parents=True, exist_ok=True)
                elif not place.is_symlink():
                    place.symlink_to(path)

    def path(self, name: str) -> Path:
        """The path of `name` as the job's commands see it."""
        return (INSIDE if self.isolated else self.root) / name

    def host(self, name: str) -> Path:
        """The path of `name` as this process sees it."""
        if name in self.shared:
            return self.shared[name]
        first, _, rest = name.partition("/")
        return self.shared[first] / rest if first in self.shared else self.root / name

    def wrap(self, argv: Sequence[str], cwd: str = "src") -> list[str]:
        """The command line that runs `argv` inside, in the folder `cwd`."""
        inside = str(self.path(cwd))
        if not self.isolated:
            return ["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", inside, *argv]
        binds = [part for name, path in self.shared.items() for part in (str(path), name)]
        entering = ["sh", "-c", _ENTER, "sh", str(self.root), *binds, "--", inside, *argv]
        return [*namespaces("net"), *entering]


def namespaces(*extra: str, force_user: bool = False) -> list[str]:
    """The command prefix that makes the namespaces; with the first process all others end.

    Root needs no user namespace, and gets one only by `force_user`.
    """
    user = ["--user", "--map-root-user"] if force_user or os.geteuid() else []
    kinds = [f"--{kind}" for kind in ("mount", "pid", *extra)]
    return ["unshare", *user, *kinds, "--fork", "--kill-child"]


def can_isolate() -> bool:
    """Whether this machine lets this user make the namespaces."""
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return False
    probe = [*namespaces("net"), "sh", "-c", "mount --rbind /usr /tmp"]
    return subprocess.run(probe, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0
