"""`style = "copy"`: files of the source as they are."""

from __future__ import annotations

from buildsys.errors import ConfigError
from buildsys.styles.context import Context


def build(context: Context) -> None:
    """Copy every file that the recipe's output names; files become executable."""
    source, out = context.sandbox.host("src"), context.sandbox.host("out")
    for name in context.recipe.output.files:
        path = source / name
        if not path.is_file():
            where = f"recipes/{context.recipe.name}/recipe.toml"
            raise ConfigError([f"{where}: output.files: no {name} in the source"])
        place = out / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        place.chmod(0o755)
