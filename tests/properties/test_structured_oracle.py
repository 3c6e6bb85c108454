"""Structured fields against an independent implementation (`http-sf`, RFC 9651).

What we write it can read, and what we read it reads alike: a value that one of the two refuses is
refused by the other as well, or one cache would obey a CDN-Cache-Control that the next one ignores.
"""

import itertools
from datetime import datetime

import http_sf
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeproxy.edge.deliver import live_section
from edgeproxy.edge.representation import Representation
from edgeproxy.http import cache_status, proxy_status
from edgeproxy.http.messages import first
from edgeproxy.http.structured import Date, DisplayString, InnerList, Item, Token, parse_dictionary

texts = st.text(max_size=20)
statuses = st.integers(100, 599) | st.none()


@st.composite
def cache_members(draw):
    """A member, and the parameters that it must be read with."""
    said = {
        "fwd": draw(st.sampled_from(sorted(cache_status.FORWARD_REASONS)) | st.none()),
        "fwd_status": draw(statuses),
        "ttl": draw(st.integers(-(2**31), 2**31) | st.none()),
        "stored": draw(st.booleans()),
        "collapsed": draw(st.booleans()),
        "key": draw(st.text(alphabet='ab"\\ ;,=/?', max_size=10) | st.none()),
        "detail": draw(texts | st.none()),
    }
    member = cache_status.member(draw(texts), hit=said["fwd"] is None, **said)
    expected = {name.replace("_", "-"): value for name, value in said.items() if value}
    if said["fwd"] is None:
        expected["hit"] = True
    return member, expected


def shown(text: str) -> str:
    """What a String can hold of it."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def same(read: object, expected: object) -> bool:
    return str(read) == shown(str(expected)) if isinstance(expected, str) else read == expected


def parameters_of(line: bytes) -> list[dict[str, object]]:
    return [parameters for _, parameters in http_sf.parse(line, tltype="list")]


@given(cache_members())
def test_cache_status_is_read_as_it_was_meant(made):
    member, expected = made
    (read,) = parameters_of(member)
    read = {name: value for name, value in read.items() if value not in {0, ""}}
    assert read.keys() == expected.keys()
    assert all(same(read[name], value) for name, value in expected.items())
    assert ("hit" in read) != ("fwd" in read)


@given(st.lists(cache_members(), min_size=1, max_size=3), st.integers(0, 2**31))
def test_ours_is_the_last_member_of_the_whole_list(made, age):
    *upstream, own = [member for member, _ in made]
    representation = Representation(200, (), length=0, cache_status=b", ".join(upstream))
    section = live_section(representation, own, age=age)
    line = first(section.fields, b"cache-status")
    assert parameters_of(line) == [*itertools.chain(*map(parameters_of, [*upstream, own]))]


@given(texts, st.sampled_from(sorted(proxy_status.STATUS_OF)), texts | st.none(), statuses, texts)
def test_proxy_status_is_read_as_it_was_meant(identifier, word, next_hop, status, details):
    member = proxy_status.member(
        identifier, error=word, next_hop=next_hop, received_status=status, details=details
    )
    (read,) = parameters_of(member)
    assert (read["error"], read["details"]) == (word, shown(details))
    assert isinstance(read["error"], http_sf.Token)
    assert read.get("received-status") == status
    assert same(read.get("next-hop"), next_hop)


# --- dictionaries, which is all that we read ------------------------------------------------------


def ours(value: object) -> object:
    """Our types as those of the other."""
    match value:
        case Item():
            return ours(value.value), {key: ours(each) for key, each in value.parameters.items()}
        case InnerList():
            listed = [ours(item) for item in value.items]
            return listed, {key: ours(each) for key, each in value.parameters.items()}
        case Date():
            return "date", value.seconds
        case DisplayString():
            return "display", value.text
        case Token():
            return "token", str(value)
        case bool() | bytes() | str():
            return type(value).__name__, value
        case _:
            return "number", value


def theirs(value: object) -> object:
    match value:
        case tuple():
            inner, parameters = value
            plain = [theirs(item) for item in inner] if isinstance(inner, list) else theirs(inner)
            return plain, {key: theirs(each) for key, each in parameters.items()}
        case datetime():
            return "date", int(value.timestamp())
        case http_sf.DisplayString():
            return "display", str(value)
        case http_sf.Token():
            return "token", str(value)
        case bool() | bytes() | str():
            return type(value).__name__, value
        case _:
            return "number", value


# Pieces of the grammar in any order: whole values, halves of them and what must not be there.
pieces = st.sampled_from(
    [
        *("a", "b2", "*c", "A", "max-age", "_", "a.b-c*", "é"),
        *("=", ";", ",", ", ", "\t,\t", " ", "  ", "\t", "(", ")", "( ", " )"),
        *("1", "-1", "0060", "1.5", "-0.125", "1.1234", "1.", ".5", "999999999999999", "+1"),
        *("1000000000000000", "123456789012.5", "1234567890123.5", "--1", "1e3"),
        *('"x"', '""', '"a\\"b"', '"a\\\\"', '"a\\b"', '"open', '"tab\t"', '"é"'),
        *("tok", "t/o:k", "*", "?1", "?0", "?2", "?", "@1", "@-1", "@1.5", "@"),
        *(":YWI=:", "::", ":YWI:", ":a:", ":@:", ':a"', '%"f%c3%bc"', '%"%C3%BC"', '%"%ff"', '%"x'),
    ]
)
written = st.lists(pieces, max_size=9).map("".join) | st.lists(
    st.tuples(st.sampled_from("abc"), pieces).map("=".join), max_size=4
).map(", ".join)


def read_by_theirs(value: bytes) -> object:
    try:
        members = http_sf.parse(value, tltype="dictionary")
    except (ValueError, OverflowError, OSError):
        return None
    return {key: theirs(member) for key, member in members.items()}


@given(written)
@example('a=1;b;c=?0, d=(1 2;x "s");y')
@example("max-age=60,")
@example("max-age =60")
def test_a_dictionary_is_read_alike_or_refused_by_both(text):
    value = text.encode()
    members = parse_dictionary([value])
    found = None if members is None else {key: ours(each) for key, each in members.items()}
    assert found == read_by_theirs(value)


@pytest.mark.parametrize("value", [b"max-age=60", b'a="x";b=1, c=(t1 t2);q=0.5, d=:YWI=:, e=@1'])
def test_the_pieces_above_are_read_by_both(value):
    assert read_by_theirs(value)
