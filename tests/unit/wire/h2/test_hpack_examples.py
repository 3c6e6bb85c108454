"""The decoder gives what the examples of RFC 7541 appendix C say."""

import pytest

from edgeproxy.wire.h2.hpack import Decoder

DATE_1 = b"Mon, 21 Oct 2013 20:13:21 GMT"
DATE_2 = b"Mon, 21 Oct 2013 20:13:22 GMT"
COOKIE = b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
LOCATION = (b"location", b"https://www.example.com")

REQUESTS = [
    (
        [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"www.example.com"),
        ],
        57,
    ),
    (
        [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"www.example.com"),
            (b"cache-control", b"no-cache"),
        ],
        110,
    ),
    (
        [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", b"/index.html"),
            (b":authority", b"www.example.com"),
            (b"custom-key", b"custom-value"),
        ],
        164,
    ),
]
RESPONSES = [
    (
        [
            (b":status", b"302"),
            (b"cache-control", b"private"),
            (b"date", DATE_1),
            LOCATION,
        ],
        222,
    ),
    (
        [
            (b":status", b"307"),
            (b"cache-control", b"private"),
            (b"date", DATE_1),
            LOCATION,
        ],
        222,
    ),
    (
        [
            (b":status", b"200"),
            (b"cache-control", b"private"),
            (b"date", DATE_2),
            LOCATION,
            (b"content-encoding", b"gzip"),
            (b"set-cookie", COOKIE),
        ],
        215,
    ),
]
# RFC 7541 appendix C.3 to C.6: table size, blocks, what they say and leave in the table
SEQUENCES = {
    "C.3 requests": (
        4096,
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        REQUESTS,
    ),
    "C.4 requests with Huffman": (
        4096,
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
        REQUESTS,
    ),
    "C.5 responses": (
        256,
        [
            (
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a32"
                "3120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d"
            ),
            "4803333037c1c0bf",
            (
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a6970"
                "7738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d61"
                "67653d333630303b2076657273696f6e3d31"
            ),
        ],
        RESPONSES,
    ),
    "C.6 responses with Huffman": (
        256,
        [
            (
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad"
                "171863c78f0b97c8e9ae82ae43d3"
            ),
            "4883640effc1c0bf",
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2"
                "e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
            ),
        ],
        RESPONSES,
    ),
}


def decoder(table_size_max=4096):
    return Decoder(table_size_max, field_section_bytes_max=16384, fields_max=128)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "remembered"])
@pytest.mark.parametrize("name", SEQUENCES)
def test_decodes_the_sequences_of_the_rfc(name, known):
    table_size, blocks, expected = SEQUENCES[name]
    for _ in range(1 + known):
        ours = decoder(table_size)
        for block, (fields, size) in zip(blocks, expected, strict=True):
            assert ours.decode(bytes.fromhex(block)) == fields
            assert ours.dynamic_table_size == size


def test_the_sequences_leave_the_right_entries():
    ours = decoder(256)
    for block in SEQUENCES["C.6 responses with Huffman"][1]:
        ours.decode(bytes.fromhex(block))
    assert ours.dynamic_table == (
        (b"set-cookie", COOKIE),
        (b"content-encoding", b"gzip"),
        (b"date", DATE_2),
    )


@pytest.mark.parametrize(
    ("block", "field", "is_indexed"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", None, True),  # C.2.1
        ("040c2f73616d706c652f70617468", (b":path", b"/sample/path"), False),  # C.2.2
        ("100870617373776f726406736563726574", (b"password", b"secret"), False),  # C.2.3
        ("82", (b":method", b"GET"), False),  # C.2.4
    ],
)
def test_decodes_the_single_fields_of_the_rfc(block, field, is_indexed):
    ours = decoder()
    fields = ours.decode(bytes.fromhex(block))
    assert fields == [field or (b"custom-key", b"custom-header")]
    assert ours.dynamic_table == (tuple(fields) if is_indexed else ())
