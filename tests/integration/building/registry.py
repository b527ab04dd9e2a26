"""An npm registry of the test's own, on this machine only."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

from buildsys.cache import Cache, default_root
from buildsys.fetch import npm
from buildsys.toolchain import find_toolchain

YARN = npm.Package(
    "@yarnpkg/cli-dist",
    "4.9.1",
    "sha512-yuC8sQNJrwELRy73+hAjwzwK/WClTcKdGHl+a7dxvWwNPQau+oAcVjY7zG7PYTOYjR+UNUMpPnM17eYGGPso6A==",
)
"""The one that recipes pin; it comes from the real registry, once."""


def yarn_archive(log: Path) -> bytes:
    """The archive of yarn, from the user's cache; fetched into it where it is not there."""
    cache = Cache(default_root(os.environ))
    cache.create()
    if not npm.intact(YARN, cache):
        npm.fetch(YARN, cache, find_toolchain(), log)
    return npm.file_path(YARN, cache).read_bytes()


@dataclass
class Registry:
    """Packages by name: the archive and what their package.json says."""

    packages: dict[str, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)
    url: str = ""

    def add(self, name: str, text: str, **manifest: Any) -> None:
        """Serve version 1.0.0 of a module that exports `text`."""
        described = {"name": name, "version": "1.0.0", "main": "index.js", **manifest}
        files = {
            "package.json": json.dumps(described),
            "index.js": f"module.exports = {json.dumps(text)}\n",
        }
        self.packages[name] = archive(files), described

    def answer(self, path: str) -> bytes | None:
        """What a client gets for a path; None where there is nothing."""
        name, _, file = unquote(path).lstrip("/").partition("/-/")
        if name not in self.packages:
            return None
        data, described = self.packages[name]
        if file:
            return data
        version = described["version"]
        dist = {
            "tarball": f"{self.url}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz",
            "integrity": f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}",
        }
        versions = {version: {**described, "dist": dist}}
        found = {"name": name, "dist-tags": {"latest": version}, "versions": versions}
        return json.dumps(found).encode()

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve until the block ends; the address."""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = registry.answer(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()


def archive(files: Mapping[str, str]) -> bytes:
    """A package as npm packs it: everything below `package`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size, info.mtime = len(text), 499162500
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()
