"""Commands whose options demand a value, where invoke's take none for all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from buildsys.errors import UsageError


class Value(Argument):
    """An option that takes a value. A list starts without one: invoke would accept none for it."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(**facts)
        if self.kind is list:
            self.raw_value = None

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take `value`. Raises `UsageError` where it cannot be one."""
        option = f"--{self.names[0]}"
        if value == "":
            raise UsageError(
                f"{option} was given an empty value",
                cause="a variable in the command is not set",
                action=f"give {option} a value, or leave it out",
            )
        if str(value).startswith("--"):
            raise UsageError(
                f"{option} requires a value, and the word after it is {value!r}, an option",
                cause="the value was forgotten",
                action=f"give {option} a value, or leave it out",
            )
        if self.kind is int and not (str(value).isascii() and str(value).isdigit()):
            raise UsageError(
                f"{option} requires a whole number that is not negative, and was given {value!r}",
                action=f"for example: {option} 4",
            )
        super().set_value(value, cast)


class Command(Task[Callable[..., Any]]):
    """A task of invoke's with the options above."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options, as the parser takes them."""
        return [
            _demanding(argument) if argument.takes_value else argument
            for argument in super().get_arguments(ignore_unknown_help)
        ]


def _demanding(argument: Argument) -> Value:
    facts = ("names", "kind", "default", "help", "positional", "optional", "attr_name")
    return Value(**{fact: getattr(argument, fact) for fact in facts})


task = partial(invoke_task, klass=Command)
"""The decorator of every command."""
