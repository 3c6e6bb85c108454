import pytest

from edgeproxy.cache.vary import (
    NAMES_MAX,
    implied,
    is_unnamed_match,
    matches,
    nominated,
    selecting_values,
    selection,
    speaks_for,
)
from tests.support.caching import get, keep, lines


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([], ()),
        ([""], ()),
        (["Foo"], (b"foo",)),
        (["Foo, bar", "FOO,Baz"], (b"foo", b"bar", b"baz")),
        (["*"], None),
        (["*, *"], None),
        (["", "*"], None),
        ([", *"], None),
        (["*, Foo"], None),
        (["Foo, *"], None),
        (["foo bar"], None),
        (["Accept, Forwarded"], None),
        (["via"], None),
        (['"foo"'], None),
        ([", ".join(f"n{i}" for i in range(NAMES_MAX))], tuple(b"n%d" % i for i in range(16))),
        ([", ".join(f"n{i}" for i in range(NAMES_MAX + 1))], None),
    ],
)
def test_nominated_names(values, names):
    assert nominated(lines(vary=values)) == names


def values(name, **fields):
    ((_, value),) = selecting_values((name,), lines(**fields))
    return value


def test_absent_and_empty_are_different():
    assert values(b"foo") is None
    assert values(b"foo", foo="") == b""


def test_lines_are_joined():
    assert values(b"foo", foo=["1", "2"]) == values(b"foo", foo="1, 2")
    assert values(b"cookie", cookie=["a=1", "b=2"]) == b"a=1, b=2"


def test_blanks_around_commas_are_nothing_where_commas_separate():
    assert values(b"foo", foo="1,2") == values(b"foo", foo=" 1 ,\t2, ") == b"1,2"
    assert values(b"foo", foo="1 2") != values(b"foo", foo="1  2")
    assert values(b"foo", foo='"1,2", 3') == b'"1,2",3'
    for name in ("user_agent", "cookie", "referer"):
        field = name.replace("_", "-").encode()
        assert values(field, **{name: "a, b"}) != values(field, **{name: "a,b"})


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("GZIP, br", "br;q=1.0,x-gzip", True),
        ("gzip", "gzip;q=0.9", False),
        ("gzip", "gzip, identity", False),
        ("gzip, gzip;q=0", "gzip", False),
        ("gzip, a b", "gzip", False),
        (",br;1000,gzip;1000", "br, gzip", False),
        ("", "identity", False),
    ],
)
def test_codings_are_compared_by_what_they_mean(one, other, is_same):
    name = b"accept-encoding"
    assert (values(name, accept_encoding=one) == values(name, accept_encoding=other)) is is_same


def test_negotiation_is_compared_without_blanks():
    assert values(b"accept-language", accept_language="de ; q=0.5,\ten") == b"de;q=0.5,en"
    assert values(b"accept-language", accept_language=["de", "en"]) == b"de,en"
    assert values(b"accept-language", accept_language="DE") == b"DE"
    assert values(b"accept", accept='a/b;x="1 ; 2", c/d ;q=0') == b'a/b;x="1 ; 2",c/d;q=0'


def test_what_connection_lists_is_absent():
    fields = {"connection": "Foo", "foo": "canary", "bar": "1"}
    assert selecting_values((b"foo", b"bar"), lines(**fields)) == ((b"foo", None), (b"bar", b"1"))


def test_matching():
    plain = keep(cache_control="max-age=60")
    assert matches(plain, get(foo="1").fields)
    variant = keep(request=get(foo="1"), vary="Foo, Bar")
    assert variant.vary == ((b"foo", b"1"), (b"bar", None))
    assert matches(variant, get(foo="1", other="x").fields)
    assert not matches(variant, get(foo="2").fields)
    assert not matches(variant, get().fields)
    assert not matches(variant, get(foo="1", bar="").fields)


FRONT = {"cdn_loop": "front", "via": "1.1 front"}
HERE = "https://a.example"


@pytest.mark.parametrize(
    ("asked", "answered", "names"),
    [
        ({}, {}, ()),
        ({"foo": "1", "user_agent": "x"}, {}, ()),
        (FRONT, {}, (b"cdn-loop", b"via")),
        ({"origin": HERE}, {}, ()),
        ({"origin": HERE}, {"access_control_allow_origin": "*"}, ()),
        ({"origin": HERE}, {"access_control_allow_origin": "https://b.example"}, ()),
        ({"origin": HERE}, {"access_control_allow_origin": HERE}, (b"origin",)),
        ({}, {"access_control_allow_origin": HERE}, ()),
    ],
    ids=str,
)
def test_what_selects_although_nobody_names_it(asked, answered, names):
    assert implied(lines(**asked), lines(**answered)) == names
    assert tuple(name for name, _ in selection(lines(**answered), lines(**asked))) == names


def test_what_is_named_and_implied_selects_once():
    fields = lines(vary="Foo, CDN-Loop")
    assert selection(fields, lines(cdn_loop="front")) == ((b"foo", None), (b"cdn-loop", b"front"))


def test_who_said_it_gets_it_and_nobody_else():
    hers, ours = keep(request=get(**FRONT)), keep()
    assert matches(hers, get(**FRONT).fields)
    assert not matches(hers, get().fields)
    assert not matches(hers, get(cdn_loop="front").fields)
    assert matches(ours, get(**FRONT).fields)


def test_an_update_is_told_to_no_more_clients_than_its_own_response_would_be():
    hers, ours = keep(request=get(**FRONT)), keep()
    assert speaks_for(lines(), get(**FRONT).fields, hers)
    assert not speaks_for(lines(), get(**FRONT).fields, ours)
    assert speaks_for(lines(), get().fields, ours)


def test_a_304_is_asked_to_confirm_nothing_of_another_way_here():
    hers, ours = keep(request=get(**FRONT)), keep()
    assert is_unnamed_match(hers, get(**FRONT).fields)
    assert not is_unnamed_match(hers, get().fields)
    assert is_unnamed_match(ours, get(**FRONT).fields)
    named = keep(request=get(foo="1"), vary="Foo")
    assert is_unnamed_match(named, get(foo="2").fields)
