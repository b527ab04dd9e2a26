"""Our conntrack beside Debian's, where that is installed: the same lines, messages, exit codes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest

from .conntrack_filters import FILTERS
from .conntrack_lab import Done, Lab, lab, program

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seen() -> Iterator[Lab]:
    if not shutil.which("conntrack"):
        pytest.skip("conntrack is not installed: apt-get install conntrack")
    with lab(program("amd64")) as made:
        yield made


def original(seen: Lab, *arguments: str) -> Done:
    return seen.near.run("conntrack", *arguments)


def plain(done: Done) -> tuple[int, list[str], str]:
    """Without what differs from second to second, and without the release."""
    text = re.sub(r"delta-time=\d+", "", done.out)
    text = re.sub(r"^((?:ipv\d +\d+ )?\w+ +\d+) \d+", r"\1", text, flags=re.M)
    return done.code, sorted(text.splitlines()), re.sub(r"conntrack v[\d.]+", "", done.err)


ON_PURPOSE = {
    "-n": "of the original, ICMP echoes are translated: their type is another in the answer",
    "-j": "as for -n",
    "--dst-nat": "as for -n",
    "-p tcp --any-nat 10.77.0.77": "the original misses a source whose port was kept",
    "-p tcp -n10.77.0.77:4003": "the original ignores an address in the same word",
    "-p tcp -g 10.77.0.2:8080": "the original wants another port in the answer even so",
}
"""Where ours differs, and why."""


@pytest.mark.parametrize("options", [f[0] for f in FILTERS if f[0] not in ON_PURPOSE])
def test_the_same_list(seen: Lab, options: str) -> None:
    arguments = ["-L", *options.split()]
    assert plain(seen.run(*arguments)) == plain(original(seen, *arguments))


CALLS = [
    "-L conntrack",
    "-L dying",
    "-L nothing",
    "-L -o extended,id,ktimestamp",
    "-L -o nothing",
    "-L -u FIXED_TIMEOUT",
    "-L -u nothing",
    "-L -p nothing",
    "-L -p tcp --state nothing",
    "-L -s nothing",
    "-L -s 10.0.0.0/33",
    "-L -s 10.0.0.1 -d fd00::1",
    "-L --mask-src 255.0.0.0",
    "-L -n -j",
    "-L -g 10.0.0.0/8",
    "-L -z -p tcp",
    "-L -F",
    "-L --dport 53",
    "-L -e NEW",
    "-C",
    "-C -p tcp",
    "-C dying",
    "-D -s 10.1.2.3",
    "-D -z",
    "-F dying",
    "-G",
    "-G -p tcp",
    "-S nothing",
    "-E -e nothing",
    "--nothing",
    "-x",
    "-L -s",
    "-L --src",
]


@pytest.mark.parametrize("call", CALLS)
def test_the_same_answer(seen: Lab, call: str) -> None:
    assert plain(seen.run(*call.split())) == plain(original(seen, *call.split()))
