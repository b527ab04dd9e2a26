"""A small machine for install.sh: a root of its own, its init system pretended, nothing else real.

The script runs as root of a user namespace, in a chroot, in a process namespace: whatever it does
or removes, it does there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.sandbox import namespaces

# Packages of the machine's own lie in over/usr, and are laid over the system's.
# $1 is the root; $2 a disk for /usr/local/bin: KiB, "ro" for read-only, "" for the root's own.
# What a small one held is in left and after.
ENTER = """set -e
root=$1 disk=$2; shift 2
mount --rbind "$root" "$root"
if [ -d "$root/usr/bin" ]; then
    for name in bin lib sbin share; do
        if [ -d "$root/over/usr/$name" ]; then
            mount -t overlay -o lowerdir="$root/over/usr/$name:/usr/$name" none "$root/usr/$name" ||
                exit 98
        else
            mount --rbind "/usr/$name" "$root/usr/$name"
        fi
    done
    [ ! -d "$root/usr/lib64" ] || mount --rbind /usr/lib64 "$root/usr/lib64"
fi
mount -t proc proc "$root/proc"
if [ -s "$root/formats" ]; then
    # In a user namespace since Linux 6.7.
    mount -t binfmt_misc none "$root/proc/sys/fs/binfmt_misc" 2>/dev/null || exit 99
    while read -r line; do
        printf '%s' "$line" >"$root/proc/sys/fs/binfmt_misc/register"
    done <"$root/formats"
fi
[ ! -e "$root/cpuinfo" ] || mount --bind "$root/cpuinfo" "$root/proc/cpuinfo"
mount --rbind /dev/null "$root/dev/null"
case $disk in
'') ;;
ro) mount --bind "$root/usr/local/bin" "$root/usr/local/bin"
    mount -o remount,bind,ro "$root/usr/local/bin" ;;
*) cp -p "$root/usr/local/bin/k3s" "$root/before"
    mount -t tmpfs -o size="$disk"k none "$root/usr/local/bin"
    cp -p "$root/before" "$root/usr/local/bin/k3s"
    status=0
    chroot "$root" "$@" || status=$?
    ls -A "$root/usr/local/bin" >"$root/left"
    cat "$root/usr/local/bin/k3s" >"$root/after"
    exit $status ;;
esac
exec chroot "$root" "$@"
"""

# What install.sh and its scripts call, beside the downloader.
TOOLS = (
    "awk",
    "cat",
    "chmod",
    "cp",
    "date",
    "df",
    "dirname",
    "env",
    "find",
    "getconf",
    "grep",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "od",
    "printf",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sha256sum",
    "sh",
    "sort",
    "sync",
    "tail",
    "touch",
    "tr",
    "umount",
    "uname",
    "wc",
    "xargs",
)

# How the kernel starts `flat.program` where the shell does not: dash takes no ELF for a script.
STARTED = r":test:M::\x7fELF\x01\x01\x01\x0a#:\xff\xff\xff\xff\xfc\xff\xff\xff\xff:/fake/loader:"

UNITS = ("etc/systemd/system", "etc/init.d")

RUNNING = {"systemd": "run/systemd/system", "openrc": "run/openrc/softlevel"}
"""What is there while an init system runs."""

LOGGED = '#!/bin/sh\necho "${0##*/} $*" >>/calls\n'


@dataclass
class Machine:
    """A machine under `root`; `init`: systemd, openrc; `tools`: dash+curl, dash+wget, busybox."""

    root: Path
    tools: str
    busybox: Path
    init: str = "systemd"
    disk: str = ""

    def __post_init__(self) -> None:
        for name in ("proc", "dev", "tmp", "fake", "root", "usr/local/bin", "var/log", *UNITS):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "dev/null").touch()
        (self.root / "calls").touch()
        (self.root / RUNNING[self.init]).mkdir(parents=True, exist_ok=True)
        if self.tools == "busybox":
            self._with_busybox()
        else:
            self._with_usr(self.tools.removeprefix("dash+"))
        for name in ("sleep", "sync", "ip", "iptables-save", "ip6tables-save", "getenforce"):
            self.fake(name, "#!/bin/sh\nexit 0\n")
        if self.tools != "busybox":
            self.fake("loader", '#!/bin/sh\nexec sh "$@" 2>/dev/null\n')
            self.formats(STARTED)
        pretended = ("systemctl",) if self.init == "systemd" else ("rc-service", "rc-update")
        for name in pretended:
            self.fake(name, LOGGED)
        if self.init == "openrc":
            self.fake("openrc-run", LOGGED)

    def _with_busybox(self) -> None:
        (self.root / "bin").mkdir()
        shutil.copy(self.busybox, self.root / "bin/busybox")
        listed = subprocess.run([self.busybox, "--list"], capture_output=True, text=True)
        for name in listed.stdout.split():
            if name != "busybox":
                (self.root / "bin" / name).symlink_to("busybox")
        self.path = "/fake:/usr/local/bin:/bin"

    def _with_usr(self, downloader: str) -> None:
        for name in ("bin", "lib", "sbin", "share", "lib64"):
            if Path("/usr", name).is_dir():
                (self.root / "usr" / name).mkdir()
        for name in ("bin", "lib", "sbin", "lib64"):
            if Path("/", name).is_symlink():
                (self.root / name).symlink_to(f"usr/{name}")
        if Path("/etc/alternatives").is_dir():
            shutil.copytree("/etc/alternatives", self.root / "etc/alternatives", symlinks=True)
        (self.root / "tools").mkdir()
        for name in (*TOOLS, downloader):
            found = shutil.which(name, path="/usr/bin:/bin")
            assert found, name
            (self.root / "tools" / name).symlink_to("/usr/bin/" + Path(found).name)
        (self.root / "tools/sh").unlink()
        (self.root / "tools/sh").symlink_to("/usr/bin/dash")
        self.path = "/fake:/usr/local/bin:/tools"

    def fake(self, name: str, script: str) -> None:
        """A program that stands before the real one of its name."""
        path = self.root / "fake" / name
        path.write_text(script)
        path.chmod(0o755)

    def formats(self, *lines: str) -> None:
        """What the kernel starts by which interpreter."""
        (self.root / "formats").write_text("".join(f"{line}\n" for line in lines))

    def is_a(self, machine: str, bits: int = 64, features: str = "") -> None:
        """What uname says, for what the system is made, what the CPU says."""
        self.fake("uname", f"#!/bin/sh\necho {machine}\n")
        self.fake("getconf", f"#!/bin/sh\necho {bits}\n")
        if features:
            (self.root / "cpuinfo").write_text(f"processor\t: 0\nFeatures\t: {features}\n")

    def run(
        self, *argv: str, given: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the machine's root."""
        environment = {"PATH": self.path, "HOME": "/root", **(variables or {})}
        prefix = [*namespaces(force_user=True), "sh", "-c", ENTER, "sh", str(self.root), self.disk]
        done = subprocess.run(
            [*prefix, "/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items()), *argv],
            input=given,
            capture_output=True,
            timeout=300,
            env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
        )
        if done.returncode == 98:
            pytest.skip("this kernel gives user namespaces no overlay")
        if done.returncode == 99:
            pytest.skip("this kernel gives user namespaces no binfmt_misc")
        return subprocess.CompletedProcess(
            argv,
            done.returncode,
            done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "replace"),
        )

    @property
    def bin(self) -> Path:
        return self.root / "usr/local/bin"

    @property
    def k3s(self) -> Path:
        return self.bin / "k3s"

    @property
    def calls(self) -> list[str]:
        """What was asked of the init system."""
        return (self.root / "calls").read_text().splitlines()

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()
