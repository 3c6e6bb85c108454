import pylsqpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2.hpack import FieldSectionTooLarge
from edgeproxy.wire.h3 import qpack
from edgeproxy.wire.h3.codes import QPACK_DECOMPRESSION_FAILED
from edgeproxy.wire.h3.static_table import STATIC

BROWSER = [
    (b":method", b"GET"),
    (b":authority", b"edge.example"),
    (b":scheme", b"https"),
    (b":path", b"/a/path?query=1"),
    (b"sec-ch-ua", b'"Chromium";v="130", "Not?A_Brand";v="99"'),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"en,de;q=0.9"),
    (b"cookie", b"session=secret"),
    (b"priority", b"u=1, i"),
]


@pytest.fixture(autouse=True)
def forgetful():
    qpack._lines.clear()
    qpack._tails.clear()
    qpack._encodings.clear()


def decode(section: bytes, size: int = 16384, count: int = 128) -> list[tuple[bytes, bytes]]:
    """Decode twice: the memo must not change the result."""
    first = qpack.decode(section, field_section_bytes_max=size, fields_max=count)
    assert qpack.decode(section, field_section_bytes_max=size, fields_max=count) == first
    return first


def broken(section: bytes) -> str:
    reasons = set()
    for _ in range(2):
        with pytest.raises(ConnectionFault) as caught:
            qpack.decode(section, field_section_bytes_max=16384, fields_max=128)
        assert caught.value.code == QPACK_DECOMPRESSION_FAILED
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
    return reasons.pop()


def theirs(fields) -> bytes:
    """Encode as a client does that may use no dynamic table."""
    encoder = pylsqpack.Encoder()
    encoder.apply_settings(0, 0)
    stream, section = encoder.encode(0, list(fields))
    assert not stream
    return section


def read_by_them(section: bytes) -> list[tuple[bytes, bytes]]:
    _, fields = pylsqpack.Decoder(0, 0).feed_header(0, section)
    return fields


names = st.one_of(
    st.sampled_from([name for name, _ in STATIC]),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=200).map(str.encode),
)
values = st.one_of(st.sampled_from([value for _, value in STATIC]), st.binary(max_size=300))
sections = st.lists(st.one_of(st.tuples(names, values), st.sampled_from(STATIC)), max_size=30)


# --- decoding -----------------------------------------------------------------------------------


def test_reads_a_browsers_request():
    assert decode(theirs(BROWSER)) == BROWSER


@given(sections)
def test_reads_what_another_implementation_writes(fields):
    assert decode(theirs(fields), 2**20, 1000) == fields


def test_equal_lines_are_one_object_but_credentials_are_kept_nowhere():
    section = theirs([*BROWSER, (b"authorization", b"Basic abc"), (b"x-own", b"v")])
    first, second = decode(section), decode(section)
    same = [a[0] for a, b in zip(first, second, strict=True) if a is b]
    assert b"user-agent" in same
    assert b"x-own" in same
    assert not {b"cookie", b"authorization"} & {name for name, _ in qpack._lines.values()}


def test_what_follows_the_path_is_remembered_as_one():
    plain = [field for field in BROWSER if field[0] != b"cookie"]
    decode(theirs(plain))
    ((tail, fields),) = qpack._tails.items()
    assert theirs(plain).endswith(tail)
    assert list(fields) == plain[4:]
    other = [*plain[:3], (b":path", b"/other"), *plain[4:]]
    assert decode(theirs(other)) == other
    assert len(qpack._tails) == 1


def test_a_tail_is_remembered_only_if_nobody_minds():
    path = (b":path", b"/")
    decode(theirs([*BROWSER]))
    decode(theirs([*BROWSER[:3], (b":path", b"/x"), (b"x", b"\xff" * 600)]))
    decode(qpack.PREFIX + qpack.encode_field(b":path", b"/y") + b"\x33abc\x01d")
    decode(theirs([path, *BROWSER[4:]]))  # an indexed path
    assert not qpack._tails
    decode(qpack.PREFIX + qpack.encode_field(b":path", b"/y") + b"\xff\x1f")
    assert list(qpack._tails.values()) == [(STATIC[94],)]


def test_a_tail_counts_against_the_limits():
    section = theirs([(b":path", b"/y"), *[(b"name", b"value")] * 20])
    assert len(decode(section, count=21)) == 21
    with pytest.raises(FieldSectionTooLarge):
        decode(section, count=20)
    with pytest.raises(FieldSectionTooLarge):
        decode(section, size=500)


def test_a_credential_by_its_literal_name_is_kept_nowhere():
    assert decode(b"\0\0\x26cookie\x01x") == [(b"cookie", b"x")]
    assert not qpack._lines


def test_never_indexed_lines_are_kept_nowhere():
    assert decode(b"\0\0\x71\x02/a\x33abc\x01d") == [(b":path", b"/a"), (b"abc", b"d")]
    assert not qpack._lines


def test_lengths_of_more_than_one_octet_are_read_and_not_remembered():
    value, name = b"v" * 200, b"n" * 150
    section = (
        b"\0\0\x51\x7f\x49" + value + b"\x27\x8f\x01" + name + b"\x01w\x27\x7f" + b"m" * 134 + b"\0"
    )
    assert decode(section) == [(b":path", value), (name, b"w"), (b"m" * 134, b"")]
    assert list(qpack._lines.values()) == [(b"m" * 134, b"")]


def test_integers_may_be_longer_than_they_need():
    assert decode(b"\0\0\x5f\x82\x00\x01a\xff\x80\x00") == [(b":method", b"a"), STATIC[63]]


def test_the_memo_is_bounded():
    for number in range(qpack._MEMO_MAX + 10):
        decode(qpack.PREFIX + qpack.encode_field(b":path", b"/%d" % number))
    assert 0 < len(qpack._lines) <= qpack._MEMO_MAX
    assert 0 < len(qpack._tails) <= qpack._MEMO_MAX
    assert 0 < len(qpack._encodings) <= qpack._MEMO_MAX


def test_an_empty_section():
    assert decode(b"\0\0") == []


def test_a_base_without_references_is_nothing():
    assert decode(b"\0\x05\xd1") == [(b":method", b"GET")]


# --- what ends the connection (row 125) ---------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        b"\x01\0\xd1",  # a required insert count
        b"\xff\x01\0\xd1",
        b"\0\x80\xd1",  # a negative base
        b"\0\0\x80",  # indexed, dynamic
        b"\0\0\x10",  # indexed, post-base
        b"\0\0\x40\x01a",  # a name of the dynamic table
        b"\0\0\x60\x01a",
        b"\0\0\x00\x01a",  # a post-base name
    ],
)
def test_references_to_a_dynamic_table(section: bytes):
    assert broken(section)


@pytest.mark.parametrize("section", [b"\0\0\xff\x24", b"\0\0\x5f\x54\x01a", b"\0\0\x7f\x54\x01a"])
def test_indexes_beyond_the_static_table(section: bytes):
    assert broken(section) == "truncated, or no such index"


@pytest.mark.parametrize("size", [*range(1, 13), 14, 15, 16])
def test_truncated_sections(size: int):
    section = b"\0\0\xd1\x51\x82\x60\x65\x27\x01abcdefgh\x02xy"
    with pytest.raises(ConnectionFault):
        qpack.decode(section[: len(section) - size], field_section_bytes_max=999, fields_max=9)


@pytest.mark.parametrize("section", [b"", b"\0"])
def test_sections_without_their_prefix(section: bytes):
    assert broken(section)


def test_integers_beyond_all_measure():
    assert broken(b"\0\0\xff\xff\xff\xff\xff\x00") == "integer too long"
    assert broken(b"\0\0\x51\x7f\xff\xff\xff\xff\x00") == "integer too long"


def test_strings_in_no_huffman_code():
    assert broken(b"\0\0\x51\x81\x00") == "Huffman coding"  # padding of zeros
    assert broken(b"\0\0\x51\x84\xff\xff\xff\xff") == "Huffman coding"  # EOS
    assert broken(b"\0\0\x29\x00\x01a") == "Huffman coding"


@given(st.binary(max_size=300))
def test_anything_is_fields_or_a_fault(data: bytes):
    qpack._lines.clear()
    qpack._tails.clear()
    results: list[object] = []
    for _ in range(2):
        try:
            results.append(qpack.decode(data, field_section_bytes_max=16384, fields_max=128))
        except (ConnectionFault, FieldSectionTooLarge) as error:
            results.append(str(error))
    assert results[0] == results[1]
    if isinstance(results[0], list):
        assert read_by_them(data) == results[0]


# --- limits (row 126) ---------------------------------------------------------------------------


def test_the_number_of_fields_is_limited():
    assert len(decode(b"\0\0" + b"\xd1" * 9, count=9)) == 9
    with pytest.raises(FieldSectionTooLarge):
        decode(b"\0\0" + b"\xd1" * 10, count=9)
    with pytest.raises(FieldSectionTooLarge):
        decode(b"\0\0" + b"\xd1" * 30_000, count=9)


def test_the_size_of_the_section_is_limited():
    section = qpack.PREFIX + qpack.encode_fields([(b"name", b"v" * 100)] * 5)
    size = 5 * (4 + 100 + 32)
    assert len(decode(section, size)) == 5
    with pytest.raises(FieldSectionTooLarge):
        decode(section, size - 1)


def test_one_octet_never_costs_much_more_than_itself():
    """Indexed lines are the most that an octet can be worth, and there is no larger table."""
    with pytest.raises(FieldSectionTooLarge):
        decode(b"\0\0" + b"\xff\x16" * 120, 4096)


# --- encoding -----------------------------------------------------------------------------------


@given(sections)
def test_what_we_write_is_read_by_another_implementation(fields):
    section = qpack.encode_status(200) + qpack.encode_fields(fields)
    assert read_by_them(section) == [(b":status", b"200"), *fields]
    assert qpack.encode_status(200) + qpack.encode_fields(fields) == section


@pytest.mark.parametrize("field", STATIC)
def test_the_static_table_is_used(field):
    assert len(qpack.encode_field(*field)) <= 2


def test_sections_can_be_concatenated():
    one, two = qpack.encode_fields([(b"etag", b'"a"')]), qpack.encode_fields([(b"x", b"y" * 300)])
    assert read_by_them(qpack.encode_status(304) + one + two) == [
        (b":status", b"304"),
        (b"etag", b'"a"'),
        (b"x", b"y" * 300),
    ]


@pytest.mark.parametrize("name", [b"set-cookie", b"authorization", b"proxy-authorization"])
def test_secrets_are_marked_and_not_remembered(name: bytes):
    encoding = qpack.encode_field(name, b"secret")
    assert encoding[0] & 0xF0 in (0x70, 0x30)
    assert read_by_them(qpack.PREFIX + encoding) == [(name, b"secret")]
    assert not qpack._encodings
