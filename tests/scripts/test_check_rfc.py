"""The check of docs/rfc.md finds what a reader would be misled by."""

import pytest

from tests.support.checks import SCRIPTS, load

check_rfc = load("check_rfc")

MODULE = """\
LIMIT = 3
LIMITS: dict[str, int] = {}

def decide(): ...

class Session:
    bound = 1
    async def answer(self): ...
"""
TESTS = """\
def test_one(): ...
async def test_two(): ...
def helper(): ...
"""


@pytest.fixture
def root(tmp_path):
    for name, text in (
        ("edgeproxy/cache/rule.py", MODULE),
        ("tests/unit/test_rule.py", TESTS),
        ("tests/scenarios/test_more.py", "def test_three(): ...\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    return tmp_path


def row(function: str, test: str, *, level: str = "M", number: int = 1):
    return check_rfc.Row(number, level, function, test)


A_FUNCTION, A_TEST = "`cache/rule.decide`", "`unit/test_rule.py::test_one`"


@pytest.mark.parametrize(
    "function",
    [
        A_FUNCTION,
        "`cache/rule.LIMIT`, `cache/rule.LIMITS`: words beside it",
        "`cache/rule.Session`, `cache/rule.Session.answer`, `cache/rule.Session.bound`",
    ],
)
def test_whatever_a_module_defines_is_found(root, function):
    assert check_rfc.faults(row(function, A_TEST), root) == []


@pytest.mark.parametrize(
    ("function", "missing"),
    [
        ("`cache/rule.decides`", "cache/rule.decides"),
        ("`cache/rules.decide`", "cache/rules.decide"),
        ("`cache/rule.answer`", "cache/rule.answer"),
        ("`cache/rule`", "cache/rule"),
        (f"{A_FUNCTION}, `max-age`", "max-age"),
    ],
)
def test_a_function_that_does_not_exist_is_named(root, function, missing):
    assert check_rfc.faults(row(function, A_TEST), root) == [f"1: no function {missing}"]


def test_a_test_without_a_file_is_in_the_file_before_it(root):
    tests = f"{A_TEST}, `::test_two`, `scenarios/test_more.py::test_three`"
    assert check_rfc.faults(row(A_FUNCTION, tests), root) == []
    assert check_rfc.faults(row(A_FUNCTION, f"{tests}, `::test_two`"), root) == [
        "1: no test scenarios/test_more.py::test_two"
    ]


@pytest.mark.parametrize(
    ("test", "missing"),
    [
        ("`unit/test_rule.py::test_three`", "unit/test_rule.py::test_three"),
        ("`unit/test_rule.py::helper`", "unit/test_rule.py::helper"),
        ("`unit/test_rule.py`", "unit/test_rule.py::"),
        ("`unit/test_none.py::test_one`", "unit/test_none.py::test_one"),
        ("`::test_one`", "::test_one"),
    ],
)
def test_a_test_that_does_not_exist_is_named(root, test, missing):
    assert check_rfc.faults(row(A_FUNCTION, test), root) == [f"1: no test {missing}"]


def test_a_row_needs_both(root):
    assert check_rfc.faults(row("in words", "in words"), root) == ["1: no function", "1: no test"]


@pytest.mark.parametrize("level", ["M", "S/M", "M (shared)"])
def test_a_must_is_done(root, level):
    assert check_rfc.faults(row("not done: too hard", "", level=level), root) == [
        "1: a MUST is not done"
    ]


@pytest.mark.parametrize("level", ["S", "m"])
def test_others_may_be_left_out_for_a_reason(root, level):
    assert check_rfc.faults(row("not done: too hard", "", level=level), root) == []


def test_every_number_has_one_row():
    found = [row("", "", number=number) for number in (1, 2, 2, 4, 9)]
    assert check_rfc.numbering(found, range(1, 6)) == [
        "3: no row",
        "5: no row",
        "2: more than one row",
    ]


def test_lines_of_tables_that_begin_with_a_number_are_rows():
    text = "\n".join(
        [
            "# A title",
            "| # | section |",
            "|---|---|",
            "| 7 | 9111 4 | S | fresh | `a.b` | |",
            "| 8 |",
        ]
    )
    assert check_rfc.rows(text) == [
        row("`a.b`", "", level="S", number=7),
        "line 5: 1 cells, 6 asked",
    ]


def test_a_document_is_good_or_told_what_is_wrong(root, capsys, monkeypatch):
    monkeypatch.setattr(check_rfc, "NUMBERS", range(1, 3))
    document = root / "docs" / "rfc.md"
    line = f"| 1 | 9111 3 | M | stored | {A_FUNCTION} | {A_TEST} |\n"
    document.write_text(line + line.replace("1", "2", 1), encoding="utf-8")
    monkeypatch.setattr(check_rfc, "VECTORS", range(1, 2))
    hostile = root / "docs" / "verification.md"
    hostile.write_text(f"| 1 | odd Host | 400 | {A_TEST} |\n", encoding="utf-8")
    assert check_rfc.main(root) == 0
    document.write_text(line.replace("decide", "forget"), encoding="utf-8")
    assert check_rfc.main(root) == 1
    assert capsys.readouterr().out == (
        "docs/rfc.md: 2: no row\ndocs/rfc.md: 1: no function cache/rule.forget\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"| 1 | a | b | {A_TEST} |", []),
        ("| 1 | a | b | none |", ["1: no test"]),
        ("| 1 | a | b | `unit/x.py::test_y` |", ["1: no test unit/x.py::test_y"]),
        (f"| 2 | a | b | {A_TEST} |", ["vectors [2], not 1 to 1"]),
    ],
)
def test_every_hostile_vector_has_a_test(root, monkeypatch, text, expected):
    monkeypatch.setattr(check_rfc, "VECTORS", range(1, 2))
    assert check_rfc.vectors(text, root) == expected


def test_the_document_of_this_repository_is_good():
    assert check_rfc.main(SCRIPTS.parent) == 0
