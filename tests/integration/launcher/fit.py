"""A machine that is fit to be a node, in namespaces, from which a test takes one thing away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .conftest import Result

NAMESPACES = ("--mount", "--net", "--uts")

FIT = """\
set -e
mount --make-rprivate /
mkdir -p "$DATA"; mount -t tmpfs -o mode=755 none "$DATA"
mount -t cgroup2 none /sys/fs/cgroup
printf 'cpuset cpu io memory pids\\n' >"$WORK/controllers"
mount --bind "$WORK/controllers" /sys/fs/cgroup/cgroup.controllers
for one in 0:vm/panic_on_oom 1:vm/overcommit_memory 10:kernel/panic 1:kernel/panic_on_oops \
    1000000:kernel/keys/root_maxkeys 25000000:kernel/keys/root_maxbytes; do
    file="$WORK/$(echo "${one#*:}" | tr / .)"; echo "${one%%:*}" >"$file"
    mount --bind "$file" "/proc/sys/${one#*:}"
done
hostname pi-zero
ip link set lo up
ip link add eth9 type bridge
ip addr add 198.51.100.2/24 dev eth9
ip link set eth9 up
ip route add default via 198.51.100.1
"""
"""Fed by files: the sysctls, and the controllers, which are bound to version 1 on some machines."""

HIDE_MODULES = """\
mount -t tmpfs none /sys/module
if test -d /lib/modules; then mount -t tmpfs none /lib/modules; fi
"""
"""As after a kernel update without a restart; the kernel itself stays the same."""

NO_LEGACY = "mount -t tmpfs none /proc/$$/net\n"
"""/proc/net is that of the process, and exec keeps its number."""


def unfit() -> str:
    """Why no such machine can be made here; empty: it can."""
    if os.getuid():
        return "requires root"
    for tool in ("unshare", "ip", "setpriv"):
        if not shutil.which(tool):
            return f"requires {tool}"
    if not Path("/proc/sys/net/ipv4").exists() or not Path("/dev/kmsg").exists():
        return "requires /proc/sys/net and /dev/kmsg"
    probe = "mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup"
    probe += " && ip link add x type bridge"
    done = subprocess.run(
        ["unshare", *NAMESPACES, "sh", "-c", probe], capture_output=True, text=True
    )
    return f"no namespaces: {done.stderr.strip()}" if done.returncode else ""


def in_first_pid_namespace() -> bool:
    """Elsewhere the launcher does not judge modules, which belong to another's kernel."""
    return Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC


@dataclass(frozen=True)
class Fit:
    """Starts an executable on such a machine."""

    executable: Path
    work: Path

    def __call__(
        self, *arguments: str, take: str = "", env: dict[str, str] | None = None, config: str = ""
    ) -> Result:
        """take: shell commands that make it unfit again."""
        (self.work / "config.yaml").write_text(config)
        script = f'{FIT}{take}\nset +e\nexec ${{VIA:-}} "$0" "$@"'
        done = subprocess.run(
            ["unshare", *NAMESPACES, "sh", "-c", script, self.executable, *arguments],
            env={
                "PATH": "/usr/sbin:/sbin:/usr/bin:/bin",
                "HOME": str(self.work),
                "WORK": str(self.work),
                "DATA": str(self.work / "data"),
                "K3S_DATA_DIR": str(self.work / "data"),
                "K3S_CONFIG_FILE": str(self.work / "config.yaml"),
                **(env or {}),
            },
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def rows(self, *arguments: str, take: str = "") -> dict[str, dict[str, str]]:
        """The launcher's own list for this start."""
        result = self("--check-node", "--json", *arguments, take=take)
        return {row["name"]: row for row in json.loads(result.out)}


def errors(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if line.startswith("k3s: error: ")]


def warnings(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if "level=warning" in line]


def listening(host: str, port: int) -> str:
    """Commands that hold a port and become the program: nobody has to wait for them."""
    code = (
        "import os,socket,sys; six=':' in sys.argv[1];"
        "s=socket.socket(socket.AF_INET6 if six else socket.AF_INET);"
        "s.bind((sys.argv[1],int(sys.argv[2]))); s.listen(); s.set_inheritable(True);"
        "os.execv(sys.argv[3],['k3s',*sys.argv[4:]])"
    )
    return f'VIA="/usr/bin/env python3 {{}}/hold.py {host} {port}"'.format("$WORK") + (
        f"\ncat >\"$WORK/hold.py\" <<'END'\n{code}\nEND"
    )
