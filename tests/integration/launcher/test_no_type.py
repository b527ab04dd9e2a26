"""File systems whose readdir gives no type: what was unpacked is on the disk all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .pack import Pack

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk image needs root"),
    pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="needs mkfs.ext4 (e2fsprogs)"),
]

START_AND_CUT = """
set -e
mount -o loop,commit=300 "$IMAGE" "$DISK"
"$K3S" --data-dir "$DISK/k3s" kubectl >/dev/null
cp "$IMAGE" "$CUT"
umount "$DISK"
e2fsck -p "$CUT" >&2 || [ $? -eq 1 ]
mount -o loop,ro "$CUT" "$DISK"
cp -a "$DISK/k3s/data/$VERSION" "$FOUND"
umount "$DISK"
"""
"""A copy of the device, made right after the launcher ended, is what a power loss leaves."""


@pytest.mark.parametrize("feature", ["filetype", "^filetype"])
def test_a_power_loss_right_after_unpacking(
    k3s: Path, payload: Pack, tmp_path: Path, feature: str
) -> None:
    disk, image, found = tmp_path / "disk", tmp_path / "image", tmp_path / "found"
    disk.mkdir()
    made = ["mkfs.ext4", "-q", "-O", feature, str(image), "48M"]
    subprocess.run(made, check=True)
    environment = {
        "PATH": os.environ["PATH"] + ":/sbin:/usr/sbin",
        "K3S": str(k3s),
        "K3S_CONFIG_FILE": str(tmp_path / "none"),
        "IMAGE": str(image),
        "DISK": str(disk),
        "CUT": str(tmp_path / "cut"),
        "FOUND": str(found),
        "VERSION": payload.data_hash(),
    }
    command = ["unshare", "--mount", "sh", "-c", START_AND_CUT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path, data in payload.files.items():
        assert (found / path).read_bytes() == data, path
    assert {path: os.readlink(found / path) for path in payload.links} == payload.links
