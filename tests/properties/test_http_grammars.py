"""Field grammars: what is written can be read, and no bytes make a parser raise."""

from base64 import b64encode
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from edgeproxy.http.authority import split_authority
from edgeproxy.http.cache_status import FORWARD_REASONS
from edgeproxy.http.cache_status import member as cache_status_member
from edgeproxy.http.conditionals import evaluate, if_range_holds
from edgeproxy.http.dates import format_date, parse_date
from edgeproxy.http.directives import parse_cache_control
from edgeproxy.http.fields import (
    is_field_value,
    is_token,
    list_members,
    parse_content_length,
    parse_delta_seconds,
)
from edgeproxy.http.hop_by_hop import end_to_end
from edgeproxy.http.proxy_status import member as proxy_status_member
from edgeproxy.http.ranges import ByteRange, Unsatisfiable, resolve_range
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
)
from edgeproxy.http.targets import is_origin_form

LATEST = 253_402_300_799  # 31 Dec 9999
TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCXYZ"

# Bytes that look like fields: random ones almost never get past the first character.
fieldish = st.one_of(
    st.binary(max_size=60),
    st.text(alphabet='abcW/max-age=no,;:"\\*?@%() \t0123456789.-[]', max_size=60).map(str.encode),
)
tokens = st.lists(st.sampled_from(TOKEN_BYTES), min_size=1, max_size=12).map(bytes)
names = tokens.map(bytes.lower)
quotables = st.binary(max_size=20).filter(is_field_value)


def quoted(value):
    return b'"%s"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


@given(st.integers(0, LATEST))
def test_dates_round_trip(epoch):
    assert parse_date(format_date(epoch)) == epoch
    assert parse_date(format_date(epoch).upper(), now=0) == epoch


@given(st.integers(0, LATEST - 60 * 366 * 86400), st.integers(0, 99), st.integers(1, 28))
def test_two_digit_years_are_near(now, year, day):
    found = parse_date(b"Monday, %02d-Jun-%02d 12:00:00 GMT" % (day, year), now=now)
    years_ahead = (found - now) / (365.2425 * 86400)
    assert -50.1 < years_ahead < 50.1


@given(st.lists(st.tuples(names, st.none() | tokens | quotables), max_size=6), st.booleans())
def test_directives_round_trip(directives, over_lines):
    members = [
        name if argument is None else b"%s=%s" % (name, quoted(argument))
        for name, argument in directives
    ]
    values = members if over_lines else [b" ,\t".join(members)]
    parsed = parse_cache_control(values)
    assert parsed.all == tuple(directives)
    for name, _ in directives:
        assert parsed.has(name)
        assert 0 <= parsed.seconds(name) <= 2**31


@given(fieldish, st.sampled_from([b"no-store", b"no-cache", b"private"]))
def test_garbage_before_a_prohibition_never_lifts_it_unless_it_quotes_it(garbage, name):
    value = garbage + b"," + name
    assert parse_cache_control([value]).has(name) or garbage.count(b'"') > 0


@given(fieldish, st.integers(0, 100))
def test_one_more_max_age_never_lengthens_a_life(value, seconds):
    one = parse_cache_control([value]).seconds(b"max-age")
    both = parse_cache_control([value, b"max-age=%d" % seconds]).seconds(b"max-age")
    assert both <= seconds
    assert one is None or both <= one


keys = st.builds(
    str.__add__,
    st.sampled_from("abz*"),
    st.text(alphabet="abcz019_-.*", max_size=6),
)
decimals = st.decimals(-(10**12) + 1, 10**12 - 1, places=3)
strings = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
sf_tokens = st.builds(
    str.__add__,
    st.sampled_from("aZ*"),
    st.text(alphabet=TOKEN_BYTES.decode() + ":/", max_size=8),
)
bare_items = st.one_of(
    st.booleans(),
    st.integers(-(10**15) + 1, 10**15 - 1),
    decimals,
    strings,
    sf_tokens.map(Token),
    st.binary(max_size=10),
    st.integers(-(10**10), 10**12).map(Date),
    st.text(max_size=8).map(DisplayString),
)
parameters = st.dictionaries(keys, bare_items, max_size=2)
items = st.builds(Item, bare_items, parameters)
inner_lists = st.builds(InnerList, st.lists(items, max_size=3).map(tuple), parameters)
dictionaries = st.dictionaries(keys, items | inner_lists, max_size=4)


def write_bare(value):
    """Serialise for the round trip; the product itself writes only three of these types."""
    match value:
        case bool():
            return b"?1" if value else b"?0"
        case Token():
            return serialise_token(value)
        case str():
            return serialise_string(value)
        case int():
            return serialise_integer(value)
        case Decimal():
            return f"{value:f}".encode()
        case bytes():
            return b":" + b64encode(value) + b":"
        case Date():
            return b"@%d" % value.seconds
        case DisplayString():
            encoded = "".join(
                chr(byte) if 0x20 <= byte <= 0x7E and byte not in b'%"' else f"%{byte:02x}"
                for byte in value.text.encode()
            )
            return b'%"' + encoded.encode() + b'"'


def write_parameters(parameters):
    return b"".join(
        b";%s=%s" % (key.encode(), write_bare(value)) for key, value in parameters.items()
    )


def write_member(member):
    if isinstance(member, Item):
        return write_bare(member.value) + write_parameters(member.parameters)
    listed = b" ".join(map(write_member, member.items))
    return b"(" + listed + b")" + write_parameters(member.parameters)


@given(dictionaries)
def test_dictionaries_round_trip(dictionary):
    members = [b"%s=%s" % (key.encode(), write_member(m)) for key, m in dictionary.items()]
    for values in ([b", ".join(members)], members):
        parsed = parse_dictionary(values)
        assert parsed == dictionary
        assert list(map(repr, parsed.values())) == list(map(repr, dictionary.values()))


@given(fieldish)
def test_a_dictionary_parses_wholly_or_not_at_all(value):
    parsed = parse_dictionary([value])
    if parsed:
        assert parse_dictionary([value, b"zz=1"]) == {**parsed, "zz": Item(1)}
        assert parse_dictionary([value + b","]) is None


@given(
    identifier=st.text(max_size=10),
    fwd=st.sampled_from(sorted(FORWARD_REASONS)) | st.none(),
    ttl=st.integers(-(10**9), 10**9) | st.none(),
    stored=st.booleans(),
    detail=st.text(max_size=20) | st.none(),
)
def test_status_members_are_structured_fields(identifier, fwd, ttl, stored, detail):
    member = cache_status_member(
        identifier, hit=fwd is None, fwd=fwd, ttl=ttl, stored=stored, detail=detail
    )
    parsed = parse_dictionary([b"m=" + member])["m"].parameters
    assert parsed.get("hit", False) is (fwd is None)
    assert parsed.get("fwd") == fwd
    assert parsed.get("ttl") == ttl
    assert parsed.get("stored", False) is stored
    other = proxy_status_member(identifier, error="dns_error", details=detail)
    assert parse_dictionary([b"m=" + other])["m"].parameters["error"] == "dns_error"
    assert is_field_value(member)
    assert is_field_value(other)


@given(st.integers(0, 5000), st.integers(0, 5000) | st.none(), st.integers(0, 5000))
def test_ranges_cut_what_python_cuts(first, last, length):
    value = b"bytes=%d-" % first + (b"" if last is None else b"%d" % last)
    body = bytes(length)
    expected = body[first:] if last is None else body[first : last + 1]
    match resolve_range(value, length):
        case ByteRange() as found:
            assert 0 <= found.first <= found.last < length
            assert len(found) == len(body[found.first : found.last + 1]) == len(expected)
        case Unsatisfiable():
            assert expected == b""
        case None:
            assert last < first


@given(st.integers(0, 10**40))
def test_delta_seconds_are_capped(number):
    assert parse_delta_seconds(b"%d" % number) == min(number, 2**31)


@given(st.lists(tokens | quotables.map(quoted), min_size=1, max_size=5))
def test_lists_round_trip(members):
    assert list(list_members([b" , ".join(members)])) == members
    assert list(list_members(members)) == members


@given(
    fieldish,
    fieldish,
    st.sampled_from([b"GET", b"HEAD", b"PUT"]),
    st.none() | fieldish,
)
@example(b'"' * 60, b'W/"', b"GET", b'"')
def test_no_bytes_make_a_parser_raise(value, other, method, validator):
    parse_date(value)
    parse_date(value, now=1.0)
    directives = parse_cache_control([value, other])
    directives.names(b"no-cache")
    directives.seconds(b"max-age")
    parse_dictionary([value, other])
    split_authority(value)
    is_token(value)
    is_field_value(value)
    is_origin_form(value)
    resolve_range(value, 100)
    resolve_range(b"bytes=" + value, 100)
    end_to_end([(b"connection", value), (other, value)])
    validators = {"etag": validator, "last_modified": validator, "date": other}
    for name in (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"):
        evaluate(method, [(name, value), (name, other)], **validators)
    if_range_holds([(b"if-range", value)], **validators)
    try:
        length = parse_content_length([value, other])
    except ValueError:
        pass
    else:
        assert length >= 0
