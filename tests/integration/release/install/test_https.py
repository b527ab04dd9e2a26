"""install.sh over https: who is trusted, and where it may be led."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildsys.errors import FetchError, MissingToolError

from ..flat import TAG, Site
from ..machine import Machine
from ..server import Answer, Server
from .installing import MARKS, NAME, RIGHT, Make, everything, install, installed, refused, with_old

pytestmark = MARKS


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
    refused(install(make(tools), secure), FetchError, "no trust in who answers", "ca-certificates")


def test_downloader_that_trusts_everybody_is_refused(make: Make, secure: Server) -> None:
    done = install(make("busybox"), secure)
    refused(done, MissingToolError, "does not check who it talks to")
