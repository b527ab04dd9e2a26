"""Defaults of a board: refused when wrong; in the key of the bundle and in that of no job."""

from __future__ import annotations

import pytest

from buildsys.bundle.make import default_of

from .conftest import Tree

pytestmark = pytest.mark.unit

ARMV6 = "toolchains/armv6.toml"

GOGC = """
[[executable.default]]
commands = ["agent", "server"]
env = "GOGC"
value = "40"
below_mib = 1024
why = "Less memory for more CPU."
"""
PODS = """
[[executable.default]]
commands = ["server"]
flag = "kubelet-arg"
value = "max-pods=20"
below_mib = 600
why = "Twenty pods fill it."
"""


def give(tree: Tree, *defaults: str) -> None:
    target = tree.root / ARMV6
    target.write_text(target.read_text() + "".join(defaults))


def bundle_key(tree: Tree) -> str:
    (bundle,) = tree.plan("armv6").bundles
    return bundle.key


def test_lines_of_the_manifest(tree: Tree) -> None:
    give(tree, GOGC, PODS)
    table = tree.load().targets["armv6"].executable
    assert [default_of(default).line for default in table.default] == [
        "server,agent 1024 env GOGC=40 Less memory for more CPU.",
        "server 600 flag kubelet-arg=max-pods=20 Twenty pods fill it.",
    ]


def test_a_change_makes_another_bundle_of_the_same_jobs(tree: Tree) -> None:
    tree.recipe("start", into="launcher")
    jobs, keys = tree.keys(), {bundle_key(tree)}
    for default in (GOGC, PODS):
        give(tree, default)
        keys.add(bundle_key(tree))
    tree.edit(ARMV6, "max-pods=20", "max-pods=21")
    keys.add(bundle_key(tree))
    assert len(keys) == 4
    assert tree.keys() == jobs


def test_keys_of_a_list_are_apart(tree: Tree) -> None:
    give(tree, PODS, PODS.replace("max-pods=20", "v=2"), PODS.replace("server", "agent"))
    assert len(tree.load().targets["armv6"].executable.default) == 3


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["server"]', "[]", "commands: Tuple should have at least 1 item"),
        ('["server"]', '["token"]', "commands.0: Input should be 'server' or 'agent'"),
        ('["server"]', '["server", "server"]', "commands names one twice"),
        ("below_mib = 600\n", "", "below_mib: Field required"),
        ("below_mib = 600", "below_mib = 0", "below_mib: Input should be greater than or equal"),
        ('flag = "kubelet-arg"\n', "", "give env or flag, one of them"),
        ('flag = "kubelet-arg"', 'flag = "x-y"\nenv = "X"', "give env or flag, one of them"),
        ('flag = "kubelet-arg"', 'flag = "--x"', "flag: String should match pattern"),
        ('flag = "kubelet-arg"', 'flag = "token"', "token has another name as well"),
        ('flag = "kubelet-arg"', 'env = "gogc"', "env: String should match pattern"),
        ('value = "max-pods=20"\n', "", "value: Field required"),
        ("max-pods=20", "max pods", "value: String should match pattern"),
        ("Twenty pods", 'Twenty \\"pods\\"', "why: String should match pattern"),
        ("Twenty pods", "Two lines\\n", "why: String should match pattern"),
        ("Twenty pods fill it.", "", "why: String should match pattern"),
    ],
)
def test_mistakes(tree: Tree, old: str, new: str, problem: str) -> None:
    give(tree, PODS)
    tree.edit(ARMV6, old, new)
    assert any(
        found.startswith(f"{ARMV6}: executable.default.0") and problem in found
        for found in tree.problems()
    )


@pytest.mark.parametrize("ours", [GOGC, PODS])
def test_nothing_is_set_twice(tree: Tree, ours: str) -> None:
    give(tree, ours, ours.replace("below_mib = ", "below_mib = 5"))
    (found,) = tree.problems()
    assert "is there twice for server" in found or "is there twice for agent" in found
