"""traefik: routes requests to a backend, notices a changed route, and serves its dashboard."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from buildsys.app import App

from .conftest import GetImage
from .unpacked import Unpacked, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.built]

ROUTES = """\
http:
  routers:
    app:
      rule: Host(`@HOST@`) && PathPrefix(`/under`)
      entryPoints: [web]
      middlewares: [shorter]
      service: backend
    secure:
      rule: Host(`@HOST@`)
      entryPoints: [websecure]
      service: backend
      tls: {}
  middlewares:
    shorter:
      stripPrefix:
        prefixes: [/under]
  services:
    backend:
      loadBalancer:
        servers:
        - url: http://127.0.0.1:@PORT@
"""


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        names = ("Host", "X-Forwarded-Proto", "X-Forwarded-Prefix")
        asked = {"path": self.path, **{name: self.headers.get(name, "") for name in names}}
        body = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
        pass


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    code: int
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Served:
    """A running traefik: the ports of its entry points, and its file of routes."""

    ports: dict[str, int]
    routes: Path
    backend: int

    def route(self, host: str) -> None:
        """Route this host, and no other, to the backend."""
        text = ROUTES.replace("@HOST@", host).replace("@PORT@", str(self.backend))
        self.routes.write_text(text)

    def get(self, entry: str, path: str, host: str = "localhost") -> Answer:
        """Ask an entry point for a path of a host."""
        scheme = "https" if entry == "websecure" else "http"
        url = f"{scheme}://127.0.0.1:{self.ports[entry]}{path}"
        request = urllib.request.Request(url, headers={"Host": host})
        # Without a certificate of the user's, traefik makes one itself.
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def backend() -> Iterator[int]:
    """The port of a small web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def running(traefik: Unpacked, backend: int) -> Iterator[Served]:
    """The image with a file of routes, as its own user, until it answers."""
    folder = traefik.root / "etc/traefik"
    folder.mkdir()
    entries = ("web", "websecure", "traefik")
    served = Served(dict(zip(entries, free_ports(3), strict=True)), folder / "routes.yml", backend)
    served.route("app.example.test")
    arguments = [
        *(f"--entryPoints.{name}.address=127.0.0.1:{port}" for name, port in served.ports.items()),
        "--providers.file.directory=/etc/traefik",
        "--api.insecure=true",
        "--ping=true",
    ]
    with traefik.started(*traefik.command(*arguments)) as process:
        wait_for(lambda: answers(served))
        wait_for(lambda: served.get("traefik", "/api/http/routers/secure@file").code == 200)
        assert f"\nUid:\t{65532}\t" in Path(f"/proc/{process.pid}/status").read_text()
        yield served


def answers(served: Served) -> bool:
    try:
        return served.get("traefik", "/ping").body == b"OK"
    except OSError:
        return False


@pytest.fixture
def served(image: GetImage, backend: int) -> Iterator[Served]:
    """A running traefik of the test's target."""
    with running(image("traefik"), backend) as made:
        yield made


def test_routes_by_host_and_path(served: Served) -> None:
    answer = served.get("web", "/under/page?q=1", "app.example.test")
    assert answer.code == 200
    assert json.loads(answer.body) == {
        "path": "/page?q=1",
        "Host": "app.example.test",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/under",
    }
    assert served.get("web", "/under/page", "other.example.test").code == 404
    assert served.get("web", "/elsewhere", "app.example.test").code == 404


def test_routes_tls(served: Served) -> None:
    answer = served.get("websecure", "/page", "app.example.test")
    assert answer.code == 200
    assert json.loads(answer.body)["X-Forwarded-Proto"] == "https"
    assert served.get("websecure", "/page", "other.example.test").code == 404


def test_notices_a_changed_route(served: Served) -> None:
    assert served.get("web", "/under/", "new.example.test").code == 404
    served.route("new.example.test")
    wait_for(lambda: served.get("web", "/under/", "new.example.test").code == 200)
    assert served.get("web", "/under/", "app.example.test").code == 404


def test_backend_that_is_gone(served: Served) -> None:
    (nobody,) = free_ports(1)
    text = served.routes.read_text().replace(str(served.backend), str(nobody))
    served.routes.write_text(text)
    wait_for(lambda: served.get("web", "/under/", "app.example.test").code == 502)


def test_serves_the_dashboard_that_was_built(app: App, served: Served) -> None:
    result = app.build(app.plan(["amd64"], ["traefik-webui"]))
    built = result.outcomes["traefik-webui-any"].result
    assert built
    static = built.artifact.folder / "files/static"

    page = served.get("traefik", "/dashboard/")
    assert (page.code, page.headers.get_content_type()) == (200, "text/html")
    (script,) = re.findall(rb'src="\./(assets/[^"]+\.js)"', page.body)
    code = served.get("traefik", f"/dashboard/{script.decode()}")
    assert code.code == 200
    assert code.body == (static / script.decode()).read_bytes()
    icon = served.get("traefik", "/dashboard/favicon.ico")
    assert icon.body == (static / "favicon.ico").read_bytes()


def test_serves_the_api(app: App, served: Served) -> None:
    overview = json.loads(served.get("traefik", "/api/overview").body)
    assert overview["providers"] == ["File"]
    assert overview["http"]["services"] == {"total": 5, "warnings": 0, "errors": 0}
    version = json.loads(served.get("traefik", "/api/version").body)
    assert (version["Version"], version["Codename"]) == ("3.6.6", "ramequin")
    routers = json.loads(served.get("traefik", "/api/http/routers").body)
    ours = {router["name"]: router["status"] for router in routers if "@file" in router["name"]}
    assert ours == {"app@file": "enabled", "secure@file": "enabled"}


def test_takes_the_arguments_of_the_manifest(app: App, image: GetImage) -> None:
    """All of them are known to it, and what probes and scrapes it is answered without a cluster."""
    traefik = image("traefik")
    manifest = app.project.recipes["traefik-manifests"].folder / "src/traefik.yaml"
    arguments = re.findall(r"^ +- (--\S+)$", manifest.read_text(), re.MULTILINE)
    assert len(arguments) > 10
    ports = {"8000": 0, "8080": 0, "8443": 0, "9100": 0}
    ports = dict(zip(ports, free_ports(len(ports)), strict=True))
    moved = [re.sub(r"=:(\d+)/tcp$", lambda m: f"=127.0.0.1:{ports[m[1]]}", a) for a in arguments]
    served = Served({"traefik": ports["8080"], "metrics": ports["9100"]}, Path(), 0)
    with traefik.started(*traefik.command(*moved)) as process:
        # They start side by side, so either may be told first.
        starting = {"*crd.Provider", "*ingress.Provider"}
        while starting:
            line = process.wait_for_line("Starting provider *")
            starting = {name for name in starting if name not in line}
        wait_for(lambda: answers(served))
        assert b"\ntraefik_config_reloads_total " in served.get("metrics", "/metrics").body
        assert served.get("traefik", "/dashboard/").code == 404, "the chart does not open it"


def test_refuses_an_argument_that_it_does_not_know(image: GetImage) -> None:
    traefik = image("traefik")
    refused = traefik.run(*traefik.command("--providers.kubernetescdr=true"))
    assert refused.code == 1
    assert "kubernetescdr" in refused.out + refused.err
