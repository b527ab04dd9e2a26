"""TOML files to frozen values. Every mistake of every file is reported in one go."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from buildsys.consistency import inconsistencies
from buildsys.errors import ConfigError
from buildsys.model import (
    FULL,
    GoOptions,
    LocalSource,
    Missing,
    Profile,
    Recipe,
    ScenarioTable,
    Target,
)

Model = TypeVar("Model", bound=BaseModel)
Named = TypeVar("Named", Target, ScenarioTable)


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, its folder, and the sha256 of each file of the folder that goes into the build."""

    recipe: Recipe
    folder: Path
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Project:
    """Everything that was read, by name."""

    recipes: Mapping[str, LoadedRecipe]
    targets: Mapping[str, Target]
    profiles: Mapping[str, Profile]
    missing: Mapping[str, Missing]
    scenarios: Mapping[str, ScenarioTable]


def load_project(root: Path) -> Project:
    """Read recipes, toolchains and scenarios of the checkout at `root`.

    Raises `ConfigError` with all mistakes, each with its file and key.
    """
    problems: list[str] = []
    recipes = {}
    for path in sorted(root.glob("recipes/*/recipe.toml")):
        recipe = _read(path, Recipe, root, problems)
        if recipe is None:
            continue
        where = path.relative_to(root)
        if recipe.name != path.parent.name:
            problems.append(f"{where}: name: {recipe.name!r} is not the folder's name")
        inputs = dict(_inputs(recipe, path.parent, where, problems))
        recipes[path.parent.name] = LoadedRecipe(recipe, path.parent, inputs)
    targets = _named(root.glob("toolchains/*.toml"), Target, root, problems)
    paths = root.glob("buildsys/machine/scenarios/*.toml")
    scenarios = _named(paths, ScenarioTable, root, problems)
    profiles = _tables(root / "recipes/profiles.toml", Profile, root, problems)
    profiles.setdefault(FULL, Profile(summary="Everything"))
    missing = _tables(root / "recipes/missing.toml", Missing, root, problems)
    bare = {name: loaded.recipe for name, loaded in recipes.items()}
    problems += inconsistencies(bare, targets, profiles, missing, scenarios)
    if problems:
        raise ConfigError(problems)
    return Project(recipes, targets, profiles, missing, scenarios)


def _read(path: Path, model: type[Model], root: Path, problems: list[str]) -> Model | None:
    where = path.relative_to(root)
    document = _document(path, where, problems)
    return None if document is None else _validated(document, model, where, problems)


def _named(
    paths: Iterable[Path], model: type[Named], root: Path, problems: list[str]
) -> dict[str, Named]:
    """One value per file, which has the value's name."""
    found = {}
    for path in sorted(paths):
        value = _read(path, model, root, problems)
        if value is None:
            continue
        if value.name != path.stem:
            problems.append(f"{path.relative_to(root)}: name: {value.name!r} is not the file's")
        found[path.stem] = value
    return found


def _tables(path: Path, model: type[Model], root: Path, problems: list[str]) -> dict[str, Model]:
    """A file with one table per name; no such file is no table."""
    where = path.relative_to(root)
    document = _document(path, where, problems) if path.is_file() else {}
    found = {
        name: _validated(table, model, f"{where}: {name}", problems)
        for name, table in (document or {}).items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _document(path: Path, where: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{where}: not readable as TOML: {error}")
        return None


def _validated(
    document: dict[str, Any], model: type[Model], where: Path | str, problems: list[str]
) -> Model | None:
    try:
        # By way of JSON, because there a list is a tuple even to the strict validator.
        return model.model_validate_json(json.dumps(document))
    except TypeError as error:
        problems.append(f"{where}: not readable as TOML: {error}")
    except ValidationError as error:
        for one in error.errors(include_url=False):
            key = _key(one["loc"], document, missing=one["type"] == "missing")
            message = one["msg"].removeprefix("Value error, ")
            if one["type"] == "extra_forbidden":
                message = "unknown key"
            problems.append(f"{where}: {key}: {message}")
    return None


def _key(loc: tuple[int | str, ...], document: Any, *, missing: bool) -> str:
    """The key as the file has it: `loc` without the validator's own marks, as of a union's kind."""
    parts = []
    for index, part in enumerate(loc):
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            if not (missing and index == len(loc) - 1):
                continue
        parts.append(str(part))
    return ".".join(parts) or "(whole file)"


def _inputs(
    recipe: Recipe, folder: Path, where: Path, problems: list[str]
) -> Iterator[tuple[str, str]]:
    for index, patch in enumerate(recipe.patch):
        path = folder / "patches" / patch.file
        if path.is_file():
            yield f"patches/{patch.file}", _file_digest(path)
        else:
            problems.append(f"{where}: patch.{index}.file: patches/{patch.file} does not exist")
    for key, name in _folders(recipe):
        path = folder / name
        if path.is_dir():
            for file in sorted(p for p in path.rglob("*") if p.is_file() and _counts(p)):
                yield file.relative_to(folder).as_posix(), _file_digest(file)
        else:
            problems.append(f"{where}: {key}: the folder {name} does not exist")


def _folders(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if isinstance(recipe.source, LocalSource):
        yield "source.path", recipe.source.path
    if isinstance(recipe.options, GoOptions) and recipe.options.overlay:
        yield "go.overlay", recipe.options.overlay


def _counts(path: Path) -> bool:
    return "__pycache__" not in path.parts


def _file_digest(path: Path) -> str:
    mode = "x" if path.stat().st_mode & 0o100 else "-"
    return f"{mode}:{hashlib.sha256(path.read_bytes()).hexdigest()}"
