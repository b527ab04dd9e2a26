"""What the unit tests share: a project of their own to edit, a cache, archives, golden files."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import pytest

from buildsys.cache import Cache
from buildsys.errors import ConfigError
from buildsys.load import Project, load_project
from buildsys.model import FULL
from buildsys.plan import Plan, make_plan
from buildsys.store import Artifact, Store
from tests.folders import Folders, toml_list

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLCHAIN = {"go": "1.25.5", "zig": "0.16.0"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens", action="store_true", help="write the golden files instead of comparing"
    )


Golden = Callable[[str, str], None]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with a file in golden/, or write it there."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).with_name("golden") / name
        if request.config.getoption("--update-goldens", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        known = path.read_text("utf-8") if path.is_file() else ""
        assert text == known, f"{path.name} differs; pytest tests/unit --update-goldens rewrites it"

    return compare


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests print is not about the run of a CI that they may be a part of."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache")
    made.create()
    return made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


# ---- a project: recipes and targets as text, to be broken one edit at a time ----

PATCH = """\
[[patch]]
file = "{file}"
targets = {targets}
why = "the tests want it"
origin = "ours"
"""

TARGET = """\
name = "{name}"
summary = "A board of the tests"
[go]
GOARCH = "arm"
GOARM = "{goarm}"
[c]
triple = "arm-linux-musleabihf"
mcpu = "arm1176jzf_s"
[elf]
machine = "arm"
bits = 32
[emulator]
user = "arm"
cpu = "arm1176"
[image]
platform = "linux/arm/v{goarm}"
[executable]
cpu = "armv6"
window_mib = 8
budget_mib = 62
"""


class Tree(Folders):
    """The folders of a project, to be loaded and planned."""

    def patch(self, name: str, file: str, *targets: str, text: str = "a change\n") -> None:
        """A patch of the recipe `name`, written and declared."""
        self.write(f"recipes/{name}/patches/{file}", text)
        path = self.root / f"recipes/{name}/recipe.toml"
        entry = PATCH.format(file=file, targets=toml_list(targets))
        path.write_text(path.read_text() + entry)

    def target(self, name: str, goarm: int = 6) -> None:
        """A target that is right."""
        self.write(f"toolchains/{name}.toml", TARGET.format(name=name, goarm=goarm))

    def load(self) -> Project:
        return load_project(self.root)

    def problems(self) -> tuple[str, ...]:
        """What loading complains about."""
        with pytest.raises(ConfigError) as caught:
            self.load()
        return caught.value.problems

    def plan(
        self, *targets: str, only: Iterable[str] = (), profile: str = FULL, **versions: str
    ) -> Plan:
        """The plan of the named targets, or all; `versions` replace those of the toolchain."""
        project = self.load()
        tools = {**TOOLCHAIN, **versions}
        return make_plan(project, targets or project.targets, tools, only, profile)

    def keys(self, **versions: str) -> dict[str, str]:
        """Every job's key by its id."""
        return {job.id: job.key for job in self.plan(**versions).jobs}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Two recipes and two targets; "two" needs "one"."""
    made = Tree(tmp_path / "project")
    made.recipe("one")
    made.recipe("two", needs=["one"])
    made.target("armv6")
    made.target("other", goarm=7)
    return made


# ---- the store ----

Add = Callable[..., Artifact]


@pytest.fixture
def store(cache: Cache) -> Store:
    return Store(cache)


@pytest.fixture
def add(cache: Cache, store: Store) -> Add:
    """Put files, by path and content, into the store under a key."""

    def put(
        key: str,
        files: Mapping[str, bytes],
        links: Mapping[str, str] | None = None,
        recipe: str = "one",
    ) -> Artifact:
        return store.add(
            make_files(cache.work / f"picked-{key}", files, links or {}), record(key, recipe)
        )

    return put


def make_files(folder: Path, files: Mapping[str, bytes], links: Mapping[str, str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    for name, text in links.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(text)
    return folder


def record(key: str, recipe: str = "one") -> dict[str, object]:
    """What a job says of its artifact."""
    return {
        "key": key,
        "recipe": recipe,
        "version": "1.0",
        "target": "armv6",
        "source": "",
        "seconds": 1.5,
        "checks": {"elves": 1},
    }


# ---- archives, trees and hashes ----


TarMode = Literal["w:", "w:gz", "w:bz2", "w:xz"]


def tar_member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member with any fields, hostile ones too."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def write_tar(
    path: Path, *members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT
) -> Path:
    """A tar whose compression is that of the name's suffix."""
    modes: Mapping[str, TarMode] = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}
    with tarfile.open(path, modes.get(path.suffix, "w:"), format=kind) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def listing(folder: Path) -> dict[str, str]:
    """Everything below a folder: links with their text, files with their content."""
    return {
        path.relative_to(folder).as_posix(): (
            f"-> {path.readlink()}" if path.is_symlink() else path.read_text("utf-8", "replace")
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *args], check=True, capture_output=True, text=True
    )
    return done.stdout


def flip(path: Path, position: int) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)
