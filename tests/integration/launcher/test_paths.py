"""k3s --show-paths: the same answer that a start gives, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Call, Result
from .test_commands import nothing_made
from .test_datadir import NO_ENV, data_dir_of

pytestmark = pytest.mark.integration

NAMES = ["config", "data-dir", "real-data-dir", "unpack-dir", "real-unpack-dir", "images-dir"]
SYSTEM = "mount -t tmpfs none /var/lib; mount -t tmpfs none /etc"


def paths_of(result: Result) -> dict[str, str]:
    assert (result.code, result.err) == (0, "")
    lines = [line.split("\t", 1) for line in result.out.splitlines()]
    assert [line[0] for line in lines] == NAMES
    return {line[0]: line[1] for line in lines}


@pytest.mark.parametrize("words", [[], ["server"], ["agent"], ["server", "--disable", "traefik"]])
def test_default_of_root(k3s: Path, call: Call, words: list[str]) -> None:
    env = {**NO_ENV, "K3S_CONFIG_FILE": ""}
    assert paths_of(call(k3s, "--show-paths", *words, env=env, inside=SYSTEM)) == {
        "config": "/etc/rancher/k3s/config.yaml",
        "data-dir": "/var/lib/rancher/k3s",
        "real-data-dir": "/var/lib/rancher/k3s",
        "unpack-dir": "/var/lib/rancher/k3s",
        "real-unpack-dir": "/var/lib/rancher/k3s",
        "images-dir": "/var/lib/rancher/k3s/agent/images",
    }


def test_nothing_is_made(k3s: Path, call: Call, tmp_path: Path) -> None:
    paths_of(call(k3s, "--show-paths", "server"))
    assert nothing_made(tmp_path)


# ---- as a start decides ----

PLACES = [
    ({"K3S_DATA_DIR": "/by/variable"}, [], ""),
    (NO_ENV, ["--data-dir", "/by/flag"], ""),
    (NO_ENV, ["-d=/by/flag"], ""),
    (NO_ENV, [], "data-dir: /by/config\n"),
    ({"K3S_DATA_DIR": "/by/variable"}, ["--data-dir", "/by/flag"], ""),
    ({"K3S_DATA_DIR": "/by/variable"}, [], "data-dir: /by/config\n"),
    (NO_ENV, ["--rootless"], ""),
    (NO_ENV, ["--data-dir", "relative/./x"], ""),
]


@pytest.mark.parametrize("command", ["server", "agent"])
@pytest.mark.parametrize(("env", "flags", "config"), PLACES)
def test_a_start_uses_them(
    k3s: Path,
    call: Call,
    tmp_path: Path,
    command: str,
    env: dict[str, str],
    flags: list[str],
    config: str,
) -> None:
    """Judged by where a start unpacks, and in which data directory it heals."""
    file = tmp_path / "config.yaml"
    file.write_text(config)
    env = {**env, "K3S_CONFIG_FILE": str(file)}
    inside = f"{SYSTEM}; mount -t tmpfs none /srv"
    flags = [flag.replace("/by", "/srv/by") for flag in flags]
    env = {name: value.replace("/by", "/srv/by") for name, value in env.items()}
    file.write_text(config.replace("/by", "/srv/by"))
    paths = paths_of(call(k3s, "--show-paths", command, *flags, env=env, inside=inside))
    assert paths["config"] == str(file)
    # an empty key in the node's data directory is removed, nowhere else
    key = f"{paths['data-dir']}/agent/x.key"
    inside += f"; mkdir -p '{Path(key).parent}'; : >'{key}'"
    started = call(k3s, command, *flags, env=env, inside=inside)
    assert data_dir_of(started) == paths["unpack-dir"]
    assert f"Removed {key}, which was empty" in started.err
    assert paths["images-dir"] == f"{paths['data-dir']}/agent/images"


def test_unpacked_and_used_may_be_two(k3s: Path, call: Call, tmp_path: Path) -> None:
    paths = paths_of(call(k3s, "--show-paths", "server", "--data-dir", "/srv/used"))
    assert paths["data-dir"] == "/srv/used"
    assert paths["unpack-dir"] == str(tmp_path / "data")


def test_unpacked_in_the_default_place(k3s: Path, call: Call, tmp_path: Path) -> None:
    inside = f'{SYSTEM}; K3S_DATA_DIR=/var/lib/rancher/k3s "{k3s}" server >/dev/null 2>&1'
    paths = paths_of(call(k3s, "--show-paths", "server", inside=inside))
    assert paths["unpack-dir"] == "/var/lib/rancher/k3s"
    assert paths["data-dir"] == str(tmp_path / "data")


def test_dropins_and_flags_name_the_configuration(k3s: Path, call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "mine.yaml.d"
    folder.mkdir()
    (folder / "10.yaml").write_text("data-dir: /srv/dropin\n")
    env = {**NO_ENV, "K3S_CONFIG_FILE": ""}
    for words in (["--config", str(tmp_path / "mine.yaml")], [f"-c={tmp_path}/mine.yaml"]):
        paths = paths_of(call(k3s, "--show-paths", "server", *words, env=env))
        assert paths["config"] == str(tmp_path / "mine.yaml")
        assert paths["data-dir"] == "/srv/dropin"
    relative = paths_of(call(k3s, "--show-paths", "agent", "--config", "c.yaml", env=env))
    assert relative["config"] == str(tmp_path / "work/c.yaml")


def test_links_are_followed(k3s: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    words = ["--show-paths", "server", "--data-dir", str(tmp_path / "link/not/there")]
    paths = paths_of(call(k3s, *words, env=NO_ENV))
    for name in ("data-dir", "unpack-dir"):
        assert paths[name] == str(tmp_path / "link/not/there")
        assert paths[f"real-{name}"] == str(tmp_path / "disk/not/there")
    root = paths_of(call(k3s, "--show-paths", "server", "--data-dir", "/", env=NO_ENV))
    assert (root["real-data-dir"], root["images-dir"]) == ("/", "/agent/images")


# ---- forms of the answer ----


def test_json(k3s: Path, call: Call, tmp_path: Path) -> None:
    odd = '/srv/a "b" \\c\td\x01'
    for words in (["--show-paths", "--json"], ["--json", "--show-paths"]):
        result = call(k3s, *words, "server", "--data-dir", odd)
        assert result.code == 0
        answer = json.loads(result.out)
        assert list(answer) == NAMES
        assert answer["data-dir"] == odd
        assert answer["unpack-dir"] == str(tmp_path / "data")


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_line_break_is_refused(k3s: Path, call: Call, option: list[str]) -> None:
    result = call(k3s, "--show-paths", *option, "server", "--data-dir", "/srv/a\nimages-dir\t/b")
    assert (result.code, result.out) == (79, "")
    assert "data-dir has a line break in its name" in result.err


def test_unreadable_configuration(k3s: Path, call: Call, tmp_path: Path) -> None:
    result = call(k3s, "--show-paths", env={"K3S_CONFIG_FILE": str(tmp_path)})
    assert (result.code, result.out) == (79, "")
    assert f"cannot read the configuration {tmp_path}: Is a directory" in result.err


def test_wrong_usage(k3s: Path, call: Call) -> None:
    for words in (["--show-paths", "kubectl"], ["--show-paths", "--show-defaults"]):
        assert call(k3s, *words).code == 1
    assert call(k3s, "--show-paths", "servr").code == 1


def test_answer_that_cannot_be_written(k3s: Path, call: Call) -> None:
    result = call(k3s, "--show-paths", inside="exec >/dev/full")
    assert result.code == 74


# ---- a configuration that is a URL ----


@pytest.mark.parametrize("url", ["http://example.org/c.yaml", "HTTPS://example.org/c.yaml"])
def test_url_is_no_path(k3s: Path, call: Call, tmp_path: Path, url: str) -> None:
    """A folder called http: in the working directory may be anybody's."""
    file = tmp_path / "work" / url.replace("//", "/")
    dropin = Path(f"{file}.d/10.yaml")
    dropin.parent.mkdir(parents=True)
    for planted in (file, dropin):
        planted.write_text(f"data-dir: {tmp_path}/planted\n")
    env = {**NO_ENV, "K3S_CONFIG_FILE": ""}
    paths = paths_of(call(k3s, "--show-paths", "server", "--config", url, env=env, inside=SYSTEM))
    assert paths["config"] == url
    assert paths["unpack-dir"] == paths["data-dir"] == "/var/lib/rancher/k3s"
