"""Patches apply exactly or not at all, and a refusal shows what stands there now."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildsys.errors import PatchError
from buildsys.patch import apply_patch

from .conftest import Golden, git

pytestmark = pytest.mark.unit

LINES = "".join(f"line {number}\n" for number in range(1, 31))


def diff(name: str, line: int, old: str, new: str) -> str:
    """A patch of one line with three lines of context."""
    before = "".join(f" line {number}\n" for number in range(line - 3, line))
    after = "".join(f" line {number}\n" for number in range(line + 1, line + 4))
    hunk = f"@@ -{line - 3},7 +{line - 3},7 @@\n{before}-{old}\n+{new}\n{after}"
    return f"--- a/{name}\n+++ b/{name}\n{hunk}"


PATCH = diff("deep/file.c", 20, "line 20", "line twenty")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/file.c").write_text(LINES)
    return folder


def apply(text: str, source: Path, log: Path) -> None:
    patch = source.parent / "0001-a.patch"
    patch.write_text(text)
    apply_patch(patch, source, "recipes/one/patches/0001-a.patch", log)


def refusal(text: str, source: Path, log: Path) -> str:
    with pytest.raises(PatchError) as caught:
        apply(text, source, log)
    return str(caught.value)


def test_applies(source: Path, log: Path) -> None:
    apply(PATCH, source, log)
    assert (source / "deep/file.c").read_text() == LINES.replace("line 20\n", "line twenty\n")


def test_applies_with_mail_header_and_a_new_file(source: Path, log: Path) -> None:
    new = "diff --git a/new.sh b/new.sh\nnew file mode 100755\n--- /dev/null\n+++ b/new.sh\n"
    apply(f"From: us\nSubject: a change\n\n{new}@@ -0,0 +1 @@\n+exit 0\n", source, log)
    assert (source / "new.sh").read_text() == "exit 0\n"
    assert (source / "new.sh").stat().st_mode & 0o100


def test_refusal_names_file_and_line_and_shows_what_is_there(source: Path, log: Path) -> None:
    (source / "deep/file.c").write_text(LINES.replace("line 20", "line 20 of another version"))
    text = refusal(PATCH, source, log)
    assert "recipes/one/patches/0001-a.patch does not apply" in text
    assert "deep/file.c, hunk at line 17" in text
    assert "    20: line 20 of another version" in text
    assert str(log) in text


def test_text_of_a_refusal(source: Path, log: Path, golden: Golden) -> None:
    (source / "deep/file.c").write_text(LINES.replace("line 20", "line 20 of another version"))
    golden("patch.txt", refusal(PATCH, source, log).replace(str(log), "A.LOG") + "\n")


def test_context_is_exact(source: Path, log: Path) -> None:
    """No fuzz: a changed line of context is enough."""
    (source / "deep/file.c").write_text(LINES.replace("line 18\n", "line  18\n"))
    assert "    18: line  18" in refusal(PATCH, source, log)


def test_file_that_became_shorter(source: Path, log: Path) -> None:
    (source / "deep/file.c").write_text("line 1\n")
    assert "(the file is shorter)" in refusal(PATCH, source, log)


def test_file_that_is_not_there(source: Path, log: Path) -> None:
    (source / "deep/file.c").unlink()
    assert "deep/file.c: No such file or directory" in refusal(PATCH, source, log)


def test_nothing_changes_where_one_file_refuses(source: Path, log: Path) -> None:
    (source / "other.c").write_text(LINES)
    refusal(PATCH + diff("other.c", 10, "not line 10", "x"), source, log)
    assert (source / "deep/file.c").read_text() == LINES


def test_first_of_many_files_is_still_named(source: Path, log: Path) -> None:
    """git checks every file, so the refusal is far above the log's last lines."""
    names = [f"f{number:02}.c" for number in range(60)]
    for name in names:
        (source / name).write_text(LINES)
    (source / names[0]).write_text(LINES.replace("line 10\n", "other\n"))
    text = refusal("".join(diff(name, 10, "line 10", "x") for name in names), source, log)
    assert "f00.c, hunk at line 7" in text
    assert "    10: other" in text


def test_every_refused_file_is_named(source: Path, log: Path) -> None:
    (source / "other.c").write_text(LINES)
    text = refusal(diff("deep/file.c", 5, "a", "b") + diff("other.c", 10, "c", "d"), source, log)
    assert "deep/file.c, hunk at line 2" in text
    assert "other.c, hunk at line 7" in text


def test_second_patch_on_one_log_shows_its_own_refusal(source: Path, log: Path) -> None:
    refusal(diff("deep/file.c", 5, "first", "b"), source, log)
    assert "line 2;" not in refusal(diff("deep/file.c", 15, "second", "b"), source, log)


@pytest.mark.parametrize("text", ["", "no patch at all\n", PATCH[:-30]])
def test_what_is_no_patch_is_refused(source: Path, log: Path, text: str) -> None:
    assert "does not apply" in refusal(text, source, log)
    assert (source / "deep/file.c").read_text() == LINES


@pytest.mark.parametrize("name", ["../victim.c", "/etc/victim.c"])
def test_patch_that_leaves_is_refused(source: Path, log: Path, name: str) -> None:
    (source.parent / "victim.c").write_text(LINES)
    refusal(
        diff("x", 10, "line 10", "x").replace("a/x", f"a/{name}").replace("b/x", f"b/{name}"),
        source,
        log,
    )
    assert (source.parent / "victim.c").read_text() == LINES


def test_checkout_around_the_folder_does_not_matter(source: Path, log: Path) -> None:
    """In a checkout git takes paths from its top, and skips what is not below in silence."""
    git(source.parent, "init", "-q")
    (source.parent / "deep").mkdir()
    (source.parent / "deep/file.c").write_text(LINES)
    apply(f"diff --git a/deep/file.c b/deep/file.c\n{PATCH}", source, log)
    assert "line twenty" in (source / "deep/file.c").read_text()
    assert (source.parent / "deep/file.c").read_text() == LINES
