"""`style = "c"`: one static program from C files."""

from __future__ import annotations

import shlex

from buildsys.errors import ConfigError
from buildsys.model import COptions
from buildsys.styles.context import Context


def build(context: Context) -> None:
    """Compile each source, so that the audit sees its object; link with libraries of `needs`."""
    options = context.recipe.options
    assert isinstance(options, COptions)
    source = context.sandbox.host("src")
    files = [
        path.relative_to(source).as_posix()
        for pattern in options.sources
        for path in sorted(source.glob(pattern))
    ]
    if not files:
        raise ConfigError([f"recipes/{context.recipe.name}/recipe.toml: c.sources: match no file"])
    includes = [f"-I{context.path(f'deps/{lib}/include')}" for lib in options.libs]
    folders = [f"-L{context.path(f'deps/{lib}/lib')}" for lib in options.libs]
    libs = [f"-l{lib.removeprefix('lib')}" for lib in options.libs]
    includes += _ask_packages(context, options, "--cflags")
    libs += _ask_packages(context, options, "--static", "--libs")
    objects = []
    for file in files:
        objects.append(f"{file}.o")
        context.run(["cc", *options.flags, *includes, "-c", file, "-o", objects[-1]])
    out = context.path(f"out/{options.program}")
    context.run(["cc", *options.link, *objects, *folders, *libs, "-o", out])


def _ask_packages(context: Context, options: COptions, *question: str) -> list[str]:
    """What pkg-config says of all packages that the recipe names; raises where it lacks one."""
    if not options.packages:
        return []
    answer = "tmp/packages"
    shell = ["sh", "-c", 'out=$1; shift; pkg-config "$@" >"$out"', "sh", context.path(answer)]
    context.run([*shell, *question, *options.packages])
    return shlex.split(context.sandbox.host(answer).read_text("utf-8"))
