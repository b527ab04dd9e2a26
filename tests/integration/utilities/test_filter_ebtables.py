"""Legacy ebtables: what is in it, and what it says where the kernel has no tables for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .filter_tools import needs_qemu, run, tools

pytestmark = pytest.mark.integration

TARGETS = ["amd64", pytest.param("armv6", marks=needs_qemu)]

EXTENSIONS = {
    "802_3": "802_3 options:",
    "among": "`among' options:",
    "arp": "arp options:",
    "arpreply": "arpreply target options:",
    "AUDIT": "AUDIT target options:",
    "dnat": "dnat options:",
    "ip": "ip options:",
    "ip6": "ip6 options:",
    "limit": "limit options:",
    "log": "log options:",
    "mark": "mark target options:",
    "mark_m": "mark option:",
    "nflog": "nflog options:",
    "pkttype": "pkttype options:",
    "redirect": "redirect option:",
    "snat": "snat options:",
    "stp": "stp options:",
    "string": "string options:",
    "ulog": "ulog options:",
    "vlan": "vlan options:",
}
"""Every extension of the release, by the head of its help."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", EXTENSIONS)
def test_every_extension_is_linked(target: str, name: str) -> None:
    done = tools(target).run("aux/ebtables", "-h", name)
    assert done.code == 0, done.err
    assert EXTENSIONS[name].lower() in done.out.lower(), done.out[-1500:]


@pytest.mark.parametrize("target", TARGETS)
def test_one_that_does_not_exist(target: str) -> None:
    done = tools(target).run("aux/ebtables", "-h", "nothing")
    assert done.code == 255 and "Extension 'nothing' not found" in done.err


@pytest.mark.parametrize("target", TARGETS)
def test_version(target: str) -> None:
    done = tools(target).run("aux/ebtables", "--version")
    assert (done.code, done.out) == (0, "ebtables v2.0.11 (legacy) (December 2011)\n")


def kernel_has_tables() -> bool:
    return tools("amd64").run("aux/ebtables", "-L").code == 0


@pytest.mark.parametrize("target", TARGETS)
def test_kernel_without_tables_is_named(target: str) -> None:
    """qemu-user never passes on what ebtables asks; natively the kernel must be without it."""
    if target == "amd64" and kernel_has_tables():
        pytest.skip("this kernel has the legacy tables")
    for arguments in (["-L"], ["-A", "INPUT", "-j", "DROP"], ["-t", "nat", "-L"]):
        done = tools(target).run("aux/ebtables", *arguments)
        table = "nat" if "nat" in arguments else "filter"
        assert done.code == 255
        assert f"The kernel doesn't support the ebtables '{table}' table." in done.err
    done = tools(target).run("aux/ebtables-restore", stdin="*filter\n:INPUT ACCEPT\n")
    assert done.code == 255 and "ebtables 'filter' table" in done.err


def test_save_says_so_too() -> None:
    if kernel_has_tables():
        pytest.skip("this kernel has the legacy tables")
    done = tools("amd64").run("aux/ebtables-save")
    assert (done.code, done.out) == (255, "")
    assert "The kernel doesn't support the ebtables" in done.err


@pytest.mark.parametrize("arguments", [["-A"], ["-t", "none", "-L"], ["-A", "INPUT", "-p"]])
def test_wrong_input(arguments: list[str]) -> None:
    done = tools("amd64").run("aux/ebtables", *arguments)
    assert done.code == 255 and done.err


def test_restore_refuses_an_unknown_table() -> None:
    done = tools("amd64").run("aux/ebtables-restore", stdin="*none\n")
    assert done.code == 255 and "line 1: table 'none' was not recognized" in done.err


# ---- ebtables-save turns listings into what ebtables-restore reads ----

LISTING = """\
#!/bin/sh
# in ebtables' place: what it lists
case "$*" in
"-t filter -L")
    cat <<'END'
Bridge table: filter

Bridge chain: INPUT, entries: 2, policy: ACCEPT
-p IPv4 -i eth0 -j mine~
-p ARP --arp-op Request -j DROP~

Bridge chain: FORWARD, entries: 0, policy: DROP

Bridge chain: mine, entries: 1, policy: RETURN
--log-level info --log-prefix "a, b" -j CONTINUE~
END
    ;;
"-t filter -L --Lc")
    cat <<'END'
Bridge table: filter

Bridge chain: INPUT, entries: 1, policy: ACCEPT
-p IPv4 -i eth0 -j DROP , pcnt = 12 -- bcnt = 3400
END
    ;;
"-t nat -L"* | "-t broute -L"*)
    echo "The kernel doesn't support the ebtables '$2' table." >&2
    exit 255
    ;;
*) exit 99 ;;
esac
""".replace("~", " ")

SAVED = """\
*filter
:INPUT ACCEPT
:FORWARD DROP
:mine RETURN
-A INPUT -p IPv4 -i eth0 -j mine
-A INPUT -p ARP --arp-op Request -j DROP
-A mine --log-level info --log-prefix "a, b" -j CONTINUE

"""


def saver(folder: Path, listing: str) -> Path:
    """The script beside a program that lists what the test wants."""
    shutil.copy(tools("amd64").aux / "ebtables-legacy-save", folder)
    program = folder / "ebtables-legacy"
    program.write_text(listing)
    program.chmod(0o755)
    (folder / "ebtables-save").symlink_to("ebtables-legacy-save")
    return folder / "ebtables-save"


def test_saved_form(tmp_path: Path) -> None:
    done = run([saver(tmp_path, LISTING)])
    assert (done.code, done.err) == (0, "") and done.out == SAVED


def test_saved_counters(tmp_path: Path) -> None:
    done = run(["env", "EBTABLES_SAVE_COUNTER=yes", saver(tmp_path, LISTING)])
    assert done.code == 0
    assert "-A INPUT -p IPv4 -i eth0 -j DROP -c 12 3400\n" in done.out


def test_saving_fails_with_the_programs_own_words(tmp_path: Path) -> None:
    done = run([saver(tmp_path, "#!/bin/sh\necho 'Unable to lock' >&2\nexit 255\n")])
    assert (done.code, done.out, done.err) == (1, "", "Unable to lock\n")


def test_script_is_clean() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed: `invoke setup`")
    script = tools("amd64").aux / "ebtables-legacy-save"
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
