"""Small programs for one CPU, by which an audit tells whether an emulator plays that CPU."""

from __future__ import annotations

import shutil
from pathlib import Path

from buildsys.cache import Cache
from buildsys.run import run
from buildsys.sandbox import Sandbox, can_isolate
from buildsys.toolchain import Toolchain

CONTROL = Path(__file__).with_name("control.c")

FLAGS = ("-O2", "-g0", "-fno-sanitize=undefined", "-static", "-Wl,--strip-all")
"""As jobs compile (buildsys/wrappers/cc): zig then takes the C library that it made for them."""


def compile_control(
    toolchain: Toolchain, cache: Cache, triple: str, mcpu: str, folder: Path, log: Path
) -> Path:
    """Compile the control for zig's `mcpu` in `folder`; the program's path.

    Where jobs see zig, else it would make the C library anew for every place that it is
    installed in. Raises `CommandError`.
    """
    shared = {"zig": toolchain.zig, "zigcache": cache.zig}
    sandbox = Sandbox(folder, shared, can_isolate())
    sandbox.prepare()
    shutil.copy(CONTROL, sandbox.host("src"))
    caches = {
        f"ZIG_{kind}_CACHE_DIR": str(sandbox.path("zigcache")) for kind in ("GLOBAL", "LOCAL")
    }
    env = {"PATH": "/usr/bin:/bin", "HOME": str(sandbox.path("home")), **caches}
    zig = [str(sandbox.path("zig/zig")), "cc", "-target", triple, f"-mcpu={mcpu}", *FLAGS]
    argv = [*zig, CONTROL.name, "-o", str(sandbox.path(f"out/{mcpu}"))]
    run(sandbox.wrap(argv), env=env, log=log, cwd=folder, name="zig cc")
    return sandbox.host(f"out/{mcpu}")
