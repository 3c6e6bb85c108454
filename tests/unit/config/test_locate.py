import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.config.locate import Lines

TEXT = '''\
# a comment = with [brackets]
top = 1
dotted.key = "x"   # dotted.other = 2
"quoted.key" = 'y'
"esc\\u0061ped" = 1

[table]
multi = """
fake = 1
[fake]
""\\"  # still inside
"""
literal = \'\'\'
fake = 2\'\'\'
after = [ # fake = 3
  1,
  [2, 3],
  { a = 1, b = { c = 2 } },
  "]", # ]
]
empty = []
none = {}
when = 1979-05-27 07:32:00 # a date with a space
inline = { x = "}", y = [1,
  2] }

  [ table . "sub.table" ]
  deep = true

[[host]]
name = "a"
  [[host.rule]]
  id = "r0"
  [[host.rule]]
  id = "r1"
    [host.rule.override]
    edge = 1
[[host]]
name = "b"
  [[host.rule]]
  id = "s0"
[host.cert]
chain = "x"
'''


def line_of(marker):
    [number] = [n for n, line in enumerate(TEXT.splitlines(), 1) if marker in line]
    return number


@pytest.mark.parametrize(
    ("loc", "marker"),
    [
        (("top",), "top = 1"),
        (("dotted", "key"), "dotted.key"),
        (("quoted.key",), '"quoted.key"'),
        (("escaped",), "esc"),
        (("table",), "[table]"),
        (("table", "multi"), "multi ="),
        (("table", "literal"), "literal ="),
        (("table", "after"), "after ="),
        (("table", "after", 0), "  1,"),
        (("table", "after", 1, 1), "[2, 3]"),
        (("table", "after", 2, "b", "c"), "{ a = 1"),
        (("table", "after", 3), '"]"'),
        (("table", "when"), "when ="),
        (("table", "inline", "y", 1), "  2] }"),
        (("table", "sub.table", "deep"), "deep"),
        (("host", 0, "name"), 'name = "a"'),
        (("host", 0, "rule", 1, "id"), 'id = "r1"'),
        (("host", 0, "rule", 1, "override", "edge"), "edge = 1"),
        (("host", 1, "name"), 'name = "b"'),
        (("host", 1, "rule", 0, "id"), 'id = "s0"'),
        (("host", 1, "cert", "chain"), 'chain = "x"'),
    ],
)
def test_a_key_stands_on_its_line(loc, marker):
    lines = Lines(TEXT)
    assert loc in lines
    assert lines.line(loc) == line_of(marker)


def test_a_missing_key_is_pointed_at_through_its_table():
    assert Lines(TEXT).line(("host", 1, "cert", "key")) == line_of("[host.cert]")
    assert Lines(TEXT).line(("host", 0, "origin")) == TEXT.splitlines().index("[[host]]") + 1
    assert Lines(TEXT).line(("nowhere",)) == 1


def test_windows_line_ends_count_once():
    assert Lines("a = 1\r\nb = 2\r\n").line(("b",)) == 2


def test_a_text_that_is_no_toml_after_all_keeps_the_lines_before():
    assert Lines('a = 1\nb = "').line(("b",)) == 2
    assert ("c",) not in Lines("a = 1\n= 2\nc = 3")


class Writer:
    """Writes a tree as TOML in many styles, each key once in the text and known by its line."""

    def __init__(self, draw):
        self.draw = draw
        self.keys = 0

    def key(self):
        self.keys += 1
        return self.draw(st.sampled_from(["k{}", '"k.{}"', "'k {}'"])).format(self.keys)

    def value(self, depth):
        kinds = ["1", '"a # ] }"', "'[x'", '"""\n[no]\nno = 1"""', "'''\n{'''", "1.5", "[]", "{}"]
        if depth:
            kinds += ["array", "table"]
        kind = self.draw(st.sampled_from(kinds))
        if kind == "array":
            parts = [self.value(depth - 1) for _ in range(self.draw(st.integers(1, 3)))]
            return "[ # no = [\n" + ",\n".join(parts) + ",\n]"
        if kind == "table":
            pairs = [self.pair(depth - 1) for _ in range(self.draw(st.integers(1, 3)))]
            return "{ " + ", ".join(pairs) + " }"
        return kind

    def pair(self, depth):
        dots = self.draw(st.integers(1, 2))
        return ".".join(self.key() for _ in range(dots)) + " = " + self.value(depth)

    def text(self):
        out = []
        for _ in range(self.draw(st.integers(1, 4))):
            array = self.key()
            out += [f"[[{array}]]"] * self.draw(st.integers(0, 2))
            out.append(f"[{self.key()}]" if self.draw(st.booleans()) else f"[[{self.key()}]] # x")
            out += [self.pair(2) for _ in range(self.draw(st.integers(0, 3)))]
        return "\n".join(out)


def paths(value, loc=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*loc, key)
            yield from paths(inner, (*loc, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*loc, index)
            yield from paths(inner, (*loc, index))


@given(st.data())
def test_every_key_of_any_text_is_found_on_a_line_that_holds_it(data):
    text = Writer(data.draw).text()
    lines = Lines(text)
    written = text.split("\n")
    for loc in paths(tomllib.loads(text)):
        assert loc in lines
        name = next(part for part in reversed(loc) if isinstance(part, str))
        if isinstance(loc[-1], str):
            assert name in written[lines.line(loc) - 1]
