"""What the styles compute, without a compiler: .config edits, fills, files copied as they are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from buildsys.cache import Cache
from buildsys.errors import CheckError, CommandError, ConfigError
from buildsys.load import load_project
from buildsys.model import GoModuleSource, GoOptions, Recipe
from buildsys.sandbox import Sandbox
from buildsys.styles import HOST_TOOLS, STYLES, Context, autotools, c, copy, go, kconfig, meson
from buildsys.styles.context import fill
from buildsys.styles.kconfig import changed, values
from buildsys.toolchain import Toolchain

from .conftest import CHECKOUT, Tree

pytestmark = pytest.mark.unit

CONFIG = """\
#
# Automatically generated
#
CONFIG_ASH=y
CONFIG_ASH_ECHO=y
# CONFIG_STATIC is not set
CONFIG_PREFIX="./_install"
CONFIG_LAST_ID=256
"""


def test_values_leave_out_what_is_not_set() -> None:
    assert values(CONFIG) == {
        "CONFIG_ASH": "y",
        "CONFIG_ASH_ECHO": "y",
        "CONFIG_PREFIX": '"./_install"',
        "CONFIG_LAST_ID": "256",
    }


def test_value_may_hold_an_equals_sign() -> None:
    assert values('CONFIG_FLAGS="-DA=1"\n') == {"CONFIG_FLAGS": '"-DA=1"'}


@pytest.mark.parametrize(
    ("wanted", "gone", "there"),
    [
        ({"CONFIG_STATIC": "y"}, "# CONFIG_STATIC is not set", "CONFIG_STATIC=y"),
        ({"CONFIG_ASH": "n"}, "CONFIG_ASH=y", "# CONFIG_ASH is not set"),
        ({"CONFIG_PREFIX": '"/x"'}, 'CONFIG_PREFIX="./_install"', 'CONFIG_PREFIX="/x"'),
        ({"CONFIG_NEW": "y"}, "nothing", "CONFIG_NEW=y"),
    ],
)
def test_changed_replaces_just_these_lines(wanted: dict[str, str], gone: str, there: str) -> None:
    lines = changed(CONFIG, wanted).splitlines()
    assert lines == [*(line for line in CONFIG.splitlines() if line != gone), there]


def test_changed_twice_is_changed_once() -> None:
    wanted = {"CONFIG_ASH": "n", "CONFIG_STATIC": "y"}
    once = changed(CONFIG, wanted)
    assert changed(once, wanted) == once


# ---- fill ----


@pytest.fixture
def recipe(tree: Tree) -> Recipe:
    return tree.load().recipes["one"].recipe


SOURCE = GoModuleSource(
    kind="go-module",
    module="example.org/m",
    version="v1.35.1-0.20260110003449-04e8f1b5ecda",
    commit="04e8f1b5" * 5,
    sum=f"h1:{'A' * 43}=",
    mod_sum=f"h1:{'A' * 43}=",
)


def test_fill(recipe: Recipe) -> None:
    from_go = recipe.model_copy(update={"source": SOURCE})
    text = "{version} {commit} {date} {go} {other} {version}"
    assert fill(text, from_go, "go1.25.5") == (
        f"1.0 {'04e8f1b5' * 5} 2026-01-10T00:34:49Z go1.25.5 {{other}} 1.0"
    )


def test_fill_without_commit_and_date(recipe: Recipe) -> None:
    assert fill("<{commit}> {date}", recipe, "go1") == "<> 2020-01-01T00:00:00Z"


def test_fill_quotes_values_only(recipe: Recipe) -> None:
    odd = recipe.model_copy(update={"version": "1.0+k3s"})
    pattern = fill("^v{version}.*$", odd, "go1", quote=re.escape)
    assert re.search(pattern, "v1.0+k3s and more")
    assert not re.search(pattern, "v1x0+k3s")


@pytest.mark.parametrize(
    ("version", "date"),
    [
        ("v1.35.1-0.20260110003449-04e8f1b5ecda", "2026-01-10 00:34:49+00:00"),
        ("v0.0.0-20210101000000-aaaaaaaaaaaa", "2021-01-01 00:00:00+00:00"),
        ("v1.2.3", "None"),
        ("v1.2.3-20210101", "None"),
    ],
)
def test_date_of_a_pseudo_version(version: str, date: str) -> None:
    assert str(SOURCE.model_copy(update={"version": version}).date) == date


# ---- styles that need no compiler; `make` is played by a script ----


def test_every_style_has_its_host_tools() -> None:
    assert set(STYLES) == set(HOST_TOOLS)


@pytest.fixture
def context(tree: Tree, cache: Cache, tmp_path: Path, log: Path) -> Context:
    project = tree.load()
    sandbox = Sandbox(tmp_path / "job", {}, isolated=False)
    sandbox.prepare()
    toolchain = Toolchain(Path("/go"), Path("/zig"), Path("/pkgconf"), {"go": "1.25.5"})
    env = {"PATH": f"{sandbox.path('bin')}:/usr/bin:/bin"}
    recipe, target = project.recipes["one"].recipe, project.targets["armv6"]
    return Context(recipe, target, sandbox, cache, toolchain, env, 1, log)


def test_copy_takes_the_named_files(context: Context) -> None:
    (context.sandbox.host("src") / "tool").write_text("x")
    (context.sandbox.host("src") / "unnamed").write_text("x")
    copy.build(context)
    (copied,) = context.sandbox.host("out").iterdir()
    assert (copied.name, copied.stat().st_mode & 0o777) == ("tool", 0o755)


def test_copy_names_what_is_not_there(context: Context) -> None:
    with pytest.raises(ConfigError, match=r"one/recipe\.toml: output\.files: no tool"):
        copy.build(context)


def test_go_stages_from_the_source_and_from_what_it_needs(context: Context) -> None:
    source = context.sandbox.host("src")
    (source / "manifests").mkdir()
    (source / "manifests/a.yaml").write_text("a")
    (source / "webui").mkdir()
    (source / "webui/note").write_text("of the source")
    needed = context.sandbox.host("deps/ui/static/assets")
    needed.mkdir(parents=True)
    (needed / "page.js").write_text("made")
    staged = {"stage": {"manifests/a.yaml": "embed/a.yaml"}, "from": {"ui/static": "webui"}}
    go.stage(context, GoOptions.model_validate({"build": {"x": "."}, **staged}))
    assert (source / "embed/a.yaml").read_text() == "a"
    assert (source / "webui/assets/page.js").read_text() == "made"
    assert (source / "webui/note").read_text() == "of the source"


@pytest.mark.parametrize(("table", "name"), [("stage", "none.yaml"), ("from", "ui/none")])
def test_go_names_what_cannot_be_staged(context: Context, table: str, name: str) -> None:
    options = GoOptions.model_validate({"build": {"x": "."}, table: {name: "embed/x"}})
    with pytest.raises(ConfigError, match=rf"one/recipe\.toml: go\.{table}: no {name}"):
        go.stage(context, options)


MAKE = """#!/bin/sh
for last; do :; done
case $last in
defconfig) printf 'CONFIG_A=y\\n# CONFIG_B is not set\\n' >.config ;;
oldconfig) sed -i "$SED" .config ;;
*) echo made >busybox ;;
esac
"""


def styled(context: Context, options: dict[str, object]) -> Context:
    """The job with another style, which `options` has the table of."""
    recipe = context.recipe.model_dump() | {"style": next(iter(options))} | options
    return Context(
        Recipe.model_validate(recipe, strict=False),
        *(
            getattr(context, name)
            for name in ("target", "sandbox", "cache", "toolchain", "env", "jobs", "log")
        ),
    )


def kconfig_context(context: Context, sed: str) -> Context:
    """A kconfig job whose oldconfig edits .config by the sed script."""
    make = context.sandbox.host("bin") / "make"
    make.write_text(MAKE.replace('"$SED"', shlex.quote(sed)))
    make.chmod(0o755)
    return styled(context, {"kconfig": {"set": {"A": False, "B": True}, "binary": "busybox"}})


def test_c_links_libraries_by_their_own_names(context: Context, log: Path) -> None:
    """A recipe may be named as its library's file is, or as the linker calls it."""
    compiler = context.sandbox.host("bin") / "cc"
    compiler.write_text('#!/bin/sh\necho "called: $*"\n')
    compiler.chmod(0o755)
    (context.sandbox.host("src") / "main.c").write_text("")
    options = {"program": "tool", "sources": ["*.c"], "libs": ["zstd", "libmnl"]}
    c.build(styled(context, {"c": options}))
    link = [line for line in log.read_text().splitlines() if line.startswith("called: ")][-1]
    assert " -lzstd -lmnl -o " in link and "/deps/libmnl/lib " in link


def test_kconfig_makes_with_the_wanted_values(context: Context) -> None:
    kconfig.build(kconfig_context(context, ""))
    config = (context.sandbox.host("src") / ".config").read_text()
    assert config == "# CONFIG_A is not set\nCONFIG_B=y\n"
    assert (context.sandbox.host("out") / "busybox").read_text() == "made\n"


@pytest.mark.parametrize(
    ("sed", "lost"),
    [
        ("s/^CONFIG_B=y/# CONFIG_B is not set/", "CONFIG_B=y"),
        ("s/^# CONFIG_A .*/CONFIG_A=y/", "CONFIG_A=n"),
    ],
)
def test_kconfig_value_that_does_not_survive(context: Context, sed: str, lost: str) -> None:
    with pytest.raises(CheckError, match=f"did not survive: {lost}\n"):
        kconfig.build(kconfig_context(context, sed))
    assert not list(context.sandbox.host("out").iterdir())


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("armv6", "arm-linux-musleabihf"),
        ("386", "i686-linux-musl"),
        ("ppc64le", "powerpc64le-linux-musl"),
    ],
)
def test_configure_scripts_are_told_a_machine_that_they_know(name: str, host: str) -> None:
    assert autotools.host(load_project(CHECKOUT).targets[name]) == host


ARMV6 = """\
[binaries]
c = 'cc'
ar = 'ar'
ranlib = 'ranlib'
strip = 'strip'
pkg-config = 'pkg-config'

[host_machine]
system = 'linux'
cpu_family = 'arm'
cpu = 'arm1176jzf_s'
endian = 'little'

[properties]
needs_exe_wrapper = true
"""


def test_cross_file_of_armv6(context: Context) -> None:
    assert meson.cross_file(load_project(CHECKOUT).targets["armv6"]) == ARMV6


@pytest.mark.parametrize(
    ("triple", "family", "endian"),
    [
        ("x86_64-linux-musl", "x86_64", "little"),
        ("x86-linux-musl", "x86", "little"),
        ("aarch64-linux-musl", "aarch64", "little"),
        ("riscv64-linux-musl", "riscv64", "little"),
        ("powerpc64le-linux-musl", "ppc64", "little"),
        ("s390x-linux-musl", "s390x", "big"),
    ],
)
def test_cross_file_follows_the_target(
    context: Context, triple: str, family: str, endian: str
) -> None:
    target = context.target.model_copy(
        update={
            "c": context.target.c.model_copy(update={"triple": triple, "mcpu": "generic"}),
            "elf": context.target.elf.model_copy(update={"endian": endian}),
        }
    )
    lines = meson.cross_file(target).splitlines()
    machine = lines[lines.index("[host_machine]") + 1 :][:4]
    assert machine == [
        "system = 'linux'",
        f"cpu_family = '{family}'",
        "cpu = 'generic'",
        f"endian = '{endian}'",
    ]


def test_native_file_compiles_for_the_build_machine() -> None:
    assert meson.native_file().splitlines()[:2] == ["[binaries]", "c = 'hostcc'"]


def test_command_of_a_job_runs_in_its_source_and_is_named(context: Context, log: Path) -> None:
    context.run(["sh", "-c", "pwd; echo $MORE"], env={"MORE": "more"})
    assert log.read_text().splitlines()[-2:] == [str(context.sandbox.root / "src"), "more"]
    with pytest.raises(CommandError, match="one: sh failed: exit code 7"):
        context.run(["sh", "-c", "exit 7"])
