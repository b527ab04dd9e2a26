"""A store that speaks S3's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from requests_aws4auth import AWS4Auth

from buildsys.errors import NoRightsError
from buildsys.release.publish.http import Below
from buildsys.release.publish.store import OTHER

META = "x-amz-meta-sha256"
"""Where the sha256 of an object is kept: an ETag is none (docs.aws.amazon.com, Common headers)."""

RIGHTS = "the key needs s3:GetObject, s3:PutObject and s3:ListBucket there; without the last, what \
is missing looks forbidden"


def signed(environment: Mapping[str, str]) -> AWS4Auth:
    """Signature version 4 with the usual variables. Raises `NoRightsError` where they are not set.

    requests-aws4auth signs requests and does nothing else; botocore, which could as well, is seven
    hundred times its size. It reads a body into memory to sign it: one file at a time.
    """
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if missing := [name for name in names if not environment.get(name)]:
        raise NoRightsError(
            f"no credentials for S3: {', '.join(missing)} is not set",
            action=f"set {', '.join(names)}, and AWS_REGION where it is not us-east-1",
        )
    key, secret = (environment[name] for name in names)
    region = environment.get("AWS_REGION") or "us-east-1"
    token = environment.get("AWS_SESSION_TOKEN")
    return AWS4Auth(key, secret, region, "s3", session_token=token)


@dataclass(frozen=True)
class S3(Below):
    """Objects below `url`, which is endpoint/bucket or endpoint/bucket/prefix."""

    def find(self, path: str, size: int) -> str | None:
        """By HEAD, which has what `put` said; another tool's object is read back."""
        doing = f"looking for {path}"
        answer = self.client.send("HEAD", self.at(path), expect=(200, 404), doing=doing)
        if answer.status_code == 404:
            return None
        if answer.headers.get("Content-Length") != str(size):
            return OTHER
        return answer.headers.get(META) or self.client.sha256(self.at(path))

    def read(self, path: str) -> bytes | None:
        """By GET."""
        doing = f"reading {path}"
        answer = self.client.send("GET", self.at(path), expect=(200, 404), doing=doing)
        return answer.content if answer.status_code == 200 else None

    def put(self, path: str, body: bytes | Path, sha256: str, *, fresh: bool) -> bool:
        """By PUT, conditional where the store knows that; an object appears whole or not at all."""
        headers = {"Content-Type": "application/octet-stream", META: sha256}
        if fresh:
            headers["If-None-Match"] = "*"
        answer = self.client.send(
            "PUT",
            self.at(path),
            expect=(200, 412),
            body=body,
            headers=headers,
            doing=f"putting {path}",
        )
        return answer.status_code == 200
