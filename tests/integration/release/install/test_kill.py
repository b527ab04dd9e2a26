"""install.sh is killed at random moments: nothing is lost, and the next run ends right."""

from __future__ import annotations

import os
import random
import re

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


def killed(machine: Machine, server: Server, after: float, *arguments: str) -> bool:
    """Run it, and kill it so many seconds after its begin; whether it still ran."""
    variables = {"GITHUB_URL": server.url, "AFTER": f"{after:.3f}", "K3S_TOKEN": "secret"}
    done = machine.run("sh", "-c", KILLED, "sh", *arguments, variables=variables)
    assert done.returncode == 0, done.stderr
    return "killed" in done.stdout


def test_random_kills(make: Make, public: Published, server: Server) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(1 << 32))
    print(f"{SEED}={seed}")
    moments = random.Random(seed)
    machine = make("dash+curl")
    (machine.root / "install.sh").write_bytes(SCRIPT.read_bytes())
    programs = {tag: program("amd64", version("amd64", tag), 2_000_000) for tag in (TAG, NEXT)}
    for tag, content in programs.items():
        public.release(tag, programs={"amd64": content})
    whole = list(programs.values())
    # How long it takes here, between two versions.
    wishes = [{"INSTALL_K3S_VERSION": tag.text} for tag in (TAG, NEXT)]
    installed(machine, server, "server", "--x=a b", K3S_TOKEN="secret", **wishes[0])
    clean = everything(machine)
    hits = 0
    for number in range(KILLS):
        arguments = ("--from", server.url, "server", "--x=a b")
        public.release(
            list(programs)[(number + 1) % 2], programs={"amd64": whole[(number + 1) % 2]}
        )
        hits += killed(machine, server, moments.uniform(0.05, 1.6), *arguments)
        assert machine.k3s.read_bytes() in whole, f"{SEED}={seed}, kill {number}"
        assert "set -- 'server' '--x=a b' " in machine.read("etc/rancher/k3s/k3s.start")
        assert 'K3S_TOKEN="secret"' in machine.read("etc/systemd/system/k3s.service.env")
    public.release(TAG, programs={"amd64": whole[0]})
    installed(machine, server)
    calls = len(machine.calls)
    assert machine.k3s.read_bytes() == whole[0]
    left = everything(machine)
    ignored = re.compile(r"(out|install\.sh|usr/local/bin/k3s-previous)$")
    assert {n for n in left if not ignored.match(n)} == {n for n in clean if not ignored.match(n)}
    assert {n: c for n, c in left.items() if not ignored.match(n)} == {
        n: c for n, c in clean.items() if not ignored.match(n)
    }, f"{SEED}={seed}"
    installed(machine, server)
    assert not any("restart" in call for call in machine.calls[calls:])
    assert hits > KILLS // 4, f"only {hits} of {KILLS} kills met a run"
