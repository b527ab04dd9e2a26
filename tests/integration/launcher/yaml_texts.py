"""Texts for the YAML reader: spellings that people write, and generated ones."""

from __future__ import annotations

from random import Random

# Each is read, and as k3s reads it.
SPELLINGS = [
    "",
    "# nothing\n",
    "---\n",
    "---\n...\n",
    "null\n",
    "{}\n",
    "data-dir: /mnt/k3s\n",
    "data-dir:   /mnt/k3s   # comment\n",
    "data-dir:\t/mnt/k3s\n",
    "data-dir: /mnt/k3s\r\ntoken: x\r\n",
    "\ufeffdata-dir: /mnt/k3s\n",
    "data-dir: a#b # c\n",
    "data-dir: http://x:80/y\n",
    "'data-dir': 'it''s'\n",
    '"data-dir": "a\\tb\\x41\\u00e9\\U0001F600"\n',
    '"data-dir" : x\n',
    "data-dir:\n  x\n",
    "data-dir:\n  x\n  y\n\n  z\n",
    "data-dir: x\n  y\n",
    'data-dir: "x\\\n   y"\n',
    'data-dir: "x\n\n   y"\n',
    "data-dir: 'x\n   y'\n",
    "data-dir: |\n  x\n   y\n\n  z\n",
    "data-dir: >-\n  x\n  y\n\n   z\n",
    "data-dir: |2+ # c\n    x\n\n",
    "data-dir: |-\n\n\n  x\nt: y\n",
    "data-dir: ~\n",
    "data-dir: null\n",
    "data-dir:\ntoken: x\n",
    "debug: yes\nrootless: Off\nx: NO\n",
    "debug: 'yes'\n",
    "data-dir: !!str 12\n",
    "data-dir: 12\n",
    "data-dir: -5\n",
    "data-dir: [a, 'b', \"c\"]\n",
    "data-dir: [\n  a, # c\nb\n]\n",
    "data-dir: []\n",
    "data-dir:\n- a\n- b\n",
    "data-dir:\n  - a\n  -\n    b\n  - [c]\n  - d: e\n    f: g\n",
    "x: {a: b, c: [d, e]}\n",
    "x:\n  a: b\n  c:\n  - d\n  - e: f\ny: z\n",
    "kubelet-arg+: v=2\nkubelet-arg+:\n- a\n",
    "x: &d /mnt/k3s\ndata-dir: *d\n",
    "x: &d [a, b]\ndata-dir: *d\n",
    "x: &d\n  a: b\ny: *d\n",
    "x: &d\n- a\n- &e b\ny: *d\nz: [*e, *d]\n",
    "x: &d\ny: *d\n",
    "x: &base {data-dir: /no}\n<<: *base\n",
    "x: &base\n  data-dir: /no\ny:\n  <<: *base\n  z: a\n",
    "x: &a {b: c}\n<<: [*a, {d: e}]\n",
    "--- {data-dir: x}\n",
    "--- # c\ndata-dir: x\n",
    "---\ndata-dir: x\n---\ndata-dir: y\n",
    "data-dir: x\n...\ndata-dir: y\n",
    "---\n---\ndata-dir: y\n",
    "%YAML 1.1\n---\ndata-dir: x\n",
    "{data-dir: x, y: [a, {b: c}], 'z':w, \"u\":v, t, }\n",
    '{\n "data-dir":\n  "x",\n "y": "z" }\n',
    "  data-dir: x\n  y: z\n",
    "data-dir: ?x\ny: -z\nw: :v\n",
    "a b c: d\n",
    "data-dir: x y:z\n",
    "1: a\nyes: b\n~: c\n",
    "\u00e9\u00e9: \u4e2d\n",
    "x: \"a\\_\"\ny: '\u00a0b\u00a0'\n",
]

# k3s reads each of them, and the launcher refuses it: with the line where it says so.
REFUSED = [
    ("? data-dir\n: x\n", 1),
    ("&a data-dir: x\n", 1),
    ("x: &a 1\ny: &a 2\n", 2),
    ("x: [a: b]\n", 1),
    ("x: {[a]: b}\n", 1),
    ("x: &a b\n*a : c\n", 2),
    ("x: !!int 5\n", 1),
    ("x: ! y\n", 1),
    ("%TAG !a! tag:example.org,2000:\n---\nx: y\n", 1),
    ("x: y\nz: \u2028\n", 2),
    ("x: y\rz: w\n", 1),
    ("x: " + "[" * 200 + "]" * 200 + "\n", 1),
]

_SOUP = [
    *("data-dir: ", "a: ", "<<: ", "<<: *d\n", "- &d ", "*d\n", "/mnt/k3s", "&d ", "*d", "&e "),
    *("*e", "\n", "\n  ", "\n    ", "- ", "- a\n", "[", "]", "{", "}", ", ", ": ", ":", '"', "'"),
    *('"x\\\n  y"', "|\n", "> \n", "|-\n", "|2\n", "# c", " #c", "--- ", "---\n", "...\n"),
    *(
        "%YAML 1.1\n",
        "!!str ",
        "!!seq ",
        "~",
        "null",
        "yes",
        "No",
        "1",
        "0x1",
        "1.5",
        "-",
        "? ",
        "?",
    ),
    *("\t", "k", "  ", "x y", "'it''s'", '"\\x41\\u00e9"', "\u00e9", "key+: ", "\r\n", "@", "`"),
    *("data-dir: /x\n", "t: [a, b]\n", "m: {a: b}\n", "on", "! ", "\\", "\u00a0", "\u2028", "\x07"),
]
_SCALARS = [
    *("/mnt/a", "x", "'q r'", '"d\\tq"', "~", "yes", "12", "1.50", "a b", "a:b", "a#b", '""', "''"),
    *("'x\n   y'", '"x \\\n   y"', "plain\n   more", "null", "!!str 5", "-x", "?x", ":x", "\u00e9"),
]
_KEYS = ["data-dir", "debug", "'token'", '"tls-san"', "arg+", "d", "<<", "x", "base", "1", "y"]


def soup(r: Random) -> bytes:
    """Pieces of YAML in any order."""
    return "".join(r.choices(_SOUP, k=r.randint(1, r.choice([4, 8, 14])))).encode()


def document(r: Random) -> bytes:
    """What mostly is a configuration."""
    head = r.choice(["", "", "", "# c\n", "---\n", "--- # x\n", "%YAML 1.1\n---\n"])
    tail = r.choice(["", "", "---\ndata-dir: /no\n", "...\nz: 1\n"])
    if r.random() < 0.15:
        return (head + _flow(r, 1) + tail).encode()
    ends = ["\n", "\n", "\n", "\n\n", " # c\n"]
    lines = [f"{r.choice(_KEYS)}:{_value(r, 0, 1)}{r.choice(ends)}" for _ in range(r.randint(1, 5))]
    return (head + "".join(lines) + tail).encode()


def mutated(r: Random, text: bytes) -> bytes:
    """With pieces cut out, put in, and copied."""
    out = bytearray(text)
    for _ in range(r.randint(1, 3)):
        at = r.randrange(len(out) + 1)
        how = r.random()
        if how < 0.4:
            del out[at : at + r.randint(0, 3)]
        elif how < 0.8:
            out[at:at] = r.choice(_SOUP).encode()
        else:
            start = r.randrange(len(out) + 1)
            out[at:at] = out[start : start + r.randint(1, 8)]
    return bytes(out)


def _value(r: Random, indent: int, depth: int) -> str:
    how = r.random()
    anchor = r.choice(["", "", "", "", "&d ", "&e "])
    if how < 0.45 or depth > 3:
        return f" {anchor}{r.choice(_SCALARS)}"
    if how < 0.52:
        return r.choice([" *d", " *e"])
    if how < 0.62:
        return f" {anchor}{_flow(r, depth)}"
    if how < 0.72:
        pad = " " * r.randint(indent + 1, indent + 3)
        lines = [pad + r.choice(["a", "b c", " d", "# e", ""]) for _ in range(r.randint(1, 4))]
        return f" {anchor}{r.choice('|>')}{r.choice(['', '-', '+'])}\n" + "\n".join(lines)
    before = f" {anchor}" if anchor else ""
    if how < 0.86:
        left = indent + r.choice([0, 0, 1, 2])
        entry = "\n" + " " * left + "-"
    else:
        left = indent + r.randint(1, 3)
        entry = "\n" + " " * left + r.choice(["k", "l", "'m'", "<<"]) + ":"
    return before + "".join(entry + _value(r, left, depth + 1) for _ in range(r.randint(1, 3)))


def _flow(r: Random, depth: int) -> str:
    if depth > 4 or r.random() < 0.4:
        return r.choice(["a", "'b'", '"c"', "1", "*d", "a b", "~", "&e x"])
    space = ["", " ", "\n  ", " # c\n"]
    count = r.randint(0, 3)
    if r.random() < 0.5:
        parts = [r.choice(space) + _flow(r, depth + 1) + r.choice(space) for _ in range(count)]
        return "[" + ",".join(parts) + r.choice(["", ","] if count else [""]) + "]"
    keys = ["k: ", "'q': ", '"j":', "k2:  ", "k ", "data-dir: "]
    parts = [
        r.choice(space) + r.choice(keys) + _flow(r, depth + 1) + r.choice(space)
        for _ in range(count)
    ]
    return "{" + ", ".join(parts) + "}"
