"""Go modules, by the go command; the zip and go.mod are checked against the recipe's own pins.

The checksum database does not know every k3s commit, so it is switched off: the recipe pins the
module itself, and the module's go.sum pins everything that it depends on.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from buildsys.archive import module_file_sum, module_zip_sum, unpack_module_zip
from buildsys.cache import Cache, write_atomic
from buildsys.errors import CommandError, CorruptError, FetchError, HashMismatchError
from buildsys.model import GoModuleSource
from buildsys.run import output
from buildsys.toolchain import Toolchain

_DAMAGED = re.compile(r"^(\S+) (v\S+): .+$", re.M)
"""A line of `go mod verify` about a changed, unreadable or half-removed module."""

_ZIP = re.compile(r"cache/download/[^/].*/@v/[^/]+\.zip")
"""A module's zip below the module cache, as a receipt names it."""

REPLACED = "replaced"
"""The folder of a main module that holds the dependencies which are patched."""

_NETWORK_HINTS = ("dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake")


def zip_path(source: GoModuleSource, cache: Cache) -> Path:
    """Where the go command keeps the module's zip."""
    return _download_folder(source, cache) / f"{_escape(source.version)}.zip"


def receipt_path(source: GoModuleSource, cache: Cache) -> Path:
    """The list of the module's dependencies that were downloaded, with their sizes."""
    name = source.path.replace("/", "_") + ("" if source.dependencies else "-alone")
    return cache.downloads / "go" / f"{name}.json"


def lacks(source: GoModuleSource, cache: Cache) -> str | None:
    """What is missing of the module or its dependencies; None where nothing is."""
    try:
        receipt = json.loads(receipt_path(source, cache).read_text())
        if receipt["sum"] != source.sum or receipt["mod_sum"] != source.mod_sum:
            return f"{source.label} (fetched with another hash)"
        zips: dict[str, int] = dict(receipt["zips"])
    except (OSError, ValueError, KeyError, TypeError):
        return source.label
    for name, size in zips.items():
        path = cache.gomod / name
        if not path.is_file() or path.stat().st_size != size:
            return f"{source.label}: its dependency {name}"
    return None


def fetch(
    source: GoModuleSource, cache: Cache, toolchain: Toolchain, proxy: str | None, log: Path
) -> None:
    """Download the module, and all that its go.mod needs unless the recipe wants it alone.

    Raises `FetchError`, `HashMismatchError` (the zip is moved aside, the module cache is clean).
    """
    env = toolchain.go_environment(cache, online=True, proxy=proxy)
    go = str(toolchain.go / "bin" / "go")
    _drop_cut(source, cache)
    try:
        got = _go_json([go, "mod", "download", "-json", source.path], env, source, log)[0]
    except FetchError:
        # Go keeps a zip that it refuses to unpack, and would not fetch it again.
        if zip_path(source, cache).is_file():
            _check_zip(source, cache)
        raise
    _check(source, cache, got)
    modules: list[dict[str, str]] = []
    if source.dependencies:
        with cache.scratch("fetch") as folder:
            unpack(source, cache, folder)
            argv = [go, "-C", str(folder), "mod", "download", "-json"]
            modules = _go_json(argv, env, source, log)
    zips = [zip_path(source, cache), *(Path(m["Zip"]) for m in modules if "Zip" in m)]
    receipt = {
        "sum": source.sum,
        "mod_sum": source.mod_sum,
        "zips": {path.relative_to(cache.gomod).as_posix(): path.stat().st_size for path in zips},
    }
    path = receipt_path(source, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(receipt, indent=1).encode())


def unpack(source: GoModuleSource, cache: Cache, folder: Path) -> None:
    """A writable copy of the module in `folder`, from the zip whose h1 is checked once more."""
    _check_zip(source, cache)
    unpack_module_zip(zip_path(source, cache), f"{source.path}/", folder)


def replace_module(
    module: str, folder: Path, cache: Cache, toolchain: Toolchain, log: Path
) -> Path:
    """A copy of a dependency within the main module in `folder`, which is built instead of it.

    It is the version that go.mod takes, its zip checked against go.sum. The copy that is there
    already is returned as it is. Raises `CommandError` for a module that is no dependency,
    `CorruptError` or `HashMismatchError` for its zip.
    """
    place = folder / REPLACED / module
    if place.exists():
        return place
    env = toolchain.go_environment(cache, online=False)
    go = [str(toolchain.go / "bin" / "go"), "-C", str(folder)]
    found = json.loads(
        output([*go, "list", "-mod=readonly", "-m", "-json", module], env=env, log=log)
    )
    taken = found.get("Replace", found)
    source = GoModuleSource(
        kind="go-module",
        module=taken["Path"],
        version=taken["Version"],
        sum=taken["Sum"],
        mod_sum=taken["GoModSum"],
    )
    unpack(source, cache, place)
    output([*go, "mod", "edit", f"-replace={module}=./{REPLACED}/{module}"], env=env, log=log)
    return place


def report_modified(source: GoModuleSource, cache: Cache, text: str) -> CorruptError:
    """The error for what `go mod verify` printed; modified modules are removed from the cache."""
    # Go's words may be anybody's: nothing is removed by a name that leads out of the cache.
    modified = sorted(
        (module, version)
        for module, version in set(_DAMAGED.findall(text))
        if not module.startswith("/")
        and not {"", ".", ".."} & {*module.split("/"), version}
        and "/" not in version
    )
    for module, version in modified:
        folder = cache.gomod / f"{_escape(module)}@{_escape(version)}"
        shutil.rmtree(folder, ignore_errors=True)
        _drop(cache.gomod / "cache" / "download" / _escape(module) / "@v" / _escape(version))
    receipt_path(source, cache).unlink(missing_ok=True)
    names = ", ".join(f"{module}@{version}" for module, version in modified)
    return CorruptError(
        f"{source.label}: dependencies are changed on disk: {names or text[-300:]}",
        cause="files of the module cache were cut or edited after they were fetched",
        action="they were removed; run the same again with a network, or `invoke fetch`",
    )


def is_damage(text: str) -> bool:
    """Whether `go mod verify` failed because of what lies in the module cache."""
    return _DAMAGED.search(text) is not None


def _drop(zip_stem: Path) -> None:
    """Remove a zip and its hash; as long as they are there, Go does not fetch it again."""
    for suffix in ("zip", "ziphash"):
        zip_stem.with_name(f"{zip_stem.name}.{suffix}").unlink(missing_ok=True)


def _drop_cut(source: GoModuleSource, cache: Cache) -> None:
    """Remove the zips whose size is no longer the one they were fetched with."""
    try:
        zips: dict[str, int] = json.loads(receipt_path(source, cache).read_text())["zips"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name, size in zips.items():
        if not _ZIP.fullmatch(name) or ".." in name.split("/"):
            continue
        path = cache.gomod / name
        if path.is_file() and path.stat().st_size != size:
            _drop(path.with_name(path.name.removesuffix(".zip")))


def _go_json(
    argv: list[str], env: dict[str, str], source: GoModuleSource, log: Path
) -> list[dict[str, str]]:
    try:
        text = output(argv, env=env, log=log)
    except CommandError as error:
        message = str(error)
        if "SECURITY ERROR" in message or "checksum mismatch" in message:
            found = re.search(r"downloaded:\s*(h1:\S+)", message)
            pinned = re.search(r"go\.sum:\s*(h1:\S+)", message)
            raise HashMismatchError(
                f"a dependency of {source.label}",
                pinned=pinned[1] if pinned else "in its go.sum",
                found=found[1] if found else f"see {log}",
                kept=None,
            ) from error
        network = any(hint in message for hint in _NETWORK_HINTS)
        raise FetchError(
            f"cannot fetch {source.label}:\n{error.what}",
            cause="no network or no Go module proxy" if network else "see the lines above",
            action=f"mend it and run the same again, it goes on where it stopped; see {log}",
        ) from error
    return list(_json_objects(text))


def _json_objects(text: str) -> list[dict[str, str]]:
    decoder, position, found = json.JSONDecoder(), 0, []
    while (position := _skip_space(text, position)) < len(text):
        value, position = decoder.raw_decode(text, position)
        found.append(value)
    return found


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _check_zip(source: GoModuleSource, cache: Cache) -> None:
    """Raises `HashMismatchError` or `CorruptError`; the zip is then out of Go's way."""
    archive = zip_path(source, cache)
    try:
        found = module_zip_sum(archive)
    except CorruptError:
        if archive.is_file():
            _set_aside(source, cache, "damaged")
        raise
    if found != source.sum:
        kept = _set_aside(source, cache, found)
        raise HashMismatchError(f"{source.label} (zip)", pinned=source.sum, found=found, kept=kept)


def _check(source: GoModuleSource, cache: Cache, got: dict[str, str]) -> None:
    _check_zip(source, cache)
    found_mod = module_file_sum(Path(got["GoMod"]).read_bytes())
    if found_mod != source.mod_sum:
        kept = _set_aside(source, cache, found_mod)
        raise HashMismatchError(
            f"{source.label} (go.mod)", pinned=source.mod_sum, found=found_mod, kept=kept
        )


def _set_aside(source: GoModuleSource, cache: Cache, found: str) -> Path:
    """Move the zip out of the module cache and drop all that the go command derived from it."""
    cache.aside.mkdir(exist_ok=True)
    archive = zip_path(source, cache)
    safe = re.sub(r"[^A-Za-z0-9]", "", found)[:16]
    kept = cache.aside / f"{archive.name}.{safe}"
    shutil.move(archive, kept)
    for suffix in ("ziphash", "mod", "info", "lock"):
        (archive.parent / f"{_escape(source.version)}.{suffix}").unlink(missing_ok=True)
    shutil.rmtree(
        cache.gomod / f"{_escape(source.module)}@{_escape(source.version)}", ignore_errors=True
    )
    receipt_path(source, cache).unlink(missing_ok=True)
    return kept


def _download_folder(source: GoModuleSource, cache: Cache) -> Path:
    return cache.gomod / "cache" / "download" / _escape(source.module) / "@v"


def _escape(text: str) -> str:
    """The module cache's case encoding: an upper-case letter is "!" and the lower-case one."""
    return re.sub(r"[A-Z]", lambda match: "!" + match[0].lower(), text)
