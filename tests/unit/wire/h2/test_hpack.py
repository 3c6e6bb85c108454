import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import hpack, huffman
from edgeproxy.wire.h2.codes import COMPRESSION_ERROR, ENHANCE_YOUR_CALM
from edgeproxy.wire.h2.hpack import Decoder, FieldSectionTooLarge


@pytest.fixture(autouse=True)
def forgetful():
    """Each test starts from empty memos, so that none depends on another's."""
    for memo in (hpack._fields, hpack._texts, hpack._encodings):
        memo.clear()


def decoder(table_size_max=4096, *, octets=16384, fields=128):
    return Decoder(table_size_max, field_section_bytes_max=octets, fields_max=fields)


def literal(name, value, first=0x40):
    """An uncoded literal with a literal name; both shorter than 127."""
    return bytes((first, len(name))) + name + bytes((len(value),)) + value


def refused(block, code=COMPRESSION_ERROR, using=None):
    with pytest.raises(ConnectionFault) as caught:
        (using or decoder()).decode(block)
    assert caught.value.code == code
    return caught.value.reason


def test_an_empty_block_is_an_empty_section():
    assert decoder().decode(b"") == []


# --- indexes -----------------------------------------------------------------------------------


def test_indexed_fields_are_the_tables_own_objects():
    ours = decoder()
    (first,) = ours.decode(literal(b"a", b"b"))
    again, also = ours.decode(b"\xbe\xbe")
    assert again is first
    assert also is first


def test_indexes_of_two_octets_reach_the_old_end_of_the_table():
    ours = decoder()
    for number in range(80):
        ours.decode(literal(b"n%d" % number, b""))
    assert ours.decode(b"\xff\x00") == [(b"n14", b"")]  # 127
    assert ours.decode(b"\xff\x0e") == [(b"n0", b"")]  # 141, the last one
    assert ours.decode(b"\xff\x8e\x00") == [(b"n0", b"")]  # the same, wastefully
    assert "no such index" in refused(b"\xff\x0f", using=ours)


@pytest.mark.parametrize(
    "block", [b"\x80", b"\xbe", b"\xfe", b"\xff\x00", b"\x7e\x00", b"\x0f\x2f\x00"]
)
def test_refuses_index_zero_and_indexes_beyond_the_table(block):
    assert "index" in refused(block)


def test_names_are_taken_from_both_tables():
    ours = decoder()
    assert ours.decode(b"\x0f\x2b\x01x") == [(b"user-agent", b"x")]
    assert ours.decode(literal(b"name", b"1")) == [(b"name", b"1")]
    assert ours.decode(b"\x7e\x012") == [(b"name", b"2")]  # inserts
    assert ours.decode(b"\x0f\x2f\x013") == [(b"name", b"3")]  # does not
    assert ours.decode(b"\x1f\x2f\x014") == [(b"name", b"4")]
    assert ours.dynamic_table == ((b"name", b"2"), (b"name", b"1"))


def test_a_name_may_come_from_the_entry_that_its_field_evicts():
    ours = decoder(64)
    ours.decode(literal(b"name", b"x" * 20))
    assert ours.decode(b"\x7e\x18" + b"y" * 24) == [(b"name", b"y" * 24)]
    assert ours.dynamic_table == ((b"name", b"y" * 24),)


# --- eviction ----------------------------------------------------------------------------------


def test_evicts_the_oldest_until_the_new_entry_fits():
    ours = decoder(3 * 34)
    for name in (b"a", b"b", b"c"):
        ours.decode(literal(name, b"1"))
    assert ours.dynamic_table_size == 102
    ours.decode(literal(b"d", b"12"))
    assert ours.dynamic_table == ((b"d", b"12"), (b"c", b"1"))
    assert ours.dynamic_table_size == 69


def test_an_entry_larger_than_the_table_empties_it():
    ours = decoder(64)
    ours.decode(literal(b"a", b"b"))
    assert ours.decode(literal(b"a", b"b" * 32)) == [(b"a", b"b" * 32)]
    assert ours.dynamic_table == ()
    assert ours.dynamic_table_size == 0


# --- size updates ------------------------------------------------------------------------------


def test_an_update_shrinks_and_grows_the_table():
    ours = decoder()
    ours.decode(literal(b"a", b"1") + literal(b"b", b"2"))
    ours.decode(b"\x3f\x03")  # 34
    assert ours.dynamic_table == ((b"b", b"2"),)
    ours.decode(b"\x20")
    assert ours.dynamic_table == ()
    ours.decode(b"\x20\x3f\xe1\x1f" + literal(b"c", b"3"))  # 0, then 4096
    assert ours.dynamic_table == ((b"c", b"3"),)


@pytest.mark.parametrize(
    "block",
    [
        b"\x3f\xe2\x1f",  # 4097
        b"\x82\x20",
        b"\x20\x82\x20",
        literal(b"a", b"b") + b"\x20",
        b"\x20\x20\x20",
    ],
)
def test_refuses_updates_above_the_limit_or_out_of_place(block):
    assert "update" in refused(block)


def test_a_reduction_has_to_be_answered_in_the_next_block():
    ours = decoder()
    ours.change_table_size_max(100)
    assert refused(b"\x82", using=ours) == "table size update missing"
    assert refused(b"", using=ours) == "table size update missing"
    assert refused(b"\x3f\x46\x82", using=ours) == "table size update above the limit"  # 101
    assert ours.decode(b"\x3f\x45\x82") == [(b":method", b"GET")]  # 100
    assert ours.decode(b"\x82") == [(b":method", b"GET")]


def test_between_two_blocks_the_lowest_limit_counts():
    ours = decoder()
    ours.change_table_size_max(0)
    ours.change_table_size_max(4096)
    refused(b"\x3f\xe1\x1f\x82", using=ours)
    assert ours.decode(b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]


def test_a_higher_limit_needs_no_answer_but_allows_an_update():
    ours = decoder()
    ours.change_table_size_max(8192)
    assert ours.decode(b"\x82") == [(b":method", b"GET")]
    assert ours.decode(b"\x3f\xe1\x3f\x82") == [(b":method", b"GET")]  # 8192
    ours.change_table_size_max(8000)
    ours.change_table_size_max(8192)
    assert "missing" in refused(b"\x82", using=ours)


def test_a_reduction_that_the_peer_anticipated_needs_no_answer():
    ours = decoder()
    ours.decode(b"\x20")
    ours.change_table_size_max(100)
    assert ours.decode(b"\x82") == [(b":method", b"GET")]


# --- integers and strings ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        b"\xff",
        b"\xff\x80",
        b"\x3f",
        b"\x04",
        b"\x44",
        b"\x00",
        b"\x40",
        b"\x00\x01",
        b"\x00\x01a",
        b"\x00\x02a",
        b"\x00\x01a\x01",
        b"\x04\x02/",
        b"\x04\x83\x60",
        b"\x44\x02/",
        b"\x04\x7f",
        b"\x04\x7f\x00/",
        b"\x04\xff\x80",
        b"\x0f",
        b"\x10\x7f\x80\x80",
    ],
)
def test_refuses_truncated_blocks(block):
    assert "truncated" in refused(block)


@pytest.mark.parametrize("start", [b"\xff", b"\x3f", b"\x7f", b"\x0f", b"\x04\x7f", b"\x00\xff"])
def test_refuses_integers_of_many_octets(start):
    assert refused(start + b"\x80\x80\x80\x80\x00") == "integer too long"
    assert refused(start + b"\xff" * 20 + b"\x01") == "integer too long"


def test_reads_integers_up_to_four_octets_beyond_the_prefix():
    # RFC 7541 C.1: 10 and 1337 in five bits, 42 in eight
    assert hpack._integer(b"\x0a", 0, 0x1F) == (10, 1)
    assert hpack._integer(b"\x1f\x9a\x0a", 0, 0x1F) == (1337, 3)
    assert hpack._integer(b"\x2a", 0, 0xFF) == (42, 1)
    assert hpack._integer(b"\x7f\xff\xff\xff\x7f", 0, 0x7F) == (0x7F + 2**28 - 1, 5)


@pytest.mark.parametrize("value", [b"x" * 126, b"x" * 127, b"x" * 128, b"\xfe" * 300, b"0" * 300])
def test_strings_of_any_length_survive(value):
    ours = decoder()
    for first in (b"\x04", b"\x44"):
        plain = hpack._encode_integer(len(value), 0, 0x7F) + value
        coded = huffman.encode(value)
        coded = hpack._encode_integer(len(coded), 0x80, 0x7F) + coded
        for _ in range(2):
            assert ours.decode(first + plain + b"\x82") == [(b":path", value), (b":method", b"GET")]
            assert ours.decode(first + coded + b"\x82") == [(b":path", value), (b":method", b"GET")]


@pytest.mark.parametrize(
    "block", [b"\x04\x81\x00", b"\x00\x81\xff\x00", b"\x04\x84\xff\xff\xff\xff"]
)
def test_refuses_bad_huffman_coding(block):
    assert refused(block) == "Huffman coding"
    assert refused(block) == "Huffman coding"


def test_names_may_be_empty_or_odd_since_that_is_the_messages_affair():
    assert decoder().decode(literal(b"", b"") + literal(b"A:\n", b"\0")) == [
        (b"", b""),
        (b"A:\n", b"\0"),
    ]


# --- limits ------------------------------------------------------------------------------------


def test_as_many_fields_as_allowed():
    ours = decoder(fields=4)
    assert len(ours.decode(b"\x82" * 4)) == 4
    assert len(ours.decode(b"\x82\x04\x01/\x82\x82")) == 4
    for block in (b"\x82" * 5, b"\x82\x04\x01/\x82\x82\x82", b"\x04\x01/" * 5, b"\x82" * 32):
        with pytest.raises(FieldSectionTooLarge):
            ours.decode(block)
    refused(b"\x82" * 33, ENHANCE_YOUR_CALM, ours)


def test_as_many_octets_as_allowed():
    ours = decoder(octets=1000)
    # 32 + 1 + 1 for each
    assert len(ours.decode(literal(b"a", b"b", first=0) * 29)) == 29
    assert len(ours.decode(literal(b"a", b"b", first=0) * 28 + literal(b"a", b"x" * 15))) == 29
    for block in (
        literal(b"a", b"b", first=0) * 28 + literal(b"a", b"x" * 16),
        literal(b"a", b"b", first=0) * 30,
        b"\x04" + hpack._encode_integer(625, 0x80, 0x7F) + huffman.encode(b"0" * 1000),
        b"\x82" * 30,
    ):
        with pytest.raises(FieldSectionTooLarge):
            ours.decode(block)


def test_references_to_a_large_entry_count_each_time():
    ours = decoder()
    ours.decode(b"\x44\x7f\xa1\x1e" + b"/" * 4000)
    assert len(ours.decode(b"\xbe" * 4)) == 4
    with pytest.raises(FieldSectionTooLarge, match=r"5 fields of 20185 octets"):
        ours.decode(b"\xbe" * 5)
    refused(b"\xbe" * 40, ENHANCE_YOUR_CALM, ours)


def test_a_section_over_the_limit_leaves_the_right_table():
    ours, twin = decoder(fields=3), decoder(fields=1000)
    block = b"".join(literal(b"n%d" % number, b"v") for number in range(20))
    with pytest.raises(FieldSectionTooLarge, match=r"20 fields of 710 octets"):
        ours.decode(block)
    twin.decode(block)
    assert ours.dynamic_table == twin.dynamic_table
    assert ours.decode(b"\xbe\xcf") == [(b"n19", b"v"), (b"n2", b"v")]


def test_a_broken_block_over_the_limit_is_broken_first_of_all():
    refused(b"\x82" * 10 + b"\x80", using=decoder(fields=3))
    refused(b"\x82" * 10 + b"\x04\x05/", using=decoder(fields=3))


# --- memory between requests -------------------------------------------------------------------


def test_equal_literals_of_several_connections_are_one_object():
    block = b"\x04\x84" + huffman.encode(b"/path")
    assert decoder().decode(block)[0] is decoder().decode(block)[0]


def test_a_remembered_field_is_inserted_like_a_new_one():
    block = b"\x44\x84" + huffman.encode(b"/path") + b"\xbe"
    for _ in range(2):
        ours = decoder()
        assert ours.decode(block) == [(b":path", b"/path")] * 2
        assert ours.dynamic_table == ((b":path", b"/path"),)


@pytest.mark.parametrize("name", [b"authorization", b"proxy-authorization", b"cookie"])
def test_credentials_are_not_remembered(name):
    secret = b"secret-secret"
    coded = bytes((0x80 | huffman.encoded_length(secret),)) + huffman.encode(secret)
    index = hpack.INDEX_OF_NAME[name]
    blocks = [
        bytes((0x40 | index,)) + coded,
        bytes((0x0F, index - 15)) + coded,
        b"\x40" + bytes((len(name),)) + name + coded,
        b"\x10\x01x" + coded,  # never-indexed, whatever the name
    ]
    for block in blocks:
        assert decoder().decode(block)[0][1] == secret
        hpack.encode_field(name, secret)
    remembered = [*hpack._fields.values(), *hpack._encodings]
    assert secret not in hpack._texts.values()
    assert all(secret not in field for field in remembered)


def test_memos_are_bounded():
    ours = decoder()
    for number in range(hpack._MEMO_MAX + 10):
        value = b"%06d" % number
        coded = bytes((0x80 | huffman.encoded_length(value),)) + huffman.encode(value)
        fields = ours.decode(b"\x04" + coded + b"\x00\x01a" + coded)
        assert fields == [(b":path", value), (b"a", value)]
        hpack.encode_field(b"a", value)
    assert 0 < len(hpack._fields) <= hpack._MEMO_MAX
    assert 0 < len(hpack._texts) <= hpack._MEMO_MAX
    assert 0 < len(hpack._encodings) <= hpack._MEMO_MAX


# --- encoding ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "encoding"),
    [
        ((b":status", b"200"), "88"),
        ((b"accept-encoding", b"gzip, deflate"), "90"),
        ((b"age", b""), "95"),
        ((b":path", b"/sample/path"), "048961032a86c3f9d6"),
        ((b"age", b"7"), "0f060137"),
        ((b"via", b"\xff"), "0f2d01ff"),
        ((b"custom-key", b"custom-value"), "008825a849e95ba97d7f8925a849e95bb8e8b4bf"),
        ((b"~", b""), "00017e00"),
        ((b"set-cookie", b"~"), "1f28017e"),
        ((b"authorization", b"~"), "1f08017e"),
        ((b"cookie", b"~"), "1f11017e"),
    ],
)
def test_encodes_without_the_dynamic_table(field, encoding):
    if field[0] == b":path":  # only its form is of interest
        encoded = hpack.encode_field(*field)
        assert encoded[0] == 0x04
        assert encoded[1] == 0x80 | huffman.encoded_length(field[1])
        return
    for _ in range(2):
        assert hpack.encode_field(*field).hex() == encoding


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 256, 5000])
@pytest.mark.parametrize("octet", [b"0", b"\xff"])
def test_lengths_are_encoded_with_as_many_octets_as_they_need(length, octet):
    field = (b"x-" + octet * length, octet * length)
    ours = decoder(octets=100_000)
    assert ours.decode(hpack.encode_fields([field, field])) == [field, field]
    assert ours.dynamic_table == ()


def test_large_encodings_are_not_remembered():
    hpack.encode_field(b"x", b"\xff" * 600)
    assert not hpack._encodings


@pytest.mark.parametrize("status", [200, 204, 206, 304, 400, 404, 500])
def test_common_statuses_take_one_octet(status):
    assert len(hpack.encode_status(status)) == 1
    assert decoder().decode(hpack.encode_status(status)) == [(b":status", b"%d" % status)]


def test_other_statuses_are_literals():
    assert hpack.encode_status(431) == b"\x08\x03431"
    assert hpack.encode_status(502) == b"\x08\x82" + huffman.encode(b"502")


def test_an_unused_table_is_announced_by_an_update_to_nothing():
    ours = decoder()
    ours.change_table_size_max(0)
    assert ours.decode(hpack.TABLE_UNUSED + hpack.encode_status(200)) == [(b":status", b"200")]
    ours.change_table_size_max(4096)
    assert ours.decode(hpack.encode_status(200)) == [(b":status", b"200")]
