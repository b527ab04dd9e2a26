"""What a release consists of: tags, files, sums, channels, and whose source is owed. Pure."""

from __future__ import annotations

import json

import pytest

from buildsys.load import load_project
from buildsys.model import Target
from buildsys.model.release import ReleaseTable, UpstreamTable
from buildsys.release.channels import moved, read_channels
from buildsys.release.checksums import listing, parsed
from buildsys.release.plan import ReleasePlan, is_copyleft, owed, plan_release
from buildsys.release.version import Tag, first_tag, parse_tag, tag_of
from tests.folders import toml_list

from .conftest import CHECKOUT, Tree

pytestmark = pytest.mark.unit

VERSION = "v1.35.0+k3s-04e8f1b5"
TAG = Tag(f"{VERSION}.2")

RELEASE = """
[release]
verdicts = {verdicts}
uname = {uname}
[release.upstream]
file = "{file}"
arch = "{arch}"
flat = {flat}
"""


def add_release(tree: Tree, target: str, file: str = "k3s-armhf", *, flat: bool = True) -> None:
    path = tree.root / f"toolchains/{target}.toml"
    table = RELEASE.format(
        verdicts=toml_list(["audit"]),
        uname=toml_list(["armv6l"]),
        file=file,
        arch="arm",
        flat=str(flat).lower(),
    )
    path.write_text(path.read_text() + table)


def targets(tree: Tree) -> dict[str, Target]:
    return dict(tree.load().targets)


@pytest.fixture
def planned(tree: Tree) -> ReleasePlan:
    """Two targets for which upstream has one name; the first has it in the flat release."""
    add_release(tree, "armv6")
    add_release(tree, "other", flat=False)
    return plan_release(TAG, targets(tree).values())


# ---- tags ----


@pytest.mark.parametrize(
    ("noted", "tag"),
    [
        ([f"{VERSION}.1"], f"{VERSION}.1"),
        ([f"{VERSION}.9", f"{VERSION}.10"], f"{VERSION}.10"),
        (["v1.34.0+k3s-04e8f1b5.3", f"{VERSION}.1"], f"{VERSION}.1"),
        (["v1.34.0+k3s-04e8f1b5.3"], None),
        ([VERSION, "README", f"{VERSION}.0", f"{VERSION}.x"], None),
        ([], None),
    ],
)
def test_tag_is_the_highest_that_has_notes(noted: list[str], tag: str | None) -> None:
    found = tag_of(VERSION, noted)
    assert (found.text if found else None) == tag


def test_tag_of_a_registry_has_no_plus() -> None:
    assert TAG.oci == "v1.35.0-k3s-04e8f1b5.2"


def test_tags_are_ordered_by_version_then_build() -> None:
    texts = ["v1.9.0+k3s1.1", "v1.35.0+k3s-zz.1", "v1.35.0+k3s-aa.2", "v1.35.0+k3s-aa.10"]
    tags = [tag for text in texts if (tag := parse_tag(text))]
    assert sorted(tags, key=lambda tag: tag.order) == tags
    assert len(tags) == len(texts)


def test_no_tag_of_a_version_without_build_metadata() -> None:
    assert first_tag("v1.35.0") is None
    assert first_tag("1.35.0+k3s1") is None
    assert first_tag("v1.35.0+k3s1") == Tag("v1.35.0+k3s1.1")


# ---- layout ----


def test_every_target_has_upstreams_names_below_its_own(planned: ReleasePlan) -> None:
    """The place with download/<tag>/ is what GITHUB_URL of upstream's install.sh is set to."""
    for target in ("armv6", "other"):
        executable = f"{target}/download/{TAG}/k3s-armhf"
        assert planned.copies[executable] == f"k3s-{target}"
        assert planned.listings[f"{target}/download/{TAG}/sha256sum-arm.txt"] == (executable,)


def test_flat_release_has_upstreams_name_for_one_target(planned: ReleasePlan) -> None:
    flat = f"download/{TAG}"
    assert planned.copies[f"{flat}/k3s-armhf"] == "k3s-armv6"
    names = {path.removeprefix(f"{flat}/") for path in planned.paths if path.startswith(flat)}
    both = {
        f"{name}{end}"
        for target in ("armv6", "other")
        for name, ends in (
            (f"k3s-{target}", ("", ".json")),
            (f"k3s-airgap-images-{target}.tar", (".zst", ".gz")),
        )
        for end in ends
    }
    made = {"k3s-sources.tar", "install.sh", "release.json", "release-notes.md", "sha256sums.txt"}
    assert names == both | made | {"k3s-images.txt", "k3s-armhf", "sha256sum-arm.txt"}


def test_sums_cover_the_flat_release_but_notes_and_themselves(planned: ReleasePlan) -> None:
    flat = f"download/{TAG}"
    sums = f"{flat}/sha256sums.txt"
    uncovered = {p for p in planned.paths if p.startswith(flat)} - set(planned.listings[sums])
    assert uncovered == {sums, f"{flat}/release-notes.md"}
    assert planned.paths[-1] == sums


def test_paths_name_each_file_once(planned: ReleasePlan) -> None:
    assert len(set(planned.paths)) == len(planned.paths)


def test_target_that_upstream_does_not_know_is_in_the_flat_release_only(tree: Tree) -> None:
    target = targets(tree)["armv6"]
    table = ReleaseTable(verdicts=("audit",), uname=("i686",))
    plan = plan_release(TAG, [target.model_copy(update={"release": table})])
    assert all(path.startswith("download/") for path in plan.paths)
    assert f"download/{TAG}/k3s-armv6" in plan.copies


def test_name_of_the_flat_release_is_one_targets_only(tree: Tree) -> None:
    add_release(tree, "armv6")
    add_release(tree, "other")
    where = "toolchains/other.toml: release.upstream.flat"
    assert tree.problems() == (
        f"{where}: k3s-armhf is armv6's already",
        f"{where}: sha256sum-arm.txt is armv6's already",
    )


def test_verdict_that_nothing_makes_is_a_mistake(tree: Tree) -> None:
    add_release(tree, "armv6")
    tree.edit("toolchains/armv6.toml", "['audit']", "['audit', 'smoke', 'boot']")
    assert tree.problems() == (
        "toolchains/armv6.toml: release.verdicts: there is no scenario 'boot'",
    )


def test_upstreams_names_are_those_of_its_install_script() -> None:
    """setup_verify_arch of k3s's install.sh: suffix by `uname -m`, and the word in the sums."""
    known = {
        "armv6": UpstreamTable(file="k3s-armhf", arch="arm", flat=True),
        "amd64": UpstreamTable(file="k3s", arch="amd64", flat=True),
    }
    for name, target in load_project(CHECKOUT).targets.items():
        if name in known:
            assert target.release and target.release.upstream == known[name]


# ---- sums ----


def test_sums_name_files_as_they_lie_beside_them() -> None:
    text = listing(["a/b/k3s", "a/b/x"], {"a/b/k3s": "1" * 64, "a/b/x": "2" * 64})
    assert text.decode() == f"{'1' * 64}  k3s\n{'2' * 64}  x\n"
    assert parsed(text + b"no sum\n") == {"k3s": "1" * 64, "x": "2" * 64}


# ---- channels ----


def test_channels_have_the_shape_of_upstreams_server() -> None:
    document = moved(None, ["stable", "latest"], TAG)
    assert [(c["id"], c["latest"]) for c in json.loads(document)["data"]] == [
        ("stable", TAG.text),
        ("latest", TAG.text),
    ]


def test_each_channel_has_a_line_of_its_own() -> None:
    """A shell takes the tag from the line with sed."""
    lines = moved(None, ["stable", "latest"], TAG).decode().splitlines()
    assert [line for line in lines if '"name": "latest", "latest": "' in line] == [lines[2]]
    assert len(lines) == 4


def test_channel_that_was_not_asked_for_stays() -> None:
    before = moved(None, ["stable", "latest"], Tag(f"{VERSION}.1"))
    after = read_channels(moved(before, ["latest"], TAG))
    assert after == {"stable": Tag(f"{VERSION}.1"), "latest": TAG}


def test_channel_never_goes_back() -> None:
    newer = Tag("v1.36.0+k3s1.1")
    document = moved(None, ["latest"], newer)
    assert moved(document, ["latest"], TAG) == document


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b'{"data": 3}', b'{"data": [{}]}'])
def test_unreadable_channels_are_none(text: bytes) -> None:
    assert read_channels(text) == {}


# ---- whose source is owed ----


@pytest.mark.parametrize(
    ("license_", "expected"),
    [
        ("GPL-2.0-only", True),
        ("LGPL-2.1-or-later", True),
        ("AGPL-3.0-only", True),
        ("GPL-2.0-or-later AND MIT", True),
        ("Apache-2.0 OR GPL-2.0-or-later", False),
        ("BSD-3-Clause OR GPL-2.0-only", False),
        ("GPL-2.0-only OR LGPL-2.1-only", True),
        ("MIT AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("Apache-2.0", False),
        ("MPL-2.0", False),
    ],
)
def test_licence_that_leaves_no_choice(license_: str, expected: bool) -> None:
    assert is_copyleft(license_) is expected


def test_source_of_what_is_linked_in_is_owed_too(tree: Tree) -> None:
    tree.recipe("library", into="build")
    tree.recipe("unused", into="build")
    tree.edit("recipes/two/recipe.toml", "['one']", "['one', 'library']")
    for name in ("library", "unused"):
        tree.edit(f"recipes/{name}/recipe.toml", '"MIT"', '"LGPL-2.1-only"')
    assert [recipe.name for recipe in owed(tree.plan("armv6"))] == ["library"]
