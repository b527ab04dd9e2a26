"""Our install.sh on machines of its own: what it chooses, installs, refuses, and takes back."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.emulator import find_emulator, is_elf
from buildsys.errors import (
    BuildsysError,
    CheckError,
    CorruptError,
    DiskFullError,
    FetchError,
    MissingToolError,
    NotWritableError,
    SmokeError,
    UnknownNameError,
)
from buildsys.load import load_project
from buildsys.sandbox import can_isolate

from .flat import K3S, MACHINES, NEXT, TAG, Published, Site, cut, program, version
from .machine import Machine
from .server import Answer, Server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not can_isolate(), reason="no user namespaces"),
]

SCRIPT = ROOT / "buildsys/release/install.sh"
TOOLSETS = ("dash+curl", "dash+wget", "busybox")
OLD = b"#!/bin/sh\necho old\n"

Make = Callable[..., Machine]
Done = subprocess.CompletedProcess[str]


@cache
def busybox() -> Path:
    """The project's own, for this machine."""
    app = App(Settings())
    outcome = app.build(app.plan(["amd64"], ["busybox"])).outcomes["busybox-amd64"]
    assert outcome.result, outcome.error
    return outcome.result.artifact.folder / "files/bin/busybox"


@pytest.fixture
def public(tmp_path: Path) -> Published:
    made = Published(tmp_path / "public")
    made.release()
    return made


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A machine that is an x86-64 of 64 bits, unless it is told otherwise."""

    def made(tools: str = "busybox", init: str = "systemd", disk: str = "") -> Machine:
        machine = Machine(tmp_path / f"{tools}-{init}", tools, busybox(), init, disk)
        machine.is_a("x86_64")
        return machine

    return made


@pytest.fixture(params=TOOLSETS)
def machine(request: pytest.FixtureRequest, make: Make) -> Machine:
    """Each shell and downloader in turn."""
    return make(str(request.param))


def install(machine: Machine, server: Server | None, *arguments: str, **variables: str) -> Done:
    """Pipe the script into a shell, as people do."""
    place = {"GITHUB_URL": server.url} if server else {}
    given = SCRIPT.read_bytes()
    return machine.run("sh", "-s", "-", *arguments, given=given, variables={**place, **variables})


def installed(machine: Machine, server: Server | None, *arguments: str, **variables: str) -> Done:
    done = install(machine, server, *arguments, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def with_old(machine: Machine) -> Machine:
    machine.k3s.write_bytes(OLD)
    machine.k3s.chmod(0o755)
    return machine


def everything(machine: Machine) -> dict[str, str]:
    """What lies on the machine beside its system, with its content."""
    system = ("bin", "lib", "usr/bin", "usr/lib", "usr/share", "usr/sbin", "fake", "tools", "proc")
    found = {}
    for path in sorted(machine.root.rglob("*")):
        name = path.relative_to(machine.root).as_posix()
        if not name.startswith((*system, "etc/alternatives", "calls", "formats", "cpuinfo")):
            content = path.read_text("latin-1") if path.is_file() else "folder"
            found[name] = str(path.readlink()) if path.is_symlink() else content
    return found


def refused(done: Done, error: type[BuildsysError], *words: str) -> None:
    """It ended with the code of the error, and said what, and what to do."""
    text = done.stdout + done.stderr
    assert done.returncode == error.exit_code, text
    assert "\nnext: " in done.stderr
    for word in words:
        assert word in done.stderr, text


# ---- the script itself ----


def test_shellcheck() -> None:
    done = subprocess.run(["shellcheck", "-s", "sh", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("init", ["systemd", "openrc"])
def test_shellcheck_of_what_it_writes(make: Make, server: Server, init: str) -> None:
    machine = make(init=init)
    installed(machine, server)
    names = [str(machine.bin / f"k3s-{name}.sh") for name in ("killall", "rollback", "uninstall")]
    # Values of the machine: not used by each of them, and ls of names that we gave.
    argv = ["shellcheck", "-s", "sh", "-e", "SC2034,SC2012,SC2317", *names]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_exit_codes_are_those_of_the_errors() -> None:
    codes = dict(re.findall(r"(\w+)=(\d+)", SCRIPT.read_text().partition("say() {")[0]))
    errors: dict[str, type[BuildsysError]] = {
        "unknown_name": UnknownNameError,
        "fetch_failed": FetchError,
        "disk_full": DiskFullError,
        "corrupt": CorruptError,
        "wrong_machine": CheckError,
        "start_failed": SmokeError,
        "missing_tool": MissingToolError,
        "not_writable": NotWritableError,
    }
    assert {n: int(c) for n, c in codes.items()} == {n: e.exit_code for n, e in errors.items()}


def test_script_that_was_cut_runs_nothing(make: Make, server: Server) -> None:
    machine = with_old(make())
    before = everything(machine)
    text = SCRIPT.read_bytes()
    for part in range(1, 20):
        given = text[: len(text) * part // 20]
        machine.run("sh", "-s", "-", given=given, variables={"GITHUB_URL": server.url})
        assert everything(machine) == before
    assert not server.requests


# ---- what is chosen ----

ARM11 = "half thumb fastmult vfp edsp java tls"
CORTEX_A = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt"


@pytest.mark.parametrize(
    ("name", "bits", "features", "target"),
    [
        ("armv6l", 32, ARM11, "armv6"),
        ("armv7l", 32, CORTEX_A, "armv7"),
        ("armv7l", 32, ARM11, "armv6"),
        ("armv8l", 32, "", "armv7"),
        ("aarch64", 64, "fp asimd", "arm64"),
        ("aarch64", 32, "fp asimd", "armv7"),
        ("x86_64", 64, "", "amd64"),
        ("x86_64", 32, "", "386"),
        ("i686", 32, "", "386"),
        ("riscv64", 64, "", "riscv64"),
    ],
)
@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_what_runs_there_is_installed(
    make: Make, server: Server, tools: str, name: str, bits: int, features: str, target: str
) -> None:
    machine = make(tools)
    machine.is_a(name, bits, features)
    installed(machine, server)
    assert machine.k3s.read_bytes() == program(target, version(target))
    assert os.access(machine.k3s, os.X_OK)


@pytest.mark.parametrize(
    ("name", "bits", "there", "target"),
    [
        ("armv7l", 32, ("armv6", "amd64"), "armv6"),
        ("aarch64", 32, ("armv6", "arm64"), "armv6"),
        ("aarch64", 32, ("arm64",), "arm64"),
        ("x86_64", 32, ("amd64",), "amd64"),
    ],
)
def test_next_best_of_a_release_with_fewer_targets(
    make: Make,
    public: Published,
    server: Server,
    name: str,
    bits: int,
    there: tuple[str, ...],
    target: str,
) -> None:
    public.release(NEXT, *there)
    machine = make()
    machine.is_a(name, bits, CORTEX_A if name == "armv7l" else "")
    installed(machine, server)
    assert machine.k3s.read_bytes() == program(target, version(target, NEXT))


@pytest.mark.parametrize(
    ("name", "features", "there"),
    [
        ("armv5tel", "swp half thumb fastmult edsp", tuple(MACHINES)),
        ("armv6l", "swp half thumb fastmult edsp java", tuple(MACHINES)),
        ("armv6l", ARM11, ("armv7", "amd64")),
        ("aarch64", "fp asimd", ("armv6", "armv7")),
        ("mips", "", tuple(MACHINES)),
    ],
)
def test_what_would_die_is_refused(
    make: Make,
    public: Published,
    server: Server,
    name: str,
    features: str,
    there: tuple[str, ...],
) -> None:
    public.release(NEXT, *there)
    machine = with_old(make())
    machine.is_a(name, 64 if name == "aarch64" else 32, features)
    before = everything(machine)
    done = install(machine, server)
    refused(done, CheckError, f"no k3s of {NEXT} runs on this machine: {name}", there[0])
    assert everything(machine) == before


def test_userland_is_told_by_its_programs_where_nothing_else_tells(
    make: Make, server: Server
) -> None:
    """busybox has no getconf: od reads its own header. Here it is told of another one."""
    machine = make()
    machine.is_a("aarch64", 64, "fp asimd")
    (machine.root / "fake/getconf").unlink()
    installed(machine, server)
    assert machine.k3s.read_bytes() == program("arm64", version("arm64"))
    real = 'exec /bin/busybox od "$@"'
    machine.fake("od", f'#!/bin/sh\ncase "$*" in */proc/self/exe) echo 1 ;; *) {real} ;; esac\n')
    installed(machine, server)
    assert machine.k3s.read_bytes() == program("armv7", version("armv7"))


# ---- upgrade and rollback ----


def test_upgrade_keeps_the_one_before_and_rollback_takes_it_back(
    machine: Machine, public: Published, server: Server
) -> None:
    installed(machine, server)
    public.release(NEXT)
    done = installed(machine, server)
    assert "k3s-previous" in done.stdout
    first, second = (program("amd64", version("amd64", tag)) for tag in (TAG, NEXT))
    previous = machine.bin / "k3s-previous"
    assert (machine.k3s.read_bytes(), previous.read_bytes()) == (second, first)
    for now, other in ((first, second), (second, first)):
        done = machine.run("/usr/local/bin/k3s-rollback.sh")
        assert done.returncode == 0, done.stderr
        assert (machine.k3s.read_bytes(), previous.read_bytes()) == (now, other)
        assert machine.calls[-1] == "systemctl restart k3s"


def test_rollback_without_one_before(make: Make, server: Server) -> None:
    machine = make()
    installed(machine, server)
    done = machine.run("/usr/local/bin/k3s-rollback.sh")
    assert done.returncode == 26
    assert "there is no /usr/local/bin/k3s-previous" in done.stderr


def test_second_run_changes_nothing_and_restarts_nothing(machine: Machine, server: Server) -> None:
    installed(machine, server, K3S_TOKEN="secret")
    before, calls = everything(machine), machine.calls
    done = installed(machine, server)
    assert everything(machine) == before
    assert "is that already" in done.stdout
    assert machine.calls[len(calls) :] == ["systemctl daemon-reload", "systemctl enable k3s"]
    installed(machine, server, INSTALL_K3S_FORCE_RESTART="true")
    assert machine.calls[-1] == "systemctl restart k3s"


# ---- bad downloads: a named error, and the old one stays ----

NAME = "k3s-amd64"
RIGHT = program("amd64", version("amd64"))
PAGE = b"<!DOCTYPE html>\n<html><body>Log in to the hotel's network</body></html>\n"
Fault = Callable[[Server, Published], None]


def answers(end: str, *given: Answer) -> Fault:
    return lambda server, _: server.faults.plan("GET", end, *given)


def always(end: str, answer: Answer) -> Fault:
    return answers(end, *[answer] * 8)


def sums_cut(lines: int, characters: int) -> Fault:
    """The sum file without its last lines and characters, as a whole answer."""

    def fault(server: Server, public: Published) -> None:
        text = (public.flat() / "sha256sums.txt").read_bytes().splitlines(keepends=True)
        kept = b"".join(text[: len(text) - lines])
        body = kept[: len(kept) - characters]
        server.faults.plan("GET", "/sha256sums.txt", Answer(200, body))

    return fault


def record_cut(server: Server, public: Published) -> None:
    body = (public.flat() / "release.json").read_bytes()[:-200]
    server.faults.plan("GET", "/release.json", Answer(200, body))


def released(**programs: bytes) -> Fault:
    """A release whose sums are right, of other programs."""
    return lambda _, public: public.release(TAG, programs=programs)


FAULTS: dict[str, tuple[Fault, type[BuildsysError], str]] = {
    "cut": (always(f"/{NAME}", cut(RIGHT, 0)), FetchError, "the connection broke while receiving"),
    "cut sums": (
        always("/sha256sums.txt", cut(b"x" * 500, 100)),
        FetchError,
        "the connection broke while receiving",
    ),
    "changed": (
        answers(f"/{NAME}", Answer(200, RIGHT.replace(b"k3s", b"k8s"))),
        CorruptError,
        "it has the sha256",
    ),
    "shorter": (answers(f"/{NAME}", Answer(200, RIGHT[:-5])), CorruptError, "bytes came"),
    "longer": (answers(f"/{NAME}", Answer(200, RIGHT + b"x")), CorruptError, "bytes came"),
    "sums cut in a line": (sums_cut(0, 20), CorruptError, "sha256sums.txt is not whole"),
    "sums cut in a name": (sums_cut(0, 2), CorruptError, "sha256sums.txt is not whole"),
    "sums cut between lines": (sums_cut(1, 0), CorruptError, "sha256sums.txt is not whole"),
    "sums empty": (sums_cut(99, 0), CorruptError, "sha256sums.txt is not whole"),
    "record cut": (record_cut, CorruptError, "release.json is not whole"),
    "other architecture": (
        released(amd64=program("arm64", version("arm64"))),
        CheckError,
        "k3s-amd64 of v1.35.0+k3s-04e8f1b5.1 is no program for amd64",
    ),
    "no program": (released(amd64=b"text"), CheckError, "is no program for amd64"),
    "CPU too old": (
        released(amd64=program("amd64", "this k3s is for ARMv7").replace(b"exit 0", b"exit 78")),
        CheckError,
        "does not start here (exit code 78)",
    ),
    "other version": (
        released(amd64=program("amd64", "k3s version v1.34.1+k3s1 (x)")),
        CheckError,
        "does not start here",
    ),
    "page": (answers(f"/{NAME}", Answer(200, PAGE)), CorruptError, "is a web page"),
    "page for sums": (answers("/sha256sums.txt", Answer(200, PAGE)), FetchError, "is a web page"),
    "page for record": (answers("/release.json", Answer(200, PAGE)), FetchError, "is a web page"),
    "page for channels": (answers("channels.json", Answer(200, PAGE)), FetchError, "is a web page"),
    "channels cut": (answers("channels.json", Answer(200, b'{"d')), CorruptError, "channels file"),
    "not there": (always(f"/{NAME}", Answer(404)), FetchError, "there is no http"),
    "refused": (always("/sha256sums.txt", Answer(403)), FetchError, "there is no http"),
    "server fails": (
        always(f"/{NAME}", Answer(503)),
        FetchError,
        "the connection broke while receiving",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_download_leaves_the_old_version(
    machine: Machine, public: Published, server: Server, name: str
) -> None:
    fault, error, words = FAULTS[name]
    with_old(machine)
    before = everything(machine)
    fault(server, public)
    done = install(machine, server)
    refused(done, error, words)
    now = {k: v for k, v in everything(machine).items() if not k.endswith(".part")}
    assert now == before
    assert machine.calls == []
    # The place is mended: the same again.
    server.faults.planned.clear()
    public.release()
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert (machine.bin / "k3s-previous").read_bytes() == OLD
    assert not list(machine.bin.glob(".k3s*"))


def test_download_that_was_cut_goes_on(machine: Machine, site: Site, server: Server) -> None:
    half = len(RIGHT) // 2
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, half))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert [begin for path, begin in site.served if path.endswith(NAME)] == [half]


def test_next_run_goes_on(machine: Machine, site: Site, server: Server) -> None:
    half = len(RIGHT) // 2
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, half), *[Answer(503)] * 8)
    refused(install(machine, server), FetchError, "it goes on where it stopped")
    server.faults.planned.clear()
    installed(machine, server)
    assert [begin for path, begin in site.served if path.endswith(NAME)] == [half]
    assert machine.k3s.read_bytes() == RIGHT


def test_server_that_knows_no_ranges(machine: Machine, site: Site, server: Server) -> None:
    site.ranges = False
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, len(RIGHT) // 2))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT


def test_beginning_that_was_wrong_is_received_anew(
    machine: Machine, site: Site, server: Server
) -> None:
    server.faults.plan("GET", f"/{NAME}", cut(b"y" * len(RIGHT), len(RIGHT) // 2))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert [begin for path, begin in site.served if path.endswith(NAME)][-1] == 0


@pytest.mark.parametrize("blind", [False, True], ids=["seen before", "while writing"])
@pytest.mark.parametrize("tools", TOOLSETS)
def test_disk_full(make: Make, public: Published, server: Server, tools: str, blind: bool) -> None:
    public.release(TAG, programs={"amd64": program("amd64", version("amd64"), 2_000_000)})
    machine = with_old(make(tools, disk="1024"))
    if blind:
        machine.fake("df", "#!/bin/sh\nexit 1\n")
    done = install(machine, server)
    refused(done, DiskFullError, "no space left in /usr/local/bin")
    assert (machine.root / "after").read_bytes() == OLD
    assert machine.read("left") == "k3s\n"
    assert bool(server.count("GET", f"/{NAME}")) == blind


def test_no_write_permission(make: Make, server: Server) -> None:
    machine = with_old(make(disk="ro"))
    before = everything(machine)
    refused(install(machine, server), NotWritableError, "/usr/local/bin cannot be written", "root")
    assert everything(machine) == before
    assert not server.requests


def test_unknown_channel(machine: Machine, server: Server) -> None:
    done = install(machine, server, INSTALL_K3S_CHANNEL="nightly")
    refused(done, UnknownNameError, "has no channel nightly", "it has: stable, latest")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"INSTALL_K3S_COMMIT": "abc"}, "no builds of a commit"),
        ({"INSTALL_K3S_VERSION": "../../etc"}, "is no version"),
        ({"INSTALL_K3S_FROM": "ftp://example.org"}, "nothing can be received from"),
        ({"INSTALL_K3S_FROM": "/nowhere"}, "there is no folder /nowhere"),
        ({"INSTALL_K3S_NAME": "a b"}, "no service can be called"),
        ({"K3S_URL": "http://10.0.0.1:6443"}, "https://SERVER:6443"),
        ({"K3S_URL": "https://10.0.0.1:6443"}, "no K3S_TOKEN"),
        ({"INSTALL_K3S_EXEC": "server 'open"}, "INSTALL_K3S_EXEC cannot be read"),
        ({"GITHUB_URL": ""}, "nobody said where from"),
    ],
)
def test_wishes_that_cannot_be(
    make: Make, server: Server, variables: dict[str, str], words: str
) -> None:
    machine = with_old(make())
    before = everything(machine)
    refused(install(machine, server, **variables), UnknownNameError, words)
    assert everything(machine) == before


# ---- https ----


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate and key of 127.0.0.1, signed by itself, in one file."""
    path = tmp_path / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = tmp_path / "key.pem"
    subprocess.run([*argv, *names, "-keyout", key, "-out", path], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def secure(site: Site, certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(site.answer, tls=context).served() as running:
        yield running


def trusting(machine: Machine, certificate: Path) -> dict[str, str]:
    """Variables with which curl and wget trust the certificate."""
    (machine.root / "etc/cert.pem").write_bytes(certificate.read_bytes())
    (machine.root / "etc/wgetrc").write_text("ca_certificate = /etc/cert.pem\n")
    return {"CURL_CA_BUNDLE": "/etc/cert.pem", "SYSTEM_WGETRC": "/etc/wgetrc"}


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
@pytest.mark.parametrize("end", [f"/{NAME}", "/sha256sums.txt", "channels.json"])
def test_redirect_to_plain_http_is_refused(
    make: Make, server: Server, secure: Server, certificate: Path, tools: str, end: str
) -> None:
    machine = with_old(make(tools))
    variables = trusting(machine, certificate)
    before = everything(machine)
    path = f"/latest/download/{end}" if end == "channels.json" else f"/download/{TAG}{end}"
    secure.faults.plan("GET", end, Answer(302, b"", {"Location": server.url + path}))
    done = install(machine, secure, **variables)
    refused(done, FetchError, "redirects to plain http")
    assert everything(machine) == before
    installed(machine, secure, **variables)
    assert machine.k3s.read_bytes() == RIGHT


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
def test_redirect_within_https_is_followed(
    make: Make, secure: Server, certificate: Path, tools: str
) -> None:
    """As GitHub does for every file."""
    machine = make(tools)
    away = Answer(302, b"", {"Location": f"{secure.url}/download/{TAG}/{NAME}"})
    secure.faults.plan("GET", f"/{NAME}", away)
    installed(machine, secure, **trusting(machine, certificate))
    assert machine.k3s.read_bytes() == RIGHT


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
def test_certificate_that_nobody_trusts(make: Make, secure: Server, tools: str) -> None:
    refused(install(make(tools), secure), FetchError, "the connection broke", "ertificate")


def test_downloader_that_trusts_everybody_is_refused(make: Make, secure: Server) -> None:
    done = install(make("busybox"), secure)
    refused(done, MissingToolError, "does not check who it talks to")


# ---- without a network ----


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_offline_from_a_folder(make: Make, public: Published, tools: str) -> None:
    images = "k3s-airgap-images-amd64.tar.zst"
    public.release(TAG, extra={images: b"images", "install.sh": SCRIPT.read_bytes()})
    machine = make(tools)
    for name in ("wget", "curl"):
        for folder in ("bin", "tools"):
            if not (machine.root / folder).is_symlink():
                (machine.root / folder / name).unlink(missing_ok=True)
    stick = machine.root / "stick"
    stick.mkdir()
    for name in ("install.sh", "release.json", "sha256sums.txt", NAME, images):
        (stick / name).write_bytes((public.flat() / name).read_bytes())
    done = machine.run("sh", "/stick/install.sh", "server")
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.k3s.read_bytes() == RIGHT
    assert machine.read(f"var/lib/rancher/k3s/agent/images/{images}") == "images"
    (stick / NAME).write_bytes(RIGHT[:-1] + b"x")
    machine.k3s.write_bytes(OLD)
    refused(install(machine, None, INSTALL_K3S_FROM="/stick"), CorruptError, "has the sha256")
    assert machine.k3s.read_bytes() == OLD


def test_folder_of_a_whole_place(make: Make, public: Published) -> None:
    machine = make()
    (machine.root / "mirror").mkdir()
    subprocess.run(["cp", "-r", public.root, machine.root / "mirror/k3s"], check=True)
    installed(machine, None, INSTALL_K3S_FROM="/mirror/k3s", INSTALL_K3S_CHANNEL="latest")
    assert machine.k3s.read_bytes() == RIGHT


# ---- upstream's variables ----


def started(machine: Machine) -> str:
    """The command line of the service."""
    unit = next((machine.root / "etc/systemd/system").glob("*.service")).read_text()
    found = re.search("^ExecStart=(.*)$", unit, re.M)
    assert found, unit
    return found[1]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("--disable=traefik", ()),
        ("server --disable=traefik", ()),
        ("server", ("--disable=traefik",)),
        ("", ("server", "--disable=traefik")),
        ("", ("--disable=traefik",)),
    ],
)
def test_command_as_upstream_puts_it_together(
    make: Make, server: Server, words: str, arguments: tuple[str, ...]
) -> None:
    machine = make()
    installed(machine, server, *arguments, INSTALL_K3S_EXEC=words)
    assert started(machine) == '"/usr/local/bin/k3s" "server" "--disable=traefik"'


ODD = ["server", "--node-label=a b", "--x=it's", '--y="q"', "--z=50%$HOME\\n"]


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_arguments_reach_systemd_as_they_are(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    installed(machine, server, *ODD, INSTALL_K3S_EXEC="--first='one word'")
    # With a flag first the command is the default one, and what follows are its arguments.
    words = ["/usr/local/bin/k3s", "server", "--first=one word", *ODD]
    # As systemd.service(5) takes them: C escapes in quotes, %% and $$ are themselves.
    escaped = [w.replace("\\", "\\\\").replace('"', '\\"') for w in words]
    doubled = [w.replace("%", "%%").replace("$", "$$") for w in escaped]
    assert started(machine) == " ".join(f'"{word}"' for word in doubled)


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
def test_openrc(make: Make, server: Server, tools: str) -> None:
    machine = make(tools, init="openrc")
    installed(machine, server, *ODD, K3S_TOKEN='it\'s "$HOME"')
    assert machine.calls == ["rc-update add k3s default", "rc-service k3s restart"]
    # As openrc-run does: it reads the script, and evaluates the arguments.
    reading = (
        '. /etc/init.d/k3s; eval "set -- $command_args"; printf "%s|" "$command" "$@" "$K3S_TOKEN"'
    )
    done = machine.run("sh", "-c", reading)
    assert done.stdout == "|".join(["/usr/local/bin/k3s", *ODD, 'it\'s "$HOME"', ""]), done.stderr
    assert os.access(machine.root / "etc/init.d/k3s", os.X_OK)


def test_agent_and_its_environment(make: Make, server: Server) -> None:
    machine = make()
    given = {"K3S_URL": "https://10.0.0.1:6443", "K3S_TOKEN": 'a"$`\\', "https_proxy": "http://p"}
    installed(machine, server, **given, no_proxy="*", OTHER="x")
    path = machine.root / "etc/systemd/system/k3s-agent.service.env"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    assert lines[0] == 'K3S_TOKEN="a\\"\\$\\`\\\\"'
    assert {line.partition("=")[0] for line in lines} == {*given, "no_proxy"}
    assert started(machine) == '"/usr/local/bin/k3s" "agent"'
    assert machine.calls[-1] == "systemctl restart k3s-agent"


@pytest.mark.parametrize(
    ("variables", "calls"),
    [
        ({"INSTALL_K3S_SKIP_ENABLE": "true"}, []),
        ({"INSTALL_K3S_SKIP_START": "true"}, ["systemctl daemon-reload", "systemctl enable k3s"]),
        (
            {"INSTALL_K3S_NAME": "lab", "INSTALL_K3S_TYPE": "exec"},
            [
                "systemctl daemon-reload",
                "systemctl enable k3s-lab",
                "systemctl restart k3s-lab",
            ],
        ),
    ],
)
def test_service(make: Make, server: Server, variables: dict[str, str], calls: list[str]) -> None:
    machine = make()
    installed(machine, server, **variables)
    assert machine.calls == calls
    name = f"k3s{'-lab' if 'INSTALL_K3S_NAME' in variables else ''}.service"
    kind = variables.get("INSTALL_K3S_TYPE", "notify")
    assert f"\nType={kind}\n" in machine.read(f"etc/systemd/system/{name}")


def test_folders(make: Make, server: Server) -> None:
    machine = make()
    folders = {"INSTALL_K3S_BIN_DIR": "/opt/k3s bin", "INSTALL_K3S_SYSTEMD_DIR": "/opt/units"}
    installed(machine, server, **folders)
    names = {path.name for path in (machine.root / "opt/k3s bin").iterdir()}
    links = {"kubectl", "crictl", "ctr"}
    scripts = {f"k3s-{name}.sh" for name in ("killall", "rollback", "uninstall")}
    assert names == {"k3s"} | links | scripts
    assert (machine.root / "opt/units/k3s.service").is_file()
    assert list((machine.root / "etc/systemd/system").iterdir()) == []
    assert list(machine.bin.iterdir()) == []
    done = machine.run("/opt/k3s bin/k3s-uninstall.sh")
    assert list((machine.root / "opt/k3s bin").iterdir()) == [], done.stderr


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("", {"kubectl": "k3s", "crictl": "mine"}),
        ("skip", {"crictl": "mine"}),
        ("force", {"kubectl": "k3s", "crictl": "k3s", "ctr": "k3s"}),
    ],
)
def test_links(make: Make, server: Server, wish: str, expected: dict[str, str]) -> None:
    """Where it says nothing, what is there already, in the folder or on PATH, stays."""
    machine = make()
    (machine.bin / "crictl").symlink_to("mine")
    machine.fake("ctr", "#!/bin/sh\n")
    installed(machine, server, INSTALL_K3S_SYMLINK=wish)
    found = {path.name: str(path.readlink()) for path in machine.bin.iterdir() if path.is_symlink()}
    assert found == expected


@pytest.mark.parametrize("variable", ["SKIP_DOWNLOAD", "BIN_DIR_READ_ONLY"])
def test_executable_that_is_there_is_taken(make: Make, server: Server, variable: str) -> None:
    machine = make(disk="ro" if variable == "BIN_DIR_READ_ONLY" else "")
    wish = {f"INSTALL_K3S_{variable}": "true"}
    refused(install(machine, server, **wish), FetchError, "there is no /usr/local/bin/k3s")
    with_old(machine)
    installed(machine, server, **wish)
    assert machine.k3s.read_bytes() == OLD
    assert not server.requests
    assert machine.calls[-1] == "systemctl restart k3s"


@pytest.mark.parametrize("tools", TOOLSETS)
def test_place_and_channel_as_upstream_says_them(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    away = Answer(302, b"", {"Location": f"/download/{TAG.text.replace('+', '%2B')}"})
    server.faults.plan("GET", "/channels/stable", away)
    server.faults.plan("GET", f"/download/{TAG}", Answer(200, b"a page"))
    variables = {
        "INSTALL_K3S_ARTIFACT_URL": f"{server.url}/download",
        "INSTALL_K3S_CHANNEL_URL": f"{server.url}/channels",
    }
    done = install(machine, None, **variables)
    assert done.returncode == 0, done.stderr
    assert machine.k3s.read_bytes() == RIGHT


def test_version_that_is_said(make: Make, public: Published, server: Server) -> None:
    public.release(NEXT)
    machine = make()
    installed(machine, server, INSTALL_K3S_VERSION=TAG.text)
    assert machine.k3s.read_bytes() == RIGHT
    installed(machine, server, INSTALL_K3S_CHANNEL="latest")
    assert machine.k3s.read_bytes() == program("amd64", version("amd64", NEXT))


def test_service_that_does_not_start_names_the_way_back(make: Make, server: Server) -> None:
    machine = with_old(make())
    machine.fake("systemctl", '#!/bin/sh\n[ "$1" != restart ]\n')
    refused(install(machine, server), SmokeError, "k3s did not start", "k3s-rollback.sh")
    assert (machine.bin / "k3s-previous").read_bytes() == OLD


def test_neither_systemd_nor_openrc(make: Make, server: Server) -> None:
    machine = make()
    (machine.root / "fake/systemctl").unlink()
    refused(install(machine, server), MissingToolError, "neither systemd nor OpenRC")


# ---- killing and removing ----


@pytest.mark.parametrize("tools", ["dash+curl", "busybox"])
@pytest.mark.parametrize("init", ["systemd", "openrc"])
def test_uninstall_leaves_nothing(make: Make, server: Server, tools: str, init: str) -> None:
    machine = make(tools, init)
    before = everything(machine)
    installed(machine, server, K3S_TOKEN="x")
    for path in ("var/lib/rancher/k3s/server/db/state.db", "var/lib/kubelet/pods/a/b", "run/k3s/c"):
        (machine.root / path).parent.mkdir(parents=True)
        (machine.root / path).write_text("x")
    done = machine.run("/usr/local/bin/k3s-uninstall.sh")
    assert done.returncode == 0, done.stderr
    left = {name for name, content in everything(machine).items() if content != "folder"}
    assert left == {name for name, content in before.items() if content != "folder"}, done.stderr
    assert not (machine.root / "var/lib/rancher").exists()
    stopped, removed = ("systemctl stop k3s", "systemctl disable k3s")
    if init == "openrc":
        stopped, removed = ("rc-service k3s stop", "rc-update delete k3s default")
    assert machine.calls.index(stopped) < machine.calls.index(removed)


def test_uninstall_of_one_of_two_services(make: Make, server: Server) -> None:
    machine = make()
    installed(machine, server)
    installed(machine, server, INSTALL_K3S_NAME="lab")
    done = machine.run("/usr/local/bin/k3s-lab-uninstall.sh")
    assert "there are other services: k3s" in done.stdout, done.stderr
    assert machine.k3s.read_bytes() == RIGHT
    assert [p.name for p in (machine.root / "etc/systemd/system").glob("*.service")] == [
        "k3s.service"
    ]
    machine.run("/usr/local/bin/k3s-uninstall.sh")
    assert list(machine.bin.iterdir()) == []


# A shell stands for the shim of a container, and what it starts for the container.
POD = """\
folder=/var/lib/rancher/k3s/data/abc/bin
mkdir -p $folder
cp /usr/bin/dash $folder/containerd-shim-runc-v2
$folder/containerd-shim-runc-v2 -c '/usr/bin/sleep 300 & echo $! >/child; wait' &
shim=$!
/usr/bin/sleep 300 &
other=$!
for try in $(seq 100); do [ -s /child ] || /usr/bin/sleep 0.1; done
/usr/local/bin/k3s-killall.sh
wait $shim
kill -0 $(cat /child) 2>/dev/null && echo child lives
kill -0 $other && echo other lives
kill $other
"""


def test_killall_ends_pods_and_nothing_else(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    installed(machine, server)
    done = machine.run("sh", "-c", POD)
    assert done.stdout == "other lives\n", done.stderr


# ---- the real ones ----


def real(tmp_path: Path, target: str) -> Published:
    """A release of the executable that was built."""
    path = ROOT / f"artifacts/k3s-{target}"
    if not path.is_file():
        pytest.skip(f"artifacts/k3s-{target} is not built")
    made = Published(tmp_path / "real")
    made.release(TAG, target, programs={target: path.read_bytes()})
    return made


@pytest.mark.parametrize("tools", TOOLSETS)
def test_real_executable_is_installed_and_runs(make: Make, tmp_path: Path, tools: str) -> None:
    place = real(tmp_path, "amd64")
    machine = with_old(make(tools))
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server)
    said = machine.run("k3s", "--version")
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
    assert machine.k3s.stat().st_size == (ROOT / "artifacts/k3s-amd64").stat().st_size


def test_real_armv6_is_installed_and_runs_under_its_cpu(make: Make, tmp_path: Path) -> None:
    target = load_project(ROOT).targets["armv6"]
    try:
        emulator = find_emulator(target)
    except MissingToolError:
        pytest.skip("no emulator of armv6: invoke doctor")
    place = real(tmp_path, "armv6")
    executable = ROOT / "artifacts/k3s-armv6"
    assert is_elf(executable)
    machine = make()
    machine.is_a("armv6l", 32, ARM11)
    machine.formats(emulator.registration("arm", executable).decode())
    with Server(Site(place.root).answer).served() as server:
        installed(machine, server, QEMU_CPU=emulator.cpu)
    said = machine.run("k3s", "--version", variables={"QEMU_CPU": emulator.cpu})
    assert said.stdout.startswith(f"k3s version {K3S} "), said.stderr
