"""Upstream's own install.sh, unmodified, installs what was laid out, and verifies its hash."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.load import load_project
from buildsys.release.plan import plan_release
from buildsys.release.version import Tag
from buildsys.sandbox import can_isolate
from tests.chosen import TARGETS

from ...k3s_source import k3s_file
from ..flat import Site
from ..machine import Machine
from ..server import Server
from .installing import Make, as_armv6, executable_of

TAG = Tag("v1.35.0+k3s-04e8f1b5.1")


pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not can_isolate(), reason="no user namespaces"),
]

# What the script touches outside the two folders that it can be told.
NAMESPACE = """\
set -e
mount -t tmpfs none /etc/systemd/system
exec sh "$0"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install.sh of the k3s that is built."""
    path = tmp_path_factory.mktemp("upstream") / "install.sh"
    path.write_bytes(k3s_file(App(Settings()), "install.sh"))
    return path


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A release of all targets, laid out; each executable says whose it is."""
    names = [name for name, target in load_project(ROOT).targets.items() if target.release]
    return laid_out(tmp_path / "public", names, lambda name: f"#!/bin/sh\necho {name}\n".encode())


def laid_out(root: Path, targets: Iterable[str], content: Callable[[str], bytes]) -> Path:
    """A release of the targets: `content` says what is in a file of its flat release."""
    project = load_project(ROOT)
    plan = plan_release(TAG, [project.targets[name] for name in targets])
    for path, name in plan.copies.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content(name))
    for path, listed in plan.listings.items():
        names = [Path(one).name for one in listed if (root / one).is_file()]
        argv = ["sha256sum", *names]
        sums = subprocess.run(argv, cwd=(root / path).parent, check=True, capture_output=True)
        (root / path).write_bytes(sums.stdout)
    return root


@pytest.fixture
def url(public: Path) -> Iterator[str]:
    with Server(Site(public).answer).served() as server:
        yield server.url


def install(script: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `script` as root of a namespace; it installs into `folder`."""
    tools = folder / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/true", tools / "systemctl")
    (folder / "units").mkdir(exist_ok=True)
    environment = {
        "PATH": f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin",
        "INSTALL_K3S_BIN_DIR": str(tools),
        "INSTALL_K3S_SYSTEMD_DIR": str(folder / "units"),
        "INSTALL_K3S_SKIP_ENABLE": "true",
        "INSTALL_K3S_SKIP_SELINUX_RPM": "true",
        "INSTALL_K3S_SYMLINK": "skip",
        **variables,
    }
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", NAMESPACE]
    return subprocess.run(
        [*argv, str(script)], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("place", "machine", "executable"),
    [
        ("/armv6", "armv6l", "k3s-armv6"),
        ("/amd64", "x86_64", "k3s-amd64"),
        ("", "armv6l", "k3s-armv6"),
        ("", "armv7l", "k3s-armv6"),
        ("", "x86_64", "k3s-amd64"),
    ],
)
def test_installs_what_runs_there(
    url: str, script: Path, tmp_path: Path, place: str, machine: str, executable: str
) -> None:
    done = install(
        script, tmp_path, GITHUB_URL=f"{url}{place}", INSTALL_K3S_VERSION=TAG.text, ARCH=machine
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = subprocess.run([tmp_path / "tools/k3s"], capture_output=True, text=True)
    assert said.stdout == f"{executable}\n"


def test_what_changed_on_the_way_is_not_installed(
    url: str, script: Path, public: Path, tmp_path: Path
) -> None:
    path = public / f"armv6/download/{TAG}/k3s-armhf"
    path.write_text("#!/bin/sh\necho hostile\n")
    variables = {"GITHUB_URL": f"{url}/armv6", "INSTALL_K3S_VERSION": TAG.text, "ARCH": "armv6l"}
    done = install(script, tmp_path, **variables)
    assert done.returncode != 0
    assert "does not match" in done.stderr
    assert not (tmp_path / "tools/k3s").exists()


def test_version_with_its_plus_encoded_is_found_too(url: str) -> None:
    """As later scripts ask: INSTALL_K3S_ARTIFACT_URL/<version with + as %2B>/<file>."""
    version = TAG.text.replace("+", "%2B")
    asked = f"{url}/armv6/download/{version}/sha256sum-arm.txt"
    done = subprocess.run(["curl", "-sfL", asked], capture_output=True, text=True)
    assert done.stdout.endswith("  k3s-armhf\n")


# ---- the executables that were built, on machines of their own ----


@dataclass
class Real:
    """An executable that was built, laid out, and a machine for it."""

    target: str
    executable: Path
    root: Path
    script: Path
    machine: Machine
    variables: Mapping[str, str]

    def install(self) -> subprocess.CompletedProcess[str]:
        """Pipe the script into the machine's shell, as people do."""
        with Server(Site(self.root).answer).served() as server:
            variables = {
                "GITHUB_URL": f"{server.url}/{self.target}",
                "INSTALL_K3S_VERSION": TAG.text,
                "INSTALL_K3S_SKIP_START": "true",
                "INSTALL_K3S_SKIP_SELINUX_RPM": "true",
                **self.variables,
            }
            given = self.script.read_bytes()
            return self.machine.run("sh", "-s", "-", given=given, variables=variables)


@pytest.fixture(params=TARGETS)
def real(request: pytest.FixtureRequest, make: Make, script: Path, tmp_path: Path) -> Real:
    target = str(request.param)
    executable, machine = executable_of(target), make()
    variables = as_armv6(machine) if target == "armv6" else {}
    for name, line in {"passwd": "root:x:0:0::/root:/bin/sh", "group": "root:x:0:"}.items():
        (machine.root / "etc" / name).write_text(f"{line}\n")  # it says to whom files belong
    data = {executable.name: executable.read_bytes()}
    root = laid_out(tmp_path / "public", [target], lambda name: data.get(name, b""))
    return Real(target, executable, root, script, machine, variables)


@pytest.mark.slow
@pytest.mark.built
def test_real_one_is_installed_and_runs(real: Real) -> None:
    done = real.install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert filecmp.cmp(real.machine.k3s, real.executable, shallow=False)
    said = real.machine.run("k3s", "--version", variables=real.variables)
    assert said.stdout.startswith(f"k3s version {TAG.text.rpartition('.')[0]} "), said.stderr


@pytest.mark.slow
@pytest.mark.built
def test_real_one_of_which_a_byte_changed_is_not_installed(real: Real) -> None:
    (path,) = real.root.glob(f"{real.target}/**/k3s*")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = real.install()
    assert done.returncode != 0
    assert "does not match" in done.stderr
    assert not real.machine.k3s.exists()
