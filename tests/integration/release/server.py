"""A file server of the test's own: GET, HEAD, PUT, MKCOL; it can be told to fail."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Request:
    """What a client sent; the path is as it came, percent signs and all."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What it gets. Without a status the connection is cut."""

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


CUT = Answer(None)


@dataclass
class Faults:
    """Answers that come instead of the right ones: per method and end of the path, in order."""

    planned: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def plan(self, method: str, end: str, *answers: Answer) -> None:
        """The next answers to such requests."""
        self.planned[method, end] = list(answers)

    def next(self, request: Request) -> Answer | None:
        """The fault that is due, if one is."""
        for (method, end), answers in self.planned.items():
            if request.method == method and unquote(request.path).endswith(end) and answers:
                return answers.pop(0)
        return None


@dataclass
class Server:
    """Serves what `answer` says; keeps every request."""

    answer: Callable[[Request], Answer]
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    tls: ssl.SSLContext | None = None

    def count(self, method: str, end: str = "") -> int:
        """How many such requests came."""
        return sum(r.method == method and unquote(r.path).endswith(end) for r in self.requests)

    @contextmanager
    def served(self) -> Iterator[Server]:
        """Serve until the block ends."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._any
                raise AttributeError(name)

            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                fault = outer.faults.next(Request(self.command, self.path, {}, b""))
                if fault is CUT:
                    # In the middle of what is sent.
                    self.rfile.read(length // 2)
                    outer.requests.append(Request(self.command, self.path, {}, b""))
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                body = self.rfile.read(length)
                request = Request(self.command, self.path, dict(self.headers), body)
                outer.requests.append(request)
                self._send(fault or outer.answer(request))

            def _send(self, answer: Answer) -> None:
                assert answer.status is not None
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that went away is what some tests want."""

        httpd = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"{self._secure(httpd)}://127.0.0.1:{httpd.server_address[1]}"
        Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield self
        finally:
            httpd.shutdown()
            httpd.server_close()

    def _secure(self, httpd: ThreadingHTTPServer) -> str:
        """Make it speak TLS, if that is wished; the scheme of its address."""
        if not self.tls:
            return "http"
        httpd.socket = self.tls.wrap_socket(httpd.socket, server_side=True)
        return "https"


@dataclass
class Files:
    """A tree of files as a WebDAV server keeps it: a file needs its folder."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/dav"})
    meta: dict[str, Mapping[str, str]] = field(default_factory=dict)
    needs_folders: bool = True
    created: int = 201
    knows_conditions: bool = True

    def answer(self, request: Request) -> Answer:
        """The right answer."""
        path = unquote(request.path).rstrip("/")
        if request.method in ("GET", "HEAD"):
            return self._read(path, head=request.method == "HEAD")
        if request.method == "MKCOL":
            return self._make(path)
        if request.method == "PUT":
            return self._put(path, request)
        return Answer(405)

    def _read(self, path: str, *, head: bool) -> Answer:
        if path not in self.files:
            return Answer(404)
        data = self.files[path]
        headers = {"Content-Length": str(len(data)), **self.meta.get(path, {})}
        return Answer(200, b"" if head else data, headers)

    def _make(self, path: str) -> Answer:
        if path in self.folders:
            return Answer(405)
        if path.rpartition("/")[0] not in self.folders:
            return Answer(409)
        self.folders.add(path)
        return Answer(201)

    def _put(self, path: str, request: Request) -> Answer:
        if self.needs_folders and path.rpartition("/")[0] not in self.folders:
            return Answer(409)
        if self.knows_conditions and request.headers.get("If-None-Match") and path in self.files:
            return Answer(412)
        self.files[path] = request.body
        self.meta[path] = {k: v for k, v in request.headers.items() if k.startswith("x-amz-meta-")}
        return Answer(self.created)
