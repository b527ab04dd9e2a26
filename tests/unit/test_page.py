"""The report: what is at hand in one file, which asks nobody, whatever stands in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from buildsys.app import App, Settings
from buildsys.errors import CorruptError, NotBuiltError
from buildsys.load import load_project
from buildsys.page.collect import Facts, collect
from buildsys.page.document import page
from buildsys.page.markup import document, tag
from buildsys.page.treemap import Box, squarify
from buildsys.page.write import STYLE, raise_untried, write

from .conftest import CHECKOUT, sha256

pytestmark = pytest.mark.unit

PROJECT = load_project(CHECKOUT)
ARMV6 = PROJECT.targets["armv6"]
HOSTILE = "<script src=//x.invalid/a.js></script>\"'><img src=//x.invalid/b onerror=x>&\x1b"


# ---- what is at hand ----


def component(name: str, size: int, **more: Any) -> dict[str, Any]:
    usual = {"name": name, "version": "1.0", "license": "MIT", "size": 3 * size}
    return usual | {"compressed": size} | more


def record(data: bytes, **more: Any) -> dict[str, Any]:
    usual = {
        "target": "armv6",
        "profile": "full",
        "version": "v1.35.0+k3s1",
        "go": "go1.25.5",
        "sha256": sha256(data),
        "size": 10_000_000,
        "components": [component("k3s", 7_000_000), component("runc", 2_000_000)],
        "images": [
            component("pause", 900_000, embedded=True),
            component("traefik", 5_000_000, embedded=False),
        ],
    }
    return usual | more


def step(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "passed": True, "seconds": 1.5, "detail": "", "facts": {}} | more


def verdict(kind: str, data: bytes = b"executable", **more: Any) -> dict[str, Any]:
    usual = {
        "kind": kind,
        "target": "armv6",
        "file": "k3s-armv6",
        "sha256": sha256(data),
        "passed": True,
        "started": "2026-11-25T19:05:18Z",
        "seconds": 69.9,
        "log": f"armv6-{kind}.log",
        "facts": {},
        "steps": [step("one", facts={"elves": 3, "excused": [], "highest": None})],
    }
    return usual | more


def booted(**more: Any) -> dict[str, Any]:
    beats = [
        {"uptime": at, "available": 400.0 - at, "swap": 0.0, "rss": at, "oom_kills": 0}
        for at in (1.0, 50.0, 90.0)
    ]
    steps = [step("ready", facts={"at": 50.0})]
    return verdict("single", facts={"machine": "raspi0", "boots": [beats]}, steps=steps, **more)


TIMES = {
    "wall_seconds": 587.1,
    "tool_share": 0.947,
    "spans": [
        {"kind": "compile", "name": "k3s-armv6", "begin": 10.2, "end": 42.7},
        {"kind": "compress", "name": "k3s", "begin": 55.7, "end": 297.7},
        {"kind": "compress", "name": "k3s", "begin": 301.4, "end": 582.4},
    ],
}

Put = Callable[..., None]


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    (folder / "verdicts").mkdir(parents=True)
    (folder / "k3s-armv6").write_bytes(b"executable")
    put(folder, "k3s-armv6.json", record(b"executable"))
    return folder


def put(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value))


def facts_of(folder: Path, *, named: bool = True) -> Facts:
    return collect(folder, PROJECT, [ARMV6], named=named)


# ---- pages, read as browsers read them ----


class Read(HTMLParser):
    """Elements with their attributes, texts, and what is below an open `details`."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(data.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for element, attributes in self.elements if element == name]


def read(folder: Path) -> Read:
    return Read(page(facts_of(folder), STYLE.read_text("utf-8")))


ASKING = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "video", "audio"}
"""Elements that load or send something."""


def asks(found: Read, data: bytes) -> list[str]:
    """Everything in a page that could make a browser ask somebody."""
    asking = [name for name, _ in found.elements if name in ASKING]
    for _, attributes in found.elements:
        asking += [key for key in attributes if key in ("src", "srcset", "action", "data", "ping")]
        asking += [key for key in attributes if key.startswith("on")]
        asking += [a for key, a in attributes.items() if "href" in key and not a.startswith("#")]
    style = data.partition(b"<style>")[2].partition(b"</style>")[0]
    styles = [style.decode(), *(a.get("style", "") for _, a in found.elements)]
    return asking + [one for one in styles if "url(" in one or "@import" in one]


def test_a_full_report_asks_nobody_and_its_links_lead_somewhere(artifacts: Path) -> None:
    put(artifacts, "timings-armv6-any.json", TIMES)
    put(artifacts / "verdicts", "armv6-single.json", booted())
    data = page(facts_of(artifacts), STYLE.read_text("utf-8"))
    found = Read(data)
    assert asks(found, data) == []
    policies = [m["content"] for m in found.all("meta") if "http-equiv" in m]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    ids = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    links = {a["href"].removeprefix("#") for a in found.all("a")}
    assert links == ids == {"armv6", "jobs"}


@pytest.mark.parametrize(
    "hostile",
    [
        '<img src="//x.invalid/b">',
        "<a href='https://x.invalid'>",
        "<style>p{background:url(//x.invalid)}</style>",
        '<p style="background:url(//x.invalid)">',
        "<p onclick=x>",
    ],
)
def test_the_rule_on_asking_can_tell(hostile: str) -> None:
    assert asks(Read(hostile.encode()), hostile.encode())


def test_whatever_stands_in_records_stays_text(artifacts: Path) -> None:
    evil = component(HOSTILE, 7_000_000, version=HOSTILE, license=HOSTILE)
    put(artifacts, "k3s-armv6.json", record(b"executable", components=[evil], version=HOSTILE))
    steps = [step(HOSTILE, passed=False, detail=HOSTILE, facts={HOSTILE: [HOSTILE]})]
    put(artifacts / "verdicts", "armv6-audit.json", verdict("audit", passed=False, steps=steps))
    span = {"kind": HOSTILE, "name": HOSTILE, "begin": 1.0, "end": 2.0}
    put(artifacts, "timings-armv6.json", TIMES | {"spans": [span]})
    data = page(facts_of(artifacts), STYLE.read_text("utf-8"))
    found = Read(data)
    assert asks(found, data) == []
    assert "<script src=//x.invalid/a.js></script>" in found.text
    assert b"\x1b" not in data


def test_markup_escapes_texts_and_attributes() -> None:
    made = document('a "<b>"', "p > a { }", tag("p", "1 < 2 & ", tag("b", "3"), " > ", title='"<&'))
    assert b'<title>a "&lt;b&gt;"</title>' in made
    assert b'<p title="&quot;<&amp;">1 &lt; 2 &amp; <b>3</b> &gt; </p>' in made
    assert b"<style>p > a { }</style>" in made


# ---- what it shows ----


def test_verdicts_by_kind_and_bytes(artifacts: Path) -> None:
    failed = [step("fine"), step("bounds bin/k3s", passed=False, detail="CPU_arch is v7")]
    put(artifacts / "verdicts", "armv6-audit.json", verdict("audit", passed=False, steps=failed))
    put(artifacts / "verdicts", "armv6-smoke.json", verdict("smoke", b"an older one"))
    found = read(artifacts)
    (made,) = facts_of(artifacts).made
    assert [(one.data.kind, one.state) for one in made.verdicts] == [
        ("audit", "FAILED"),
        ("smoke", "stale"),
    ]
    assert made.lacks == ("utilities", "server", "agent"), (
        "what the release of armv6 wants beside these"
    )
    assert f"smoke stale other bytes, {sha256(b'an older one')[:12]}…" in found.text
    assert "utilities none nothing; its release wants it" in found.text
    assert "audit: 1 of 2 steps passed" in found.text
    assert "bounds bin/k3s: CPU_arch is v7" in found.text
    opened = [attributes for attributes in found.all("details") if "open" in attributes]
    assert len(opened) == 1, "what failed is open"


def test_what_a_step_measured_is_told_without_what_is_empty(artifacts: Path) -> None:
    put(artifacts / "verdicts", "armv6-audit.json", verdict("audit"))
    text = read(artifacts).text
    assert "one passed 1.50 elves 3" in text
    assert "highest" not in text and "excused" not in text


def test_memory_of_each_boot_is_drawn(artifacts: Path) -> None:
    put(artifacts / "verdicts", "armv6-single.json", booted())
    found = read(artifacts)
    assert len(found.all("svg")) == 1
    assert len(found.all("polyline")) == 2
    assert "single, on raspi0, 2026-11-25 19:05:18Z : passed , on these" in found.text


def test_sizes_are_told_in_tiles_and_in_figures(artifacts: Path) -> None:
    found = read(artifacts)
    tiles = [a for a in found.all("div") if a.get("class", "").startswith("tile ")]
    assert [tile["title"] for tile in tiles] == [
        "k3s 6.68",
        "runc 1.91",
        "pause 0.86",
        "names, sums, gaps 0.10",
        "traefik 4.77",
        "pause 0.86",
    ]
    assert "Inside the executable, 9.54 MiB" in found.text
    assert "traefik 1.0 MIT image 14.31 4.77" in found.text


def test_jobs_have_a_row_for_each_name_and_a_bar_for_each_span(artifacts: Path) -> None:
    put(artifacts, "timings-armv6-any.json", TIMES)
    put(artifacts, "timings-amd64-any.json", TIMES)
    found = read(artifacts)
    bars = [a["title"] for a in found.all("i")]
    assert bars == [
        "compile k3s-armv6: 32.5 s, from 10.2",
        "compress k3s: 242.0 s, from 55.7",
        "compress k3s: 281.0 s, from 301.4",
    ]
    assert len([a for a in found.all("div") if a.get("class") == "row"]) == 2
    assert "587 seconds, 94.7%" in found.text
    assert "amd64" not in found.text, "a run of targets that the report is not about"


def test_a_run_that_did_nothing_says_so(artifacts: Path) -> None:
    put(artifacts, "timings-armv6-any.json", TIMES | {"spans": []})
    assert "The last run built nothing" in read(artifacts).text


def test_a_smaller_profile_is_a_part_of_its_own(artifacts: Path) -> None:
    (artifacts / "k3s-armv6-minimal").write_bytes(b"small")
    put(artifacts, "k3s-armv6-minimal.json", record(b"small", profile="minimal"))
    put(artifacts / "verdicts", "armv6-minimal-audit.json", verdict("audit", b"small"))
    full, minimal = facts_of(artifacts).made
    assert (full.suffix, minimal.suffix) == ("armv6", "armv6-minimal")
    assert not full.verdicts
    assert [one.state for one in minimal.verdicts] == ["passed"]


def test_the_same_facts_make_the_same_bytes(artifacts: Path) -> None:
    put(artifacts, "timings-armv6-any.json", TIMES)
    put(artifacts / "verdicts", "armv6-single.json", booted())
    app = App(Settings(), artifacts.parent)
    for name in ("recipes", "toolchains"):
        (artifacts.parent / name).symlink_to(CHECKOUT / name)
    (artifacts.parent / "buildsys").symlink_to(CHECKOUT / "buildsys")
    path, facts = write(app, ["armv6"])
    before = path.read_bytes()
    write(app, [])
    assert path == artifacts / "report.html"
    assert path.read_bytes() == before
    raise_untried(facts)


# ---- what cannot be reported ----


def test_nothing_built(tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="nothing to report of armv6") as raised:
        facts_of(tmp_path)
    assert "invoke build --arch armv6" in raised.value.action


def test_a_named_target_must_be_there_others_need_not(artifacts: Path) -> None:
    both = [ARMV6, PROJECT.targets["armv7"]]
    assert len(collect(artifacts, PROJECT, both, named=False).made) == 1
    with pytest.raises(NotBuiltError, match="nothing to report of armv7"):
        collect(artifacts, PROJECT, both, named=True)


def test_a_record_about_other_bytes(artifacts: Path) -> None:
    (artifacts / "k3s-armv6").write_bytes(b"another")
    with pytest.raises(CorruptError, match=r"is not what k3s-armv6\.json says"):
        facts_of(artifacts)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "the whole of it"),
        ('{"kind": "audit"}', "target"),
        ("[]", "the whole of it"),
        (r'{"kind": "\ud800"}', "the whole of it"),
    ],
)
def test_a_damaged_file_is_named(artifacts: Path, text: str, where: str) -> None:
    path = artifacts / "verdicts/armv6-audit.json"
    path.write_text(text)
    with pytest.raises(CorruptError, match=f"armv6-audit.json.*: {where}: "):
        facts_of(artifacts)


def test_no_verdict_is_an_error_after_the_report_is_there(artifacts: Path) -> None:
    facts = facts_of(artifacts)
    assert "Nothing was tried" not in read(artifacts).text, "what its release wants is named"
    with pytest.raises(NotBuiltError, match="no verdict") as raised:
        raise_untried(facts)
    assert "invoke audit --arch armv6" in raised.value.action


# ---- the treemap ----


@pytest.mark.parametrize(
    "sizes", [[1.0], [6, 6, 4, 3, 2, 2, 1], [1000, 1, 1, 1], [5.5] * 30, [1e9, 1e3, 1.0]]
)
def test_tiles_fill_the_box_in_proportion(sizes: list[float]) -> None:
    box = Box(0, 0, 16, 9)
    made = list(squarify(sizes, box))
    for size, tile in zip(sizes, made, strict=True):
        assert tile.width * tile.height == pytest.approx(144 * size / sum(sizes))
        assert tile.x >= -1e-9 and tile.x + tile.width <= 16 + 1e-6
        assert tile.y >= -1e-9 and tile.y + tile.height <= 9 + 1e-6
    for one, other in pairwise(made):
        beside = one.x + one.width <= other.x + 1e-6 or one.y + one.height <= other.y + 1e-6
        assert beside, "tiles do not overlap"


def test_tiles_are_near_to_squares() -> None:
    """The example of the paper: the first two of 6, 6, 4 … in 6 by 4 stand one above the other."""
    first, second, third, *_ = squarify([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    assert (first.width, first.height) == (second.width, second.height) == (3, 2)
    assert third.x == 3
    assert third.width == pytest.approx(12 / 7)


@pytest.mark.parametrize("sizes", [[1, 2], [2, 0], [1, -1]])
def test_sizes_out_of_order_are_refused(sizes: list[float]) -> None:
    with pytest.raises(ValueError, match="largest first"):
        list(squarify(sizes, Box(0, 0, 1, 1)))


def test_nothing_makes_no_tiles() -> None:
    assert list(squarify([], Box(0, 0, 1, 1))) == []
