"""A small project in a folder of its own: recipes as real ones are, seconds to build."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buildsys.app import ROOT, App, BuildResult, Settings
from buildsys.doctor import verify_store
from buildsys.ours import MARKER
from buildsys.plan import Plan
from buildsys.store import Artifact, Store

CODE = ("buildsys", "toolchains", "tasks.py", "pyproject.toml")
"""What a checkout needs so that `invoke` works in it; recipes are the test's own."""

HELLO = """\
#include <stdio.h>
int main(int argc, char **argv) {
    printf("@TEXT@ from %s\\n", argc > 1 ? argv[1] : "nobody");
    return 0;
}
"""

C_RECIPE = """\
name       = "@NAME@"
summary    = "A program of the test"
version    = "1.0"
license    = "Apache-2.0"
style      = "c"
needs      = [@NEEDS@]
memory_mib = 200

[source]
kind = "local"
path = "src"

[c]
program = "@NAME@"
sources = ["*.c"]
flags   = [@FLAGS@]
libs    = [@NEEDS@]

[output]
into  = "@INTO@"
files = { "@NAME@" = "@PLACE@" }
"""

MAKE_RECIPE = """\
name       = "@NAME@"
summary    = "Made by plain make"
version    = "1.0"
license    = "Apache-2.0"
style      = "make"
memory_mib = 200

[source]
kind = "local"
path = "src"

[make]
install = { @INSTALL@ }

[output]
into  = "@INTO@"
files = { @FILES@ }
"""

AUTOTOOLS_RECIPE = """\
name       = "auto"
summary    = "Configured, then made"
version    = "1.0"
license    = "Apache-2.0"
style      = "autotools"
memory_mib = 200

[source]
kind = "local"
path = "src"

[autotools]
configure = ["--with-word=@TEXT@"]

[output]
into  = "executable"
files = { "bin/auto" = "bin/auto" }
"""

CONFIGURE = """\
#!/bin/sh
for arg; do
    case $arg in
    --prefix=*) prefix=${arg#*=} ;;
    --with-word=*) word=${arg#*=} ;;
    esac
done
# As libtool does, on a host that may have none of its own.
echo '#include <limits.h>' >probe.cpp
$CXXCPP probe.cpp >/dev/null || exit 1
cat >Makefile <<END
auto: main.c
\t$CC -DWORD='"$word"' -DPREFIX='"$prefix"' main.c -o auto
install: auto
\tmkdir -p \\$(DESTDIR)$prefix/bin
\tcp auto \\$(DESTDIR)$prefix/bin/
END
"""

KCONFIG_RECIPE = """\
name       = "kconf"
summary    = "A default configuration with a value changed"
version    = "1.0"
license    = "Apache-2.0"
style      = "kconfig"
memory_mib = 200

[source]
kind = "local"
path = "src"

[kconfig]
set    = { WORD = "@TEXT@" }
binary = "kconf"

[output]
into  = "executable"
files = { "kconf" = "bin/kconf" }
"""

KBUILD = """\
kconf: main.c
\t. ./.config && $(CC) -DPREFIX='"p"' -DWORD="\\"$$CONFIG_WORD\\"" $(CURDIR)/main.c -o kconf
defconfig:
\tprintf 'CONFIG_WORD="default"\\nCONFIG_OTHER=y\\n' >.config
oldconfig:
\t:
"""

REVEALING = """\
#include <assert.h>
#include <stdio.h>
int main(int argc, char **argv) {
    assert(argc > 0);
    printf("%s %s %s %s\\n", WORD, PREFIX, __FILE__, argv[0]);
    return 0;
}
"""
"""Compiles in the paths that a careless build lets in; the compiler itself refuses __DATE__."""

COPY_RECIPE = """\
name       = "@NAME@"
summary    = "A file as it is"
version    = "1.0"
license    = "Apache-2.0"
style      = "copy"
memory_mib = 50

[source]
kind = "local"
path = "src"

[output]
into  = "executable"
files = { "@NAME@.sh" = "bin/@NAME@" }
links = { "bin/@NAME@-link" = "@NAME@" }
"""

GO_RECIPE = """\
name       = "@NAME@"
summary    = "A Go program with a dependency"
version    = "1.0"
license    = "Apache-2.0"
style      = "go"
memory_mib = 400

[source]
kind    = "go-module"
module  = "@MODULE@"
version = "@VERSION@"
sum     = "@SUM@"
mod_sum = "@MOD_SUM@"

[go]
build = { "@NAME@" = "." }

[output]
into  = "executable"
files = { "@NAME@" = "bin/@NAME@" }
"""

GREET = {
    "greet.h": "int greet(int);\n",
    "greet.c": '#include "greet.h"\nint greet(int a) { return a * 3; }\n',
    "Makefile": "libgreet.a: greet.o\n\trm -f $@\n\t$(AR) rc $@ greet.o\n\t$(RANLIB) $@\n",
}

USER = """\
#include <greet.h>
#include <stdio.h>
int main(int argc, char **argv) {
    (void)argv;
    printf("greeted %d @TEXT@\\n", greet(argc));
    return 0;
}
"""


def fill(template: str, /, **values: str) -> str:
    """Replace @NAME@ in `template` by the value of `name`, and so on."""
    for name, value in values.items():
        template = template.replace(f"@{name.upper()}@", value)
    return template


def quoted(names: Sequence[str]) -> str:
    """`names` as the inside of a TOML list."""
    return ", ".join(f'"{name}"' for name in names)


@dataclass
class Finished:
    """How a command line ended; `text` is both outputs."""

    code: int
    text: str


@dataclass
class Checkout:
    """A checkout with its cache. `environment` is added to the command line's."""

    root: Path
    cache: Path
    environment: dict[str, str] = field(default_factory=dict)

    # ---- what is in it ----

    def recipe(self, name: str, text: str, files: Mapping[str, str | bytes]) -> Path:
        """Write a recipe and its files (below `src` unless they say `../`); its folder."""
        folder = self.root / "recipes" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.toml").write_text(text)
        for path, content in files.items():
            place = Path(os.path.normpath(folder / "src" / path))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    def c(
        self,
        name: str,
        files: Mapping[str, str | bytes],
        *,
        needs: Sequence[str] = (),
        flags: Sequence[str] = (),
        into: str = "executable",
        extra: str = "",
    ) -> Path:
        """A C program."""
        place = f"bin/{name}" if into == "executable" else name
        text = fill(
            C_RECIPE,
            name=name,
            needs=quoted(needs),
            flags=quoted(flags),
            into=into,
            place=place,
        )
        return self.recipe(name, text + extra, files)

    def make(
        self,
        name: str,
        files: Mapping[str, str | bytes],
        install: Mapping[str, str],
        into: str = "build",
    ) -> Path:
        """Something that plain make makes."""
        pairs = ", ".join(f'"{origin}" = "{place}"' for origin, place in install.items())
        outputs = ", ".join(f'"{place}" = "{place}"' for place in install.values())
        text = fill(MAKE_RECIPE, name=name, install=pairs, files=outputs, into=into)
        return self.recipe(name, text, files)

    def library(self) -> Path:
        """A static library, `greet`."""
        return self.make(
            "greet", GREET, {"libgreet.a": "lib/libgreet.a", "greet.h": "include/greet.h"}
        )

    def standard(self, text: str = "hello") -> None:
        """Five components: program, launcher, library with a user of it, and a script."""
        self.c("k3s", {"main.c": fill(HELLO, text=text)})
        self.c("launcher", {"main.c": fill(HELLO, text=f"launch {text}")}, into="launcher")
        self.library()
        self.c("tool", {"main.c": fill(USER, text=text)}, needs=["greet"])
        self.recipe("script", fill(COPY_RECIPE, name="script"), {"script.sh": "#!/bin/sh\nid\n"})

    def other_target(self, name: str, changes: Mapping[str, str]) -> None:
        """A target file of its own: armv6's with some words changed."""
        text = (self.root / "toolchains/armv6.toml").read_text().replace('"armv6"', f'"{name}"', 1)
        # In the flat release only one of the two can have upstream's name.
        text = text.replace("flat = true\n", "")
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        (self.root / f"toolchains/{name}.toml").write_text(text)

    def configured(self, text: str) -> None:
        """Components whose makefiles configure themselves: autotools, kconfig."""
        self.recipe(
            "auto", fill(AUTOTOOLS_RECIPE, text=text), {"configure": CONFIGURE, "main.c": REVEALING}
        )
        files = {"Makefile": KBUILD, "main.c": REVEALING}
        self.recipe("kconf", fill(KCONFIG_RECIPE, text=text), files)

    # ---- driving it ----

    def app(
        self, *, jobs: int = 2, offline: bool = False, go_proxy: str = "file:///nowhere"
    ) -> App:
        """The library's front door, on this checkout and cache."""
        return App(Settings(str(self.cache), jobs, offline, "", go_proxy), root=self.root)

    def build(
        self,
        *only: str,
        arch: Sequence[str] = ("armv6",),
        jobs: int = 2,
        offline: bool = False,
        go_proxy: str = "file:///nowhere",
    ) -> BuildResult:
        """Build in this process; failures are in the result."""
        app = self.app(jobs=jobs, offline=offline, go_proxy=go_proxy)
        return app.build(app.plan(arch, only))

    def artifact(self, job: str, **options: object) -> Artifact:
        """Build the component of a job `name-arch`; its artifact. Raises its error."""
        name, _, arch = job.rpartition("-")
        outcome = self.build(name, arch=[arch], **options).outcomes[job]  # type: ignore[arg-type]
        if outcome.error:
            raise outcome.error
        assert outcome.result is not None
        return outcome.result.artifact

    def plan(self, *only: str, arch: Sequence[str] = ("armv6",)) -> Plan:
        """The plan."""
        return self.app().plan(arch, only)

    @property
    def store(self) -> Store:
        """The cache's store."""
        return self.app().builder(isolated=True).store

    def argv(self, *arguments: str) -> list[str]:
        """The command line of a verb."""
        return [sys.executable, "-m", "invoke", *arguments]

    def env(self) -> dict[str, str]:
        """The environment of the command line: the test's cache, nobody else's."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("K3S_")},
            "K3S_BUILDSYS_CACHE": str(self.cache),
            **self.environment,
        }

    def cli(self, *arguments: str, before: Sequence[str] = (), timeout: float = 300) -> Finished:
        """Run a verb as people do; `before` is a command that runs it."""
        done = subprocess.run(
            [*before, *self.argv(*arguments)],
            cwd=self.root,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        return Finished(done.returncode, done.stdout.decode("utf-8", "replace"))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a verb in a session of its own, without waiting for it."""
        # The tests may run where these signals are ignored: below nohup, or in the background.
        hearing = "--default-signal=INT,HUP,TERM"
        return subprocess.Popen(
            ["env", hearing, *self.argv(*arguments)],
            cwd=self.root,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    # ---- looking at it ----

    def states(self, result: BuildResult) -> dict[str, str]:
        """How each job ended: built, cached, failed or waiting, by the recipe's name."""
        states = {}
        for job in result.plan.jobs:
            outcome = result.outcomes[job.id]
            if outcome.result:
                states[job.recipe] = "cached" if outcome.result.cached else "built"
            else:
                states[job.recipe] = "failed" if outcome.error else f"waits {outcome.waited_for}"
        return states

    def keys(self, *only: str) -> dict[str, str]:
        """The key of each component's job."""
        return {job.recipe: job.key for job in self.plan(*only).jobs}

    def leftovers(self) -> list[str]:
        """Whatever unfinished work left behind: in the cache or among the artifacts."""
        hidden = [p for f in ("store", "frames") for p in (self.cache / f).glob(".*")]
        outputs = [p for f in ("artifacts", "docs") for p in (self.root / f).rglob(".*")]
        return [str(p) for p in [*(self.cache / "work").iterdir(), *hidden, *outputs]]

    def damaged(self) -> list[str]:
        """What `doctor --store` finds."""
        app = self.app()
        return verify_store(app.cache, app.progress)


def new_checkout(
    root: Path, cache: Path, warm: Path | None = None, *, own: bool = False
) -> Checkout:
    """A checkout without recipes at `root`.

    `warm` lends its compiler caches: zig's musl and Go's standard library take minutes to make.
    They are shared by a link, or copied where the test wants its `own`.
    """
    root.mkdir(parents=True)
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    for path in root.glob("toolchains/*.toml"):
        # What a target embeds is not among the recipes of a test.
        path.write_text(re.sub(r"^embed += .*\n", "", path.read_text(), flags=re.M))
    lend(cache, warm, own=own)
    return Checkout(root, cache)


def lend(cache: Path, warm: Path | None, *, own: bool) -> None:
    """Put the compiler caches of `warm` into a new cache."""
    cache.mkdir(parents=True, exist_ok=True)
    # Ours from the beginning: a folder that holds anything is not taken for a cache.
    (cache / MARKER).touch()
    (cache / "go").mkdir()
    for name in ("zig", "go/build") if warm else ():
        assert warm is not None
        if own:
            subprocess.run(["cp", "-a", warm / name, cache / name], check=True)
        else:
            (cache / name).symlink_to(warm / name)


def machine(program: Path) -> int:
    """The ELF header's e_machine: 40 is ARM, 62 x86-64."""
    data = program.read_bytes()[:20]
    assert data[:4] == b"\x7fELF"
    return int.from_bytes(data[18:20], "little")


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file of a folder; links are their text."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = (0, str(path.readlink()).encode())
        elif path.is_file():
            found[name] = (path.stat().st_mode & 0o7777, path.read_bytes())
    return found


def emulated(program: Path, *arguments: str, cpu: str = "arm1176") -> str:
    """What an ARM program says on the emulated CPU."""
    argv = ["qemu-arm-static", "-cpu", cpu, str(program), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def processes_below(*folders: Path) -> list[str]:
    """Processes whose command line or mounts name one of the folders, this one left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                # Compilers see fixed paths only; their mounts tell whose they are.
                mounts = (entry / "mountinfo").read_text()
            except OSError:
                continue
            if any(str(folder) in line or f"{folder}/" in mounts for folder in folders):
                found.append(f"{entry.name}: {line}")
    return found


def settled(*folders: Path, seconds: float = 5) -> list[str]:
    """Processes that are still there after a while; empty as soon as all are gone."""
    until = time.monotonic() + seconds
    while found := processes_below(*folders):
        if time.monotonic() > until:
            return found
        time.sleep(0.02)
    return []


def kill_group(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Signal a process, where it is still there, and its group; its status."""
    if process.poll() is None:
        os.killpg(process.pid, number)
    process.communicate()
    return process.returncode
