"""Two recipes that meson builds: a library, and a program that needs it and a generator."""

from __future__ import annotations

from .project import Checkout, fill, quoted

RECIPE = """\
name       = "@NAME@"
summary    = "Set up by meson"
version    = "1.0"
license    = "Apache-2.0"
style      = "meson"
needs      = [@NEEDS@]
memory_mib = 200

[source]
kind = "local"
path = "src"

[meson]
options = [@OPTIONS@]

[output]
into  = "@INTO@"
files = { @FILES@ }
"""

LIBRARY = {
    "meson.build": """\
project('stones', 'c', version : '1.0')
install_headers('stones.h')
library = library('stones', 'stones.c', install : true)
import('pkgconfig').generate(library, description : 'A library of the test')
""",
    "stones.h": "int stones(int);\n",
    "stones.c": '#include "stones.h"\nint stones(int a) { return a + 40; }\n',
}

PROGRAM = {
    "meson.build": """\
project('mes', 'c')
generate = executable('generate', 'generate.c', native : true)
made = custom_target('made', command : generate, capture : true, output : 'made.h')
words = ['-DWORD="@0@"'.format(get_option('word')), '-DPREFIX="@0@"'.format(get_option('bindir'))]
executable('mes', 'main.c', made, c_args : words, dependencies : dependency('stones'),
  install : true)
""",
    "meson_options.txt": "option('word', type : 'string')\n",
    # Runs while the other one is built: the size of a pointer tells on what.
    "generate.c": """\
#include <stdio.h>
int main(void) { return printf("#define MAKER %d\\n", (int)sizeof(void *)) < 0; }
""",
    "main.c": """\
#include <assert.h>
#include <made.h>
#include <stdio.h>
#include <stones.h>
int main(int argc, char **argv) {
    assert(argc > 0);
    printf("%s %s %s %d %d", WORD, PREFIX, __FILE__, (int)sizeof(void *), MAKER);
    return printf(" %d %s\\n", stones(argc), argv[0]) < 0;
}
""",
}


def meson_recipes(checkout: Checkout, word: str) -> None:
    """The program `mes`, which says `word`, and its library `stones`."""
    files = ("lib/libstones.a", "lib/pkgconfig/stones.pc", "include/stones.h")
    _recipe(checkout, "stones", LIBRARY, files, into="build")
    _recipe(checkout, "mes", PROGRAM, ("bin/mes",), needs=["stones"], options=[f"-Dword={word}"])


def _recipe(
    checkout: Checkout,
    name: str,
    source: dict[str, str],
    files: tuple[str, ...],
    *,
    into: str = "executable",
    needs: tuple[str, ...] | list[str] = (),
    options: tuple[str, ...] | list[str] = (),
) -> None:
    text = fill(
        RECIPE,
        name=name,
        needs=quoted(needs),
        options=quoted(options),
        into=into,
        files=", ".join(f'"{file}" = "{file}"' for file in files),
    )
    checkout.recipe(name, text, source)
