"""`style = "kconfig"`: a default configuration with some values changed, then make."""

from __future__ import annotations

from buildsys.errors import CheckError
from buildsys.model import KconfigOptions
from buildsys.styles.context import Context


def build(context: Context) -> None:
    """Configure, change values, make; `out` then holds the binary.

    Raises `CheckError` where a value did not survive, because something that it needs is off.
    """
    options = context.recipe.options
    assert isinstance(options, KconfigOptions)
    names = ("CC=cc", "LD=ld", "AR=ar", "STRIP=strip", "OBJCOPY=objcopy", "HOSTCC=hostcc")
    tools = [*names, *options.make]
    context.run(["make", *tools, options.defconfig])
    config = context.sandbox.host("src") / ".config"
    wanted = {f"CONFIG_{name}": _text(value) for name, value in options.set.items()}
    config.write_text(changed(config.read_text("utf-8"), wanted), "utf-8")
    context.run(["sh", "-c", 'yes "" | make "$@" oldconfig', "sh", *tools])
    lost = [
        f"{name}={value}"
        for name, value in wanted.items()
        if values(config.read_text("utf-8")).get(name, "n") != value
    ]
    if lost:
        raise CheckError(
            f"{context.recipe.name}: configuration values did not survive: {', '.join(lost)}",
            cause="an option that they depend on is off, or the name is wrong",
            action=f"correct kconfig.set of {context.recipe.name}",
        )
    context.run(["make", f"-j{context.jobs}", *tools])
    context.run(["cp", options.binary, context.path("out")])


def values(config: str) -> dict[str, str]:
    """Values of a .config; what is not set is absent."""
    pairs = (line.split("=", 1) for line in config.splitlines() if line.startswith("CONFIG_"))
    return dict(pairs)


def changed(config: str, wanted: dict[str, str]) -> str:
    """The .config with `wanted` in place of the old lines."""
    kept = [
        line
        for line in config.splitlines()
        if line.removeprefix("# ").split("=")[0].split(" ")[0] not in wanted
    ]
    new = [f"# {k} is not set" if v == "n" else f"{k}={v}" for k, v in wanted.items()]
    return "\n".join([*kept, *new, ""])


def _text(value: bool | str) -> str:
    if isinstance(value, bool):
        return "y" if value else "n"
    return value if value.isdigit() else f'"{value}"'
