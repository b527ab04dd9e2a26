"""What invoke's parser refuses, said so that one knows what to type instead. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from buildsys.errors import UsageError

_UNKNOWN = re.compile(r"No idea what (.+) is!$", re.S)

_NO_VALUE = re.compile(r"Flag <\w+: ([\w-]+).* needed value", re.S)

_NO_ARGUMENT = re.compile(r"'([\w.-]+)' did not receive required positional arguments: (.+)$")


@dataclass(frozen=True)
class Typed:
    """A command line that was refused.

    `command` is where the parser was ("" before the first one), `options` its options and whether
    each takes a value, `core` those of every command, `targets` and `purposes` the values that
    people type without their option.
    """

    words: Sequence[str]
    command: str
    options: Mapping[str, bool]
    core: Collection[str]
    commands: Collection[str]
    targets: Collection[str]
    purposes: Collection[str]


def explained(message: str, typed: Typed) -> UsageError:
    """Invoke's refusal in our words; what is not known here stays as invoke says it."""
    if found := _UNKNOWN.match(message):
        return _unknown(str(ast.literal_eval(found[1])), typed)
    if found := _NO_VALUE.match(message):
        return UsageError(
            f"--{found[1]} requires a value, and none was given",
            cause="it was forgotten, or a variable in the command is not set",
            action=f"give --{found[1]} a value, or leave it out; {_help(typed.command)}",
        )
    if found := _NO_ARGUMENT.match(message):
        names = found[2].replace("'", "").upper()
        return UsageError(f"{found[1]} requires {names}", action=_help(found[1]))
    return UsageError(message, action=_help(typed.command))


def _unknown(word: str, typed: Typed) -> UsageError:
    if word.startswith("-"):
        return _unknown_option(word, typed)
    before = _word_before(word, typed.words)
    if typed.options.get(before):
        return UsageError(
            f"{before} was given twice, and takes one value",
            action=f"give {before} once; {_help(typed.command)}",
        )
    if before in typed.options and f"{before}={word}" in typed.words:
        return UsageError(f"{before} takes no value", action=f"type {before} alone")
    if typed.command == "audit":
        return UsageError(
            f"audit cannot take {word!r} here",
            cause="FILE goes with --against, and one FILE is judged at a time",
            action="invoke audit FILE --against ARCH",
        )
    return UsageError(f"there is no command {word!r}", action=_instead(word, typed))


def _unknown_option(word: str, typed: Typed) -> UsageError:
    owner = typed.command or "invoke"
    near = get_close_matches(word, [*typed.options, *typed.core], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"{owner} has no option {word}", action=f"{hint}{_help(typed.command)}")


def _instead(word: str, typed: Typed) -> str:
    """What to type for a word that is no command."""
    if word in typed.targets and "--arch" in typed.options:
        return f"did you mean `{typed.command} --arch {word}`?"
    if word in typed.purposes and "--for" in typed.options:
        return f"did you mean `{typed.command} --for {word}`?"
    near = get_close_matches(word, list(typed.commands), n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"{hint}commands: {', '.join(sorted(typed.commands))}"


def _word_before(word: str, words: Sequence[str]) -> str:
    """The word in front of the last `word`; the option's own where both are one, `--a=b`."""
    for index in range(len(words) - 1, -1, -1):
        if words[index] == word and index:
            return words[index - 1].partition("=")[0]
        if words[index].startswith("-") and words[index].partition("=")[2] == word:
            return words[index].partition("=")[0]
    return ""


def _help(command: str) -> str:
    return f"`invoke --help {command}` explains its options" if command else "see `invoke --list`"
