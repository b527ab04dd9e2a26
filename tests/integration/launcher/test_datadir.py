"""Which data directory, which configuration, which PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Call, Result

pytestmark = pytest.mark.integration

NO_ENV = {"K3S_DATA_DIR": ""}


def data_dir_of(result: Result) -> str:
    """The data directory as PATH's first entry shows it."""
    assert result.code == 0, result.err
    first = result.environment["PATH"].split(":")[0]
    assert first.endswith("/data/cni")
    return first.removesuffix("/data/cni")


# ---- flag and environment ----


@pytest.mark.parametrize(
    "words",
    [
        ["server", "--data-dir", "{}"],
        ["server", "--data-dir={}"],
        ["server", "-data-dir", "{}"],
        ["server", "-data-dir={}"],
        ["server", "-d", "{}"],
        ["server", "-d={}"],
        ["server", "-d{}"],
        ["--data-dir", "{}", "server"],
        ["-d", "{}", "kubectl", "get"],
        ["kubectl", "-d", "{}"],
        ["kubectl", "--data-dir={}"],
        ["server", "--data-dir", "/nowhere/else", "--data-dir", "{}"],
        ["server", "--unknown", "value", "--data-dir", "{}"],
        ["server", "--unknown", "-d", "{}"],
        ["server", "--token=--data-dir", "-xyd", "{}"],
        ["server", "-x=1", "-d", "{}"],
        ["server", "--data-dir", "{}", "--", "--data-dir", "/nowhere/else"],
        ["server", "--data-dir", "{}", "--help", "--data-dir", "/nowhere/else"],
    ],
)
def test_spellings_of_the_flag(k3s: Path, call: Call, tmp_path: Path, words: list[str]) -> None:
    wanted = str(tmp_path / "by flag")
    result = call(k3s, *(word.format(wanted) for word in words), env=NO_ENV)
    assert data_dir_of(result) == wanted


def test_environment_beats_flag(k3s: Path, call: Call, data_dir: Path) -> None:
    assert data_dir_of(call(k3s, "server", "-d", "/nowhere/else")) == str(data_dir)


def test_relative_directory_becomes_absolute(k3s: Path, call: Call, tmp_path: Path) -> None:
    result = call(k3s, "server", "--data-dir", "a//./b/../c", env=NO_ENV)
    assert data_dir_of(result) == str(tmp_path / "work/a/c")


@pytest.mark.parametrize("home", ["~", "$HOME", "${HOME}"])
def test_home_is_expanded(k3s: Path, call: Call, tmp_path: Path, home: str) -> None:
    assert data_dir_of(call(k3s, "server", "-d", f"{home}/x", env=NO_ENV)) == str(
        tmp_path / "home/x"
    )


def test_another_programs_short_flag_is_not_ours(k3s: Path, call: Call, tmp_path: Path) -> None:
    """`ctr run -d IMAGE` detaches; upstream's launcher would unpack into ./IMAGE."""
    config = tmp_path / "config.yaml"
    config.write_text(f"data-dir: {tmp_path}/configured\n")
    env = {**NO_ENV, "K3S_CONFIG_FILE": str(config)}
    for words, name in (
        (["ctr", "run", "-d", "docker.io/x/y:1", "z"], "k3s"),
        (["run", "-d", "image", "z"], "ctr"),
    ):
        assert data_dir_of(call(k3s, *words, name=name, env=env)) == f"{tmp_path}/configured"


# ---- defaults ----


def test_default_of_root(k3s: Path, call: Call) -> None:
    result = call(k3s, "server", env=NO_ENV, inside="mount -t tmpfs none /var/lib")
    assert data_dir_of(result) == "/var/lib/rancher/k3s"


def as_user(k3s: Path) -> str:
    return f'exec unshare -U "{k3s}" "$@"'


def test_default_of_everybody_else(k3s: Path, call: Call, tmp_path: Path) -> None:
    result = call(k3s, "server", env=NO_ENV, inside=as_user(k3s))
    assert data_dir_of(result) == str(tmp_path / "home/.rancher/k3s")


def test_no_home(k3s: Path, call: Call) -> None:
    result = call(k3s, "server", env={**NO_ENV, "HOME": ""}, inside=as_user(k3s))
    assert result.code == 79
    assert "HOME is not set" in result.err and "--data-dir" in result.err


def test_data_in_the_default_place_serve_everybody(k3s: Path, call: Call, tmp_path: Path) -> None:
    inside = (
        f'mount -t tmpfs none /var/lib; K3S_DATA_DIR=/var/lib/rancher/k3s "{k3s}" server >/dev/null'
    )
    result = call(k3s, "kubectl", env={"K3S_DATA_DIR": str(tmp_path / "other")}, inside=inside)
    assert data_dir_of(result) == "/var/lib/rancher/k3s"
    assert not (tmp_path / "other").exists()


# ---- configuration ----

WANTED = "/tmp-{}"


@pytest.mark.parametrize(
    "text",
    [
        "data-dir: {}\n",
        "data-dir: {}",
        "\ufeffdata-dir: {}\r\ntoken: x\r\n",
        "# comment\n---\ntoken: x # data-dir: /no\ndata-dir: {}   # comment\n",
        'data-dir: "{}"\n',
        "data-dir: '{}' # comment\n",
        '"data-dir" : {}\n',
        "'data-dir': {}\n",
        "data-dir+: {}\n",
        "data-dir: /no\ndata-dir: {}\n",
        "data-dir:\n  {}\n",
        "data-dir: # comment\n\n  '{}'\n",
        "data-dir: |\n  {}\n",
        "data-dir: >-\n  {}\ntoken: x\n",
        "data-dir: !!str {}\n",
        "data-dir: [ /no, {} ]\n",
        "data-dir:\n- /no\n- {}\n",
        "d: {}\n",
        "x: &place {}\ndata-dir: *place\n",
        "x: &all [/no, {}]\ndata-dir: *all\n",
        "x: &base {{data-dir: /no}}\ndata-dir: {}\n<<: *base\n",
        "--- {{data-dir: {}}}\n",
        "--- # first\ndata-dir: {}\n--- # second\ndata-dir: /no\n",
        "%YAML 1.1\n---\ndata-dir: {}\n",
        'x: "two \\\n  lines"\ndata-dir: {}\n',
        "{{x: [\na,\n{{b: c}}], # comment\ndata-dir:\n  {}}}\n",
        "data-dir: {}\ndata-dir+: []\n",
        "data-dir: {}\ndata-dir+:\n",
        "  data-dir: {}\n  token: x\n",
        "nested:\n  data-dir: /no\ntext: |\n  data-dir: /no\ndata-dir: {}\n",
        "data-dir: {}\n...\ndata-dir: /no\n",
        "data-dir: {}\n---\ndata-dir: /no\n",
        '{{"data-dir": "{}", "token": "x"}}\n',
        '{{\n "nested": {{"data-dir": "/no"}},\n "tls-san": ["a", "b"],\n "data-dir": "{}"\n}}\n',
        "{{token: x, data-dir: {}}}\n",
        'data-dir: "\\x2f{}"\n',
        "token: 'it''s'\ndata-dir: '{}'\n",
    ],
)
def test_configuration_spellings(k3s: Path, call: Call, tmp_path: Path, text: str) -> None:
    wanted = str(tmp_path / "by-config")
    config = tmp_path / "config.yaml"
    config.write_bytes(text.format(wanted).encode())
    env = {**NO_ENV, "K3S_CONFIG_FILE": str(config)}
    # not read, it must not unpack into the machine's own place
    result = call(k3s, "server", env=env, inside="mount -t tmpfs none /var/lib")
    assert data_dir_of(result) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "data-dir: ~\n",
        "data-dir: null\n",
        "data-dir:\n",
        "data-dir: ''\n",
        "other-data-dir: /no\n",
        "",
    ],
)
def test_configuration_without_a_directory(
    k3s: Path, call: Call, tmp_path: Path, text: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    result = call(
        k3s,
        "server",
        env={**NO_ENV, "K3S_CONFIG_FILE": str(config)},
        inside="mount -t tmpfs none /var/lib",
    )
    assert data_dir_of(result) == "/var/lib/rancher/k3s"


def test_dropins_in_order_of_name(k3s: Path, call: Call, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    folder = tmp_path / "config.yaml.d"
    (folder / "99-folder.yaml").mkdir(parents=True)
    config.write_text("data-dir: /no\n")
    (folder / "10-a.yaml").write_text("data-dir: /no\n")
    (folder / "20-b.YML").write_text(f"data-dir: {tmp_path}/last\n")
    (folder / "30-c.txt").write_text("data-dir: /no\n")
    env = {**NO_ENV, "K3S_CONFIG_FILE": str(config)}
    assert data_dir_of(call(k3s, "server", env=env)) == f"{tmp_path}/last"
    config.unlink()
    assert data_dir_of(call(k3s, "server", env=env)) == f"{tmp_path}/last"


@pytest.mark.parametrize("words", [["--config", "{}"], ["--config={}"], ["-c", "{}"], ["-c={}"]])
def test_configuration_by_flag(k3s: Path, call: Call, tmp_path: Path, words: list[str]) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(f"data-dir: {tmp_path}/mine\n")
    arguments = [word.format(config) for word in words]
    result = call(k3s, "server", *arguments, env={**NO_ENV, "K3S_CONFIG_FILE": ""})
    assert data_dir_of(result) == f"{tmp_path}/mine"


def test_another_programs_c_is_no_configuration(k3s: Path, call: Call, tmp_path: Path) -> None:
    """`kubectl logs -c NAME` names a container."""
    config = tmp_path / "mine.yaml"
    config.write_text("data-dir: /nowhere/else\n")
    result = call(
        k3s,
        "kubectl",
        "logs",
        "-c",
        str(config),
        env={**NO_ENV, "K3S_CONFIG_FILE": ""},
        inside="mount -t tmpfs none /var/lib",
    )
    assert data_dir_of(result) == "/var/lib/rancher/k3s"


def test_default_configuration_file(k3s: Path, call: Call, tmp_path: Path) -> None:
    inside = "mount -t tmpfs none /etc; mkdir -p /etc/rancher/k3s\n"
    inside += f"echo 'data-dir: {tmp_path}/etc-config' > /etc/rancher/k3s/config.yaml"
    result = call(k3s, "kubectl", env={**NO_ENV, "K3S_CONFIG_FILE": ""}, inside=inside)
    assert data_dir_of(result) == f"{tmp_path}/etc-config"


@pytest.mark.parametrize("text", ["---\n---\ndata-dir: /no\n", "# nothing\n", "null\n", "{{}}\n"])
def test_configuration_without_anything(k3s: Path, call: Call, tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text.format())
    env = {**NO_ENV, "K3S_CONFIG_FILE": str(config)}
    result = call(k3s, "server", env=env, inside="mount -t tmpfs none /var/lib")
    assert data_dir_of(result) == "/var/lib/rancher/k3s"


def test_empty_directory_in_the_configuration_beats_the_environment(
    k3s: Path, call: Call, tmp_path: Path
) -> None:
    """k3s makes a flag of it; where it unpacks is the launcher's, which asks the variable first."""
    config = tmp_path / "config.yaml"
    for text, used in (("data-dir:\n", "/var/lib/rancher/k3s"), ("data-dir: []\n", "/srv/x")):
        config.write_text(text)
        env = {"K3S_DATA_DIR": "/srv/x", "K3S_CONFIG_FILE": str(config)}
        assert f"\ndata-dir\t{used}\n" in call(k3s, "--show-paths", env=env).out


# ---- a configuration that cannot be read or understood ----

BROKEN = [
    ("data-dir: &a [*a]\n", 1, "an alias in its own anchor"),
    ("x: 1\n\ndata-dir: *nowhere\n", 3, "an alias without an anchor"),
    ("? data-dir\n: /x\n", 1, "a key behind a question mark"),
    ("x: 1\nx\n", 2, "no 'key: value'"),
    ("\tdata-dir: /x\n", 1, "a tab"),
    ("- data-dir: /x\n", 1, "does not consist of 'key: value'"),
    ("data-dir: {a: b}\n", 1, "a value that k3s does not take as the text that it is"),
    ("x: 1\ndata-dir: 0x10\n", 2, "a value that k3s does not take as the text that it is"),
    ("debug: 1.0\n", 1, "a value that k3s does not take as the text that it is"),
    ("x: [a\n", 2, "brackets that are not closed"),
    ("x: 'a\n", 2, "a quotation mark that is not closed"),
    ("x: \x07\n", 1, "a control character"),
    ("%TAG !a! tag:b,2000:\n--- \nx: 1\n", 1, "such a directive"),
]


@pytest.mark.parametrize(("text", "line", "what"), BROKEN)
def test_configuration_that_is_not_understood(
    k3s: Path, call: Call, tmp_path: Path, text: str, line: int, what: str
) -> None:
    config = tmp_path / "config.yaml"
    folder = tmp_path / "config.yaml.d"
    folder.mkdir()
    for file in (config, folder / "10-x.yaml"):
        file.write_text(text)
        for words in (["server"], ["--show-paths", "server"], ["etcd-snapshot", "ls"]):
            result = call(k3s, *words, env={"K3S_CONFIG_FILE": str(config)})
            assert (result.code, result.out) == (79, "")
            assert f"cannot understand the configuration {file}, line {line}: " in result.err
            assert what in result.err and "  do: " in result.err
        file.unlink()


def test_configuration_that_can_be_read_once(k3s: Path, call: Call, tmp_path: Path) -> None:
    """A pipe would be empty for the inner program."""
    os.mkfifo(tmp_path / "pipe")
    result = call(k3s, "server", env={"K3S_CONFIG_FILE": str(tmp_path / "pipe")})
    assert result.code == 79 and "it is a pipe" in result.err
    assert call(k3s, "server", env={"K3S_CONFIG_FILE": "/dev/null"}).code == 0


def test_large_configuration(k3s: Path, call: Call, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("- k:\n" * 800_000 + "x: 1\n")
    result = call(k3s, "server", env={"K3S_CONFIG_FILE": str(config)})
    assert result.code == 79 and f"{config}, line 800001: " in result.err
    config.write_text("#" * (4 << 20) + "\nx: 1\n")
    result = call(k3s, "server", env={"K3S_CONFIG_FILE": str(config)})
    assert result.code == 79 and "it is larger than 4 MiB" in result.err


def test_folder_among_the_dropins(k3s: Path, call: Call, tmp_path: Path) -> None:
    """A link to a folder is a drop-in for k3s, which cannot be read; a folder is none."""
    (tmp_path / "config.yaml.d/10.yaml").mkdir(parents=True)
    env = {"K3S_CONFIG_FILE": str(tmp_path / "config.yaml")}
    assert call(k3s, "server", env=env).code == 0
    (tmp_path / "config.yaml.d/20.yaml").symlink_to("10.yaml")
    result = call(k3s, "server", env=env)
    assert result.code == 79 and "config.yaml.d/20.yaml: Is a directory" in result.err


@pytest.mark.parametrize(
    "words", [["server"], ["agent", "--token", "x"], ["etcd-snapshot", "save"], ["--show-defaults"]]
)
def test_who_obeys_an_unreadable_configuration(
    k3s: Path, call: Call, tmp_path: Path, words: list[str]
) -> None:
    result = call(k3s, *words, env={"K3S_CONFIG_FILE": str(tmp_path)})
    assert (result.code, result.out) == (79, "")
    assert f"cannot read the configuration {tmp_path}: Is a directory" in result.err


NO_NEED = [
    ["completion", "bash"],
    ["help", "server"],
    ["server", "--help"],
    ["etcd-snapshot", "save", "--help"],
    ["token", "list"],
    ["certificate", "check"],
    ["kubectl", "get", "pods"],
    ["ctr", "version"],
    ["check-config"],
]


@pytest.mark.parametrize("words", NO_NEED)
def test_who_needs_no_configuration(
    k3s: Path, call: Call, tmp_path: Path, words: list[str]
) -> None:
    """The program is there already: no word about a file that only root may read."""
    env = {**NO_ENV, "K3S_CONFIG_FILE": ""}
    inside = "mount -t tmpfs none /var/lib; mount -t tmpfs none /etc; mkdir -p /etc/rancher/k3s\n"
    inside += f"K3S_DATA_DIR=/var/lib/rancher/k3s '{k3s}' server >/dev/null 2>&1\n"
    inside += "mkdir /etc/rancher/k3s/config.yaml"
    result = call(k3s, *words, env=env, inside=inside)
    assert (result.code, result.err) == (0, "")
    # k3s reads it to print the help of server, agent and etcd-snapshot, and fails
    internal = words[0] not in ("kubectl", "ctr", "check-config")
    assert (result.environment.get("K3S_CONFIG_FILE") == "/dev/null") == internal


def test_where_to_unpack_without_the_configuration(k3s: Path, call: Call, tmp_path: Path) -> None:
    env = {**NO_ENV, "K3S_CONFIG_FILE": str(tmp_path)}
    line = f"cannot read the configuration {tmp_path}: Is a directory; going on"
    inside = "mount -t tmpfs none /var/lib"
    result = call(k3s, "kubectl", "get", env=env, inside=inside)
    assert result.code == 0 and line in result.err
    result = call(k3s, "kubectl", "get", "--data-dir", str(tmp_path / "x"), env=env, inside=inside)
    assert result.code == 0 and "configuration" not in result.err
    for told in ("", "/mine"):
        crictl = {**env, "K3S_DATA_DIR": "", "CRI_CONFIG_FILE": told}
        once = f"{inside}; K3S_DATA_DIR=/var/lib/rancher/k3s '{k3s}' kubectl >/dev/null 2>&1"
        assert (line in call(k3s, "crictl", "ps", env=crictl, inside=once).err) == (not told)


# ---- PATH and the rest of the environment ----


def path_of(result: Result) -> list[str]:
    assert result.code == 0, result.err
    version = result.program.removesuffix("/bin")
    data = str(Path(version).parent)
    return [
        entry.replace(version, "VERSION").replace(data, "DATA")
        for entry in result.environment["PATH"].split(":")
    ]


HOST_FIRST = ["DATA/cni", "VERSION/bin", "/usr/bin", "/bin", "VERSION/bin/aux"]
BUNDLED_FIRST = ["DATA/cni", "VERSION/bin", "VERSION/bin/aux", "/usr/bin", "/bin"]


@pytest.mark.parametrize(
    ("flags", "config", "path"),
    [
        ([], "", HOST_FIRST),
        (["--prefer-bundled-bin"], "", BUNDLED_FIRST),
        (["--prefer-bundled-bin=true"], "", BUNDLED_FIRST),
        (["--prefer-bundled-bin=1"], "", BUNDLED_FIRST),
        (["--prefer-bundled-bin=false"], "", HOST_FIRST),
        (["--prefer-bundled-bin=0"], "", HOST_FIRST),
        (["--prefer-bundled-bin=false", "--x", "--prefer-bundled-bin"], "", BUNDLED_FIRST),
        ([], "prefer-bundled-bin: true", BUNDLED_FIRST),
        ([], "prefer-bundled-bin: yes", BUNDLED_FIRST),
        ([], "prefer-bundled-bin: 'yes'", HOST_FIRST),
        ([], 'prefer-bundled-bin: "1"', BUNDLED_FIRST),
        ([], "prefer-bundled-bin: false", HOST_FIRST),
        (["--prefer-bundled-bin=false"], "prefer-bundled-bin: true", HOST_FIRST),
    ],
)
def test_path_order(
    k3s: Path, call: Call, tmp_path: Path, flags: list[str], config: str, path: list[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config)
    assert path_of(call(k3s, "server", *flags, env={"K3S_CONFIG_FILE": str(file)})) == path


def test_empty_path_does_not_add_the_working_directory(k3s: Path, call: Call) -> None:
    assert path_of(call(k3s, "server", env={"PATH": ""})) == [
        "DATA/cni",
        "VERSION/bin",
        "VERSION/bin/aux",
    ]


def test_resolver_options(k3s: Path, call: Call) -> None:
    assert call(k3s, "server").environment["RES_OPTIONS"] == " "
    assert (
        call(k3s, "server", env={"RES_OPTIONS": "ndots:2"}).environment["RES_OPTIONS"] == "ndots:2"
    )


def test_crictl_is_told_its_configuration(
    k3s: Path, call: Call, data_dir: Path, tmp_path: Path
) -> None:
    def told(**env: str) -> str:
        return call(k3s, "crictl", "ps", env=env).environment["CRI_CONFIG_FILE"]

    in_home = tmp_path / "home/.rancher/k3s/agent/etc/crictl.yaml"
    in_data = data_dir / "agent/etc/crictl.yaml"
    assert told() in ("", "/etc/crictl.yaml", "/var/lib/rancher/k3s/agent/etc/crictl.yaml")
    for file in (in_home, in_data):
        file.parent.mkdir(parents=True)
        file.touch()
        assert told() == str(file)
    assert told(CRI_CONFIG_FILE="/mine") == "/mine"
    assert "CRI_CONFIG_FILE" not in call(k3s, "ctr").environment
