"""blkid and losetup: what kubelet learns of a disk before it mounts or formats it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from . import images
from .conftest import Tool, ToolOf

pytestmark = pytest.mark.integration

QUESTION = ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export"]
"""Kubelet's (k8s.io/mount-utils, GetDiskFormat); exit code 2 means a disk that may be formatted."""

loops = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(),
    reason="loop devices want root and /dev/loop-control",
)


@pytest.fixture
def blkid(tool: ToolOf) -> Tool:
    return tool("util-linux", "bin/blkid")


@pytest.fixture
def losetup(tool: ToolOf) -> Tool:
    return tool("util-linux", "bin/losetup")


def ext4(path: Path) -> Path:
    mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin")
    if not mkfs:
        pytest.skip("mkfs.ext4 (e2fsprogs) is not installed")
    images.empty(path)
    os.truncate(path, 4 * images.MIB)
    subprocess.run([mkfs, "-q", "-L", "data", "-U", images.UUID_TEXT, path], check=True)
    return path


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (ext4, "TYPE=ext4"),
        (images.swap, "TYPE=swap"),
        (images.squashfs, "TYPE=squashfs"),
        (images.partitioned, "PTTYPE=dos"),
    ],
)
def test_what_is_on_a_disk(
    blkid: Tool, tmp_path: Path, make: Callable[[Path], Path], answer: str
) -> None:
    disk = make(tmp_path / "disk")
    assert blkid.text(*QUESTION, disk) == f"DEVNAME={disk}\n{answer}\n"


def test_an_empty_disk(blkid: Tool, tmp_path: Path) -> None:
    assert blkid.text(*QUESTION, images.empty(tmp_path / "disk"), code=2) == ""


def test_label_and_uuid(blkid: Tool, tmp_path: Path) -> None:
    disk = ext4(tmp_path / "disk")
    assert blkid.text("-p", "-s", "LABEL", "-o", "value", disk) == "data\n"
    assert blkid.text("-p", "-s", "UUID", "-o", "value", disk) == f"{images.UUID_TEXT}\n"
    assert (
        blkid.text("-p", "-s", "UUID", "-o", "value", images.swap(tmp_path / "swap"))
        == f"{images.UUID_TEXT}\n"
    )


def test_loop_devices_are_listed(losetup: Tool) -> None:
    listed = losetup.text("-l", "-n", "-O", "NAME").split()
    kernels = [path.parent.name for path in Path("/sys/block").glob("loop*/loop")]
    assert sorted(listed) == sorted(f"/dev/{name}" for name in kernels)


@loops
def test_a_file_becomes_a_device(losetup: Tool, blkid: Tool, tmp_path: Path) -> None:
    """Kubelet's calls for a block volume: attach, find by the file, detach."""
    disk = ext4(tmp_path / "disk")
    device = losetup.text("-f", "--show", disk).strip()
    try:
        assert losetup.text("-j", disk).startswith(f"{device}: ")
        assert losetup.text("-l", "-n", "-O", "BACK-FILE", device).strip() == str(disk)
        assert blkid.text(*QUESTION, device) == f"DEVNAME={device}\nTYPE=ext4\n"
        assert losetup.text("-f").strip() != device
    finally:
        losetup.run("-d", device)
    assert losetup.text("-j", disk) == ""


def test_a_file_without_a_device(losetup: Tool, tmp_path: Path) -> None:
    assert losetup.text("-j", images.empty(tmp_path / "disk")) == ""
