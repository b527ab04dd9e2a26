"""Where commands of a job run: their own user, mount, network and process namespaces.

The job's folder is mounted over /tmp, so every path that a compiler sees is the same on every
machine, and there is no network. Where the kernel forbids that to users, the job runs in the open,
at its real paths; the output says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import disk_errors
from buildsys.errors import UsageError

_SPLITTING = re.compile(r"""[\s:*?\[\]$#%\\'"`;&|<>()]""")
"""What makes several words of a path, or something else, for PATH, shells and make."""

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
        """Create the folder and the places of what is shared. Raises as `demand_plain`."""
        if not self.isolated:
            demand_plain(self.root)
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


def demand_plain(folder: Path) -> None:
    """See that jobs can run below `folder` in the open. Raises `UsageError`.

    With a colon in it, PATH splits there, and the host's own compiler would be the first on it.
    """
    if found := _SPLITTING.search(str(folder)):
        raise UsageError(
            f"jobs cannot run in {folder}: there is {found[0]!r} in the path",
            cause="this machine allows no user namespaces, so jobs run at their real paths, and "
            "compilers, PATH and make would split this one",
            action="choose a cache folder without it (--cache or K3S_BUILDSYS_CACHE), or allow "
            "user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        )


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
