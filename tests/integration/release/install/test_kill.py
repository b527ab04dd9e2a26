"""install.sh is killed at random moments: nothing is lost, and the next run ends right."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Mapping

from ..flat import NEXT, TAG, Published, program, version
from ..machine import Machine
from ..server import Server
from .installing import MARKS, SCRIPT, Make, everything, installed

pytestmark = MARKS

SEED = "K3S_TEST_KILL_SEED"
"""Names the seed of an earlier run, to repeat its moments."""

KILLS = 40

# All of it, downloader included, dies at once, as by a power cut: the script is a group of its own.
KILLED = """\
/usr/bin/setsid sh /install.sh "$@" >/out 2>&1 &
/usr/bin/sleep "$AFTER"
kill -9 -$! 2>/dev/null && echo killed
wait $! 2>/dev/null
exit 0
"""


def killed(machine: Machine, server: Server, after: float, wish: Mapping[str, str]) -> bool:
    """Run it, and kill it so many seconds after its begin; whether it still ran."""
    variables = {"AFTER": f"{after:.3f}", "K3S_TOKEN": "secret", **wish}
    arguments = ("--from", server.url, "server", "--x=a b")
    done = machine.run("sh", "-c", KILLED, "sh", *arguments, variables=variables)
    assert done.returncode == 0, done.stderr
    return "killed" in done.stdout


def kept(machine: Machine) -> dict[str, str]:
    """All that must be the same after each run that ended."""
    ignored = re.compile(r"(out|install\.sh|usr/local/bin/k3s-previous)$")
    return {name: text for name, text in everything(machine).items() if not ignored.match(name)}


def test_random_kills(make: Make, public: Published, server: Server) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(1 << 32))
    print(f"{SEED}={seed}")
    moments = random.Random(seed)
    machine = make("dash+curl")
    (machine.root / "install.sh").write_bytes(SCRIPT.read_bytes())
    whole = [program("amd64", version("amd64", tag), 2_000_000) for tag in (TAG, NEXT)]
    wishes = [{"INSTALL_K3S_VERSION": tag.text} for tag in (TAG, NEXT)]
    for tag, content in zip((TAG, NEXT), whole, strict=True):
        public.release(tag, programs={"amd64": content})
    begin = time.monotonic()
    installed(machine, server, "server", "--x=a b", K3S_TOKEN="secret", **wishes[0])
    lasted = time.monotonic() - begin
    clean = kept(machine)
    hits = 0
    for number in range(KILLS):
        after = moments.uniform(0, lasted)
        hits += killed(machine, server, after, wishes[(number + 1) % 2])
        assert machine.k3s.read_bytes() in whole, f"kill {number}"
        assert "set -- 'server' '--x=a b' " in machine.read("etc/rancher/k3s/k3s.start")
        assert 'K3S_TOKEN="secret"' in machine.read("etc/systemd/system/k3s.service.env")
    installed(machine, server, **wishes[0])
    assert machine.k3s.read_bytes() == whole[0]
    assert kept(machine) == clean
    calls = len(machine.calls)
    done = installed(machine, server, **wishes[0])
    assert "nothing changed: k3s is not restarted" in done.stdout
    assert not any("restart" in call for call in machine.calls[calls:])
    print(f"{hits} of {KILLS} kills met a run")
    assert hits
