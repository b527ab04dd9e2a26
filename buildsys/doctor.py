"""What the host is missing for a purpose, and the command that cures it; `setup` runs that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from buildsys.cache import Cache
from buildsys.emulator import find_emulator, runs
from buildsys.errors import BuildsysError, CorruptError, MissingToolError, UnknownNameError
from buildsys.fetch.apt import KEYRING, PRIMARY, host_mirror
from buildsys.model import Target
from buildsys.report import Progress
from buildsys.run import with_sbin
from buildsys.sandbox import can_isolate
from buildsys.store import Store
from buildsys.toolchain import find_toolchain

DISK_GIB = 20
"""Two targets with all images were measured to leave 27 GiB in the cache, two thirds of it Go's
build cache; one target needs less than this, what it takes on the way included.
"""

PURPOSES = ("build", "audit", "boot", "test")
"""What a host may be for. Audit is smoke as well, and tests require all that the others do."""

PACKAGES = {
    "make": ("make", "build"),
    "git": ("git", "build"),
    "bzip2": ("bzip2", "build"),
    "unshare": ("util-linux", "build"),
    "setpriv": ("util-linux", "build"),
    "apt-get": ("apt", "build"),
    "shellcheck": ("shellcheck", "test"),
    "clang-tidy": ("clang-tidy", "test"),
    "dockerd": ("docker.io", "test"),
    "docker": ("docker.io", "test"),
    "mmdebstrap": ("mmdebstrap", "test"),
    "newuidmap": ("uidmap", "test"),
    "skopeo": ("skopeo", "test"),
    "docker-registry": ("docker-registry", "test"),
    "curl": ("curl", "test"),
    "wget": ("wget", "test"),
    "openssl": ("openssl", "test"),
    "conntrack": ("conntrack", "test"),
    "ip": ("iproute2", "test"),
    "iptables-nft": ("iptables", "test"),
    "mkfs.ext4": ("e2fsprogs", "boot"),
    "debugfs": ("e2fsprogs", "boot"),
    "dpkg-deb": ("dpkg", "boot"),
    "fdtput": ("device-tree-compiler", "boot"),
    "etcd": ("etcd-server", "boot"),
    "ping": ("iputils-ping", "test"),
    "strace": ("strace", "test"),
    "chromium": ("chromium", "test"),
}
"""Program → its Debian package and the purpose that requires it. Chromium reads the report in
a test, takes 300 MB; Ubuntu has it as a snap only.
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at, and what requires it; `package` or `cure` say what would fix it."""

    name: str
    good: bool
    detail: str
    package: str = ""
    cure: str = ""
    purposes: tuple[str, ...] = PURPOSES


def examine(targets: Iterable[Target], cache: Cache, mirror: str | None = None) -> list[Finding]:
    """Look at everything that building, auditing, booting and testing `targets` requires.

    `mirror` is the Debian mirror that was named.
    """
    targets = list(targets)
    # What Debian's packages are fetched by; some targets' emulators are such a package.
    emulators = [target.emulator.package for target in targets]
    audit = ("audit",) if any(p and runs(p.architecture) for p in emulators) else ()
    fetching = ("build", *audit, "boot", "test")
    return [
        _python(),
        _toolchain(),
        *_programs(fetching),
        Finding(
            "keys of Debian's archive",
            KEYRING.is_file(),
            str(KEYRING),
            package="debian-archive-keyring",
            purposes=fetching,
        ),
        _mirror(mirror, fetching),
        *(_emulator(target) for target in targets),
        *(_machine(target) for target in targets if target.machine),
        _namespaces(),
        _disk(cache),
    ]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        "Python 3.11 or newer", sys.version_info >= (3, 11), version, cure="install Python 3.11"
    )


def _toolchain() -> Finding:
    try:
        versions = find_toolchain().versions
    except MissingToolError as error:
        return Finding("toolchains", good=False, detail=error.what, cure="pip install -e .")
    return Finding("toolchains", good=True, detail=f"go {versions['go']}, zig {versions['zig']}")


def _programs(fetching: tuple[str, ...]) -> Iterator[Finding]:
    for program, (package, use) in PACKAGES.items():
        path = shutil.which(program, path=with_sbin()["PATH"])
        purposes = fetching if program == "apt-get" else tuple(dict.fromkeys((use, "test")))
        detail = path or "not found"
        yield Finding(program, path is not None, detail, package=package, purposes=purposes)


def packages_of(programs: Iterable[str]) -> list[str]:
    """The Debian packages of these programs, each once; an unknown one stays as it is."""
    return sorted({PACKAGES[name][0] if name in PACKAGES else name for name in programs})


def _mirror(named: str | None, purposes: tuple[str, ...]) -> Finding:
    name = "Debian mirror"
    if named:
        return Finding(name, good=True, detail=f"{named}, as named", purposes=purposes)
    try:
        found = host_mirror(Path(os.devnull))  # who only looks writes nothing
    except BuildsysError as error:
        cure = "fix apt, or name a mirror in K3S_BUILDSYS_DEBIAN_MIRROR"
        return Finding(name, good=False, detail=error.what, cure=cure, purposes=purposes)
    detail = f"{found}, of the host's apt" if found else f"{PRIMARY}: the host's apt knows none"
    return Finding(name, good=True, detail=detail, purposes=purposes)


def _emulator(target: Target) -> Finding:
    name, purposes = f"emulator of {target.name}", ("audit", "test")
    package = target.emulator.package
    if package and runs(package.architecture):
        detail = f"{package.label}, fetched when it is required"
        return Finding(name, good=True, detail=detail, purposes=purposes)
    try:
        emulator = find_emulator(target)
    except MissingToolError:
        install = "qemu-user-static"
        return Finding(name, good=False, detail="not found", package=install, purposes=purposes)
    detail = f"{emulator.program}, cpu {emulator.cpu}"
    return Finding(name, good=True, detail=detail, purposes=purposes)


def _machine(target: Target) -> Finding:
    assert target.machine
    program = f"qemu-system-{target.machine.emulator}"
    path = shutil.which(program)
    return Finding(
        f"machine of {target.name}",
        path is not None,
        path or "not found",
        package=target.machine.debian,
        purposes=("boot", "test"),
    )


def _namespaces() -> Finding:
    good = can_isolate()
    return Finding(
        "user namespaces",
        good,
        "jobs run cut off from the network, at fixed paths" if good else "not allowed",
        cure="sysctl kernel.apparmor_restrict_unprivileged_userns=0 "
        "(older Debian: kernel.unprivileged_userns_clone=1)",
    )


def _disk(cache: Cache) -> Finding:
    free = shutil.disk_usage(_existing(cache.root)).free / 1024**3
    detail = f"{free:.0f} GiB free at {cache.root}, {DISK_GIB} wanted"
    cure = "free space, or move the cache"
    return Finding("disk", free >= DISK_GIB, detail, cure=cure, purposes=("build", "test"))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def verify_store(cache: Cache, progress: Progress) -> list[str]:
    """Compare every store entry with its record; what was damaged, in words."""
    store, damaged = Store(cache), []
    for key in list(store.keys()):
        artifact = store.get(key)
        if artifact is None:
            damaged.append(f"store entry {key}: its record cannot be read; it was moved aside")
            continue
        try:
            store.verify(artifact)
        except CorruptError as error:
            damaged.append(error.what)
    for line in damaged:
        progress.line(line, style="red")
    return damaged


def chosen(findings: Iterable[Finding], purposes: Collection[str]) -> list[Finding]:
    """The findings that these purposes require. Raises `UnknownNameError`."""
    for name in purposes:
        if name not in PURPOSES:
            raise UnknownNameError("purpose", name, PURPOSES)
    return [finding for finding in findings if {*purposes} & {*finding.purposes}]


def setup(findings: Iterable[Finding], progress: Progress) -> None:
    """Install the Debian packages that are missing, as root or by sudo.

    What this host's apt does not know is named and left out. Raises `MissingToolError` with the
    command where this user may not install.
    """
    packages = sorted({f.package for f in findings if not f.good and f.package})
    if not packages:
        progress.line("setup: nothing to install")
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    prefix = [] if os.geteuid() == 0 else _sudo([*install, *packages])
    _apt([*prefix, "apt-get", "update", "-q"], progress)
    known = [package for package in packages if _is_known(package)]
    for package in sorted({*packages} - {*known}):
        progress.line(f"setup: apt knows no {package}; tests that need it are skipped", "yellow")
    if known:
        _apt([*prefix, *install, *known], progress)


def _is_known(package: str) -> bool:
    """Whether apt could install it: `show` ends well for a name that others merely mention, too."""
    versions = subprocess.run(["apt-cache", "madison", package], capture_output=True)
    return bool(versions.stdout.strip())


def _apt(command: list[str], progress: Progress) -> None:
    progress.line(f"setup: {' '.join(command)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, stdout=sys.stderr, env=env)
    if done.returncode:
        raise BuildsysError(
            f"{' '.join(command)} failed with exit code {done.returncode}",
            cause="see the lines above",
            action="fix apt, then run `invoke setup` again",
        )


def _sudo(command: list[str]) -> list[str]:
    if shutil.which("sudo"):
        if sys.stdin is not None and sys.stdin.isatty():
            return ["sudo"]
        if subprocess.run(["sudo", "-n", "true"]).returncode == 0:
            return ["sudo", "-n"]
    raise MissingToolError(
        "packages are missing and this user may not install them",
        action=f"as root: {' '.join(command)}",
    )
