"""A full disk, at many points of fetching, compiling, storing and bundling."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.errors import DiskFullError

from .goproxy import DEP, Proxy, go_recipe
from .project import Checkout, Finished, lend

pytestmark = pytest.mark.integration

HOLD = 'mount -t tmpfs -o size=4g,mode=755 none "$1" && echo mounted && exec sleep 1000'


@dataclass
class SmallDisk:
    """A tmpfs over a folder, in a mount namespace that a sleeping process holds."""

    folder: Path
    holder: subprocess.Popen[bytes]
    cwd: Path

    @property
    def enter(self) -> list[str]:
        """The prefix of a command that sees the small disk."""
        spaces = ["nsenter", f"--target={self.holder.pid}", "--user", "--mount"]
        inside = ["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", str(self.cwd)]
        return [*spaces, "--preserve-credentials", *inside]

    @property
    def seen(self) -> Path:
        """Its content, from outside."""
        return Path(f"/proc/{self.holder.pid}/root{self.folder}")

    def run(self, *argv: str) -> str:
        """Run a command on it; its output."""
        return subprocess.run(
            [*self.enter, *argv], check=True, capture_output=True, text=True
        ).stdout

    def used_kib(self) -> int:
        """KiB in use."""
        return int(self.run("df", "--output=used", "-k", str(self.folder)).split()[-1])

    def leave(self, kib: int) -> None:
        """Leave so many KiB free."""
        size = max(4, self.used_kib() + kib)  # 0 would mean no bound at all
        self.run("mount", "-o", f"remount,size={size}k", str(self.folder))

    def grow(self) -> None:
        """Plenty of space."""
        self.run("mount", "-o", "remount,size=4g", str(self.folder))


@pytest.fixture
def mount_over() -> Iterator[list[SmallDisk]]:
    """Small disks that end with the test."""
    disks: list[SmallDisk] = []
    yield disks
    for disk in disks:
        disk.holder.kill()
        disk.holder.communicate()


def small_disk(checkout: Checkout, folder: Path, disks: list[SmallDisk]) -> SmallDisk:
    folder.mkdir(exist_ok=True)
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", HOLD, "sh", str(folder)]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
    disks.append(SmallDisk(folder, holder, checkout.root))
    assert holder.stdout is not None and holder.stdout.readline() == b"mounted\n"
    return disks[-1]


def until_it_fits(
    checkout: Checkout, disk: SmallDisk, arguments: list[str], steps: list[int]
) -> int:
    """Run a verb with ever more space until it ends well; how often the disk was full."""
    failures = 0
    for kib in steps:
        disk.leave(kib)
        done = checkout.cli(*arguments, before=disk.enter)
        if done.code == 0:
            break
        failures += 1
        assert done.code == DiskFullError.exit_code, f"{kib} KiB: {done.text}"
        assert "no space left on the file system" in done.text, f"{kib} KiB: {done.text}"
        assert "Traceback" not in done.text, f"{kib} KiB: {done.text}"
    disk.grow()
    done = checkout.cli(*arguments, before=disk.enter)
    assert done.code == 0, done.text
    return failures


def healthy(checkout: Checkout, disk: SmallDisk) -> None:
    """The store verifies clean and nothing half-made is left."""
    done: Finished = checkout.cli("doctor", "--store", before=disk.enter)
    assert "damaged" not in done.text, done.text
    if disk.folder == checkout.cache:
        seen = Checkout(checkout.root, disk.seen)
        assert seen.leftovers() == []
        assert not list((disk.seen / "aside").glob("*"))


def test_while_compiling_and_storing(
    checkout: Checkout, warm: Path, nonce: str, mount_over: list[SmallDisk]
) -> None:
    checkout.standard(text=nonce)
    disk = small_disk(checkout, checkout.cache, mount_over)
    lend(disk.seen, warm, own=False)
    steps = [0, 8, 32, 64, 96, 128, 160, 192, 256, 384, 512]
    failures = until_it_fits(checkout, disk, ["build", "--arch", "armv6"], steps)
    assert failures >= 4
    healthy(checkout, disk)
    assert (checkout.root / "artifacts/k3s-armv6").is_file()


def test_while_compilers_fill_their_caches(
    checkout: Checkout, warm: Path, proxy: Proxy, nonce: str, mount_over: list[SmallDisk]
) -> None:
    checkout.standard(text=nonce)
    go_recipe(checkout, proxy.standard(nonce)[0])
    disk = small_disk(checkout, checkout.cache, mount_over)
    lend(disk.seen, warm, own=True)
    arguments = ["build", "--arch", "armv6", "--go-proxy", proxy.url]
    steps = [64, 256, 512, 1024, 2048, 3072, 4096]
    assert until_it_fits(checkout, disk, arguments, steps) >= 3
    healthy(checkout, disk)


def test_while_fetching(
    checkout: Checkout, proxy: Proxy, nonce: str, mount_over: list[SmallDisk]
) -> None:
    dep = proxy.standard(nonce)[1]
    big = random.Random(nonce).randbytes(300_000).hex()
    files = {"go.mod": f"module {dep.name}\n", "dep.go": DEP, "big.txt": big}
    dep = proxy.add(dep.name, dep.version, files)
    go_recipe(checkout, proxy.program(dep, nonce))
    disk = small_disk(checkout, checkout.cache, mount_over)
    arguments = ["fetch", "--arch", "armv6", "--go-proxy", proxy.url]
    steps = [0, 4, 16, 64, 128, 256, 384, 512, 640, 768, 896, 1024]
    assert until_it_fits(checkout, disk, arguments, steps) >= 5
    healthy(checkout, disk)


def test_while_bundling(checkout: Checkout, nonce: str, mount_over: list[SmallDisk]) -> None:
    checkout.standard(text=nonce)
    assert checkout.cli("build", "--arch", "armv6").code == 0
    artifacts = checkout.root / "artifacts"
    whole = (artifacts / "k3s-armv6").read_bytes()
    for path in artifacts.iterdir():
        path.unlink()
    disk = small_disk(checkout, artifacts, mount_over)
    steps = [0, 4, 8, 16, 24, 28, 32, 36, 40, 44, 48, 64]
    assert until_it_fits(checkout, disk, ["build", "--arch", "armv6"], steps) >= 4
    assert (disk.seen / "k3s-armv6").read_bytes() == whole
    assert list(disk.seen.glob(".*")) == []
    healthy(checkout, disk)
