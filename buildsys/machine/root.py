"""The guest's root: an initramfs that finds the disk, and the tree that becomes the disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from buildsys.machine import initramfs
from buildsys.machine.kernel import Kernel
from buildsys.model import MachineTable

GUEST = Path(__file__).parent / "guest"

_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    # QEMU's user network answers there.
    "resolv.conf": "nameserver 10.0.2.3\n",
    "nsswitch.conf": "hosts: files dns\n",
}

_FOLDERS = (
    "bin",
    "sbin",
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "root",
    "etc",
    "var/log",
    "usr/local/bin",
)

_LINKS = {"bin/sh": "busybox", "var/run": "/run", "etc/mtab": "/proc/mounts"}

K3S_LINKS = ("kubectl", "crictl", "ctr")
"""As upstream's install.sh makes them."""


def boot_archive(machine: MachineTable, kernel: Kernel, busybox: bytes) -> bytes:
    """The initramfs: busybox, the modules that the disk needs, in an order that loads."""
    names = _closed(machine.boot_modules, kernel)
    return initramfs.archive(
        [
            *(initramfs.folder(name) for name in ("bin", "dev", "proc", "disk", "modules")),
            # The kernel opens it for the first program before /dev is mounted.
            initramfs.character("dev/console", 5, 1),
            initramfs.file("bin/busybox", busybox, 0o755),
            initramfs.file("init", (GUEST / "init").read_bytes(), 0o755),
            initramfs.file("boot-modules", "".join(f"{name}\n" for name in names).encode()),
            *(initramfs.file(f"modules/{name}.ko", kernel.modules[name]) for name in names),
        ]
    )


def _closed(names: tuple[str, ...], kernel: Kernel) -> list[str]:
    """`names` and all they need, what is needed first; built-in ones are not in the kernel's."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        if name in kernel.modules and name not in ordered:
            for need in kernel.needs[name]:
                add(need)
            ordered[name] = None

    for name in names:
        add(name)
    return list(ordered)


def write_tree(
    folder: Path,
    name: str,
    machine: MachineTable,
    kernel: Kernel,
    busybox: Path,
    executable: Path,
    files: Mapping[str, bytes],
) -> None:
    """Lay out the disk's tree in `folder`: a bare system, the executable, a scenario's `files`.

    `name` is the board's.
    """
    for path in _FOLDERS:
        (folder / path).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    shutil.copy(busybox, folder / "bin/busybox")
    for path, text in _LINKS.items():
        (folder / path).symlink_to(text)
    for path, mode in (("agent", 0o755), ("library", 0o644)):
        shutil.copy(GUEST / path, folder / "sbin" / path)
        (folder / "sbin" / path).chmod(mode)
    program = folder / "usr/local/bin/k3s"
    shutil.copy(executable, program)
    program.chmod(0o755)
    for path in K3S_LINKS:
        (folder / "usr/local/bin" / path).symlink_to("k3s")
    etc = {**_ETC, "hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n"}
    _write(folder, {f"etc/{path}": text.encode() for path, text in etc.items()})
    modules = _closed(machine.modules, kernel)
    _write(folder, {"etc/modules": "".join(f"{name}\n" for name in modules).encode()})
    _write(folder, _module_tree(kernel))
    _write(folder, files)


def _module_tree(kernel: Kernel) -> dict[str, bytes]:
    """What modprobe reads: k3s itself asks it for what is not loaded."""
    base = f"lib/modules/{kernel.release}"
    tree = {f"{base}/kernel/{name}.ko": data for name, data in kernel.modules.items()}
    lines = []
    for name in kernel.modules:
        needed = [need for need in reversed(_closed((name,), kernel)) if need != name]
        paths = " ".join(f"kernel/{need}.ko" for need in needed)
        lines.append(f"kernel/{name}.ko: {paths}".rstrip() + "\n")
    tree[f"{base}/modules.dep"] = "".join(lines).encode()
    return tree


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if data.startswith(b"\x7fELF") else 0o644)
