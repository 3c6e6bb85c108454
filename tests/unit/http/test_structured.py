from decimal import Decimal

import pytest

from edgeproxy.http.structured import (
    Date,
    DisplayString,
    InnerList,
    Item,
    Token,
    parse_dictionary,
    serialise_integer,
    serialise_string,
    serialise_token,
    serialise_token_or_string,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"a=1", 1),
        (b"a=-999999999999999", -999999999999999),
        (b"a=007", 7),
        (b"a=1.5", Decimal("1.5")),
        (b"a=-123456789012.125", Decimal("-123456789012.125")),
        (b'a="x \\"y\\" \\\\"', 'x "y" \\'),
        (b"a=tok/en:*", "tok/en:*"),
        (b"a=*t", "*t"),
        (b"a=:aGk=:", b"hi"),
        (b"a=:aGk:", b"hi"),
        (b"a=::", b""),
        (b"a=?1", True),
        (b"a=?0", False),
        (b"a", True),
        (b"a=@-62", Date(-62)),
        (b'a=%"f%c3%bc %25"', DisplayString("fü %")),
        (b"  a=1  ", 1),
    ],
)
def test_bare_items(text, value):
    members = parse_dictionary([text])
    assert members == {"a": Item(value)}
    assert type(members["a"].value) in {type(value), Token}


def test_a_token_is_not_a_string():
    members = parse_dictionary([b'a=x, b="x"'])
    assert isinstance(members["a"].value, Token)
    assert not isinstance(members["b"].value, Token)


def test_lines_are_joined_and_the_last_of_equal_keys_counts():
    assert parse_dictionary([b"a=1\t,  b", b"a=2"]) == {"a": Item(2), "b": Item(value=True)}


def test_parameters_and_inner_lists():
    members = parse_dictionary([b'a;x;  y=2;x=?0, b=(1 "z";q  t );p=1, c=()'])
    assert members == {
        "a": Item(value=True, parameters={"x": False, "y": 2}),
        "b": InnerList((Item(1), Item("z", {"q": True}), Item(Token("t"))), {"p": 1}),
        "c": InnerList(()),
    }


@pytest.mark.parametrize("values", [[], [b""], [b"   "]])
def test_an_empty_field_is_an_empty_dictionary(values):
    assert parse_dictionary(values) == {}


@pytest.mark.parametrize(
    "text",
    [
        b"A=1",
        b"a=1,",
        b"a=1 b=2",
        b"a=1,,b=2",
        b",a",
        b"a=",
        b"a =1",
        b"a= 1",
        b"a=1.",
        b"a=.5",
        b"a=-",
        b"a=1.2345",
        b"a=1.2.3",
        b"a=1234567890123.1",
        b"a=1234567890123456",
        b"a=+1",
        b"a=1_0",
        b'a="x',
        b'a="\\n"',
        b'a="\xc3\xbc"',
        b'a="\x7f"',
        b"a='x'",
        b"a=?2",
        b"a=?",
        b"a=:a:",
        b"a=:a===:",
        b"a=:a-b=:",
        b"a=:aGk=",
        b"a=@1.5",
        b"a=@x",
        b'a=%"%C3"',
        b'a=%"%c3"',
        b'a=%"%"',
        b'a=%"x',
        b'a=%x"',
        b"a=(1",
        b"a=(1,2)",
        b'a=("x""y")',
        b"a=((1))",
        b"a;X=1",
        b"a;x=",
        b"a;",
        b"max-age=10000, &&&&&",
        b"a=1\n",
        b"\ta=1",
        b"max-age=100000000000000000000",
    ],
)
def test_a_broken_dictionary_is_none_as_a_whole(text):
    assert parse_dictionary([text]) is None


def test_serialisation():
    assert serialise_token("uri-miss") == b"uri-miss"
    assert serialise_string('a "b" \\') == b'"a \\"b\\" \\\\"'
    assert serialise_string("") == b'""'
    assert serialise_integer(-5) == b"-5"
    assert serialise_integer(999_999_999_999_999) == b"999999999999999"
    assert serialise_token_or_string("fra1") == b"fra1"
    assert serialise_token_or_string("1fra") == b'"1fra"'
    assert serialise_token_or_string("a\x00ü\n b") == b'"a??? b"'


@pytest.mark.parametrize("value", ["", "1a", "a b", "ü", "a\n"])
def test_what_cannot_be_a_token(value):
    with pytest.raises(ValueError, match="token"):
        serialise_token(value)


@pytest.mark.parametrize("value", ["ü", "a\n", "\x00", "\x7f"])
def test_what_cannot_be_a_string(value):
    with pytest.raises(ValueError, match="string"):
        serialise_string(value)


@pytest.mark.parametrize("value", [10**15, -(10**15)])
def test_what_cannot_be_an_integer(value):
    with pytest.raises(ValueError, match="range"):
        serialise_integer(value)
