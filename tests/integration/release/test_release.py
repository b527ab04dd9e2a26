"""The whole verb on a project of its own: refused, made, gone on with, published, done."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildsys.app import ROOT, App, Settings
from buildsys.ci.steps import verdicts_of
from buildsys.errors import NotWritableError, ReleaseRefusedError, SmokeError
from buildsys.load import load_project
from buildsys.release import pipeline
from buildsys.release.channels import PATH, read_channels
from buildsys.release.context import Wishes
from buildsys.release.pipeline import NOTHING, STEPS
from buildsys.release.publish import Destination, Outcome, Release
from buildsys.release.publish.folder import Folder
from buildsys.release.version import Tag
from buildsys.verify.proof import BOOTLESS
from buildsys.verify.verdict import Verdict
from tests.folders import PAUSE, Folders

pytestmark = pytest.mark.integration

VERSION = "v1.35.0+k3s-test"
TAG = f"{VERSION}.1"
FLAT = f"download/{TAG}"
KINDS = verdicts_of(load_project(ROOT).targets["armv6"])
BOOTS = tuple(kind for kind in KINDS if kind not in BOOTLESS)


@dataclass(frozen=True)
class Project(Folders):
    """A checkout under git, whose one target is armv6, and a cache."""

    cache: Path

    def app(self) -> App:
        return App(Settings(cache=str(self.cache)), self.root)

    def git(self, *args: str) -> None:
        author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *author, *args], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a change")

    def build(self) -> Path:
        """Make the executable; its path."""
        app = self.app()
        result = app.build(app.plan(["armv6"]))
        assert result.bundles, result.outcomes
        return result.bundles[0].path

    def prove(self, *kinds: str) -> None:
        """Verdicts that passed, about the executable as it is."""
        artifacts = self.root / "artifacts"
        for kind in kinds or KINDS:
            verdict = Verdict(kind, "armv6", artifacts / "k3s-armv6", artifacts / "a.log")
            with verdict.step("all"):
                pass
            verdict.write(artifacts / "verdicts")

    def release(self, *places: Destination, stable: bool = False) -> dict[str, str]:
        """What each step did; a dry run without `places`."""
        wishes = Wishes(("armv6",), not places, stable, places)
        _, done = pipeline.release(self.app(), wishes)
        return {step.name: step.result for step in done}

    def refused(self, *places: Destination) -> str:
        with pytest.raises(ReleaseRefusedError) as caught:
            self.release(*places)
        return str(caught.value)

    @property
    def out(self) -> Path:
        return self.root / "artifacts/release"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Everything that a release needs but what is built and proven."""
    made = Project(tmp_path / "checkout", tmp_path / "cache")
    made.recipe("k3s", version=VERSION)
    made.recipe("library", license_="GPL-2.0-only")
    made.recipe("launcher", into="launcher")
    made.image("pause", PAUSE)
    made.armv6()
    made.write(".gitignore", "/artifacts\n")
    made.write(f"docs/releases/{TAG}.md", "Everything is new.\n")
    made.git("init", "-q")
    made.commit()
    return made


@pytest.fixture
def proven(project: Project) -> Project:
    """Built, and with every verdict."""
    project.build()
    project.prove()
    return project


def checked(folder: Path, sums: str) -> list[str]:
    """The names that sha256sum finds right."""
    argv = ["sha256sum", "--strict", "-c", sums]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^(.+): OK$", done.stdout, re.M)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---- a dry run ----


def test_layout_is_complete_and_its_sums_are_right(proven: Project) -> None:
    done = proven.release()
    assert list(done) == [step.__name__ for step in STEPS]
    assert done["publish"] == "left out: a dry run"
    flat = proven.out / FLAT
    listed = checked(flat, "sha256sums.txt")
    there = {path.name for path in flat.iterdir()}
    assert there - set(listed) == {"sha256sums.txt", "release-notes.md"}
    made = {"k3s-sources.tar", "install.sh", "release.json"}
    assert {"k3s-armv6", "k3s-armhf", *made} <= set(listed)
    executable = (proven.root / "artifacts/k3s-armv6").read_bytes()
    assert checked(flat, "sha256sum-arm.txt") == ["k3s-armhf"]
    own = proven.out / f"armv6/{FLAT}"
    assert checked(own, "sha256sum-arm.txt") == ["k3s-armhf"]
    assert (own / "k3s-armhf").read_bytes() == (flat / "k3s-armv6").read_bytes() == executable
    assert os.access(own / "k3s-armhf", os.X_OK)
    record = json.loads((flat / "release.json").read_text())
    assert set(record["targets"]["armv6"]["verdicts"]) == set(KINDS)
    assert "Everything is new." in (flat / "release-notes.md").read_text()
    assert read_channels((proven.out / PATH).read_bytes()) == {"latest": Tag(TAG)}


def test_second_run_does_nothing(proven: Project) -> None:
    proven.release()
    before = tree(proven.root / "artifacts")
    done = proven.release()
    assert tree(proven.root / "artifacts") == before
    idle = set(done) - {"preflight", "verdicts", "publish"}
    assert {done[step] for step in idle} == {NOTHING}


@pytest.mark.parametrize("name", ["k3s-armhf", "sha256sums.txt", "k3s-sources.tar"])
def test_file_that_was_damaged_is_mended(proven: Project, name: str) -> None:
    proven.release()
    path = proven.out / FLAT / name
    right = path.read_bytes()
    path.unlink()
    path.write_bytes(right[:-1] + b"x")
    proven.release()
    assert path.read_bytes() == right


def test_sources_of_what_is_under_the_gpl(proven: Project) -> None:
    proven.release()
    path = proven.out / FLAT / "k3s-sources.tar"
    listed = subprocess.run(["tar", "-xOf", path, "k3s-sources/README"], capture_output=True)
    assert b"library 1.0, GPL-2.0-only" in listed.stdout
    assert b"k3s v1" not in listed.stdout.split(b"\n\n")[1]
    inner = f"tar -xOf {path} k3s-sources/k3s-buildsys.tar | tar -t"
    names = subprocess.run(["sh", "-c", inner], capture_output=True, text=True).stdout
    assert "k3s-buildsys/recipes/library/src/tool" in names.splitlines()


# ---- refused ----


@pytest.mark.parametrize("kind", KINDS)
def test_verdict_that_is_missing_is_named(proven: Project, kind: str) -> None:
    (proven.root / f"artifacts/verdicts/armv6-{kind}.json").unlink()
    text = proven.refused()
    assert f"k3s-armv6, {kind}: there is no verdict" in text
    assert text.startswith("1 thing ")
    assert not proven.out.exists()


def test_verdict_that_is_deleted_after_a_release_is_named(proven: Project) -> None:
    proven.release()
    (proven.root / "artifacts/verdicts/armv6-audit.json").unlink()
    assert "k3s-armv6, audit: there is no verdict" in proven.refused()


def test_verdict_about_other_bytes(proven: Project) -> None:
    proven.write("recipes/k3s/src/tool", "another program\n")
    proven.commit()
    proven.build()
    text = proven.refused()
    assert text.count("the verdict is about other bytes") == len(KINDS)


def test_verdict_that_failed(proven: Project) -> None:
    executable = proven.root / "artifacts/k3s-armv6"
    verdict = Verdict("smoke", "armv6", executable, executable.with_name("a.log"))
    with verdict.step("first start"):
        raise SmokeError("it died")
    verdict.write(executable.with_name("verdicts"))
    assert "k3s-armv6, smoke: the verdict is FAILED" in proven.refused()


def test_everything_that_is_wrong_at_once(proven: Project, tmp_path: Path) -> None:
    proven.git("tag", TAG)
    proven.write("stranger", "untracked\n")
    proven.commit()
    proven.write("recipes/k3s/src/new", "untracked\n")
    (proven.root / "artifacts/verdicts/armv6-smoke.json").unlink()
    (tmp_path / "file").write_text("x")
    text = proven.refused(Folder(tmp_path / "file"))
    assert "?? recipes/k3s/src/new" in text
    assert f"the tag {TAG} exists already" in text
    assert f"docs/releases/{VERSION}.2.md" in text
    assert "file cannot be written" in text
    # The file that was added makes another executable: this run would make it and prove it.
    assert text.startswith("3 things ")


def test_no_notes(proven: Project) -> None:
    (proven.root / f"docs/releases/{TAG}.md").unlink()
    proven.commit()
    assert f"write what is new for people to docs/releases/{TAG}.md" in proven.refused()


# ---- made by the release itself, and cut short ----


@pytest.fixture
def tried(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Audit and smoke of these executables, which are no programs: they pass, and are counted."""
    counted: list[str] = []

    def try_all(_: App, names: list[str], kind: str, __: str) -> list[object]:
        counted.append(f"{kind} {' '.join(names)}")
        project.prove(kind)
        return []

    monkeypatch.setattr(pipeline, "try_all", try_all)
    return counted


def test_what_is_not_there_is_made_and_the_boots_are_demanded_after(
    project: Project, tried: list[str]
) -> None:
    text = project.refused()
    assert tried == ["audit armv6", "smoke armv6"]
    demanded = re.findall(r"k3s-armv6, (\w+): there is no verdict", text)
    assert tuple(demanded) == BOOTS
    assert text.startswith(f"{len(BOOTS)} things ")
    project.prove(*BOOTS)
    done = project.release()
    assert {done[step] for step in ("build", "bundle", "audit", "smoke")} == {NOTHING}
    assert tried == ["audit armv6", "smoke armv6"]


def test_run_that_was_cut_short_is_gone_on_with(
    project: Project, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between bundle and audit: the next run knows that the verdicts are its own to make."""
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_try", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            project.release()
    assert (project.root / "artifacts/k3s-armv6").is_file()
    project.prove(*BOOTS)
    done = project.release()
    assert done["bundle"] == NOTHING
    assert tried == ["audit armv6", "smoke armv6"]
    # Once it was complete, a verdict that goes missing is somebody's doing.
    (project.root / "artifacts/verdicts/armv6-audit.json").unlink()
    assert "audit" in project.refused()


def _interrupt(*_: object) -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", [step.__name__ for step in STEPS[1:]])
def test_cut_before_any_step_it_comes_to_the_same(
    proven: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cut = tuple(_interrupt if step.__name__ == name else step for step in STEPS)
    public, straight = Folder(tmp_path / "public"), Folder(tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "STEPS", cut)
        with pytest.raises(KeyboardInterrupt):
            proven.release(public)
    assert not public.root.exists()
    proven.release(public)
    shutil.rmtree(proven.out)
    proven.release(straight)
    contents = [{k: data for k, (_, _, data) in tree(f.root).items()} for f in (public, straight)]
    assert contents[0] == contents[1]


# ---- published ----


def test_published_to_a_folder_and_done(proven: Project, tmp_path: Path) -> None:
    public = tmp_path / "public"
    first = proven.release(Folder(public), stable=True)
    assert re.search(r"\d+ put, 0 there already, channels moved", first["publish"])
    found = {name: data for name, (_, _, data) in tree(public).items()}
    assert found == {name: data for name, (_, _, data) in tree(proven.out).items()}
    assert read_channels(found[PATH]) == {"stable": Tag(TAG), "latest": Tag(TAG)}
    before = tree(public)
    second = proven.release(Folder(public), stable=True)
    assert re.search(r": 0 put, \d+ there already$", second["publish"])
    assert tree(public) == before


def test_published_tag_is_refused_from_another_build(proven: Project, tmp_path: Path) -> None:
    public = Folder(tmp_path / "public")
    proven.release(public)
    before = tree(public.root)
    shutil.rmtree(proven.out)
    proven.write("recipes/k3s/src/tool", "another program\n")
    proven.commit()
    proven.build()
    proven.prove()
    assert f"has {TAG} already, with other bytes" in proven.refused(public)
    proven.release()
    assert f"has {TAG} already, with other bytes" in proven.refused(public)
    assert tree(public.root) == before
    proven.write(f"docs/releases/{VERSION}.2.md", "Another program.\n")
    proven.commit()
    proven.release(public)
    assert (public.root / f"download/{VERSION}.2/k3s-armv6").is_file()
    assert {k: v for k, v in tree(public.root).items() if TAG in k} == {
        k: v for k, v in before.items() if TAG in k
    }


class Failing(Folder):
    """A folder whose disk fails."""

    def publish(self, release: Release) -> Outcome:
        raise NotWritableError(f"no disk for {release.tag}", action="wait")


def test_second_place_fails_and_the_first_is_kept(proven: Project, tmp_path: Path) -> None:
    good = Folder(tmp_path / "good")
    with pytest.raises(NotWritableError):
        proven.release(good, Failing(tmp_path / "bad"))
    before = tree(good.root)
    done = proven.release(good, Folder(tmp_path / "bad"))
    assert "0 put" in done["publish"].split(";")[0]
    assert tree(good.root) == before


# ---- as people call it ----


def test_nowhere_to_publish_to(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "invoke", "release", "--cache", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == ReleaseRefusedError.exit_code
    assert "--dry-run, or --to with one of: folder:PATH" in done.stderr
