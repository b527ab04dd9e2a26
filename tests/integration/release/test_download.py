"""`invoke download` from a server that misbehaves: what arrives, what is refused, what stays."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.download import Downloaded, Place, Request, download
from buildsys.download.http import Receiver
from buildsys.errors import (
    BuildsysError,
    CheckError,
    CorruptError,
    DiskFullError,
    FetchError,
    NotWritableError,
    UnknownNameError,
)
from buildsys.sandbox import can_isolate, namespaces

from .flat import NEXT, TAG, Published, Site, cut, program, version
from .server import Answer, Server
from .server import Request as Sent

pytestmark = pytest.mark.integration

NAME = "k3s-armv6"
RIGHT = program("armv6", version("armv6"))
OLD = b"the old one"
PAGE = b"<!DOCTYPE html>\n<html><body>Log in</body></html>\n"


@pytest.fixture
def public(tmp_path: Path) -> Published:
    made = Published(tmp_path / "public")
    made.release(TAG, extra={"install.sh": b"#!/bin/sh\n"})
    return made


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(Settings(cache=str(tmp_path / "cache")), ROOT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it goes; an older one lies there."""
    made = tmp_path / "here"
    made.mkdir()
    (made / NAME).write_bytes(OLD)
    files = {name: {"size": 1, "sha256": "0" * 64} for name in (NAME, "install.sh")}
    before = {"tag": str(TAG), "files": files, "targets": {}}
    (made / "release.json").write_text(json.dumps(before))
    return made


def got(app: App, place: str, folder: Path, version: str = "stable") -> Downloaded:
    receiver = Receiver(sleep=lambda _: None)
    return download(app, Request(Place(place, receiver), version, "armv6", folder, images=False))


def test_executable_and_what_installs_it_arrive(app: App, server: Server, folder: Path) -> None:
    done = got(app, server.url, folder)
    assert (folder / NAME).read_bytes() == RIGHT
    assert os.access(folder / NAME, os.X_OK)
    names = {path.name for path in folder.iterdir()}
    assert names == {NAME, "install.sh", "release.json", "sha256sums.txt"}
    assert {path.name for path in done.files} == names
    argv = ["sha256sum", "--strict", "--ignore-missing", "-c", "sha256sums.txt"]
    assert subprocess.run(argv, cwd=folder, capture_output=True).returncode == 0


def test_second_run_receives_no_file_again(
    app: App, site: Site, server: Server, folder: Path
) -> None:
    got(app, server.url, folder)
    before = len([path for path, _ in site.served if path.endswith((NAME, "install.sh"))])
    got(app, server.url, folder)
    after = len([path for path, _ in site.served if path.endswith((NAME, "install.sh"))])
    assert (before, after) == (2, 2)


@pytest.mark.parametrize("name", [NAME, "install.sh", "release.json", "sha256sums.txt"])
def test_a_file_of_somebody_is_not_replaced(
    app: App, server: Server, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / name).write_text("{}\n")
    with pytest.raises(NotWritableError, match=f"of no download: {folder}/{name}") as caught:
        got(app, server.url, folder)
    assert "--to" in caught.value.action
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "{}\n"


@pytest.mark.parametrize("last", ["install.sh", NAME, "release.json"])
def test_a_download_that_was_cut_between_files_goes_on(
    app: App, server: Server, tmp_path: Path, last: str
) -> None:
    folder = tmp_path / "new"
    got(app, server.url, folder)
    order = ["install.sh", NAME, "release.json", "sha256sums.txt"]
    for name in order[order.index(last) + 1 :]:
        (folder / name).unlink()
    got(app, server.url, folder)
    assert {path.name for path in folder.iterdir()} == {*order}


FAULTS: dict[str, tuple[str, list[Answer], type[BuildsysError], str]] = {
    "cut": (f"/{NAME}", [cut(RIGHT, 0)] * 4, FetchError, "the connection broke .* 4 times"),
    "changed": (f"/{NAME}", [Answer(200, RIGHT[:-1] + b"x")], CorruptError, "it has the sha256"),
    "shorter": (f"/{NAME}", [Answer(200, RIGHT[:-1])], CorruptError, "bytes came"),
    "longer": (f"/{NAME}", [Answer(200, RIGHT + b"x")], CorruptError, "bytes came"),
    "page": (f"/{NAME}", [Answer(200, PAGE)], CorruptError, "is a web page"),
    "page for sums": ("/sha256sums.txt", [Answer(200, PAGE)], FetchError, "is a web page"),
    "page for channels": ("channels.json", [Answer(200, PAGE)], FetchError, "is a web page"),
    "page by type": (
        "/release.json",
        [Answer(200, b"hello", {"Content-Type": "text/html"})],
        FetchError,
        "is a web page",
    ),
    "channels cut": ("channels.json", [Answer(200, b'{"data')], CorruptError, "no channels"),
    "sums cut": ("/sha256sums.txt", [Answer(200, b"0" * 40)], CorruptError, "is not whole"),
    "not there": (f"/{NAME}", [Answer(404)], FetchError, "there is no http.*404"),
    "fails": (f"/{NAME}", [Answer(503)] * 4, FetchError, "the server answered 503"),
    "private": (f"/{NAME}", [Answer(401)], FetchError, "is for those who log in: 401"),
    "refused": (f"/{NAME}", [Answer(403)], FetchError, "the server refuses http.*403"),
    "proxy": (f"/{NAME}", [Answer(407)], FetchError, "the proxy wants a login.*407"),
    "odd": (f"/{NAME}", [Answer(418)], FetchError, "the server refuses http.*418"),
    "limited for long": (
        f"/{NAME}",
        [Answer(429, b"", {"Retry-After": "3600"})],
        FetchError,
        "the server answered 429 .*\n.*in 3600 seconds",
    ),
    "limited": ("/release.json", [Answer(429)] * 4, FetchError, "the server answered 429"),
    "round and round": (
        f"/{NAME}",
        [Answer(302, b"", {"Location": f"/{NAME}"})] * 40,
        FetchError,
        "redirects",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_download_leaves_the_old_version(
    app: App, server: Server, folder: Path, name: str
) -> None:
    end, answers, error, words = FAULTS[name]
    server.faults.plan("GET", end, *answers)
    with pytest.raises(error, match=words) as caught:
        got(app, server.url, folder)
    assert type(caught.value) is error
    assert "next: " in str(caught.value)
    assert (folder / NAME).read_bytes() == OLD
    assert json.loads((folder / "release.json").read_text())["targets"] == {}
    server.faults.planned.clear()
    got(app, server.url, folder)
    assert (folder / NAME).read_bytes() == RIGHT
    assert not list(folder.glob(".*"))


def test_executable_of_another_architecture(
    app: App, public: Published, server: Server, folder: Path
) -> None:
    public.release(TAG, programs={"armv6": program("amd64", version("amd64"))})
    with pytest.raises(CheckError, match="k3s-armv6 is no program for armv6: x86_64, arm is right"):
        got(app, server.url, folder)
    public.release(TAG, programs={"armv6": b"text"})
    with pytest.raises(CheckError, match="no ELF file"):
        got(app, server.url, folder)
    assert (folder / NAME).read_bytes() == OLD


def test_download_that_was_cut_goes_on(app: App, site: Site, server: Server, folder: Path) -> None:
    half = len(RIGHT) // 2
    tag = site.answer(_get(f"/download/{TAG}/{NAME}")).headers["ETag"]
    site.served.clear()
    server.faults.plan("GET", f"/{NAME}", cut(RIGHT, half, ETag=tag), *[Answer(503)] * 3)
    with pytest.raises(FetchError, match="goes on where it stopped"):
        got(app, server.url, folder)
    got(app, server.url, folder)
    [begin] = [begin for path, begin in site.served if path.endswith(NAME)]
    assert 0 < begin <= half
    assert (folder / NAME).read_bytes() == RIGHT


@pytest.mark.parametrize("headers", [{}, {"ETag": '"other"'}, {"ETag": 'W/"weak"'}])
def test_beginning_of_unknown_or_other_content_is_received_anew(
    app: App, site: Site, server: Server, folder: Path, headers: dict[str, str]
) -> None:
    wrong = cut(b"y" * len(RIGHT), len(RIGHT) // 2, **headers)
    server.faults.plan("GET", f"/{NAME}", wrong)
    got(app, server.url, folder)
    assert [begin for path, begin in site.served if path.endswith(NAME)] == [0]
    assert (folder / NAME).read_bytes() == RIGHT


def test_server_that_goes_on_elsewhere_is_not_believed(
    app: App, server: Server, folder: Path
) -> None:
    begun = cut(RIGHT, 1000, ETag='"a"')
    elsewhere = Answer(206, RIGHT[500:], {"Content-Range": f"bytes 500-{len(RIGHT) - 1}/1"})
    server.faults.plan("GET", f"/{NAME}", begun, elsewhere)
    got(app, server.url, folder)
    assert (folder / NAME).read_bytes() == RIGHT


def test_beginning_that_turns_out_wrong_is_received_anew(
    app: App, site: Site, server: Server, folder: Path
) -> None:
    """The server's word is that nothing changed; the release's sha256 says otherwise."""
    tag = site.answer(_get(f"/download/{TAG}/{NAME}")).headers["ETag"]
    server.faults.plan("GET", f"/{NAME}", cut(b"y" * len(RIGHT), 1000, ETag=tag))
    got(app, server.url, folder)
    assert (folder / NAME).read_bytes() == RIGHT


def _get(path: str) -> Sent:
    return Sent("GET", path, {}, b"")


def test_server_says_when_to_come_back(app: App, server: Server, folder: Path) -> None:
    waited: list[float] = []
    server.faults.plan("GET", f"/{NAME}", Answer(429, b"", {"Retry-After": "17"}), Answer(503))
    place = Place(server.url, Receiver(sleep=waited.append))
    download(app, Request(place, "stable", "armv6", folder, images=False))
    assert waited == [17.0, 4.0]
    assert (folder / NAME).read_bytes() == RIGHT


@pytest.mark.parametrize(
    ("status", "words"),
    [(407, "the proxy wants a login"), (403, "the proxy refuses"), (502, "broke.*4 times")],
)
def test_proxy_that_lets_nobody_through(
    app: App, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    server.faults.plan("CONNECT", "", *[Answer(status)] * 8)
    with pytest.raises(FetchError, match=words) as caught:
        got(app, "https://releases.example.org", folder)
    assert str(status) in str(caught.value)


def test_place_of_plain_http_is_warned_about(
    app: App, server: Server, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    got(app, server.url, folder)
    assert "plain http: whoever is on the way can change what comes" in capfd.readouterr().err


def test_unknown_channel_and_version(app: App, server: Server, folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="nightly") as caught:
        got(app, server.url, folder, "nightly")
    assert "known: latest, stable" in str(caught.value)
    with pytest.raises(FetchError, match="there is no"):
        got(app, server.url, folder, NEXT.text)


def test_version_by_its_tag(app: App, public: Published, server: Server, folder: Path) -> None:
    public.release(NEXT)
    assert got(app, server.url, folder, TAG.text).tag == TAG.text
    assert got(app, server.url, folder, "latest").tag == NEXT.text
    assert (folder / NAME).read_bytes() == program("armv6", version("armv6", NEXT))


def test_from_a_folder(app: App, public: Published, folder: Path) -> None:
    got(app, str(public.root), folder)
    assert (folder / NAME).read_bytes() == RIGHT
    assert got(app, str(public.flat()), folder).tag == TAG.text
    with pytest.raises(FetchError, match="No such file"):
        got(app, str(public.root), folder, NEXT.text)


def test_nobody_listens(app: App, folder: Path) -> None:
    with pytest.raises(FetchError, match="the connection broke"):
        got(app, "http://127.0.0.1:1", folder)


# ---- disks ----

DISK = """mount -t tmpfs $1 none "$2"
[ ! -e "$2.old" ] || cp -R "$2.old/." "$2"
folder=$2; shift 2
"$@"; status=$?
cat "$folder/k3s-armv6"
exit $status
"""


def on_a_disk(
    options: str, app: App, server: Server, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run the verb with `folder` on a disk of its own; print what lies there in the end."""
    verb = [sys.executable, "-m", "invoke", "download", "--arch", "armv6", "--from", server.url]
    argv = [*namespaces(force_user=True), "sh", "-c", DISK, "sh", options, str(folder), *verb]
    where = ["--to", str(folder), "--cache", str(app.cache.root)]
    return subprocess.run([*argv, *where], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(not can_isolate(), reason="no user namespaces")
def test_disk_full(app: App, public: Published, server: Server, folder: Path) -> None:
    public.release(TAG, programs={"armv6": program("armv6", "x", 2_000_000)})
    shutil.copytree(folder, folder.with_name("here.old"))
    done = on_a_disk("-o size=200k", app, server, folder)
    assert done.returncode == DiskFullError.exit_code, done.stderr
    assert done.stdout == OLD.decode()


@pytest.mark.skipif(not can_isolate(), reason="no user namespaces")
def test_no_write_permission(app: App, server: Server, folder: Path) -> None:
    done = on_a_disk("-o ro", app, server, folder)
    assert done.returncode == NotWritableError.exit_code, done.stderr
    assert "Read-only file system" in done.stderr


# ---- https ----


@pytest.fixture
def secure(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The same over TLS, with a certificate that requests trusts."""
    path, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(path)]
    subprocess.run([*argv, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with Server(site.answer, tls=context).served() as running:
        yield running


@pytest.mark.parametrize("end", [f"/{NAME}", "/sha256sums.txt"])
def test_redirect_to_plain_http_is_refused(
    app: App, server: Server, secure: Server, folder: Path, end: str
) -> None:
    away = Answer(302, b"", {"Location": f"{server.url}/download/{TAG}{end}"})
    secure.faults.plan("GET", end, away)
    with pytest.raises(FetchError, match="redirects to plain http"):
        got(app, secure.url, folder)
    assert (folder / NAME).read_bytes() == OLD
    secure.faults.plan(
        "GET", end, Answer(302, b"", {"Location": f"{secure.url}/download/{TAG}{end}"})
    )
    got(app, secure.url, folder)
    assert (folder / NAME).read_bytes() == RIGHT


def test_certificate_that_nobody_trusts(
    app: App, secure: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(FetchError, match="no trust in who answers"):
        got(app, secure.url, folder)


# ---- as people call it ----


def verb(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", "download", *options]
    env = {**os.environ, **environment}
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=env)


def test_path_goes_to_standard_output(server: Server, folder: Path, tmp_path: Path) -> None:
    options = ["--arch", "armv6", "--to", str(folder), "--cache", str(tmp_path / "cache")]
    done = verb(*options, "--from", server.url)
    assert done.stdout == f"{folder / NAME}\n", done.stderr
    done = verb(*options, "--json", GITHUB_URL=server.url)
    said = json.loads(done.stdout)
    assert (said["path"], said["target"], said["tag"]) == (str(folder / NAME), "armv6", TAG.text)
    assert said["size"] == len(RIGHT)


def test_nobody_said_where_from(tmp_path: Path) -> None:
    done = verb("--from", "ftp://example.org", "--cache", str(tmp_path))
    assert done.returncode == UnknownNameError.exit_code
    assert "unknown place of releases 'ftp://example.org'" in done.stderr
