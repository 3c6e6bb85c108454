import pytest

from edgeproxy.wire.h2 import huffman

# RFC 7541 appendix C, strings of its examples
VECTORS = [
    (b"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
    (b"no-cache", "a8eb10649cbf"),
    (b"custom-key", "25a849e95ba97d7f"),
    (b"custom-value", "25a849e95bb8e8b4bf"),
    (b"302", "6402"),
    (b"private", "aec3771a4b"),
    (b"Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
    (b"https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
    (b"307", "640eff"),
    (b"gzip", "9bd9ab"),
    (
        b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ),
    (b"", ""),
]


@pytest.mark.parametrize(("text", "coded"), VECTORS)
def test_codes_and_decodes_the_examples_of_the_rfc(text, coded):
    assert huffman.encode(text) == bytes.fromhex(coded)
    assert huffman.decode(bytes.fromhex(coded)) == text
    assert huffman.encoded_length(text) == len(coded) // 2


def test_the_canonical_codes_are_those_of_the_appendix():
    # one line of appendix B for each way a code can come about: first, last, grown by one, by many
    lines = {
        ord("0"): (0x0, 5),
        ord("t"): (0x9, 5),
        ord(" "): (0x14, 6),
        ord(":"): (0x5C, 7),
        ord("&"): (0xF8, 8),
        ord("!"): (0x3F8, 10),
        0: (0x1FF8, 13),
        ord("\\"): (0x7FFF0, 19),
        0x80: (0xFFFE6, 20),
        1: (0x7FFFD8, 23),
        ord("\n"): (0x3FFFFFFC, 30),
        0x16: (0x3FFFFFFE, 30),
        huffman.EOS: (0x3FFFFFFF, 30),
    }
    for symbol, (code, length) in lines.items():
        assert (huffman.CODES[symbol], huffman.CODE_LENGTHS[symbol]) == (code, length)


@pytest.mark.parametrize("octet", range(256))
def test_every_octet_survives(octet):
    text = bytes((octet,)) * 3
    assert huffman.decode(huffman.encode(text)) == text


def test_padding_of_up_to_seven_ones_is_accepted():
    assert huffman.decode(bytes((0b00011_111,))) == b"a"  # 3 bits
    assert huffman.decode(bytes((0b11111000,))) == b"&"  # none
    # "0" "0" "0" "0" "0" is 25 bits: 7 bits of padding
    assert huffman.decode(bytes((0, 0, 0, 0b0_1111111))) == b"00000"


@pytest.mark.parametrize(
    "coded",
    [
        b"\xff",  # eight bits of padding
        b"\x1f\xff",  # "a", and eleven bits of padding
        bytes((0b00011_110,)),  # padding that is not all ones
        bytes((0b00011_000,)),  # padding that is all zeros
        b"\xff\xff\xff\xff",  # EOS
        b"\x1f\xff\xff\xff\xff\x1f",  # EOS inside, with text behind it
        b"\xff\xff\xff\xfc\x07",  # a 30-bit code cut off in its padding
    ],
)
def test_refuses_bad_padding_and_eos(coded):
    assert huffman.decode(coded) is None


def test_a_state_visited_for_the_first_time_does_not_lose_text():
    # codes of 28 bits reach deep states, from every offset within an octet
    for prefix in (b"", b"0", b"00", b"000", b"0000"):
        text = prefix + b"\x02\x03\x7f\xf9" * 5
        assert huffman.decode(huffman.encode(text)) == text
