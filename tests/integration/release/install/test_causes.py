"""Why nothing came: the true cause for whatever curl, wget, servers and proxies answer."""

from __future__ import annotations

import ctypes
import re
import ssl
import subprocess
from pathlib import Path

import pytest

from buildsys.errors import FetchError

from ..flat import Site
from ..machine import LOGGED
from ..server import Answer, Server
from .installing import MARKS, NAME, RIGHT, SCRIPT, TOOLSETS, Make, install, installed, refused

pytestmark = MARKS

UNFIT = (23, "is not fit to receive")
BROKEN = (12, "the connection broke while receiving")
UNTRUSTED = (12, "no trust in who answers")
OTHER = (12, "failed while receiving")
FOREIGN = {"curl": (25, "cannot write into"), "wget": (25, "cannot write into")}

CURL = {
    0: (18, "cannot be read"),  # it came to nothing
    3: (11, "is no address"),
    5: (12, "the name of the proxy"),
    6: (12, "the name of the server"),
    7: (12, "nobody answers at"),
    22: (12, "refuses"),
    23: FOREIGN["curl"],
    27: (12, "not enough memory"),
    33: (12, "refuses"),
    35: (12, "no encrypted connection"),
    36: (12, "refuses"),
    47: (12, "redirects in a circle"),
    67: (12, "for those who log in"),
    94: (12, "for those who log in"),
    97: (12, "the proxy does not let us through"),
    **dict.fromkeys((1, 2, 4, 41, 43, 45, 48, 53, 54, 58, 59, 64, 66, 98), UNFIT),
    **dict.fromkeys((8, 16, 18, 28, 52, 55, 56, 61, 80, 81, 89, 92, 95, 96, 99), BROKEN),
    **dict.fromkeys((51, 60, 77, 82, 83, 90, 91), UNTRUSTED),
}
"""What install.sh ends with for an exit code of curl. The rest only other protocols have."""

WGET = {
    0: (18, "cannot be read", ""),
    1: (*OTHER, "Generic error"),
    2: (*UNFIT, "wget: unrecognized option '--bad'"),
    3: (*FOREIGN["wget"], "x.part: Permission denied"),
    4: (12, "the name of the server", "wget: unable to resolve host address 'x'"),
    5: (*UNTRUSTED, "ERROR: cannot verify x's certificate, issued by 'CN=x':"),
    6: (12, "for those who log in", "Username/Password Authentication Failed."),
    7: (*BROKEN, "Read error in headers: protocol error"),
    8: (12, "refuses", "ERROR: the server issued an error response"),
}
"""By the exit codes of GNU wget, as its manual lists them, with its own words."""

# The pretended tool ends with each code in turn; each time the script is run anew.
EACH = """\
for code in $(seq 0 "$1"); do
    echo "$code" >/code
    status=0
    sh /install.sh >/out 2>&1 || status=$?
    printf '%s\\n' "== $code $status" >>/all
    cat /out >>/all
done
"""


def said(code: int) -> str:
    """What curl says of an exit code, up to 99; its own library says it."""
    library = ctypes.CDLL("libcurl.so.4")
    library.curl_easy_strerror.restype = ctypes.c_char_p
    return str(library.curl_easy_strerror(code).decode())


def outcomes(make: Make, tool: str, words: dict[int, str]) -> dict[int, tuple[int, str]]:
    """Exit code and text of install.sh for each exit code of the tool."""
    machine = make(f"dash+{tool}")
    (machine.root / "words").mkdir()
    for code, text in words.items():
        (machine.root / f"words/{code}").write_text(text)
    version = '[ "$1" != --version ] || { echo GNU Wget; exit 0; }\n'
    ends = "code=$(cat /code)\ncat /words/$code >&2\nexit $code\n"
    machine.fake(tool, f"#!/bin/sh\n{version if tool == 'wget' else ''}{ends}")
    (machine.root / "install.sh").write_bytes(SCRIPT.read_bytes())
    place = {"GITHUB_URL": "https://releases.example.org"}
    done = machine.run("sh", "-c", EACH, "sh", str(max(words)), variables=place)
    assert done.returncode == 0, done.stderr
    parts = re.split(r"^== (\d+) (\d+)\n", machine.read("all"), flags=re.M)[1:]
    return {
        int(code): (int(status), text)
        for code, status, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def demand_true(found: tuple[int, str], status: int, what: str, cause: str) -> None:
    code, text = found
    assert code == status, text
    assert what in text
    assert "\nnext: " in text
    assert "no space left" not in text
    assert f"cause: {cause}" in text or not cause, text


def test_each_exit_code_of_curl_has_its_true_cause(make: Make) -> None:
    words = {n: f"curl: ({n}) {said(n)}\n" if n else "" for n in range(100)}
    # As curl(1) ends what it says of certificates.
    words[60] += "More details here: https://curl.se/docs/sslcerts.html\n\ncurl failed to verify\n"
    found = outcomes(make, "curl", words)
    assert sorted(found) == list(range(100))
    for code, one in found.items():
        status, what = CURL.get(code, OTHER)
        demand_true(one, status, what, f"({code}) {said(code)}" if code else "")
        goes_on = "it goes on where it stopped" in one[1]
        assert goes_on == ((status, what) == BROKEN or code == 27), one


def test_each_exit_code_of_wget_has_its_true_cause(make: Make) -> None:
    found = outcomes(make, "wget", {code: f"{row[2]}\n" for code, row in WGET.items()})
    for code, (status, what, words) in WGET.items():
        demand_true(found[code], status, what, words)


ANSWERS = {
    401: "is for those who log in (401)",
    403: "the server refuses",
    404: "there is no http",
    407: "the proxy wants a login",
    410: "there is no http",
    418: "the server refuses",
    429: "takes no more requests for now (429)",
    500: "fails to give",
    503: "fails to give",
}


@pytest.mark.parametrize("tools", TOOLSETS)
def test_each_answer_has_its_true_cause(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    for status, words in ANSWERS.items():
        server.faults.plan("GET", f"/{NAME}", *[Answer(status)] * 8)
        refused(install(machine, server), FetchError, words, str(status))


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
@pytest.mark.parametrize(
    ("status", "words"),
    [(407, "the proxy wants a login"), (403, "the proxy refuses"), (503, "the proxy fails")],
)
def test_proxy_that_refuses(
    make: Make, server: Server, tools: str, status: int, words: str
) -> None:
    server.faults.plan("CONNECT", "", *[Answer(status)] * 8)
    variables = {"https_proxy": server.url, "GITHUB_URL": "https://releases.example.org"}
    done = install(make(tools), None, **variables)
    if tools == "dash+wget" and status != 407:
        words = "the connection broke"
    refused(done, FetchError, words)


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
def test_server_says_when_to_come_back(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    machine.fake("sleep", LOGGED)
    server.faults.plan("GET", f"/{NAME}", Answer(429, b"", {"Retry-After": "17"}))
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert [call for call in machine.calls if "sleep" in call] == ["sleep 17"]


def test_server_says_to_come_back_much_later(make: Make, server: Server) -> None:
    machine = make("dash+curl")
    machine.fake("sleep", LOGGED)
    server.faults.plan("GET", f"/{NAME}", Answer(429, b"", {"Retry-After": "3600"}))
    refused(install(machine, server), FetchError, "run the same again in 3600 seconds")
    assert not any("sleep" in call for call in machine.calls)


@pytest.mark.parametrize("tools", TOOLSETS)
def test_nobody_answers(make: Make, tools: str) -> None:
    place = {"GITHUB_URL": "http://127.0.0.1:1"}
    refused(install(make(tools), None, **place), FetchError, "nobody answers at", "onnect")


@pytest.mark.parametrize("tools", TOOLSETS)
def test_name_that_nobody_knows(make: Make, tools: str) -> None:
    place = {"GITHUB_URL": "http://k3s.invalid"}
    refused(install(make(tools), None, **place), FetchError, "nobody knows the name of the server")


def test_curl_that_may_not_write(make: Make, server: Server) -> None:
    """As a snap's: it writes to no file of ours, and says no more than this."""
    machine = make("dash+curl")
    refusal = 'echo "curl: (23) Failure writing output to destination" >&2; exit 23'
    machine.fake(
        "curl",
        f'#!/bin/sh\ncase " $* " in *" -o /"* | *" -D /"*) {refusal} ;; esac\n'
        'exec /usr/bin/curl "$@"\n',
    )
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
def test_personal_settings_do_not_count(make: Make, server: Server, tools: str) -> None:
    machine = make(tools)
    (machine.root / "root" / ".curlrc").write_text("include\noutput = /aside\n")
    (machine.root / "root" / ".wgetrc").write_text("save_headers = on\noutput_document = /aside\n")
    installed(machine, server)
    assert machine.k3s.read_bytes() == RIGHT
    assert not (machine.root / "aside").exists()


# ---- a certificate of another time ----

CA = """\
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
"""


def certificate(folder: Path, begins: str, ends: str) -> Path:
    """Certificate and key of 127.0.0.1, signed by itself, for a span of time."""
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    (folder / "conf").write_text(CA.format(folder=folder))
    key, request, path = (folder / name for name in ("key.pem", "request.pem", "cert.pem"))
    made: list[str | Path] = [
        "openssl",
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=127.0.0.1",
    ]
    subprocess.run([*made, "-keyout", key, "-out", request], check=True, capture_output=True)
    signed: list[str | Path] = [
        "openssl",
        "ca",
        "-batch",
        "-config",
        folder / "conf",
        "-selfsign",
        "-notext",
    ]
    span: list[str | Path] = [
        "-startdate",
        begins,
        "-enddate",
        ends,
        "-keyfile",
        key,
        "-in",
        request,
        "-out",
        path,
    ]
    subprocess.run([*signed, *span], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.mark.parametrize("tools", ["dash+curl", "dash+wget"])
@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        ("20700101000000Z", "20710101000000Z", ("not yet", "set the clock: this machine")),
        ("20010101000000Z", "20020101000000Z", ("expired", "set the clock if it is wrong")),
    ],
)
def test_clock_that_is_wrong(
    make: Make,
    site: Site,
    tmp_path: Path,
    tools: str,
    begins: str,
    ends: str,
    words: tuple[str, str],
) -> None:
    machine = make(tools)
    path = certificate(tmp_path, begins, ends)
    (machine.root / "etc/cert.pem").write_bytes(path.read_bytes())
    (machine.root / "etc/wgetrc").write_text("ca_certificate = /etc/cert.pem\n")
    trusted = {"CURL_CA_BUNDLE": "/etc/cert.pem", "SYSTEM_WGETRC": "/etc/wgetrc"}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Server(site.answer, tls=context).served() as server:
        done = install(machine, server, **trusted)
    refused(done, FetchError, "no trust in who answers", *words)


def test_temporary_folder_that_is_gone(make: Make, server: Server) -> None:
    done = install(make("dash+curl"), server, TMPDIR="/gone")
    assert done.returncode == 25, done.stderr
    assert "no folder can be made in /gone" in done.stderr
    assert "next: " in done.stderr
