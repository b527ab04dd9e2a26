"""A board in the making: kernel package, initramfs, the disk's tree, QEMU's command line."""

from __future__ import annotations

import lzma
import stat
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from buildsys.errors import CommandError, CorruptError, MissingToolError
from buildsys.load import load_project
from buildsys.machine import initramfs
from buildsys.machine.board import fdtput, keep_disk, renew_disk
from buildsys.machine.kernel import Kernel, read_kernel
from buildsys.machine.qemu import Files, Plug, command_line, kernel_line
from buildsys.machine.root import boot_archive, write_tree
from buildsys.model import MachineTable

from .conftest import CHECKOUT

pytestmark = pytest.mark.unit

TARGETS = load_project(CHECKOUT).targets
MACHINES = {name: t.machine for name, t in TARGETS.items() if t.machine}


def machine(name: str) -> MachineTable:
    found = MACHINES[name]
    assert found
    return found


def module(depends: str) -> bytes:
    return b"\x7fELF...\0license=GPL\0depends=" + depends.encode() + b"\0name=x\0"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel's package with modules that need each other, as Debian packs them."""
    root = tmp_path_factory.mktemp("kernel")
    base = "usr/lib/modules/6.12-test"
    files = {
        "boot/vmlinuz-6.12-test": b"kernel",
        "usr/lib/board.dtb": b"tree",
        f"{base}/modules.builtin": b"kernel/lib/libcrc32c.ko\nkernel/fs/fuse/fuse.ko\n",
        f"{base}/kernel/fs/ext4/ext4.ko.xz": lzma.compress(module("jbd2,mbcache,libcrc32c")),
        f"{base}/kernel/fs/jbd2/jbd2.ko.xz": lzma.compress(module("")),
        f"{base}/kernel/fs/mbcache.ko": module(""),
        f"{base}/kernel/net/xt-mark.ko.xz": lzma.compress(module("")),
    }
    for name, data in files.items():
        path = root / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    control = root / "tree/DEBIAN/control"
    control.parent.mkdir()
    control.write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n")
    argv = ["dpkg-deb", "--root-owner-group", "-b", str(root / "tree"), str(root / "x.deb")]
    subprocess.run(argv, check=True, capture_output=True)
    return root / "x.deb"


def table(**more: object) -> MachineTable:
    base = machine("armv6")
    paths = {"image": "boot/vmlinuz-6.12-test", "device_tree": "usr/lib/board.dtb"}
    kernel = base.kernel.model_copy(update={"package": "linux-image-6.12-test", **paths, **more})
    names = {"boot_modules": ("ext4",), "modules": ("ext4", "fuse", "xt_mark")}
    return base.model_copy(update={"kernel": kernel, **names})


def read(package: Path, wanted: tuple[str, ...], **more: object) -> Kernel:
    return read_kernel(package, table(**more).kernel, wanted)


def test_modules_come_unpacked_after_what_they_need(package: Path) -> None:
    kernel = read(package, ("ext4", "fuse", "xt_mark"))
    assert (kernel.image, kernel.device_tree, kernel.release) == (b"kernel", b"tree", "6.12-test")
    assert list(kernel.modules) == ["jbd2", "mbcache", "ext4", "xt_mark"]
    assert kernel.needs["ext4"] == ("jbd2", "mbcache")
    assert all(data.startswith(b"\x7fELF") for data in kernel.modules.values())


def test_a_module_that_the_kernel_has_not_is_named(package: Path) -> None:
    with pytest.raises(MissingToolError, match="has no module zram"):
        read(package, ("zram",))


def test_a_path_of_another_version_is_named_with_what_is_like_it(package: Path) -> None:
    with pytest.raises(CorruptError, match="has no file lib/board") as raised:
        read(package, (), device_tree="lib/board.dtb")
    assert "usr/lib/board.dtb" in raised.value.action


def test_a_cut_package_is_corrupt(package: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.deb"
    cut.write_bytes(package.read_bytes()[:-200])
    with pytest.raises(CorruptError):
        read(cut, ("ext4",))


def test_initramfs_is_what_cpio_reads(tmp_path: Path) -> None:
    nodes = [
        initramfs.folder("bin"),
        initramfs.file("bin/tool", b"12345", 0o755),
        initramfs.character("console", 5, 1),
    ]
    data = initramfs.archive(nodes)
    assert len(data) % 4 == 0
    found = {}
    while data:
        assert data[:6] == b"070701"
        numbers = [int(data[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = data[110 : 110 + name_size - 1].decode()
        begin = (110 + name_size + 3) // 4 * 4
        found[name] = (mode, data[begin : begin + size], numbers[9:11])
        data = data[(begin + size + 3) // 4 * 4 :]
    assert list(found) == ["bin", "bin/tool", "console", "TRAILER!!!"]
    assert found["bin/tool"] == (stat.S_IFREG | 0o755, b"12345", [0, 0])
    assert found["console"] == (stat.S_IFCHR | 0o600, b"", [5, 1])


def test_the_first_root_loads_what_the_disk_needs_in_order(package: Path) -> None:
    kernel = read(package, ("ext4", "fuse", "xt_mark"))
    data = boot_archive(table(), kernel, b"busybox")
    assert b"jbd2\nmbcache\next4\n" in data
    assert b"modules/ext4.ko" in data
    assert b"modules/xt_mark.ko" not in data


def test_the_tree_holds_the_executable_and_what_modprobe_reads(
    package: Path, tmp_path: Path
) -> None:
    kernel = read(package, ("ext4", "fuse", "xt_mark"))
    for name in ("busybox", "k3s-armv6"):
        (tmp_path / name).write_bytes(name.encode())
    tree = tmp_path / "tree"
    files = {"scenario/pod.yaml": b"kind: Pod"}
    parts = (table(), kernel, tmp_path / "busybox", tmp_path / "k3s-armv6", files)
    write_tree(tree, "second", *parts)
    assert (tree / "etc/hosts").read_text().endswith("127.0.1.1 second\n")
    program = tree / "usr/local/bin/k3s"
    assert program.read_bytes() == b"k3s-armv6"
    assert program.stat().st_mode & 0o777 == 0o755
    assert (tree / "usr/local/bin/kubectl").readlink() == Path("k3s")
    assert (tree / "etc/modules").read_text() == "jbd2\nmbcache\next4\nxt_mark\n"
    assert (tree / "lib/modules/6.12-test/modules.dep").read_text().splitlines() == [
        "kernel/jbd2.ko:",
        "kernel/mbcache.ko:",
        "kernel/ext4.ko: kernel/mbcache.ko kernel/jbd2.ko",
        "kernel/xt_mark.ko:",
    ]
    assert (tree / "scenario/pod.yaml").read_bytes() == b"kind: Pod"


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("network", [True, False])
def test_qemu_is_told_of_every_file(name: str, network: bool) -> None:
    files, log = Files(PurePosixPath("/boards"), PurePosixPath("/sockets")), PurePosixPath("/log")
    argv = command_line(machine(name), files, log, "a b", network=network, steady=network)
    text = " ".join(argv)
    assert argv[0] == f"qemu-system-{machine(name).emulator}"
    for path in (files.kernel, files.initramfs, files.disk, files.console, files.control):
        assert str(path) in text
    assert (str(files.device_tree) in text) == bool(machine(name).kernel.device_tree)
    assert (machine(name).network in text) == network
    assert ("-icount" in argv) == (network and bool(machine(name).icount))
    assert "logfile=/log,logappend=on" in text
    assert "-no-reboot" in argv


@pytest.mark.parametrize("name", MACHINES)
def test_cards_on_a_wire_are_of_the_machine_and_apart(name: str) -> None:
    files, log = Files(PurePosixPath("/boards"), PurePosixPath("/sockets")), PurePosixPath("/log")
    plugs = [Plug(1), Plug(2)]
    for plug in plugs:
        argv = command_line(machine(name), files, log, "", network=plug, steady=True)
        assert f"tap,id=net,ifname={plug.tap},script=no,downscript=no" in argv
        assert f"{machine(name).network},netdev=net,mac={plug.mac}" in argv
        assert "user,id=net" not in argv
    assert len({plug.tap for plug in plugs}) == len({plug.mac for plug in plugs}) == 2


@pytest.mark.parametrize("name", MACHINES)
def test_the_kernel_is_told_console_disk_nonce_and_clock(name: str) -> None:
    words = kernel_line(machine(name), "second", "abc", 1700000000).split()
    assert f"console={machine(name).console}" in words
    assert f"guest.disk={machine(name).disk_node}" in words
    assert {"guest.nonce=abc", "guest.clock=1700000000", "guest.name=second"} < set(words)


def test_device_tree_edits_become_fdtput_calls() -> None:
    files = Files(PurePosixPath("/boards"), PurePosixPath("/sockets"))
    cells, strings = (fdtput(edit, files) for edit in machine("armv6").device_tree)
    node = "/soc/watchdog@7e100000"
    assert cells == ["fdtput", "-t", "x", "/boards/board.dtb", node, "reg", "7e100000", "114"]
    assert strings == ["fdtput", "-t", "s", "/boards/board.dtb", node, "reg-names", "pm"]


def test_a_kept_disk_comes_back_as_it_was(tmp_path: Path) -> None:
    files = Files(tmp_path, tmp_path)
    disk = Path(files.disk)
    disk.write_bytes(b"first")
    keep_disk(files)
    disk.write_bytes(b"used")
    renew_disk(files)
    assert disk.read_bytes() == b"first"


def test_a_disk_that_was_not_kept_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="spare"):
        renew_disk(Files(tmp_path, tmp_path))
