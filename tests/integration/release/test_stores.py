"""WebDAV and S3 over real HTTP: what is put, what is kept, and every way in which it fails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from buildsys.errors import (
    BuildsysError,
    NoRightsError,
    PublishedError,
    RateLimitedError,
    UnknownNameError,
    UploadCutError,
    UploadRefusedError,
)
from buildsys.release.channels import PATH, read_channels
from buildsys.release.publish import Destination, Release, destination

from .conftest import FLAT, TAG, MakeRelease
from .server import CUT, Answer, Files, Request, Server

pytestmark = pytest.mark.integration

ENVIRONMENT = {
    "WEBDAV_USER": "someone",
    "WEBDAV_PASSWORD": "dav-secret",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
}
SECRETS = ("dav-secret", "aws-secret", "c29tZW9uZTpkYXYtc2VjcmV0")


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def server(files: Files) -> Iterator[Server]:
    with Server(files.answer).served() as running:
        yield running


@pytest.fixture(params=["webdav", "s3"])
def kind(request: pytest.FixtureRequest, files: Files) -> str:
    if request.param == "s3":
        files.needs_folders, files.created = False, 200
    return str(request.param)


@pytest.fixture
def place(kind: str, server: Server) -> Destination:
    return destination(f"{kind}:{server.url}/dav", ENVIRONMENT)


def stored(files: Files) -> dict[str, bytes]:
    return {path.removeprefix("/dav/"): data for path, data in files.files.items()}


def expected(release: Release) -> dict[str, bytes]:
    return {file.path: file.local.read_bytes() for file in release.files}


def test_every_file_arrives_and_the_second_run_puts_nothing(
    place: Destination, server: Server, files: Files, release: Release
) -> None:
    first = place.publish(release)
    assert (first.put, first.kept, first.channels) == (len(release.files), 0, True)
    found = stored(files)
    assert read_channels(found.pop(PATH)) == {"latest": TAG}
    assert found == expected(release)
    puts = server.count("PUT")
    second = place.publish(release)
    assert (second.put, second.kept, second.channels) == (0, len(release.files), False)
    assert server.count("PUT") == puts


def test_plus_of_the_tag_is_percent_encoded(
    place: Destination, server: Server, release: Release
) -> None:
    """S3 takes a bare plus for a space."""
    place.publish(release)
    paths = {request.path for request in server.requests if request.method == "PUT"}
    assert any("v1.35.0%2Bk3s" in path for path in paths)
    assert not any("+" in path for path in paths)


def test_upload_cut_in_the_middle_is_tried_again(
    place: Destination, server: Server, files: Files, release: Release
) -> None:
    server.faults.plan("PUT", "/k3s-armv6", CUT, CUT)
    assert place.publish(release).put == len(release.files)
    assert stored(files)[f"{FLAT}/k3s-armv6"] == expected(release)[f"{FLAT}/k3s-armv6"]


def test_upload_that_stays_cut_is_named_and_gone_on_with(
    place: Destination, server: Server, files: Files, release: Release
) -> None:
    server.faults.plan("PUT", "/k3s-armv6", CUT, CUT, CUT)
    with pytest.raises(UploadCutError, match=r"while putting .*/k3s-armv6, 3 times") as caught:
        place.publish(release)
    assert "goes on where it stopped" in str(caught.value)
    # What says that a release is complete is not there.
    assert f"{FLAT}/sha256sums.txt" not in stored(files)
    before = len(files.files)
    outcome = place.publish(release)
    assert (outcome.kept, outcome.put) == (before, len(release.files) - before)
    assert {**stored(files), PATH: b""} == {**expected(release), PATH: b""}


def test_answer_that_was_lost_is_no_failure(
    place: Destination, server: Server, files: Files, release: Release
) -> None:
    """The store has the file, the client does not know: the second try is told that it exists."""
    path = f"{FLAT}/k3s-armv6"
    answer = server.answer

    def lose_once(request: Request) -> Answer:
        result = answer(request)
        if path not in stored(files):
            return result
        server.answer = answer
        return Answer(500)

    server.answer = lose_once
    outcome = place.publish(release)
    assert outcome.put == len(release.files) - 1
    assert stored(files)[path] == expected(release)[path]


def test_published_bytes_are_never_overwritten(
    place: Destination, files: Files, make: MakeRelease
) -> None:
    place.publish(make())
    before = stored(files)
    with pytest.raises(PublishedError, match="k3s-armv6 already, with other bytes"):
        place.publish(make(k3s_armv6=b"of another size"))
    same_size = b"Executable " + b"executable " * 49_999
    with pytest.raises(PublishedError, match="k3s-armv6 already, with other bytes"):
        place.publish(make(k3s_armv6=same_size))
    assert stored(files) == before


def test_store_without_conditions_is_safe_too(
    place: Destination, files: Files, make: MakeRelease
) -> None:
    files.knows_conditions = False
    place.publish(make())
    before = stored(files)
    with pytest.raises(PublishedError):
        place.publish(make(k3s_armv6=b"other"))
    assert stored(files) == before


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(401, b"who are you"), NoRightsError, "401"),
        (Answer(403, b"<Code>AccessDenied</Code>"), NoRightsError, "AccessDenied"),
        (Answer(429, b"slow down", {"Retry-After": "30"}), RateLimitedError, "in 30 seconds"),
        (Answer(507, b"full"), UploadRefusedError, "full"),
        (Answer(400, b"<html>", {"Content-Type": "text/html"}), UploadRefusedError, "web page"),
        (Answer(302, b"", {"Location": "http://127.0.0.1:9/"}), UploadRefusedError, "302"),
    ],
    ids=["unauthorized", "forbidden", "limited", "full", "refused", "elsewhere"],
)
def test_refusals_are_named_without_secrets(
    place: Destination,
    server: Server,
    release: Release,
    answer: Answer,
    error: type[BuildsysError],
    words: str,
) -> None:
    server.faults.plan("PUT", "/k3s-armv6", answer, answer, answer)
    with pytest.raises(error) as caught:
        place.publish(release)
    text = str(caught.value)
    assert type(caught.value) is error
    assert words in text
    assert "/k3s-armv6" in text
    assert not any(secret in text for secret in SECRETS)


def test_server_that_fails_for_a_moment(
    place: Destination, server: Server, release: Release
) -> None:
    server.faults.plan("PUT", "/k3s-armv6", Answer(503), Answer(500))
    assert place.publish(release).put == len(release.files)


def test_obstacles(place: Destination, server: Server, make: MakeRelease) -> None:
    assert list(place.obstacles(TAG, None)) == []
    place.publish(make())
    sums = next(f for f in make().files if f.name == "sha256sums.txt").local.read_bytes()
    assert list(place.obstacles(TAG, sums)) == []
    [(what, _)] = place.obstacles(TAG, b"others\n")
    assert f"has {TAG} already" in what
    server.faults.plan("GET", "/sha256sums.txt", Answer(403))
    [(what, action)] = place.obstacles(TAG, sums)
    assert "403" in what
    assert action


def test_nobody_listens(kind: str, release: Release) -> None:
    place = destination(f"{kind}:http://127.0.0.1:1/dav", ENVIRONMENT)
    [(what, _)] = place.obstacles(TAG, None)
    assert "connection broke" in what
    with pytest.raises(UploadCutError, match="refused"):
        place.publish(release)


# ---- what only one of them does ----


def test_folders_are_made_where_the_server_asks(
    server: Server, files: Files, release: Release
) -> None:
    place = destination(f"webdav:{server.url}/dav", ENVIRONMENT)
    place.publish(release)
    assert {f"/dav/armv6/{FLAT}", f"/dav/{FLAT}", "/dav/latest/download"} <= files.folders
    files.needs_folders = False
    files.files.clear()
    made = server.count("MKCOL")
    place.publish(release)
    assert server.count("MKCOL") == made


def test_s3_signs_the_bytes_that_it_sends(server: Server, files: Files, release: Release) -> None:
    files.needs_folders, files.created = False, 200
    environment = {**ENVIRONMENT, "AWS_REGION": "eu-north-1", "AWS_SESSION_TOKEN": "a-token"}
    destination(f"s3:{server.url}/dav", environment).publish(release)
    puts = [request for request in server.requests if request.method == "PUT"]
    assert len(puts) == len(release.files) + 1
    for request in puts:
        headers = {name.lower(): value for name, value in request.headers.items()}
        sha256 = hashlib.sha256(request.body).hexdigest()
        assert headers["x-amz-content-sha256"] == headers["x-amz-meta-sha256"] == sha256
        assert headers["x-amz-security-token"] == "a-token"
        signed = headers["authorization"]
        assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert "/eu-north-1/s3/aws4_request" in signed
        assert "x-amz-meta-sha256" in signed


# ---- addresses ----


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.org",
        "folder:",
        "github:owner",
        "oci:https://example.org",
    ],
)
def test_address_that_is_none(text: str) -> None:
    with pytest.raises(UnknownNameError):
        destination(text, {**ENVIRONMENT, "GITHUB_TOKEN": "t"})


def test_credentials_do_not_belong_into_an_address() -> None:
    with pytest.raises(NoRightsError, match="has credentials in it") as caught:
        destination("webdav:https://someone:dav-secret@example.org/dav", {})
    assert "dav-secret" not in str(caught.value)


def test_credentials_are_not_sent_in_the_clear() -> None:
    with pytest.raises(NoRightsError, match=r"sent to example.org"):
        destination("webdav:http://example.org/dav", ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "variable"),
    [("github:owner/name", "GITHUB_TOKEN"), ("s3:https://example.org/b", "AWS_ACCESS_KEY_ID")],
)
def test_credentials_that_are_not_set(text: str, variable: str) -> None:
    with pytest.raises(NoRightsError, match=variable):
        destination(text, {})
