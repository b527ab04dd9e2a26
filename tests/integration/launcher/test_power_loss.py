"""The real k3s after a first start that a power loss cut: it starts, with its old cluster or anew.

For each native target of K3S_TEST_IMAGE_TARGETS all cuts, for an emulated one the worst. Takes some
seconds for each start, and the build of k3s on a first run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import ROOT, App
from buildsys.emulator import find_emulator, is_native
from buildsys.sandbox import can_isolate, namespaces
from buildsys.verify.scenario import Scenario
from buildsys.verify.smoke import READY_SECONDS
from tests.chosen import TARGETS

from .cut import BOOTSTRAP, MODULE, Cut, Cuts, Outcome, outcome
from .pack import INNER_NAMES, Pack

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]

TLS = ("server/tls/**/*.crt", "server/tls/**/*.key", "server/tls/dynamic-cert.json")
CREDENTIALS = ("server/cred/*.kubeconfig", "server/cred/ipsec.psk")
PASSWORD = "server/cred/passwd"
TOKEN = "server/token"
NOT_YET = ("server/db", TOKEN, "server/node-token", "server/agent-token", "server/manifests")
"""What is written last: gone in a cut before the datastore had anything."""

ALL_NEW = Cut("everything, before the datastore", (*TLS, *CREDENTIALS, PASSWORD), NOT_YET)
ALL_LOST = Cut("everything, with the datastore", (*TLS, *CREDENTIALS, PASSWORD, TOKEN))
ALL_RESTORED = Cut("everything but the token, after it", (*TLS, *CREDENTIALS))

BEFORE = [
    Cut(f"{name}, before the datastore", (f"server/tls/{name}",), NOT_YET)
    for name in (
        "client-ca.crt",
        "client-ca.key",
        "server-ca.crt",
        "etcd/server-ca.crt",
        "etcd/peer-ca.key",
        "service.key",
    )
]
"""Half of a pair; or the key of the service accounts."""

AFTER = [
    ALL_RESTORED,
    Cut("the key of the loopback certificate", ("server/tls/temporary-certs/*.key",)),
    Cut("the token", (TOKEN,)),
    Cut("the password", (PASSWORD,)),
    Cut("the token and all certificates", (TOKEN, *TLS)),
    Cut("the token, not yet there, and all certificates", TLS, (TOKEN,)),
    Cut("the password and all certificates", (PASSWORD, *TLS)),
]
"""The datastore has everything: nothing may become another."""

LOST = Cut("the token and the password", (TOKEN, PASSWORD))


@dataclass(frozen=True)
class Run:
    """What the cuts of one target came to, by their names."""

    files: tuple[str, ...]
    outcomes: dict[str, Outcome]

    def of(self, cut: Cut) -> Outcome:
        if cut.name not in self.outcomes:
            pytest.skip("only the worst cut is tried under an emulator")
        return self.outcomes[cut.name]


@pytest.fixture(params=TARGETS, scope="module")
def run(request: pytest.FixtureRequest, app: App, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All cuts of a target."""
    if not can_isolate():
        pytest.skip("this machine allows no namespaces")
    target = app.project.targets[request.param]
    folder = tmp_path_factory.mktemp("power-loss")
    executable = _executable(app, target.name, folder)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "K3S_DATA_DIR": str(folder / "unpacked"),
    }
    registration, kind, cuts = "", "native", [ALL_LOST]
    if is_native(target):
        inner = str(folder / "unpacked/data/current/bin/k3s")
        control = Cut("k3s alone", ("server/tls/client-ca.crt",), NOT_YET, program=inner)
        cuts = [ALL_LOST, ALL_NEW, *BEFORE, *AFTER, LOST, control]
    else:
        emulator = find_emulator(target)
        registration = emulator.registration(f"cut-{target.name}", executable).decode()
        environment["QEMU_CPU"], kind = emulator.cpu, "emulated"
    scenario = Scenario(
        str(executable), str(folder), registration, environment, READY_SECONDS[kind]
    )
    argv = [*namespaces("net", force_user=True), sys.executable, "-m", MODULE]
    done = subprocess.run(
        argv,
        input=Cuts(scenario, tuple(cuts)).encode(),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    return Run(tuple(json.loads(first)), {o.name: o for o in map(outcome, lines)})


def _executable(app: App, target: str, folder: Path) -> Path:
    result = app.build(app.plan([target], ["launcher", "k3s"]))
    built = {
        o.result.artifact.recipe: o.result.artifact for o in result.outcomes.values() if o.result
    }
    assert {"launcher", "k3s"} <= built.keys(), [o.error for o in result.outcomes.values()]
    pack = Pack(
        {"bin/k3s": built["k3s"].path("bin/k3s").read_bytes()},
        {f"bin/{name}": "k3s" for name in INNER_NAMES},
        head={"target": target, "cpu": target},
    )
    return pack.write(built["launcher"].path("k3s-launcher"), folder / "k3s")


def healed(found: Outcome) -> None:
    assert not found.error, found.error
    assert len(found.ready_seconds) == 2
    assert found.emptied
    assert found.removed == found.emptied


@pytest.mark.parametrize("cut", [ALL_LOST, ALL_NEW], ids=lambda cut: cut.name)
def test_worst_cut_begins_anew(run: Run, cut: Cut) -> None:
    """Certificates, keys and password are empty: all are others afterwards, and fit together.

    What an ext4 has 20 to 40 s after the beginning of a first start: the datastore is there, and
    nothing that opens it.
    """
    found = run.of(cut)
    healed(found)
    assert set(found.changed) == BOOTSTRAP & set(run.files)
    assert ("server/db-lost" in found.log) == (cut == ALL_LOST)


@pytest.mark.parametrize("cut", BEFORE, ids=lambda cut: cut.name)
def test_half_a_pair_is_made_anew(run: Run, cut: Cut) -> None:
    """The server is ready, by which a client with our certificates has met it."""
    found = run.of(cut)
    healed(found)
    assert set(found.emptied) <= set(found.changed)


@pytest.mark.parametrize("cut", AFTER, ids=lambda cut: cut.name)
def test_restored_from_the_datastore(run: Run, cut: Cut) -> None:
    found = run.of(cut)
    healed(found)
    assert found.changed == ()


def test_lost_token_is_explained(run: Run) -> None:
    """Nobody can open what the datastore holds; nothing is thrown away for it."""
    found = run.of(LOST)
    assert "encrypted with different token" in found.log
    assert "give it with --token" in found.log


def test_k3s_alone_refuses(run: Run) -> None:
    """The reason for all this."""
    found = run.of(Cut("k3s alone", ()))
    assert "client-ca.crt" in found.error
