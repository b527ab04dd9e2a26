"""The report in headless Chromium without a network: what it asks for, how it lies on a screen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from buildsys.page.collect import (
    Component,
    Facts,
    Judged,
    Made,
    Record,
    Run,
    SpanData,
    Times,
)
from buildsys.page.document import page
from buildsys.page.write import STYLE
from buildsys.verify.written import StepData, VerdictData

CHROMIUM = shutil.which("chromium") or ""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed: `invoke setup`"),
]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--no-first-run",
)
DARK = "--blink-settings=preferredColorScheme=0"
SECONDS = 600
"""After which Chromium hangs."""


def part(name: str, size: int, **more: Any) -> Component:
    return Component(name=name, version="1.0", license="MIT", size=size, compressed=size, **more)


def facts() -> Facts:
    """One target with something of everything, with names as long as real ones."""
    beats = [{"uptime": at, "available": 400 - at, "swap": 0, "rss": at} for at in range(0, 300, 5)]
    verdicts = []
    for kind, state in (("audit", "FAILED"), ("smoke", "passed"), ("single", "stale")):
        steps = tuple(
            StepData(
                name=f"linked objects containerd-shim-runc-v2 {number}",
                passed=state != "FAILED" or number > 0,
                seconds=1.0,
                detail="CPU_arch is v7, allowed is v6 " * 10,
                facts={"sha": "9287ee2635601cdd9ad3d4d103519062397cae053a11d6f0f5184dc6e3d5bc3c"},
            )
            for number in range(5)
        )
        data = VerdictData(
            kind=kind,
            target="armv6",
            file="k3s-armv6",
            sha256="86c3b46c8028a8b1575bfa10629e9c3eec95d3be4edf3b2cc3aab5911e38361b",
            passed=state != "FAILED",
            started="2026-11-25T19:05:18Z",
            seconds=69.9,
            log=f"armv6-{kind}.log",
            facts={"machine": "raspi0", "boots": [beats]} if kind == "single" else {},
            steps=steps,
        )
        verdicts.append(Judged(state, data))
    record = Record(
        target="armv6",
        profile="full",
        version="v1.35.0+k3s-04e8f1b5",
        go="go1.25.5",
        sha256="86c3b46c8028a8b1575bfa10629e9c3eec95d3be4edf3b2cc3aab5911e38361b",
        size=81_012_446,
        components=tuple(
            part(name, size)
            for name, size in (("k3s", 43_818_203), ("containerd-shim-runc-v2", 4_116_497))
        ),
        images=(part("coredns", 14_945_586, embedded=True), part("traefik", 30_286_063)),
    )
    spans = tuple(
        SpanData(kind=kind, name=name, begin=begin, end=begin + 100)
        for kind, name, begin in (
            ("compile", "containerd-shim-runc-v2-armv6", 0.0),
            ("compress", "k3s", 100.0),
            ("compress", "k3s", 480.0),
        )
    )
    run = Run("armv6-any", Times(wall_seconds=587.1, tool_share=0.9, spans=spans))
    return Facts((Made("armv6", record, tuple(verdicts), ("utilities",)),), (run,))


def report() -> str:
    return page(facts(), STYLE.read_text("utf-8")).decode()


def chromium(tmp_path: Path, html: str, *flags: str) -> str:
    """Load a page in Chromium, in a namespace without any network; the document that came of it."""
    file = tmp_path / "page.html"
    file.write_text(html, "utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = ["unshare", "--map-root-user", "--net", CHROMIUM, *FLAGS, profile, *flags]
    done = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OWN = "not an origin"
"""Who asks, in Chromium's log, where it does so for itself: for updates, for the time."""


def asked(tmp_path: Path, html: str) -> set[str]:
    """Every address outside that a page made Chromium go for."""
    log = tmp_path / "net.json"
    chromium(tmp_path, html, f"--log-net-log={log}")
    events = [event.get("params", {}) for event in json.loads(log.read_text("utf-8"))["events"]]
    found = {event["url"] for event in events if event.get("initiator", OWN) != OWN}
    return {url for url in found if not url.startswith(("file:", "data:", "about:"))}


OUTSIDE = "http://192.0.2.1/picture.png"
"""An address of documentation's: nobody has it."""


def test_no_request_goes_out(tmp_path: Path) -> None:
    assert asked(tmp_path, report()) == set()


def test_the_log_knows_a_request_and_the_pages_policy_stops_it(tmp_path: Path) -> None:
    image = f'<img src="{OUTSIDE}">'
    assert OUTSIDE in asked(tmp_path, f"<!DOCTYPE html><body>{image}")
    assert OUTSIDE not in asked(tmp_path, report().replace("<main>", f"<main>{image}"))


MEASURE = """<!DOCTYPE html><body><iframe style="width:WIDTHpx;height:800px;border:0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, look = e => frame.contentWindow.getComputedStyle(e);
  for (const one of page.querySelectorAll("details")) one.open = true;
  const shown = e => e.getClientRects().length > 0;
  const loose = [...page.querySelectorAll("div, pre")].filter(
    e => ["auto", "scroll"].includes(look(e).overflowX) && e.tabIndex < 0);
  document.body.textContent = JSON.stringify({
    width: page.documentElement.clientWidth,
    needed: page.documentElement.scrollWidth,
    ground: look(page.body).backgroundColor,
    ink: look(page.body).color,
    tiles: [...page.querySelectorAll(".tile span")].filter(shown).map(e => e.textContent),
    bars: [...page.querySelectorAll(".bar")].map(e => e.getBoundingClientRect().width),
    loose: loose.map(e => e.className),
  });
};
frame.srcdoc = PAGE;
</script>"""


def measured(tmp_path: Path, width: int, *flags: str) -> dict[str, Any]:
    """How the report lies in a window of `width`, with all its details open."""
    quoted = json.dumps(report()).replace("</", "<\\/")
    html = MEASURE.replace("WIDTH", str(width)).replace("PAGE", quoted)
    body = re.search(r"<body>(.*)</body>", chromium(tmp_path, html, *flags), re.S)
    assert body is not None
    found: dict[str, Any] = json.loads(unescape(body[1]))
    return found


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_a_phone_and_a_desk(tmp_path: Path, width: int) -> None:
    found = measured(tmp_path, width)
    assert found["width"] == width
    assert found["needed"] <= width, "the page itself never scrolls sideways"
    assert {"k3s 41.79", "traefik 28.88"} <= set(found["tiles"])
    compile_, first, second = found["bars"]
    assert compile_ == pytest.approx(first, abs=1) == pytest.approx(second, abs=1)
    assert first > width / 20
    assert found["loose"] == [], "what scrolls by itself is reached with the keyboard"


def test_light_and_dark(tmp_path: Path) -> None:
    light, dark = measured(tmp_path, 800), measured(tmp_path, 800, DARK)
    assert brightness(light["ground"]) > 200 > 100 > brightness(light["ink"])
    assert brightness(dark["ground"]) < 60 < 200 < brightness(dark["ink"])


def brightness(color: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", color)[:3])
    return (red + green + blue) / 3


def test_hostile_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    name = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    (made,), runs = facts().made, facts().runs
    evil = made.record.model_copy(update={"version": name})
    changed = Facts((Made(name, evil, made.verdicts, ()),), runs)
    dom = chromium(tmp_path, page(changed, STYLE.read_text("utf-8")).decode())
    assert "<title>k3s: what was built and what was tried</title>" in dom
    assert escape(name, quote=False) in dom
