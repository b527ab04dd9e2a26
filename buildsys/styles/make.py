"""`style = "make"`: plain make, then the files that the recipe names."""

from __future__ import annotations

from buildsys.model import MakeOptions
from buildsys.styles.context import Context


def build(context: Context) -> None:
    """Make with the target's tools; copy what `install` names from the source tree to `out`."""
    options = context.recipe.options
    assert isinstance(options, MakeOptions)
    tools = ["CC=cc", "AR=ar", "RANLIB=ranlib"]
    context.run(["make", f"-j{context.jobs}", *tools, *options.make])
    for origin, place in options.install.items():
        context.run(
            [
                "sh",
                "-c",
                'mkdir -p "$(dirname "$2")" && cp -R "$1" "$2"',
                "sh",
                origin,
                context.path(f"out/{place}"),
            ]
        )
