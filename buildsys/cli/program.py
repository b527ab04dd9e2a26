"""The program behind `k3s-build` and `invoke`: our refusals, help, version and streams."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from invoke.program import Program

from buildsys.app import ROOT, reported
from buildsys.cli.explain import Typed, explained
from buildsys.cli.streams import guard
from buildsys.doctor import PURPOSES
from buildsys.errors import UsageError

VALUES = {
    "arch": "TARGET",
    "only": "NAME",
    "without": "NAME",
    "jobs": "NUMBER",
    "cache": "FOLDER",
    "for": "PURPOSE",
    "keep": "TARGET",
    "against": "TARGET",
    "debian-mirror": "ADDRESS",
    "go-proxy": "ADDRESS",
}
"""What help calls the values of options; others are VALUE."""


class _Context(ParserContext):
    """A command's options, whose help shows which of them take a value."""

    def help_for(self, flag: str) -> tuple[str, str]:
        """The option's names with its value's, and what it means."""
        argument = self.flags[flag]
        if not argument.takes_value:
            return super().help_for(flag)
        names = ", ".join(sorted(self.names_for(flag), key=len))
        return f"{names} {VALUES.get(argument.names[0], 'VALUE')}", argument.help or ""


class CommandLine(Program):
    """Invoke's program over our commands."""

    def __init__(self, commands: ModuleType) -> None:
        namespace = Collection.from_module(commands, loaded_from=str(ROOT))
        super().__init__(namespace=namespace)

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:  # noqa: A002
        """Run what was typed; refusals are one line with a hint and exit with a code of ours."""
        guard()
        with reported():
            super().run(argv, exit)

    def print_version(self) -> None:
        """Ours, and that of the k3s which is built."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        k3s = tomllib.loads((ROOT / "recipes/k3s/recipe.toml").read_text("utf-8"))
        print(f"{project['name']} {project['version']}, which builds k3s {k3s['version']}")

    @property
    def initial_context(self) -> ParserContext:
        """Options before the first command: those of `invoke`, whichever program was called."""
        return ParserContext(args=[*self.core_args(), *self.task_args()])

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the options before the first command. Raises `UsageError`."""
        try:
            super().parse_core(argv)
        except ValueError as error:
            raise UsageError(str(error), action="see `invoke --help`") from error

    def parse_collection(self) -> None:
        """Read the project's configuration of invoke, as for a collection that it finds."""
        super().parse_collection()
        self.config.set_project_location(str(ROOT))
        self.config.load_project()

    def parse_tasks(self) -> None:
        """Parse commands and their options. Raises `UsageError`."""
        with self._explaining():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Answer --help, --list and completion. Raises `UsageError`."""
        with self._explaining():
            super().parse_cleanup()

    def execute(self) -> None:
        """Run the commands. Raises `UsageError` for options that do not go together."""
        with self._explaining():
            super().execute()

    def _make_parser(self) -> Parser:
        contexts = self.collection.to_contexts(
            ignore_unknown_help=self.config.tasks.ignore_unknown_help
        )
        ours = [_Context(c.name, c.aliases, c.args.values()) for c in contexts]
        return Parser(initial=self.initial_context, contexts=ours)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            raise explained(str(error), self._typed(error.context)) from error
        except Exit as error:
            if not error.message:
                raise
            raise UsageError(error.message, action="see `invoke --list`") from error

    def _typed(self, context: ParserContext | None) -> Typed:
        options = context.flags if context and context.name else {}
        return Typed(
            words=self.argv[1:],
            command=(context.name if context else None) or "",
            options={name: argument.takes_value for name, argument in options.items()},
            core=list(self.initial_context.flags),
            commands=list(self.collection.task_names),
            targets=[path.stem for path in ROOT.glob("toolchains/*.toml")],
            purposes=PURPOSES,
        )


def run(commands: ModuleType) -> None:
    """Run the command line of this process, and exit."""
    CommandLine(commands).run()
    sys.exit()
