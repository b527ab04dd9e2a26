"""A job sees its own folder as /tmp, no network, a fixed environment; nothing gets out."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from .goproxy import Proxy, go_recipe
from .meson_project import meson_recipes
from .project import REVEALING, Checkout, machine

pytestmark = pytest.mark.integration


def reported(checkout: Checkout, commands: str) -> str:
    """What the commands of a makefile print, run as a job."""
    body = "".join(f"\t{line}\n" for line in commands.splitlines())
    checkout.make("spy", {"Makefile": f"report:\n{body}"}, {"report": "report"})
    return checkout.artifact("spy-armv6").path("report").read_text()


def test_only_a_dead_loopback(checkout: Checkout) -> None:
    said = reported(checkout, "cat /proc/net/dev >$@\ncat /proc/net/fib_trie >>$@")
    names = [line.split(":")[0].strip() for line in said.splitlines() if ":" in line]
    assert [name for name in names if name not in ("Main", "Local")] == ["lo"]
    assert "127.0.0.0" in Path("/proc/net/fib_trie").read_text()
    assert "127.0.0.0" not in said, "lo is down: it has no address"


def test_host_cannot_be_reached(checkout: Checkout, nonce: str) -> None:
    reached = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        port = server.getsockname()[1]

        def listen() -> None:
            while not done.is_set():
                try:
                    server.accept()[0].close()
                    reached.set()
                except TimeoutError:
                    pass

        done = threading.Event()
        listener = threading.Thread(target=listen)
        listener.start()
        try:
            with socket.create_connection(("127.0.0.1", port)):
                pass
            assert reached.wait(5), "the listener works"
            reached.clear()
            command = (
                f"bash -c 'echo {nonce} >/dev/tcp/127.0.0.1/{port}' 2>$@ && echo REACHED >$@ || :"
            )
            said = reported(checkout, command)
        finally:
            done.set()
            listener.join()
    assert "REACHED" not in said and "unreachable" in said, said
    assert not reached.is_set()


def test_tmp_is_its_own(checkout: Checkout, nonce: str, tmp_path: Path) -> None:
    outside = Path("/tmp") / f"buildsys-test-{nonce}"
    outside.write_text("of the host")
    try:
        said = reported(checkout, f"echo x >/tmp/escaped-{nonce}\nls /tmp >$@\npwd >>$@")
    finally:
        outside.unlink()
    assert not Path(f"/tmp/escaped-{nonce}").exists()
    lines = said.split()
    assert f"escaped-{nonce}" in lines
    assert outside.name not in lines
    assert {"src", "out", "deps", "bin", "tmp", "home"} <= set(lines)
    assert lines[-1] == "/tmp/src"
    assert list(checkout.cache.rglob(f"escaped-{nonce}")) == []


def test_environment_is_a_fixed_list(
    checkout: Checkout, nonce: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CFLAGS", "CPATH", "LD_PRELOAD_", "MAKEFLAGS", "SECRET_TOKEN", "C_INCLUDE_PATH"):
        monkeypatch.setenv(name, nonce)
    monkeypatch.setenv("LC_ALL", "C")
    said = reported(checkout, "env >$@")
    assert nonce not in said
    lines = said.splitlines()
    assert "LC_ALL=C.UTF-8" in lines and "TZ=UTC" in lines
    assert "PATH=/tmp/bin:/tmp/go/bin:/usr/bin:/bin" in lines
    assert any(line.startswith("SOURCE_DATE_EPOCH=") and line[18:] != "0" for line in lines)


def test_no_path_of_this_machine_is_compiled_in(
    checkout: Checkout, proxy: Proxy, nonce: str, tmp_path: Path
) -> None:
    checkout.c("careless", {"main.c": f'#define WORD "{nonce}"\n#define PREFIX "p"\n{REVEALING}'})
    checkout.configured(text=nonce)
    meson_recipes(checkout, nonce)
    go_recipe(checkout, proxy.standard(nonce)[0])
    result = checkout.build("careless", "auto", "kconf", "mes", "gotool", go_proxy=proxy.url)
    programs = [j for j in result.plan.jobs if j.loaded.recipe.output.into == "executable"]
    assert len(programs) == 5
    for job in programs:
        built = result.outcomes[job.id].result
        assert built, job.id
        program = built.artifact.path(f"bin/{job.recipe}")
        data = program.read_bytes()
        assert machine(program) == 40
        assert nonce.encode() in data, "it is the program"
        for path in (tmp_path, checkout.cache, checkout.root, Path.home(), "/tmp/src", "/tmp/go"):
            assert str(path).encode() not in data, (job.id, path)


def test_links_in_the_source_do_not_lead_out(checkout: Checkout, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("untouched")
    checkout.make("spy", {"Makefile": "report:\n\techo x >link\n\tcp link $@\n"}, {"report": "r"})
    (checkout.root / "recipes/spy/src/link").symlink_to(secret)
    checkout.artifact("spy-armv6")
    assert secret.read_text() == "untouched"
