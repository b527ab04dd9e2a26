"""What invoke's parser refuses comes with what to type instead."""

from __future__ import annotations

import shlex

import pytest
from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks
from buildsys.cli.explain import Typed, explained
from buildsys.cli.program import CommandLine
from buildsys.errors import UsageError

pytestmark = pytest.mark.unit

CONTEXTS = {context.name: context for context in Collection.from_module(tasks).to_contexts()}


def refused(line: str) -> str:
    """What is said of `invoke LINE`, which the parser must refuse."""
    words = shlex.split(line)
    with pytest.raises((ParseError, UsageError)) as caught:
        Parser(CONTEXTS.values(), CommandLine(tasks).initial_context).parse_argv(words)
    if isinstance(caught.value, UsageError):
        return str(caught.value)
    assert isinstance(caught.value, ParseError)
    context = caught.value.context
    options = context.flags if context and context.name else {}
    typed = Typed(
        words=words,
        command=(context.name if context else "") or "",
        options={name: argument.takes_value for name, argument in options.items()},
        core=["--help", "--list"],
        commands=[name for name in CONTEXTS if name],
        targets=["armv6", "amd64"],
        purposes=["build", "boot"],
    )
    return str(explained(str(caught.value), typed))


def every_option_that_takes_a_value() -> list[tuple[str, str]]:
    return [
        (str(name), flag)
        for name, context in CONTEXTS.items()
        for flag in sorted(context.flag_names())
        if flag in context.flags and context.flags[flag].takes_value
    ]


def test_options_are_found() -> None:
    found = every_option_that_takes_a_value()
    assert len(found) > 50
    assert {("plan", "--arch"), ("clean", "--keep"), ("release", "--to"), ("build", "-o")} <= {
        *found
    }


@pytest.mark.parametrize(("command", "flag"), every_option_that_takes_a_value())
def test_no_option_goes_without_its_value(command: str, flag: str) -> None:
    for line in (f"{command} {flag}", f"{command} {flag} --json", f"{command} {flag} ''"):
        if "--json" in line and "--json" not in CONTEXTS[command].flags:
            continue
        assert "value" in refused(line), line


def test_lists_may_be_given_again() -> None:
    (plan,) = Parser(CONTEXTS.values()).parse_argv(shlex.split("plan --arch a --arch=b -a c"))
    assert plan.args["arch"].value == ["a", "b", "c"]
    (plan,) = Parser(CONTEXTS.values()).parse_argv(["plan"])
    assert plan.args["arch"].value == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("buid", "no command 'buid'\nnext: did you mean `build`?"),
        ("xyzzy", "no command 'xyzzy'\nnext: commands: audit"),
        ("build armv6", "did you mean `build --arch armv6`?"),
        ("build --archs armv6", "build has no option --archs\nnext: did you mean --arch?"),
        ("list --jsn", "did you mean --json?"),
        ("build --cache a --cache b", "--cache was given twice"),
        ("list --json=yes", "--json takes no value"),
        ("build --jobs abc", "whole number that is not negative, and was given 'abc'"),
        ("build --jobs -3", "was given '-3'"),
        ("build --jobs 1.5", "was given '1.5'"),
        ("build -j ٣", "was given '٣'"),
        ("build --cache --offlin", "'--offlin', an option"),
        ("audit /bin/ls", "invoke audit FILE --against ARCH"),
    ],
)
def test_every_refusal_says_what_to_type(line: str, said: str) -> None:
    assert said in refused(line)


def test_what_is_not_known_here_stays_as_invoke_says_it() -> None:
    typed = Typed([], "", {}, (), (), (), ())
    assert explained("something new", typed).what == "something new"
