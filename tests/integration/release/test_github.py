"""Publishing to GitHub's releases: a draft until it is complete, gone on with after a cut."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from buildsys.errors import (
    BuildsysError,
    NoRightsError,
    PublishedError,
    RateLimitedError,
    UploadCutError,
    UploadRefusedError,
)
from buildsys.release.channels import NAME, read_channels
from buildsys.release.publish import Destination, Release, destination
from buildsys.release.version import Tag

from .conftest import TAG, MakeRelease
from .github_double import TOKEN, GitHubDouble
from .server import CUT, Answer, Server

pytestmark = pytest.mark.integration

NEWER = Tag("v1.36.0+k3s1.1")


@pytest.fixture
def hub() -> GitHubDouble:
    return GitHubDouble()


@pytest.fixture
def server(hub: GitHubDouble) -> Iterator[Server]:
    with Server(hub.answer).served() as running:
        hub.url = running.url
        yield running


@pytest.fixture
def place(server: Server) -> Destination:
    environment = {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": server.url}
    return destination("github:owner/name", environment)


def expected(release: Release) -> dict[str, bytes]:
    return {file.name: file.local.read_bytes() for file in release.flat}


def published(hub: GitHubDouble, tag: Tag = TAG) -> dict[str, bytes]:
    found = hub.files(tag.text)
    found.pop(NAME, None)
    return found


def test_flat_release_is_published_with_its_notes(
    place: Destination, hub: GitHubDouble, release: Release
) -> None:
    outcome = place.publish(release)
    assert (outcome.put, outcome.kept, outcome.channels) == (len(release.flat), 0, True)
    assert published(hub) == expected(release)
    [made] = hub.releases
    assert made["draft"] is False
    assert made["body"] == release.notes
    assert made["target_commitish"] == release.commit
    assert hub.latest == made["id"]
    assert read_channels(hub.files(TAG.text)[NAME]) == {"latest": TAG}


def test_second_run_changes_nothing(
    place: Destination, hub: GitHubDouble, server: Server, release: Release
) -> None:
    place.publish(release)
    before = len(server.requests)
    outcome = place.publish(release)
    assert (outcome.put, outcome.kept, outcome.channels) == (0, len(release.flat), False)
    assert {request.method for request in server.requests[before:]} == {"GET"}
    assert len(hub.releases) == 1


def test_nobody_sees_a_part(
    place: Destination, hub: GitHubDouble, server: Server, release: Release
) -> None:
    server.faults.plan("POST", "name=sha256sums.txt", Answer(500))
    with pytest.raises(UploadRefusedError, match=r"500 .* while uploading sha256sums.txt"):
        place.publish(release)
    assert [made["draft"] for made in hub.releases] == [True]
    assert hub.latest is None


def test_upload_cut_in_the_middle_is_gone_on_with(
    place: Destination, hub: GitHubDouble, server: Server, release: Release
) -> None:
    server.faults.plan("POST", "name=k3s-armv6", CUT)
    with pytest.raises(UploadCutError, match="uploading k3s-armv6"):
        place.publish(release)
    # What GitHub keeps of it: a name that is taken, and no bytes.
    hub.begin(hub.releases[0], "k3s-armv6")
    place.publish(release)
    assert published(hub) == expected(release)
    assert [made["draft"] for made in hub.releases] == [False]
    assert server.count("POST", "/releases") == 1


def test_draft_of_another_build_is_filled_anew(
    place: Destination, hub: GitHubDouble, server: Server, make: MakeRelease
) -> None:
    """Nobody has downloaded anything of a draft."""
    server.faults.plan("POST", "name=sha256sums.txt", CUT)
    with pytest.raises(UploadCutError):
        place.publish(make())
    other = make(k3s_armv6=b"built again")
    place.publish(other)
    assert published(hub) == expected(other)


def test_published_bytes_are_never_overwritten(
    place: Destination, hub: GitHubDouble, make: MakeRelease
) -> None:
    place.publish(make())
    before = hub.files(TAG.text)
    with pytest.raises(PublishedError, match="k3s-armv6"):
        place.publish(make(k3s_armv6=b"built again"))
    assert hub.files(TAG.text) == before


def test_asset_that_was_removed_is_not_put_back(
    place: Destination, hub: GitHubDouble, release: Release
) -> None:
    place.publish(release)
    number = next(n for n, asset in hub.assets.items() if asset["name"] == "k3s-armv6")
    del hub.assets[number]
    with pytest.raises(PublishedError, match="has no k3s-armv6"):
        place.publish(release)


def test_api_without_digests_is_read_back(
    place: Destination, hub: GitHubDouble, make: MakeRelease
) -> None:
    hub.digests = False
    place.publish(make())
    assert place.publish(make()).put == 0
    with pytest.raises(PublishedError):
        place.publish(make(k3s_armv6=b"built again"))


# ---- channels ----


def test_stable_moves_later(place: Destination, hub: GitHubDouble, make: MakeRelease) -> None:
    place.publish(make())
    assert place.publish(make(channels=("stable", "latest"))).channels
    found = read_channels(hub.files(TAG.text)[NAME])
    assert found == {"stable": TAG, "latest": TAG}


def test_newer_release_takes_the_channels_over(
    place: Destination, hub: GitHubDouble, make: MakeRelease
) -> None:
    place.publish(make(channels=("stable", "latest")))
    place.publish(make(NEWER))
    assert read_channels(hub.files(NEWER.text)[NAME]) == {"stable": TAG, "latest": NEWER}
    assert [made["id"] for made in hub.releases if made["tag_name"] == NEWER.text] == [hub.latest]


def test_release_of_an_older_line_is_not_the_latest(
    place: Destination, hub: GitHubDouble, make: MakeRelease
) -> None:
    place.publish(make(NEWER))
    place.publish(make(channels=("stable", "latest")))
    assert [made["id"] for made in hub.releases if made["tag_name"] == NEWER.text] == [hub.latest]
    assert read_channels(hub.files(NEWER.text)[NAME]) == {"stable": TAG, "latest": NEWER}
    assert NAME not in hub.files(TAG.text)


# ---- what goes wrong ----

LIMIT = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225600"}


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(403, b"{}", LIMIT), RateLimitedError, "after 2026-01-01 00:00:00 UTC"),
        (Answer(403, b"secondary", {"retry-after": "60"}), RateLimitedError, "in 60 seconds"),
        (Answer(429, b"{}"), RateLimitedError, "later"),
        (Answer(403, b"not accessible"), NoRightsError, "contents"),
        (Answer(401, b"Bad credentials"), NoRightsError, "Bad credentials"),
        (Answer(422, b"Validation Failed"), UploadRefusedError, "Validation Failed"),
    ],
    ids=["primary", "secondary", "429", "rights", "token", "invalid"],
)
def test_refusals_are_named_without_the_token(
    place: Destination,
    server: Server,
    release: Release,
    answer: Answer,
    error: type[BuildsysError],
    words: str,
) -> None:
    server.faults.plan("POST", "name=k3s-armv6", answer)
    with pytest.raises(error) as caught:
        place.publish(release)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_upload_that_changed_on_the_way_is_refused(
    place: Destination, server: Server, release: Release
) -> None:
    wrong = {"name": "k3s-armv6", "state": "uploaded", "digest": f"sha256:{'0' * 64}"}
    server.faults.plan("POST", "name=k3s-armv6", Answer(201, json.dumps(wrong).encode()))
    with pytest.raises(UploadRefusedError, match="k3s-armv6 did not arrive as it was sent"):
        place.publish(release)


def test_obstacles(place: Destination, hub: GitHubDouble, make: MakeRelease) -> None:
    assert list(place.obstacles(TAG, None)) == []
    place.publish(make())
    sums = expected(make())["sha256sums.txt"]
    assert list(place.obstacles(TAG, sums)) == []
    [(what, _)] = place.obstacles(TAG, None)
    assert f"has {TAG} already" in what
    hub.push = False
    [(what, action)] = place.obstacles(TAG, sums)
    assert "may only read" in what
    assert "GITHUB_TOKEN" in action


def test_draft_is_no_obstacle(place: Destination, server: Server, release: Release) -> None:
    server.faults.plan("POST", "name=k3s-armv6", CUT)
    with pytest.raises(UploadCutError):
        place.publish(release)
    assert list(place.obstacles(TAG, None)) == []


def test_wrong_token(server: Server) -> None:
    environment = {"GITHUB_TOKEN": "ghp_other", "GITHUB_API_URL": server.url}
    [(what, action)] = destination("github:owner/name", environment).obstacles(TAG, None)
    assert "401" in what
    assert "ghp_other" not in what + action


def test_token_of_a_netrc_does_not_take_its_place(
    place: Destination, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = release.files[0].local.with_name("netrc")
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    place.publish(release)


def test_many_assets_and_releases_are_found_on_later_pages(
    hub: GitHubDouble, place: Destination, make: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildsys.release.publish.github.PAGE", 2)
    place.publish(make())
    for number in range(2, 6):
        place.publish(make(Tag(f"v1.35.0+k3s-04e8f1b5.{number}")))
    before = len(hub.releases)
    assert place.publish(make()).put == 0
    assert len(hub.releases) == before
