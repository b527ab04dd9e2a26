"""`style = "go"`: packages of the main module, static, without paths, without the network."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from buildsys.errors import BuildsysError, CommandError, ConfigError
from buildsys.fetch.go_module import is_damage, report_modified
from buildsys.model import GoModuleSource, GoOptions
from buildsys.run import output
from buildsys.styles.context import Context


def build(context: Context) -> None:
    """Stage, then `go build` each package; dependencies are verified while the compiler runs.

    Raises `CorruptError` where a dependency was changed on disk, `CommandError` where Go fails.
    """
    options = context.recipe.options
    assert isinstance(options, GoOptions)
    stage(context, options)
    verification = _Verification(context)
    verification.start()
    try:
        for name, package in options.build.items():
            compile_package(context, options, name, package)
    finally:
        verification.join()
        verification.raise_found()


def stage(context: Context, options: GoOptions) -> None:
    """Copy files to where the build embeds them: within the source, then from what it needs."""
    source = context.sandbox.host("src")
    where = f"recipes/{context.recipe.name}/recipe.toml"
    for origin, place in options.stage.items():
        if not _copy(source / origin, source / place):
            raise ConfigError([f"{where}: go.stage: no {origin} in the source"])
    for origin, place in options.needed.items():
        need, _, inner = origin.partition("/")
        if not _copy(context.sandbox.host(f"deps/{need}") / inner, source / place):
            raise ConfigError([f"{where}: go.from: no {origin} in what it needs"])


def _copy(path: Path, place: Path) -> bool:
    """Copy a file or folder; whether there was one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place, dirs_exist_ok=True)
    elif path.is_file():
        shutil.copy2(path, place)
    return path.exists()


def compile_package(context: Context, options: GoOptions, name: str, package: str) -> None:
    """Run `go build` of one package into `out/name`."""
    context.run(_command(context, options, name, package), env=environment(options, context))


def _command(context: Context, options: GoOptions, name: str, package: str) -> list[str]:
    flags = ["-s", "-w", "-buildid="]
    flags += [f"-X={key}={context.fill(value)}" for key, value in options.stamps.items()]
    if options.cgo:
        flags += ["-linkmode=external", "-extldflags=-static"]
    quoted = " ".join(f"'{flag}'" if " " in flag else flag for flag in flags)
    return [
        "go",
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        # The linker throws DWARF away (-s -w): compiling k3s without it took 551 s of CPU, 610 s
        # with it, and left the same program. Stack traces have tables of their own.
        "-gcflags=all=-dwarf=false",
        f"-p={context.jobs}",
        f"-tags={','.join(options.tags)}",
        f"-ldflags={quoted}",
        "-o",
        context.path(f"out/{name}"),
        package,
    ]


def environment(options: GoOptions, context: Context) -> dict[str, str]:
    """What every go command of a job is told: the target, and that there is no network."""
    return {
        **context.target.go,
        "GOOS": "linux",
        "CGO_ENABLED": "1" if options.cgo else "0",
        # Setting CGO_CFLAGS drops Go's own default, -O2 -g.
        "CGO_CFLAGS": " ".join(["-O2", "-g0", *options.cflags]),
        "GOROOT": context.path("go"),
        "GOMODCACHE": context.path("gomod"),
        "GOCACHE": context.path("gocache"),
        "GOPATH": context.path("home/go"),
        "GOENV": "off",
        "GOFLAGS": "-modcacherw",
        "GOPROXY": "off",
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        # Each process of a build would else have threads for all cores of the machine.
        "GOMAXPROCS": str(context.jobs),
        # Compiler and linker collect garbage less often, but stay within what the recipe names:
        # net/http with all that it needs took 41.9 s of CPU for ARMv6 so, and 47.6 s without.
        "GOGC": "400",
        "GOMEMLIMIT": f"{context.recipe.memory_mib}MiB",
    }


class _Verification(threading.Thread):
    """`go mod verify` beside the compiler: Go itself trusts its module cache unseen."""

    def __init__(self, context: Context) -> None:
        super().__init__(name=f"verify-{context.recipe.name}")
        self._context = context
        self._found: BuildsysError | None = None

    def run(self) -> None:
        """Verify all modules that the main module's go.sum names."""
        context, source = self._context, self._context.recipe.source
        if not isinstance(source, GoModuleSource):
            return
        env = context.toolchain.go_environment(context.cache, online=False)
        go = str(context.toolchain.go / "bin" / "go")
        folder = str(context.sandbox.host("src"))
        log = Path(f"{context.log}.verify")
        try:
            output([go, "-C", folder, "mod", "verify"], env=env, log=log)
        except CommandError as error:
            text = log.read_text("utf-8", "replace")
            if is_damage(text):
                self._found = report_modified(source, context.cache, text)
            else:
                self._found = error
        except BuildsysError as error:
            self._found = error
        else:
            log.unlink(missing_ok=True)

    def raise_found(self) -> None:
        """Raise what the verification found, if it found anything."""
        if self._found:
            raise self._found
