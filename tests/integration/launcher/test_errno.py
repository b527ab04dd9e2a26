"""Every errno that a call can answer gets its true cause: strace(1) makes the kernel answer it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from .conftest import Call, Result
from .pack import Pack
from .state import assert_whole, leftovers, version_dir

STRACE = shutil.which("strace") or ""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not STRACE, reason="needs strace"),
]

CAUSES: dict[str, tuple[int, str]] = {
    "EIO ENXIO ENODEV EREMOTEIO ENODATA EILSEQ EBADE": (74, "the disk reports a fault"),
    "EUCLEAN EBADMSG": (74, "the file system is damaged"),
    "ESTALE ETIMEDOUT EHOSTDOWN EHOSTUNREACH ENETDOWN ENETUNREACH ECONNREFUSED ECONNRESET "
    "ENOTCONN ECONNABORTED ENETRESET ESHUTDOWN ENOLINK ECOMM EPROTO EPIPE": (
        74,
        "behind this file system does not answer",
    ),
    "ENOSPC": (75, "the disk is full"),
    "EDQUOT": (75, "the quota is used up"),
    "EROFS": (73, "mounted read-only"),
    "EACCES EPERM ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED": (73, "may not write there"),
    "ENOTDIR EISDIR EEXIST ENOTEMPTY ELOOP": (73, "something else is in the way"),
    "ENOENT": (73, "is missing, or was removed"),
    "EXDEV": (73, "lower layer of an overlay, or on another file system"),
    "EINVAL EOPNOTSUPP ENOSYS ENOTTY EBADF ESPIPE": (73, "does not support that"),
    "EMFILE ENFILE": (71, "too many files are open"),
    "ENOMEM ENOBUFS EFAULT": (71, "the memory is used up"),
    "EFBIG EOVERFLOW": (73, "may not become that large"),
    "EMLINK": (73, "can hold no more folders"),
    "ENAMETOOLONG": (71, "the path is too long"),
    "EBUSY ETXTBSY": (73, "in use, or something is mounted on it"),
    "ENOLCK EDEADLK": (71, "it cannot be locked"),
    "EAGAIN EINTR": (71, "short of something for the moment"),
}
BY_ERRNO = {name: told for names, told in CAUSES.items() for name in names.split()}
UNKNOWN = (71, "the system answered what k3s does not know")
WORDS = {words for _, words in [*CAUSES.values(), UNKNOWN]}

CALLS: dict[str, str] = {
    "mkdir": "EACCES EDQUOT EINVAL EIO ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM"
    " EROFS",
    "openat": "EACCES EBUSY EDQUOT EFBIG EINTR EINVAL EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE"
    " ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EPERM EROFS ETXTBSY ESTALE",
    "write": "EDQUOT EFBIG EINTR EINVAL EIO ENOSPC EPERM EUCLEAN ESTALE",
    "fsync": "EIO EROFS EINVAL ENOSPC EDQUOT ENOSYS EOPNOTSUPP EBADMSG EUCLEAN ESTALE",
    "renameat": "EACCES EBUSY EDQUOT EEXIST EINVAL EIO EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT"
    " ENOMEM ENOSPC ENOTDIR ENOTEMPTY EPERM EROFS EXDEV",
    "symlinkat": "EACCES EDQUOT EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR EPERM EROFS",
    "flock": "EINVAL ENOLCK EIO EOPNOTSUPP ENOSYS",
    "fchmodat": "EACCES EIO EPERM EROFS",
}
"""What their manual pages list for files and folders, and what file systems answer beside."""

ALIASES = {"EDEADLOCK": "EDEADLK", "ENOTSUP": "EOPNOTSUPP"}
"""Names that Python has and strace has not."""

ALL = sorted({ALIASES.get(name, name) for name in errno.errorcode.values()})

GOES_ON = {
    *(("fsync", name) for name in ("EINVAL", "ENOSYS", "EOPNOTSUPP")),
    ("write", "EINTR"),
}
"""No reason not to start."""

EXEC: dict[str, tuple[int, str]] = {
    "EIO": (126, "the disk reports a fault"),
    "ENOEXEC": (126, "this k3s is for amd64, the machine is"),
    "ENOENT": (127, "its interpreter is not on this machine"),
    "EACCES": (126, "may not execute it"),
    "EPERM": (126, "a rule of the system forbids it"),
    "E2BIG": (126, "arguments and environment are too long"),
    "EAGAIN": (126, "no more processes"),
    "ENOMEM": (126, "the memory is used up"),
    "EMFILE": (126, "too many files are open"),
    "ENFILE": (126, "too many files are open"),
    "ETXTBSY": (126, "in use"),
    "ELOOP": (126, "in the way"),
    "ENOTDIR": (126, "in the way"),
    "EISDIR": (126, "in the way"),
    "EINVAL": (126, "not in a form that this kernel takes"),
    "ELIBBAD": (126, "its interpreter is damaged, or for another machine"),
    "ENAMETOOLONG": (126, "the path is too long"),
    "EUCLEAN": (126, "the file system is damaged"),
}


def inject(call: Call, k3s: Path, what: str, *options: str) -> Result:
    """A start in which the kernel answers as told."""
    quiet = ["-qq", "-o", "/dev/null"]
    return call(
        Path(STRACE), *quiet, *options, f"--inject={what}", str(k3s), "server", name="strace"
    )


def assert_true(result: Result, name: str, data_dir: Path, pack: Pack) -> None:
    """The cause of that errno and no other, its exit code, its own words, and nothing half."""
    if result.code == 0:
        assert_whole(data_dir, pack)
        return
    code, cause = BY_ERRNO.get(name, UNKNOWN)
    if "cannot lock" in result.err:
        code = 71
    assert result.code == code, result.err
    assert [words for words in WORDS if words in result.err] == [cause], result.err
    assert "\n  do: " in result.err
    assert not version_dir(data_dir, pack).exists() or not leftovers(data_dir)


@pytest.mark.parametrize("name", ALL)
def test_every_errno(k3s: Path, call: Call, payload: Pack, data_dir: Path, name: str) -> None:
    """Of one call: the first file that is made in the version's folder."""
    result = inject(call, k3s, f"mkdirat:error={name}:when=1")
    assert result.code or name == "EEXIST"
    if result.code:
        assert_true(result, name, data_dir, payload)


@pytest.mark.parametrize(
    ("function", "name"), [(f, name) for f, names in CALLS.items() for name in names.split()]
)
def test_what_a_call_can_answer(
    k3s: Path, call: Call, payload: Pack, data_dir: Path, function: str, name: str
) -> None:
    # of write only those to the payload: the message is written as well
    program = data_dir / "data" / f"{payload.data_hash()}-tmp/bin/k3s"
    only = ["-P", str(program)] if function == "write" else []
    when = "1+" if function == "flock" else "1"
    result = inject(call, k3s, f"{function}:error={name}:when={when}", *only)
    assert_true(result, name, data_dir, payload)
    assert "does not know" not in result.err
    if (function, name) in GOES_ON:
        assert result.code == 0, result.err


@pytest.mark.parametrize("name", sorted(EXEC))
def test_exec(k3s: Path, call: Call, payload: Pack, data_dir: Path, name: str) -> None:
    """Of a program that is as it was packed."""
    call(k3s, "server")
    code, cause = EXEC[name]
    result = inject(call, k3s, f"execve:error={name}:when=1+")
    assert result.code == code, result.err
    assert cause in result.err, result.err
    assert ("the disk reports a fault" in result.err) == (name == "EIO")
    assert "damaged: its" not in result.err
    assert_whole(data_dir, payload)
