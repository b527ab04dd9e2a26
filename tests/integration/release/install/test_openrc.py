"""The service as Debian's own openrc-run and supervise-daemon start it."""

from __future__ import annotations

import pytest

from ..server import Server
from .installing import MARKS, Make, installed
from .openrc import with_openrc

pytestmark = MARKS

ODD = (
    "server",
    "--etcd-snapshot-schedule-cron=0 */6 * * *",
    "two  blanks",
    "a\ttab",
    "",
    "--flannel-iface",
    "",
    'it\'s "quoted" `x` $HOME \\n',
    "[a-z]* ? ~ # ; & | < > ( ) {a,b} !",
    "first line\nsecond line\n",
)

# What stands for k3s writes down what it was given, and stays.
K3S = """\
#!/bin/sh
[ "$1" != --version ] || exit 0
{ printf '%s\\0' "$@"; printf '%s\\0' "token=$K3S_TOKEN"; } >/given.new
mv /given.new /given
exec /usr/bin/sleep 300
"""

READ = """\
rc-service k3s status; echo "status $?"
for try in $(seq 300); do [ -s /given ] && break; /usr/bin/sleep 0.1; done
cat /proc/$(cat /run/k3s.pid)/comm
rm /given
rc-service k3s restart >/dev/null 2>&1; echo "restart $?"
for try in $(seq 300); do [ -s /given ] && break; /usr/bin/sleep 0.1; done
rc-service k3s stop >/dev/null 2>&1; echo "stop $?"
rc-service k3s status; echo "status $?"
ls /etc/runlevels/default
"""


@pytest.mark.parametrize("folder", ["/usr/local/bin", "/opt/my k3s [1] bin"])
def test_each_argument_arrives_as_it_was_given(make: Make, server: Server, folder: str) -> None:
    machine = with_openrc(make("dash+curl", init="openrc"))
    token = 'it\'s "$HOME" `x` \\ 100%\nand a second line'
    k3s = machine.root / folder.lstrip("/") / "k3s"
    k3s.parent.mkdir(parents=True, exist_ok=True)
    k3s.write_text(K3S)
    k3s.chmod(0o755)
    wishes = {"INSTALL_K3S_BIN_DIR": folder, "INSTALL_K3S_SKIP_DOWNLOAD": "true"}
    # Each run has a process namespace of its own: the service is started in the second.
    installed(machine, server, *ODD, K3S_TOKEN=token, **wishes, INSTALL_K3S_SKIP_START="true")
    done = machine.run("sh", "-c", "rc-service k3s start 2>&1; echo start $?\n" + READ)
    assert "start 0" in done.stdout, done.stdout + done.stderr
    for line in ("status 0", "supervise-daemo", "restart 0", "stop 0", "status 3", "k3s"):
        assert line in done.stdout.splitlines(), done.stdout + done.stderr
    given = (machine.root / "given").read_text().split("\0")[:-1]
    assert given == [*ODD, f"token={token}"]


def test_it_is_started_and_enabled_by_install_sh(make: Make, server: Server) -> None:
    machine = with_openrc(make("dash+curl", init="openrc"))
    machine.k3s.write_text(K3S)
    machine.k3s.chmod(0o755)
    done = installed(machine, server, "server", INSTALL_K3S_SKIP_DOWNLOAD="true")
    assert "starting k3s" in done.stdout
    assert (machine.root / "etc/runlevels/default/k3s").is_symlink()
    again = installed(machine, server, INSTALL_K3S_SKIP_DOWNLOAD="true")
    assert "nothing changed" in again.stdout
