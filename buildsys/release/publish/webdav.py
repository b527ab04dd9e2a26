"""A WebDAV server, or any other that takes PUT."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from buildsys.release.publish.http import Below, chunks
from buildsys.release.publish.store import OTHER


@dataclass(frozen=True)
class WebDav(Below):
    """Files below `url`."""

    def find(self, path: str, size: int) -> str | None:
        """By HEAD; what has the right size is read back, since nothing there names a hash."""
        answer = self.client.send(
            "HEAD", self.at(path), expect=(200, 404), doing=f"looking for {path}", redirects=True
        )
        if answer.status_code == 404:
            return None
        if answer.headers.get("Content-Length") not in (None, str(size)):
            return OTHER
        return self.client.sha256(self.at(path))

    def read(self, path: str) -> bytes | None:
        """By GET."""
        answer = self.client.send(
            "GET", self.at(path), expect=(200, 404), doing=f"reading {path}", redirects=True
        )
        return answer.content if answer.status_code == 200 else None

    def put(self, path: str, body: bytes | Path, sha256: str, *, fresh: bool) -> bool:
        """By PUT, conditional (RFC 9110, If-None-Match); folders are made where the server asks."""
        # RFC 9530; a server that knows it refuses what changed on the way.
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Repr-Digest": f"sha-256=:{digest}:",
        }
        if fresh:
            headers["If-None-Match"] = "*"
        done, exists, no_parent = (200, 201, 204), 412, (404, 409)
        doing = f"putting {path}"
        for answers in ((*done, exists, *no_parent), (*done, exists)):
            answer = self.client.send(
                "PUT", self.at(path), expect=answers, body=body, headers=headers, doing=doing
            )
            if answer.status_code not in no_parent:
                break
            self._make_folders(path)
        return answer.status_code in done

    def _make_folders(self, path: str) -> None:
        """All folders of `path` (RFC 4918, MKCOL); 405 says that one is there."""
        place = self.url
        for part in list(chunks(path))[:-1]:
            place = f"{place}/{quote(part)}"
            self.client.send("MKCOL", f"{place}/", expect=(201, 405), doing=f"making {path}")
