"""What a style gets: a job's sandbox, its environment, and a way to run commands in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buildsys.cache import Cache
from buildsys.errors import ConfigError
from buildsys.model import GoModuleSource, Recipe, Target
from buildsys.run import Finished, run
from buildsys.sandbox import Sandbox
from buildsys.toolchain import Toolchain


@dataclass(frozen=True)
class Context:
    """One job, ready to be built: source in `src`, results expected in `out`.

    `machine` is None for an artifact that is the same for all targets.
    """

    recipe: Recipe
    machine: Target | None
    sandbox: Sandbox
    cache: Cache
    toolchain: Toolchain
    env: Mapping[str, str]
    jobs: int
    log: Path
    finished: list[Finished] = field(default_factory=list)
    """What each command used, in their order."""

    @property
    def target(self) -> Target:
        """The target. Raises `ConfigError` for an artifact that has none."""
        if self.machine is None:
            where = f"recipes/{self.recipe.name}/recipe.toml"
            raise ConfigError([f"{where}: shared: style {self.recipe.style!r} wants a target"])
        return self.machine

    def run(
        self, argv: Sequence[str], *, cwd: str = "src", env: Mapping[str, str] | None = None
    ) -> None:
        """Run a command in the sandbox. Raises what `buildsys.run.run` raises."""
        done = run(
            self.sandbox.wrap(argv, cwd),
            env={**self.env, **(env or {})},
            log=self.log,
            name=f"{self.recipe.name}: {argv[0]}",
            shown=argv,
        )
        self.finished.append(done)

    def path(self, name: str) -> str:
        """The path of `name` as commands in the sandbox see it."""
        return str(self.sandbox.path(name))

    def fill(self, text: str) -> str:
        """`text` with {version}, {commit}, {date} and {go} filled in."""
        return fill(text, self.recipe, self.toolchain.go_version)


def fill(text: str, recipe: Recipe, go_version: str, quote: Callable[[str], str] = str) -> str:
    """Replace {version}, {commit}, {date} and {go}; `quote` is applied to each value."""
    source = recipe.source
    values = {
        "{version}": recipe.version,
        "{commit}": (source.commit or "") if isinstance(source, GoModuleSource) else "",
        "{date}": recipe.date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "{go}": go_version,
    }
    for token, value in values.items():
        text = text.replace(token, quote(value))
    return text
