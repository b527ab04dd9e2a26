"""An OCI registry: the flat release as one artifact (OCI distribution and image specifications).

Each file is a layer whose title is its name, which is how clients for artifacts unpack them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urljoin

import requests

from buildsys.errors import BuildsysError, PublishedError
from buildsys.release.channels import CHANNELS
from buildsys.release.plan import SUMS
from buildsys.release.preflight import Problem
from buildsys.release.publish.base import Outcome, Release, taken
from buildsys.release.publish.http import Bearer, Body, Client, demand_url
from buildsys.release.version import Tag, parse_tag

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT = "application/vnd.k3s-buildsys.release.v1"
LAYER = "application/octet-stream"
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
"""In place of an image's configuration (image-spec, "Guidance for an empty descriptor")."""

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"

RIGHTS = "REGISTRY_USER and REGISTRY_PASSWORD must be allowed to push there"


class _Session:
    """The token of a session, which a registry may ask for at the first request."""

    token: requests.auth.AuthBase | None = None


@dataclass(frozen=True)
class Registry:
    """The repository `name` of the registry at `url`.

    `client` has the credentials; where the registry wants a token of its own, they buy it.
    """

    client: Client
    url: str
    name: str
    _held: _Session = field(default_factory=_Session)

    @property
    def label(self) -> str:
        """The client's."""
        return self.client.label

    def obstacles(self, tag: Tag, sums: bytes | None) -> Iterator[Problem]:
        """Whether an upload may begin, which is given up at once, and whether the tag is taken."""
        try:
            place = self._begin("asking for rights")
            self._send("DELETE", place, (200, 202, 204, 404, 405), "giving up an upload")
            found = self._manifest(tag.oci)
        except BuildsysError as error:
            yield f"{error.what}: {error.cause}", error.action
            return
        if found and (sums is None or _sums_digest(found) != _digest(sums)):
            yield taken(self.label, tag)

    def publish(self, release: Release) -> Outcome:
        """Push the blobs that are not there, then the manifest under the tag, then the channels."""
        manifest = manifest_of(release)
        found = self.manifest_bytes(release.tag.oci)
        if found is not None and found != manifest:
            raise PublishedError(
                f"{self.label} has {release.tag.oci} already, with other bytes",
                cause="the tag was released before from another build",
                action="open the next release with notes of its own; this one stays as it is",
            )
        put = 0
        if found is None:
            self.push(EMPTY, _digest(EMPTY), "the empty configuration")
            for file in release.flat:
                put += self.push(file.local, f"sha256:{file.sha256}", file.name)
            self.put_manifest(release.tag.oci, manifest)
        moves = [name for name in release.channels if self._move(name, release.tag, manifest)]
        return Outcome(put, len(release.flat) - put, bool(moves))

    def _move(self, channel: str, tag: Tag, manifest: bytes) -> bool:
        """Make the tag of a channel name this release, unless it names a newer one."""
        assert channel in CHANNELS
        known = self._manifest(channel)
        now = parse_tag(str((known or {}).get("annotations", {}).get(VERSION, "")))
        if now and now.order >= tag.order:
            return False
        self.put_manifest(channel, manifest)
        return True

    def push(self, body: Body, digest: str, what: str) -> bool:
        """Upload a blob, which messages call `what`, unless it is there; whether it was not."""
        at, doing = f"{self._base}/blobs/{digest}", f"looking for {what}"
        if self._send("HEAD", at, (200, 404), doing).status_code == 200:
            return False
        place = self._begin(f"uploading {what}")
        mark = "&" if "?" in place else "?"
        headers = {"Content-Type": LAYER}
        at, doing = f"{place}{mark}digest={digest}", f"uploading {what}"
        self._send("PUT", at, (201,), doing, body, headers)
        return True

    def _begin(self, doing: str) -> str:
        """The address of a new upload."""
        at = f"{self._base}/blobs/uploads/"
        return urljoin(at, self._send("POST", at, (202,), doing).headers["Location"])

    def manifest_bytes(self, reference: str, kind: str = MANIFEST) -> bytes | None:
        """The manifest or index of this media type under a tag or digest, if there is one."""
        at, headers = f"{self._base}/manifests/{reference}", {"Accept": kind}
        answer = self._send("GET", at, (200, 404), f"reading {reference}", None, headers)
        return answer.content if answer.status_code == 200 else None

    def _manifest(self, reference: str) -> Mapping[str, Any] | None:
        found = self.manifest_bytes(reference)
        return None if found is None else json.loads(found)

    def put_manifest(self, reference: str, manifest: bytes, kind: str = MANIFEST) -> None:
        """Give a manifest or index, whose blobs are there, a name: a tag, or its digest."""
        at, headers = f"{self._base}/manifests/{reference}", {"Content-Type": kind}
        self._send("PUT", at, (201,), f"naming it {reference}", manifest, headers)

    @property
    def _base(self) -> str:
        return f"{self.url}/v2/{self.name}"

    def _send(
        self,
        method: str,
        url: str,
        expect: tuple[int, ...],
        doing: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """As the client, with a token bought where the registry asks for one."""
        for attempt in (1, 2):
            also = () if attempt == 2 else (401,)
            client = replace(self.client, auth=self._held.token or self.client.auth)
            answer = client.send(
                method, url, expect=(*expect, *also), body=body, headers=headers, doing=doing
            )
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status_code != 401:
                break
            if challenge.startswith("Bearer "):
                self._held.token = self._buy(challenge)
        return answer

    def _buy(self, challenge: str) -> Bearer:
        """A token for pushing (distribution's "Token Authentication Specification")."""
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = demand_url(asked["realm"])
        scope = f"repository:{self.name}:pull,push"
        query = urlencode({"service": asked.get("service", ""), "scope": scope})
        got = self.client.send("GET", f"{realm}?{query}", doing="asking for a token").json()
        return Bearer(got.get("token") or got["access_token"])


def manifest_of(release: Release) -> bytes:
    """The artifact's manifest; the same release makes the same bytes."""
    layers = [
        {
            "mediaType": LAYER,
            "digest": f"sha256:{file.sha256}",
            "size": file.size,
            "annotations": {TITLE: file.name},
        }
        for file in release.flat
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": {"mediaType": EMPTY_TYPE, "digest": _digest(EMPTY), "size": len(EMPTY)},
        "layers": layers,
        "annotations": {VERSION: release.tag.text, REVISION: release.commit},
    }
    return json.dumps(document, indent=1).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _sums_digest(manifest: Mapping[str, Any]) -> str:
    """The digest of the layer that is the sum file, which stands for the whole release."""
    found = (
        layer["digest"]
        for layer in manifest.get("layers", ())
        if layer.get("annotations", {}).get(TITLE) == SUMS
    )
    return next(found, "")
