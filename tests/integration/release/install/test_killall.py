"""Whom killall kills, and what it does not wait for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ..server import Server
from .installing import MARKS, Make
from .removing import DATA, HASH, KILLALL, REMOVERS, with_programs

pytestmark = MARKS

# What a pod may call itself: a line that says "PID $2 is a child of the shim $3".
NAMED = """\
import ctypes, sys, time
name = b"\\n%d (x) S 1 " % int(sys.argv[1])
assert ctypes.CDLL(None).prctl(15, name[:15], 0, 0, 0) == 0
open("/named", "w").write("x")
time.sleep(300)
"""

POD = f"""\
folder={DATA}/data/{HASH}/bin
mkdir -p $folder
cp /usr/bin/dash $folder/containerd-shim-runc-v2
sleep 300 &
other=$!
$folder/containerd-shim-runc-v2 -c "$1 -c '$2' $other & wait" &
shim=$!
for try in 1 2 3 4 5 6 7 8 9; do [ -s /named ] || sleep 1; done
cat /proc/[0-9]*/stat | grep -c "^$other (x"
sh {KILLALL} || exit
! kill -0 $shim 2>/dev/null || echo "shim lives: $(cat /proc/$shim/status | sed -n 3p)"
kill -0 $other && echo other lives
kill $other
"""


@pytest.mark.parametrize("shell", REMOVERS)
def test_name_of_a_process_puts_no_other_on_the_list(
    make: Make, server: Server, shell: str
) -> None:
    machine = with_programs(make, server, shell)
    (machine.root / "named.py").write_text(NAMED)
    pod = POD.replace("$1 -c '$2' $other", "/usr/bin/python3 /named.py $other")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("a pod's process is written in Python")
    done = machine.run("sh", "-c", pod)
    assert done.stdout == "1\nother lives\n", done.stderr


REUSED = """\
sed -e '/^exit "$status"$/d' -e '/^end_pods$/,$d' {killall} >/library
. /library
sleep 300 & pid=$!
look_at $pid
kill_lines "$pid $((began - 1))"
kill -0 $pid && echo another process lives
kill_lines "$pid $began"
wait $pid
echo $?
"""


@pytest.mark.parametrize("shell", REMOVERS)
def test_number_that_is_another_process_by_now(make: Make, server: Server, shell: str) -> None:
    machine = with_programs(make, server, shell)
    done = machine.run("sh", "-c", REUSED.replace("{killall}", KILLALL))
    assert done.stdout.splitlines()[-2:] == ["another process lives", "137"], done.stderr


# Opens the device, mounts it and reads its requests, which it never answers; as a volume whose
# server is away. $1: device, $2: kind, $3...: where.
SILENT = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for place in sys.argv[3:]:
    fd = os.open(sys.argv[1], os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    name = os.fsencode(place)
    if libc.mount(b"silent", name, sys.argv[2].encode(), 0, options):
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    os.set_inheritable(fd, True)
    if not os.fork():
        while True:
            os.read(fd, 1 << 17)
"""

HUNG = f"""\
volume=/var/lib/kubelet/pods/u/volumes
mkdir -p "$volume/my nfs" $volume/second $volume/local {DATA}/storage/pvc-1_a_b
set -- "$volume/my nfs" $volume/second {DATA}/storage/pvc-1_a_b
/usr/bin/python3 /silent.py /fuse fuse "$@" || exit 98
mount -t tmpfs none $volume/local || exit 97
sh $script
echo $?
grep -c -e /var/lib/kubelet -e /run/k3s /proc/self/mountinfo
"""


@pytest.mark.parametrize("shell", REMOVERS)
@pytest.mark.parametrize("name", ["killall", "uninstall"])
def test_server_that_is_away_holds_nothing_up(
    make: Make, server: Server, shell: str, name: str
) -> None:
    if os.geteuid() or not Path("/dev/fuse").exists():
        pytest.skip("requires root and /dev/fuse")
    machine = with_programs(make, server, shell)
    device = Path("/dev/fuse").stat().st_rdev
    os.mknod(machine.root / "fuse", stat.S_IFCHR | 0o666, device)
    (machine.root / "fuse").chmod(0o666)
    (machine.root / "silent.py").write_text(SILENT)
    text = HUNG.replace("$script", f"/usr/local/bin/k3s-{name}.sh")
    done = machine.run("sh", "-c", text)
    if done.returncode == 98:
        pytest.skip(done.stderr)
    assert done.stdout.splitlines()[-2:] == ["0", "0"], (done.stdout, done.stderr)
    if name == "uninstall":
        assert f"stays: {DATA}/storage/pvc-1_a_b (mounted)\n" in done.stdout
