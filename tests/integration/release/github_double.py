"""GitHub's REST API for releases, as its documentation has the wire format. One repository."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .server import Answer, Request

TOKEN = "ghp_secret"
REPO = "/repos/owner/name"


@dataclass
class GitHubDouble:
    """Releases with their assets. `url` is set when it is served."""

    url: str = ""
    push: bool = True
    releases: list[dict[str, Any]] = field(default_factory=list)
    assets: dict[int, dict[str, Any]] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    latest: int | None = None
    digests: bool = True
    page: int = 100

    def answer(self, request: Request) -> Answer:
        """The right answer."""
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _json(401, {"message": "Bad credentials"})
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(REPO)
        if path == "":
            return _json(200, {"permissions": {"pull": True, "push": self.push}})
        if request.method != "GET" and not self.push:
            return _json(403, {"message": "Resource not accessible by personal access token"})
        if path.startswith("/releases/assets/"):
            return self._asset(int(path.rpartition("/")[2]), request)
        return self._releases(path, request, query)

    def _releases(self, path: str, request: Request, query: dict[str, str]) -> Answer:
        words = path.split("/")[2:]
        if not words:
            if request.method == "POST":
                return self._create(json.loads(request.body))
            return self._paged(self.releases, query)
        if words == ["latest"]:
            found = [r for r in self.releases if r["id"] == self.latest]
            return _json(200, found[0]) if found else _json(404, {"message": "Not Found"})
        release = next(r for r in self.releases if r["id"] == int(words[0]))
        if words[1:] == ["assets"]:
            if request.method == "POST":
                return self._upload(release, query["name"], request.body)
            own = [a for a in self.assets.values() if a["release"] == release["id"]]
            return self._paged(own, query)
        return self._change(release, json.loads(request.body))

    def _create(self, described: dict[str, Any]) -> Answer:
        number = len(self.releases) + 1
        at = f"{self.url}{REPO}/releases/{number}"
        template = f"{at}/assets{{?name,label}}"
        release = {**described, "id": number, "url": at, "upload_url": template}
        self.releases.append(release)
        return _json(201, release)

    def _change(self, release: dict[str, Any], changes: dict[str, Any]) -> Answer:
        if changes.pop("make_latest", "true") == "true":
            self.latest = release["id"]
        release.update(changes)
        return _json(200, release)

    def begin(self, release: dict[str, Any], name: str) -> dict[str, Any]:
        """An asset whose upload began: what is left of it where the connection is cut."""
        number = len(self.data) + len(self.assets) + 1000
        asset = {
            "id": number,
            "release": release["id"],
            "name": name,
            "state": "starter",
            "url": f"{self.url}{REPO}/releases/assets/{number}",
        }
        self.assets[number] = asset
        return asset

    def _upload(self, release: dict[str, Any], name: str, body: bytes) -> Answer:
        if any(a["name"] == name and a["release"] == release["id"] for a in self.assets.values()):
            return _json(
                422, {"message": "Validation Failed", "errors": [{"code": "already_exists"}]}
            )
        asset = self.begin(release, name)
        asset["state"] = "uploaded"
        asset["size"] = len(body)
        if self.digests:
            asset["digest"] = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.data[asset["id"]] = body
        return _json(201, asset)

    def _asset(self, number: int, request: Request) -> Answer:
        if number not in self.assets:
            return _json(404, {"message": "Not Found"})
        if request.method == "DELETE":
            del self.assets[number]
            return Answer(204)
        if request.headers.get("Accept") != "application/octet-stream":
            return _json(200, self.assets[number])
        return Answer(200, self.data[number])

    def _paged(self, listed: list[dict[str, Any]], query: dict[str, str]) -> Answer:
        size, number = int(query["per_page"]), int(query["page"])
        return _json(200, listed[(number - 1) * size : number * size])

    def files(self, tag: str) -> dict[str, bytes]:
        """The bytes of a release's assets."""
        release = next(r for r in self.releases if r["tag_name"] == tag)
        own = [a for a in self.assets.values() if a["release"] == release["id"]]
        return {a["name"]: self.data[a["id"]] for a in own if a["state"] == "uploaded"}


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
