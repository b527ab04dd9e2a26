"""Rules of the repository that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from buildsys.components import page, write_page
from buildsys.doctor import PACKAGES
from buildsys.load import load_project
from buildsys.styles import HOST_TOOLS

from .conftest import CHECKOUT, git

pytestmark = pytest.mark.unit

MODULES = sorted([*CHECKOUT.glob("buildsys/**/*.py"), CHECKOUT / "tasks.py"])
PURE = [
    *(
        CHECKOUT / f"buildsys/{name}.py"
        for name in ("plan", "consistency", "bundle/manifest", "image/oci")
    ),
    *sorted(CHECKOUT.glob("buildsys/model/*.py")),
    *(
        CHECKOUT / f"buildsys/release/{name}.py"
        for name in ("channels", "checksums", "notes", "plan", "preflight", "version")
    ),
    *(CHECKOUT / f"buildsys/ci/{name}.py" for name in ("matrix", "steps")),
    *(
        CHECKOUT / f"buildsys/page/{name}.py"
        for name in ("document", "markup", "sizes", "timeline", "treemap", "verdicts")
    ),
    *(
        CHECKOUT / f"buildsys/verify/{name}.py"
        for name in ("chart", "pictures", "proof_page", "status")
    ),
]

EFFECTS = {
    "asyncio",
    "fcntl",
    "http",
    "io",
    "mmap",
    "multiprocessing",
    "os",
    "random",
    "requests",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}
"""Modules that reach outside, or that make a value depend on when and where it was computed."""

MACHINE_PATH = re.compile(rb"(?<![\w.$}~*-])/(?:root|work)/")
"""A path of the machine that somebody wrote on."""


def name_of(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def imports(path: Path) -> set[str]:
    """Everything that a module imports, with its parents: "pathlib", "pathlib.Path" …"""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def test_modules_are_found() -> None:
    assert len(MODULES) > 30
    assert len(PURE) >= 5


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_plan_and_model_have_no_effects(path: Path) -> None:
    found = imports(path)
    assert not {name.split(".")[0] for name in found} & EFFECTS
    assert "pathlib.Path" not in found
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not {"open", "print", "input", "exec", "eval"} & set(calls)


def test_no_tracked_file_holds_a_path_of_somebodys_machine() -> None:
    tracked = git(CHECKOUT, "ls-files", "-z").split("\0")
    holding = [
        name
        for name in tracked
        if name
        and (path := CHECKOUT / name).is_file()
        and not path.is_symlink()
        and MACHINE_PATH.search(path.read_bytes())
    ]
    assert len(tracked) > 50
    assert holding == []


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        (b"cd /" + b"root/x", True),
        (b'"/' + b'work/main"', True),
        (b"$HOME/work/x", False),
        (b"cache/work/job", False),
        (b"self.root / 'work'", False),
    ],
)
def test_the_rule_on_paths_can_tell(text: bytes, hit: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) == hit


def test_every_patch_says_why_and_where_it_is_declared() -> None:
    """A patch that no recipe names is dead: it would never be applied, nor reported as stale."""
    from buildsys.load import load_project

    for name, loaded in load_project(CHECKOUT).recipes.items():
        there = {path.name for path in loaded.folder.glob("patches/*")}
        assert there == {patch.file for patch in loaded.recipe.patch}, name


def test_setup_installs_what_builds_call() -> None:
    """And the base image of `--backend docker` with it, which has what doctor asks for."""
    recipes = [loaded.recipe for loaded in load_project(CHECKOUT).recipes.values()]
    called = {tool for r in recipes for tool in (*HOST_TOOLS[r.style], *r.host_tools)}
    assert "bzip2" in called
    assert called <= {program for program, (_, use) in PACKAGES.items() if use == "build"}


def test_no_folder_of_tests_is_passed_over() -> None:
    """pytest and ruff skip folders of some names without a word."""
    passed_over = {"build", "dist", "venv", "node_modules", "site-packages", "buck-out"}
    assert not passed_over & {
        path.name for path in (CHECKOUT / "tests").rglob("*") if path.is_dir()
    }


def test_component_page_is_what_the_recipes_say() -> None:
    written = (CHECKOUT / "docs/components.md").read_text("utf-8")
    assert written == page(load_project(CHECKOUT)), "invoke list --write"


def test_component_page_is_written_whole(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    project = load_project(CHECKOUT)
    path = write_page(tmp_path, project)
    assert path.read_text("utf-8") == page(project)
    assert [*tmp_path.rglob("*")] == [path.parent, path], "nothing unfinished is left"
