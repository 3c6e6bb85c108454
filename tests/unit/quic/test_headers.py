"""Tests for edgeproxy/quic/headers.py."""

import pytest

from edgeproxy.quic.headers import LongHeader, destination_of, first_packet, long_header
from tests.support.quic import SERVER, Client


def initial(**configuration):
    client = Client(**configuration)
    client.connect(SERVER, now=0.0)
    return client.datagrams_to_send(now=0.0)[0][0]


def long(version, destination, source=b"", *, first=0xC0, rest=b""):
    return b"".join(
        (
            bytes([first]),
            version.to_bytes(4, "big"),
            bytes([len(destination)]),
            destination,
            bytes([len(source)]),
            source,
            rest,
        )
    )


def test_ids_of_any_version_and_length():
    for size in (0, 8, 20, 255):
        data = long(0x12345678, bytes([7]) * size, b"source", first=0x80)
        assert long_header(data) == LongHeader(0x12345678, bytes([7]) * size, b"source")
        assert destination_of(data) == bytes([7]) * size


def test_what_is_cut_off_has_no_header():
    data = long(1, b"destination", b"source")
    assert all(long_header(data[:end]) is None for end in range(len(data)))
    assert long_header(data) is not None
    assert all(destination_of(data[:end]) == b"" for end in range(len(data)))


def test_short_headers():
    assert destination_of(b"\x40" + b"12345678" + b"rest") == b"12345678"
    assert destination_of(b"\x00" + b"12345678" + b"rest") == b"", "the fixed bit is zero"
    assert long_header(b"\x40" + bytes(30)) is None


def test_a_clients_first_packet():
    header = first_packet(initial())
    assert len(header.destination_cid) == 8
    assert not header.token


@pytest.mark.parametrize(
    "data",
    [
        initial()[:1199],
        b"\xe0" + initial()[1:],  # a handshake packet
        long(1, b"1234567", rest=bytes(1200)),  # a guessable ID
        long(1, bytes(21), rest=bytes(1200)),
        bytes(1200),
    ],
)
def test_what_no_connection_begins_with(data):
    assert first_packet(data) is None
