from pathlib import Path

import pytest

from edgeproxy.config.document import nearest, parse, read
from edgeproxy.errors import ConfigError


def problem_of(text, **environ):
    with pytest.raises(ConfigError) as caught:
        parse(text, file="edge.toml", base=Path(), environ=environ)
    [problem] = caught.value.problems
    return problem


def test_a_syntax_error_has_its_line():
    problem = problem_of("a = 1\nb = \n")
    assert (problem.file, problem.line) == ("edge.toml", 2)
    assert problem.message.startswith("not TOML: ")


def test_a_text_that_ends_too_early_is_wrong_on_its_last_line():
    assert problem_of('a = 1\nb = """x\n').line == 2


def test_a_key_that_is_there_twice_has_the_line_of_the_second():
    assert problem_of("a = 1\nb = 2\na = 3\n").line == 3


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml", {})


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError) as caught:
        read(path, {})
    assert caught.value.problems[0].line == 2


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read(path, {}).raw == {"a": 1}


def test_relative_paths_start_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "edge.toml").write_text("")
    assert read(tmp_path / "edge.toml", {}).base == tmp_path


def overridden(text, **environ):
    return parse(text, file="edge.toml", base=Path(), environ=environ)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1GiB", "1GiB"),
        ("5", 5),
        ("true", True),
        ('"5"', "5"),
        ('["a", "b"]', ["a", "b"]),
        ("{ keep = [] }", {"keep": []}),
        ("1\nother = 2", "1\nother = 2"),
        ("", ""),
    ],
)
def test_an_override_is_a_toml_value_or_else_text(written, value):
    assert overridden("", EDGEPROXY__KEY=written).raw == {"key": value}


def test_an_override_makes_the_tables_that_it_needs():
    assert overridden("", EDGEPROXY__A__B__C="x").raw == {"a": {"b": {"c": "x"}}}


def test_an_override_finds_the_spelling_that_is_there():
    document = overridden("[origin.My-Assets]\nx = 1", EDGEPROXY__ORIGIN__MY_ASSETS__X="2")
    assert document.raw == {"origin": {"My-Assets": {"x": 2}}}


def test_an_override_reaches_into_a_list():
    assert overridden("h = [{n = 1}, {n = 2}]", EDGEPROXY__H__1__N="3").raw["h"][1] == {"n": 3}
    assert overridden("h = [1, 2]", EDGEPROXY__H__0="3").raw["h"] == [3, 2]


@pytest.mark.parametrize(
    "variable", ["EDGEPROXY__A__B", "EDGEPROXY__L__7__X", "EDGEPROXY__L__X__Y"]
)
def test_an_override_through_something_that_is_no_table(variable):
    problem = problem_of("a = 1\nl = [{x = 1}]", **{variable: "1"})
    assert problem.file == "environment"
    assert variable in problem.message


@pytest.mark.parametrize("variable", ["EDGEPROXY__L__7", "EDGEPROXY__L__X"])
def test_an_override_of_an_item_that_is_not_there(variable):
    assert "no item" in problem_of("l = [1]", **{variable: "1"}).message


def test_other_variables_are_nobodys_business():
    assert overridden("", EDGEPROXY_DEMO_PORT="1", PATH="x").raw == {}


def test_a_problem_knows_its_line_or_its_variable():
    document = overridden("[a]\nb = 1\nc = 2", EDGEPROXY__A__C="3")
    assert str(document.problem(("a", "b"), "wrong")) == "edge.toml:2: a.b: wrong"
    from_outside = document.problem(("a", "c", "d"), "wrong", "e")
    assert str(from_outside) == (
        "environment: a.c.d: wrong (from EDGEPROXY__A__C) (did you mean 'e'?)"
    )


def test_declared_names_are_known_whatever_is_in_them():
    document = overridden("cors = 1\n[origin]\na = 1\nb.urls = []")
    assert document.names("origin") == ["a", "b"]
    assert document.names("cors") == []
    assert document.names("policy") == []


def test_the_nearest_name():
    assert nearest("orgin", ["origin", "name"]) == "origin"
    assert nearest("zzz", ["origin"]) == ""
    assert nearest(3, ["origin"]) == ""
