"""HPACK against python-hyper's `hpack`, which only tests ever import, in both directions."""

import hpack as oracle
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import hpack, huffman
from edgeproxy.wire.h2.codes import COMPRESSION_ERROR, ENHANCE_YOUR_CALM
from edgeproxy.wire.h2.hpack import Decoder, FieldSectionTooLarge
from edgeproxy.wire.h2.static_table import STATIC

UNLIMITED = 1 << 24

names = st.one_of(
    st.sampled_from(sorted({name for name, _ in STATIC[1:]})),
    st.sampled_from([b"x", b"sec-fetch-mode", b"priority"]),
    st.binary(max_size=40),
)
values = st.one_of(
    st.sampled_from([b"", b"GET", b"200", b"gzip, deflate", b"*/*", b"u=1, i"]),
    st.binary(max_size=60),
    st.integers(min_value=100, max_value=5000).map(lambda size: b"v" * size),
)
# few enough for repetitions, which is what tables are about
fields = st.one_of(st.sampled_from(STATIC[1:]), st.tuples(names, values))
sections = st.lists(fields, max_size=12).flatmap(
    lambda pool: st.lists(st.sampled_from(pool), max_size=30) if pool else st.just([])
)
table_sizes = st.one_of(st.sampled_from([0, 31, 32, 64, 100, 4096]), st.integers(0, 8192))
# a block, and what happened to the table's size before it
steps = st.lists(
    st.tuples(sections, st.one_of(st.none(), table_sizes), st.booleans()), min_size=1, max_size=8
)


def outcome(decoder, block):
    """Decode: a list of fields, or the error code that ends the connection, or "too large"."""
    try:
        return decoder.decode(block)
    except FieldSectionTooLarge:
        return "too large"
    except ConnectionFault as fault:
        return fault.code


def as_bytes(decoded):
    return [(bytes(name), bytes(value)) for name, value in decoded]


def entries(table):
    return tuple((bytes(name), bytes(value)) for name, value in table.dynamic_entries)


@settings(deadline=None)
@given(steps)
def test_our_decoder_understands_their_encoder(sequence):
    theirs = oracle.Encoder()
    ours = Decoder(field_section_bytes_max=UNLIMITED, fields_max=1 << 16)
    for section, table_size, is_huffman in sequence:
        if table_size is not None:
            ours.change_table_size_max(table_size)
            theirs.header_table_size = table_size
        block = theirs.encode(section, huffman=is_huffman)
        assert ours.decode(block) == section
        assert ours.dynamic_table == entries(theirs.header_table)
        assert ours.dynamic_table_size == theirs.header_table._current_size


@settings(deadline=None)
@given(steps, st.integers(1, 20), st.integers(40, 4000))
def test_limits_never_disturb_the_table(sequence, fields_max, bytes_max):
    theirs = oracle.Encoder()
    ours = Decoder(field_section_bytes_max=bytes_max, fields_max=fields_max)
    for section, _, is_huffman in sequence:
        block = theirs.encode(section, huffman=is_huffman)
        octets = sum(len(name) + len(value) + 32 for name, value in section)
        factor = max(len(section) / fields_max, octets / bytes_max)
        found = outcome(ours, block)
        if factor > hpack.EXCESS_FACTOR:
            assert found == ENHANCE_YOUR_CALM
            return
        assert found == (section if factor <= 1 else "too large")
        assert ours.dynamic_table == entries(theirs.header_table)


@settings(deadline=None)
@given(st.lists(sections, min_size=1, max_size=5), st.sampled_from([0, 100, 4096]))
def test_their_decoder_understands_what_we_send(sequence, table_size):
    theirs = oracle.Decoder(max_header_list_size=UNLIMITED)
    theirs.max_allowed_table_size = table_size
    start = hpack.TABLE_UNUSED
    for section in sequence:
        block = start + hpack.encode_fields(section)
        assert as_bytes(theirs.decode(block, raw=True)) == section
        assert not theirs.header_table.dynamic_entries
        start = b""


@settings(deadline=None)
@given(sections, sections, st.integers(100, 599))
def test_our_encodings_can_be_put_together_in_any_order(one, other, status):
    first, second = hpack.encode_fields(one), hpack.encode_fields(other)
    head = hpack.encode_status(status)
    expected = [(b":status", b"%d" % status), *other, *one]
    theirs = oracle.Decoder(max_header_list_size=UNLIMITED)
    assert as_bytes(theirs.decode(head + second + first, raw=True)) == expected
    ours = Decoder(field_section_bytes_max=UNLIMITED, fields_max=1 << 16)
    assert ours.decode(head + second + first) == expected


# Bytes that look like HPACK more often than chance would have it.
blocks = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"\x82", b"\xbe", b"\xbf", b"\xff\x00", b"\x20", b"\x3f\xe1\x1f", b"\x80"]
        ),
        st.tuples(
            st.sampled_from([0x00, 0x04, 0x0F, 0x10, 0x1F, 0x40, 0x44, 0x7E, 0x7F]),
            st.binary(max_size=8),
            st.binary(max_size=8),
        ).map(
            lambda parts: (
                bytes((parts[0], len(parts[1]))) + parts[1] + bytes((len(parts[2]),)) + parts[2]
            )
        ),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(st.lists(blocks, min_size=1, max_size=4), st.integers(0, 200))
def test_arbitrary_bytes_are_decoded_alike_or_refused(sequence, table_size):
    theirs = oracle.Decoder(max_header_list_size=UNLIMITED)
    theirs.max_allowed_table_size = theirs.header_table_size = table_size
    ours = Decoder(table_size, field_section_bytes_max=UNLIMITED, fields_max=1 << 16)
    for block in sequence:
        found = outcome(ours, block)
        if found == COMPRESSION_ERROR:
            return  # stricter than theirs: integers' lengths, the number of updates
        assert as_bytes(theirs.decode(block, raw=True)) == found
        assert ours.dynamic_table == entries(theirs.header_table)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 10), st.integers(0, 500))
def test_arbitrary_bytes_raise_nothing_but_our_errors(sequence, fields_max, bytes_max):
    ours = Decoder(field_section_bytes_max=bytes_max, fields_max=fields_max)
    for block in sequence:
        found = outcome(ours, block)
        if found in (COMPRESSION_ERROR, ENHANCE_YOUR_CALM):
            return
        assert found == "too large" or len(found) <= fields_max


def test_our_huffman_code_is_theirs():
    assert tuple(REQUEST_CODES) == huffman.CODES
    assert tuple(REQUEST_CODES_LENGTH) == huffman.CODE_LENGTHS


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_huffman_coding_is_theirs_both_ways(text):
    coded = huffman.encode(text)
    assert coded == HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)
    assert huffman.decode(coded) == text
    assert huffman.encoded_length(text) == len(coded)


@settings(deadline=None)
@given(
    st.one_of(st.binary(max_size=40), st.binary(max_size=12).map(lambda tail: tail + b"\xff" * 3))
)
def test_arbitrary_huffman_coding_is_read_or_refused_alike(coded):
    try:
        expected = bytes(decode_huffman(coded))
    except oracle.HPACKDecodingError:
        expected = None
    assert huffman.decode(coded) == expected
