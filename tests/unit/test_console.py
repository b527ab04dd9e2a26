"""Lines of a guest's console: what is ours, what is trouble, what was written into."""

from __future__ import annotations

import base64
import json

import pytest

from buildsys.machine.console import (
    Acked,
    Answer,
    Booted,
    Console,
    Ended,
    Garbled,
    State,
    Trouble,
    read_line,
    request,
)

pytestmark = pytest.mark.unit

STATE = '"uptime":10.76,"available":421888,"swap":0,"rss":2048,"oom_kills":0'
FEATURES = " half thumb fastmult vfp edsp java tls "
BOOT = (
    f'@guest {{"boot":"armv6l","release":"6.12.107+deb13-rpi","features":"{FEATURES}",{STATE},'
    '"controllers":"cpu io memory pids rdma misc","missing":"dummy "}'
)
OUTPUT = base64.b64encode(b"first\nlast\n").decode()
ANSWER = f'@guest {{"id":3,"code":0,"tries":2,"begin":9.5,{STATE},"output":"{OUTPUT}"}}'

BEAT = State(uptime=10.76, available=412.0, swap=0.0, rss=2.0, oom_kills=0)


def test_the_first_word_says_what_the_guest_is() -> None:
    assert read_line(BOOT) == Booted(
        uname="armv6l",
        release="6.12.107+deb13-rpi",
        features=frozenset(FEATURES.split()),
        controllers=("cpu", "io", "memory", "pids", "rdma", "misc"),
        missing=("dummy",),
        state=BEAT,
    )


def test_an_answer_and_a_beat() -> None:
    assert read_line(ANSWER) == Answer(3, 0, 2, 9.5, "first\nlast\n", BEAT)
    assert read_line(f"@guest {{{STATE}}}") == BEAT


def test_the_sentinel() -> None:
    assert read_line('@guest {"end":"abc"}') == Ended("abc")


def test_an_acknowledged_write() -> None:
    assert read_line('@guest {"acked":17}') == Acked(17)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("[ 10.79] Kernel panic - not syncing: Attempted to kill init!", "kernel panic"),
        ("[ 99.1] Out of memory: Killed process 312 (k3s-server) total-vm:1", "out of memory"),
        ("Memory cgroup out of memory: Killed process 9 (coredns)", "out of memory"),
        ("[ 12.3] sh (41): undefined instruction: pc=0001042c", "illegal instruction"),
        ("Illegal instruction (core dumped)", "illegal instruction"),
        ("SIGILL: illegal instruction", "illegal instruction"),
        (
            "runtime: this CPU has no VFPv3 floating point hardware, so it cannot run",
            "code for another CPU",
        ),
        ("exec /pause: exec format error", "code for another machine"),
        (
            'time="17:45:21Z" level=fatal msg="Error: failed to find cpuset cgroup (v2)"',
            "cgroup controller missing",
        ),
        ("Internal error: Oops: 5 [#1] ARM", "kernel oops"),
        ("EXT4-fs error (device mmcblk0): ext4_lookup:1855: inode #2", "disk error"),
        ("[ 4.1] I/O error, dev mmcblk0, sector 0 op 0x0:(READ)", "disk error"),
        ('@guest {"failed":"no disk at /dev/vda"}', "kernel panic"),
    ],
)
def test_trouble_has_a_name(line: str, kind: str) -> None:
    event = read_line(line)
    assert isinstance(event, Trouble)
    assert event.kind == kind


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[    0.971788] Division by zero in kernel.",
        "time=1 level=info msg='k3s is up'",
        'time=1 level=warning msg="Failed to find cpuset cgroup (v2): a kernel without SMP does '
        'not have it, CPU pinning is not available"',
        "guest {}",
    ],
)
def test_other_lines_mean_nothing(line: str) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    "line",
    [
        ANSWER.replace(OUTPUT, OUTPUT[:6] + "[ 4.1] a message" + OUTPUT[6:]),
        ANSWER[:40],
        f'@guest {{"id":3,{STATE}}}',
        "@guest null",
    ],
)
def test_what_was_written_into_is_noticed(line: str) -> None:
    assert read_line(line) == Garbled(line)


def test_lines_may_come_in_pieces() -> None:
    data = f"noise\r\n\r\n{ANSWER}\r\n{BOOT}\r\n".encode()
    whole = list(Console().feed(data))
    console = Console()
    pieces = [event for byte in data for event in console.feed(bytes([byte]))]
    assert pieces == whole
    assert [type(event) for event in whole] == [Answer, Booted]
    assert console.lines[0] == "noise"


def test_the_last_lines_are_kept_without_beats() -> None:
    console = Console()
    beats = "".join(f"line {n}\n@guest {{{STATE}}}\n" for n in range(100))
    assert len(list(console.feed(beats.encode()))) == 100
    assert console.lines == [f"line {n}" for n in range(60, 100)]


def test_request_is_one_line_of_five_words() -> None:
    line = request(7, 60, 0, "", "echo 'a b'\necho c").decode()
    number, seconds, every, expect, command = line.split()
    assert (number, seconds, every, expect) == ("7", "60", "0", "-")
    assert base64.b64decode(command).decode() == "echo 'a b'\necho c"
    assert line.count("\n") == 1


def test_a_request_that_a_terminal_would_cut_is_refused() -> None:
    with pytest.raises(AssertionError):
        request(1, 1, 0, "", "x" * 4000)


def test_the_guests_lines_are_json() -> None:
    for line in (BOOT, ANSWER):
        assert isinstance(json.loads(line.removeprefix("@guest ")), dict)
