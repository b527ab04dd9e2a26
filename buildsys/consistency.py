"""What no single file can tell: do recipes, targets and profiles fit each other? Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from buildsys.model import FULL, Missing, Profile, Recipe, Target


def inconsistencies(
    recipes: Mapping[str, Recipe],
    targets: Mapping[str, Target],
    profiles: Mapping[str, Profile],
    missing: Mapping[str, Missing],
    scenarios: Collection[str] = (),
) -> Iterator[str]:
    """Every mistake, each with its file and key."""
    yield from _references(recipes, targets)
    yield from _lacking(recipes)
    yield from _cycles(recipes)
    yield from _duplicate_outputs(recipes)
    yield from _launchers(recipes)
    yield from _image_names(recipes)
    yield from _embedded(recipes, targets)
    yield from _profiles(recipes, profiles)
    yield from _releases(targets, scenarios)
    for name in sorted(missing.keys() & recipes.keys()):
        yield f"recipes/missing.toml: {name}: there is a recipe of that name"


def _references(recipes: Mapping[str, Recipe], targets: Mapping[str, Target]) -> Iterator[str]:
    for name, recipe in recipes.items():
        where = f"recipes/{name}/recipe.toml"
        for key in ("needs", "requires"):
            for other in getattr(recipe, key):
                if other not in recipes:
                    yield f"{where}: {key}: no recipe is named {other!r}"
        for index, patch in enumerate(recipe.patch):
            for target in patch.targets:
                if target not in targets:
                    yield f"{where}: patch.{index}.targets: no target is named {target!r}"
        for target in recipe.lacking:
            if target not in targets:
                yield f"{where}: lacking: no target is named {target!r}"


def _lacking(recipes: Mapping[str, Recipe]) -> Iterator[str]:
    """A target that lacks a component lacks what needs it, too, and that recipe must say so."""
    for name, recipe in recipes.items():
        where = f"recipes/{name}/recipe.toml"
        for other in sorted({*recipe.needs, *recipe.requires} & recipes.keys()):
            for target in sorted(recipes[other].lacking.keys() - recipe.lacking.keys()):
                yield f"{where}: lacking: {target} has no {other}, which it needs"
        for other in recipe.needs:
            if recipe.shared and other in recipes and not recipes[other].shared:
                yield f"{where}: shared: {other}, which it needs, is not"


def _cycles(recipes: Mapping[str, Recipe]) -> Iterator[str]:
    graph = {name: recipe.needs for name, recipe in recipes.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        chain = " → ".join(reversed(error.args[1]))
        yield f"recipes/{error.args[1][0]}/recipe.toml: needs: a cycle: {chain}"


def _launchers(recipes: Mapping[str, Recipe]) -> Iterator[str]:
    names = [name for name, recipe in recipes.items() if recipe.output.into == "launcher"]
    for name in names[1:]:
        yield f"recipes/{name}/recipe.toml: output.into: {names[0]} is the launcher already"


def _duplicate_outputs(recipes: Mapping[str, Recipe]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, recipe in sorted(recipes.items()):
        output = recipe.output
        if output.into != "executable":
            continue
        yield from _claim(name, "files", output.files.values(), owners)
        yield from _claim(name, "from", output.needed.values(), owners)
        yield from _claim(name, "links", output.links, owners)


def _claim(name: str, key: str, paths: Iterable[str], owners: dict[str, str]) -> Iterator[str]:
    for path in paths:
        if path in owners:
            yield f"recipes/{name}/recipe.toml: output.{key}: {path} is already {owners[path]}'s"
        owners.setdefault(path, name)


def _image_names(recipes: Mapping[str, Recipe]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, recipe in sorted(recipes.items()):
        if recipe.image:
            owner = owners.setdefault(recipe.image.name, name)
            if owner != name:
                yield f"recipes/{name}/recipe.toml: image.name: is already {owner}'s"


def _embedded(recipes: Mapping[str, Recipe], targets: Mapping[str, Target]) -> Iterator[str]:
    for target in targets.values():
        where = f"toolchains/{target.name}.toml: executable.embed"
        for name in target.executable.embed:
            if name not in recipes or not recipes[name].image:
                yield f"{where}: no image is named {name!r}"
            elif target.name in recipes[name].lacking:
                yield f"{where}: {target.name} has no {name}: {recipes[name].lacking[target.name]}"
            else:
                yield from _requires_embedded(recipes[name], recipes, target, where)


def _requires_embedded(
    recipe: Recipe, recipes: Mapping[str, Recipe], target: Target, where: str
) -> Iterator[str]:
    for other in recipe.requires:
        if other in recipes and recipes[other].image and other not in target.executable.embed:
            yield f"{where}: {recipe.name} requires {other}, which is not embedded"


def _profiles(recipes: Mapping[str, Recipe], profiles: Mapping[str, Profile]) -> Iterator[str]:
    for name, profile in profiles.items():
        where = f"recipes/profiles.toml: {name}: leave_out"
        if name == FULL and profile.leave_out:
            yield f"{where}: {FULL} leaves nothing out"
        for left in profile.leave_out:
            if left not in recipes:
                yield f"{where}: no recipe is named {left!r}"
            elif recipes[left].output.into not in ("executable", "image"):
                yield f"{where}: {left} goes into neither the executable nor an image"
        for kept in sorted(recipes.keys() - set(profile.leave_out)):
            for other in recipes[kept].requires:
                if other in profile.leave_out:
                    yield f"{where}: {other} is left out, but {kept} requires it"


def _releases(targets: Mapping[str, Target], scenarios: Collection[str]) -> Iterator[str]:
    known = {"audit", "smoke", *scenarios}
    owners: dict[str, str] = {}
    for name, target in targets.items():
        where = f"toolchains/{name}.toml: release"
        if target.release is None:
            continue
        for kind in target.release.verdicts:
            if kind not in known:
                yield f"{where}.verdicts: there is no scenario {kind!r}"
        upstream = target.release.upstream
        if upstream and upstream.flat:
            for file in (upstream.file, f"sha256sum-{upstream.arch}.txt"):
                owner = owners.setdefault(file, name)
                if owner != name:
                    yield f"{where}.upstream.flat: {file} is {owner}'s already"
