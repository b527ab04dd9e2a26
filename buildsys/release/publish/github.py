"""GitHub's releases, by its REST API (docs.github.com, REST API, "Releases").

A release is a draft until all its files are there: people see it whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from buildsys.errors import BuildsysError, PublishedError, UploadRefusedError
from buildsys.release.channels import NAME as CHANNELS_NAME
from buildsys.release.channels import moved, read_channels
from buildsys.release.plan import SUMS
from buildsys.release.preflight import Problem
from buildsys.release.publish.base import Outcome, Release, ReleaseFile, demand_same, taken
from buildsys.release.publish.http import Body, Client
from buildsys.release.version import Tag

JSON = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
BYTES = {**JSON, "Accept": "application/octet-stream"}

PAGE = 100
"""The most that a list gives at once."""

RIGHTS = "GITHUB_TOKEN must be allowed to write the repository's contents"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class GitHub:
    """The releases of `repository` (owner/name), at the API's address `api`."""

    client: Client
    api: str
    repository: str

    @property
    def label(self) -> str:
        """The client's."""
        return self.client.label

    @property
    def _repo(self) -> str:
        return f"{self.api}/repos/{self.repository}"

    def obstacles(self, tag: Tag, sums: bytes | None) -> Iterator[Problem]:
        """Whether the token may write, and whether the tag is taken."""
        try:
            allowed = self._get(self._repo, "asking for rights").get("permissions", {})
            release = self._release(tag)
            known = self._read(release, SUMS) if release and not release["draft"] else None
        except BuildsysError as error:
            yield f"{error.what}: {error.cause}", error.action
            return
        # Tokens of a workflow get no permissions listed, so that silence forbids nothing.
        if allowed and not allowed.get("push"):
            yield f"{self.label}: the token may only read", RIGHTS
        if release and not release["draft"] and known != sums:
            yield taken(self.label, tag)

    def publish(self, release: Release) -> Outcome:
        """Fill the draft, make it public, move the channels."""
        latest = self._latest()
        there = self._release(release.tag) or self._draft(release)
        assets = {asset["name"]: asset for asset in self._list(f"{there['url']}/assets")}
        put = sum(self._put(there, assets.get(file.name), file) for file in release.flat)
        kept = len(release.flat) - put
        newest = _newest(latest, release.tag)
        channels = self._channels(latest)
        after = moved(channels, release.channels, release.tag)
        home = there if newest or latest is None else latest
        # In the draft, so that the newest release never lacks them.
        if there["draft"] and home is there:
            self._replace(there, after)
        if there["draft"]:
            self._open(there, newest=newest)
        return Outcome(put, kept, self._replace(home, after) or after != channels)

    def _put(self, release: Json, asset: Json | None, file: ReleaseFile) -> bool:
        """Upload `file`, unless it is there; whether that was needed."""
        if asset and asset["state"] == "uploaded":
            found = self._sha256(asset)
            if found == file.sha256:
                return False
            if not release["draft"]:
                demand_same(file, self.label, found)
        if not release["draft"] and asset is None:
            raise PublishedError(
                f"{self.label}: {release['tag_name']} is published, and has no {file.name}",
                cause="somebody removed it, or the release had fewer files then",
                action="open the next release with notes of its own",
            )
        # Cut in the middle, or from another build: of a draft nobody has downloaded anything.
        if asset:
            self._delete(asset)
        self._upload(release, file.name, file.local, file.sha256)
        return True

    def _upload(self, release: Json, name: str, body: bytes | Path, sha256: str) -> None:
        # RFC 6570: the part in braces is what may follow.
        url = f"{release['upload_url'].partition('{')[0]}?name={quote(name)}"
        headers = {**JSON, "Content-Type": "application/octet-stream"}
        made = self._send("POST", url, (201,), f"uploading {name}", body, headers)
        if made["state"] != "uploaded" or self._sha256(made) != sha256:
            raise UploadRefusedError(
                f"{self.label}: {name} did not arrive as it was sent",
                cause=f"its state is {made['state']}",
                action="run the same again: it is uploaded anew",
            )

    def _sha256(self, asset: Json) -> str:
        """What GitHub says, or what is read back where it says nothing."""
        if digest := asset.get("digest"):
            return str(digest).removeprefix("sha256:")
        return self.client.sha256(asset["url"], BYTES)

    def _read(self, release: Json, name: str) -> bytes | None:
        for asset in self._list(f"{release['url']}/assets"):
            if asset["name"] == name and asset["state"] == "uploaded":
                doing = f"reading {name}"
                answer = self.client.send(
                    "GET", asset["url"], headers=BYTES, doing=doing, redirects=True
                )
                return answer.content
        return None

    def _release(self, tag: Tag) -> Json | None:
        """The release of the tag, a draft too; those are only in the list."""
        found = (r for r in self._list(f"{self._repo}/releases") if r["tag_name"] == tag.text)
        return min(found, key=lambda release: bool(release["draft"]), default=None)

    def _latest(self) -> Json | None:
        url, doing = f"{self._repo}/releases/latest", "looking for the latest release"
        answer = self.client.send("GET", url, expect=(200, 404), headers=JSON, doing=doing)
        return answer.json() if answer.status_code == 200 else None

    def _draft(self, release: Release) -> Json:
        described = {
            "tag_name": release.tag.text,
            "target_commitish": release.commit,
            "name": release.tag.text,
            "body": release.notes,
            "draft": True,
        }
        url = f"{self._repo}/releases"
        return self._send("POST", url, (201,), "opening a draft", json.dumps(described).encode())

    def _open(self, release: Json, *, newest: bool) -> None:
        change = {"draft": False, "make_latest": "true" if newest else "false"}
        doing = f"making {release['tag_name']} public"
        self._send("PATCH", release["url"], (200,), doing, json.dumps(change).encode())

    def _channels(self, latest: Json | None) -> bytes | None:
        return self._read(latest, CHANNELS_NAME) if latest else None

    def _replace(self, release: Json, document: bytes) -> bool:
        """Make the release's channels file that; whether it was not yet."""
        sha256 = hashlib.sha256(document).hexdigest()
        for asset in self._list(f"{release['url']}/assets"):
            if asset["name"] == CHANNELS_NAME:
                if asset["state"] == "uploaded" and self._sha256(asset) == sha256:
                    return False
                self._delete(asset)
        self._upload(release, CHANNELS_NAME, document, sha256)
        return True

    def _delete(self, asset: Json) -> None:
        doing = f"removing {asset['name']}"
        self.client.send("DELETE", asset["url"], expect=(204,), headers=JSON, doing=doing)

    def _list(self, url: str) -> Iterator[Json]:
        """All pages."""
        page: Sequence[Json] = ()
        number = 1
        while number == 1 or len(page) == PAGE:
            at = f"{url}?per_page={PAGE}&page={number}"
            page = self.client.send("GET", at, headers=JSON, doing="listing releases").json()
            yield from page
            number += 1

    def _get(self, url: str, doing: str) -> Json:
        found: Json = self.client.send("GET", url, headers=JSON, doing=doing).json()
        return found

    def _send(
        self,
        method: str,
        url: str,
        expect: Sequence[int],
        doing: str,
        body: Body,
        headers: Mapping[str, str] = JSON,
    ) -> Json:
        answer = self.client.send(
            method, url, expect=expect, body=body, headers=headers, doing=doing
        )
        found: Json = answer.json()
        return found


def _newest(latest: Json | None, tag: Tag) -> bool:
    """Whether the tag is not older than the latest release."""
    if latest is None:
        return True
    listed = json.dumps({"data": [{"name": "latest", "latest": latest["tag_name"]}]})
    known = read_channels(listed.encode()).get("latest")
    return known is None or known.order <= tag.order
