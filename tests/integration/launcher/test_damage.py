"""What is unpacked and damaged since is noticed, named, and unpacked again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Call
from .pack import Pack, k3s_like
from .state import assert_linked, assert_whole, leftovers, version_dir

pytestmark = pytest.mark.integration

MARK = ".content-unchecked"


def flip(path: Path, at: int) -> None:
    """One bit, at the same size, in a file that a running program may still have."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def another_kind(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/true")


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty program": ("bin/k3s", empty, "it has 0 bytes instead of"),
    "cut program": ("bin/cni", lambda p: os.truncate(p, 3), "it has 3 bytes instead of 10"),
    "longer": ("bin/.links", lambda p: p.write_bytes(bytes(9999)), "it has 9999 bytes instead of"),
    "program gone": ("bin/k3s", Path.unlink, "it is not there"),
    "link gone": ("bin/k3s-server", Path.unlink, "it is not there"),
    "tool gone": ("bin/aux/mount", Path.unlink, "it is not there"),
    "folder gone": ("bin/aux/mount", lambda p: shutil.rmtree(p.parent), "it is not there"),
    "link for a file": ("bin/cni", another_kind, "it is another thing than was unpacked"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_noticed_by_kind_and_size(
    k3s: Path, call: Call, payload: Pack, data_dir: Path, case: str
) -> None:
    path, damage, said = DAMAGE[case]
    call(k3s, "server")
    top = version_dir(data_dir, payload)
    damage(top / path)
    result = call(k3s, "kubectl", "get", "pods")
    assert result.code == 0, result.err
    assert f"{top}/{path} is damaged: {said}" in result.err
    assert f"Unpacked {top}/{path} again" in result.err
    assert_whole(data_dir, payload)
    assert_linked(data_dir, payload)
    assert not leftovers(data_dir) and not (top / ".links-pending").exists()
    assert call(k3s, "kubectl").err == ""


def test_noticed_by_a_failed_exec(k3s: Path, call: Call, payload: Pack, data_dir: Path) -> None:
    """The size is right, the kernel refuses it."""
    call(k3s, "server")
    program = version_dir(data_dir, payload) / "bin/k3s"
    flip(program, 1)
    result = call(k3s, "server")
    assert result.code == 0, result.err
    assert f"{program} is damaged: its content is not what was unpacked" in result.err
    assert_whole(data_dir, payload)


def test_a_lost_interpreter_of_a_sound_program(
    launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    pack = k3s_like(b"#!/no/such/shell\n")
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 127
    assert "its interpreter is not on this machine" in result.err
    assert "damaged" not in result.err and "removed" not in result.err
    assert_whole(data_dir, pack)


def test_a_sound_program_of_another_machine(
    launcher_binary: Path, call: Call, tmp_path: Path, data_dir: Path
) -> None:
    """Its own words: not damaged, not for here."""
    pack = k3s_like(b"\x7fELF\x02\x01\x01" + bytes(57))
    result = call(pack.write(launcher_binary, tmp_path / "k3s"), "server")
    assert result.code == 126
    assert "this k3s is for amd64, the machine is x86_64" in result.err
    assert "download the k3s that is for this machine" in result.err
    assert "damaged" not in result.err
    assert_whole(data_dir, pack)


def test_no_right_to_execute(k3s: Path, call: Call, payload: Pack, data_dir: Path) -> None:
    """The mode is the user's to choose; it is said what it does."""
    call(k3s, "server")
    (version_dir(data_dir, payload) / "bin/k3s").chmod(0o644)
    result = call(k3s, "server")
    assert result.code == 126
    assert "chmod 755" in result.err and "noexec" not in result.err and "damaged" not in result.err


# ---- by content, once, in the boot after the one in which it was unpacked ----


def other_boot(data_dir: Path, pack: Pack) -> Path:
    """As if the machine had started again since."""
    mark = version_dir(data_dir, pack) / MARK
    assert mark.read_text() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    mark.write_text("00000000-0000-0000-0000-000000000000")
    return mark


def test_content_is_checked_once_in_the_next_boot(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    call(k3s, "server")
    mark = other_boot(data_dir, payload)
    assert call(k3s, "kubectl").err == ""
    assert "Checking every file" in call(k3s, "server").err
    assert not mark.exists()
    assert call(k3s, "server").err == ""


@pytest.mark.parametrize("path", ["bin/cni", "bin/k3s", "bin/.links"])
def test_a_flipped_bit_is_found_in_the_next_boot(
    k3s: Path, call: Call, payload: Pack, data_dir: Path, path: str
) -> None:
    call(k3s, "server")
    flip(version_dir(data_dir, payload) / path, 9)
    assert "damaged" not in call(k3s, "kubectl").err
    other_boot(data_dir, payload)
    result = call(k3s, "agent")
    assert result.code == 0
    assert f"{path} is damaged: its content is not what was unpacked" in result.err
    assert_whole(data_dir, payload)
    # what was written now has to outlive a boot, too
    assert other_boot(data_dir, payload)


def test_a_disk_that_became_read_only_is_not_read_each_time(
    k3s: Path, call: Call, payload: Pack, data_dir: Path
) -> None:
    call(k3s, "server")
    other_boot(data_dir, payload)
    inside = f'mount --bind "{data_dir}" "{data_dir}"; mount -o remount,ro,bind "{data_dir}"'
    assert call(k3s, "server", inside=inside).err == ""


# ---- while others use it ----


def test_a_running_program_keeps_its_file(
    launcher_binary: Path, call: Call, inner_program: bytes, tmp_path: Path, data_dir: Path
) -> None:
    """Replaced by a rename: the damaged file is never written to."""
    sleep = Path("/bin/sleep").read_bytes()
    pack = k3s_like(inner_program, {"bin/containerd-shim-runc-v2": sleep})
    exe = pack.write(launcher_binary, tmp_path / "k3s")
    call(exe, "server")
    shim = version_dir(data_dir, pack) / "bin/containerd-shim-runc-v2"
    running = subprocess.Popen([shim, "600"])
    try:
        inode = shim.stat().st_ino
        (version_dir(data_dir, pack) / "bin/cni").unlink()
        call(exe, "kubectl")
        assert shim.stat().st_ino == inode, "what was whole was replaced"
        shutil.copy2(shim, shim.with_name("copy"))
        os.truncate(shim.with_name("copy"), 7)
        shim.with_name("copy").rename(shim)
        call(exe, "kubectl")
        assert running.poll() is None
        assert_whole(data_dir, pack)
    finally:
        running.kill()
        running.wait()


def test_who_may_not_repair_is_told(k3s: Path, call: Call, payload: Pack, data_dir: Path) -> None:
    call(k3s, "server")
    empty(version_dir(data_dir, payload) / "bin/k3s")
    inside = f'mount --bind "{data_dir}" "{data_dir}"; mount -o remount,ro,bind "{data_dir}"'
    result = call(k3s, "server", inside=inside)
    assert result.code == 73
    assert "mounted read-only" in result.err and "damaged" in result.err


def test_no_room_to_repair(k3s: Path, call: Call, payload: Pack, data_dir: Path) -> None:
    data_dir.mkdir()
    damage = f'"$0" server >/dev/null; : >"{version_dir(data_dir, payload)}/bin/k3s"'
    fill = f'dd if=/dev/zero of="{data_dir}/filler" bs=4k 2>/dev/null'
    inside = f'mount -t tmpfs -o size=8m none "{data_dir}"; {damage}; {fill}'
    result = call(k3s, "server", inside=inside)
    assert result.code == 75, result.err
    assert "bin/k3s is damaged" in result.err
