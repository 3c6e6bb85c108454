import pytest

from edgeproxy.http.directives import NONE, parse_cache_control


def test_names_are_caseless_and_arguments_come_without_quotes():
    directives = parse_cache_control([b'Max-Age="60", PUBLIC', b'ext="a\\"b,c"'])
    assert directives.all == ((b"max-age", b"60"), (b"public", None), (b"ext", b'a"b,c'))
    assert directives.has(b"public")
    assert not directives.has(b"private")
    assert directives.seconds(b"max-age") == 60
    assert directives.arguments(b"ext") == (b'a"b,c',)
    assert directives


@pytest.mark.parametrize("values", [[], [b""], [b" ,, "], [b'"x"'], [b"=1"]])
def test_nothing_is_nothing(values):
    directives = parse_cache_control(values)
    assert directives is NONE
    assert not directives
    assert directives.seconds(b"max-age") is None
    assert directives.names(b"no-cache") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"max-age=60", 60),
        (b"max-age=003600", 3600),
        (b"max-age=1800, max-age=1", 1),
        (b"max-age=1, max-age=1800", 1),
        (b"max-age=60, max-age", 0),
        (b"max-age", 0),
        (b"max-age=", 0),
        (b"max-age=abc", 0),
        (b"max-age=3600a", 0),
        (b"max-age=-1", 0),
        (b"max-age=1.5", 0),
        (b"max-age='3600'", 0),
        (b"max-age =3600", 0),
        (b"max-age= 3600", 0),
        (b"max-age=60; no-store", 0),
        (b"max-age=99999999999999999999", 2**31),
        (b'extension="max-age=3600", max-age=1', 1),
    ],
)
def test_the_most_restrictive_reading_wins(value, seconds):
    assert parse_cache_control([value]).seconds(b"max-age") == seconds


@pytest.mark.parametrize(
    "value", [b"no-store; max-age=60", b"no-store=x", b"no-store =", b'a="b, no-store', b"NO-STORE"]
)
def test_a_broken_neighbour_does_not_hide_a_prohibition(value):
    assert parse_cache_control([value]).has(b"no-store")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b'no-cache="Set-Cookie"', (b"set-cookie",)),
        (b'no-cache="a, B"', (b"a", b"b")),
        (b'no-cache="a", no-cache=b', (b"a", b"b")),
        (b"no-cache", None),
        (b'no-cache="a", no-cache', None),
        (b'no-cache=""', None),
        (b'no-cache="a,,b"', None),
        (b'no-cache="a b"', None),
        (b"max-age=1", None),
    ],
)
def test_qualified_directives_name_fields_or_mean_everything(value, names):
    assert parse_cache_control([value]).names(b"no-cache") == names
