"""Tests for edgeproxy/siblings/packets.py."""

import pytest

from edgeproxy.siblings.packets import PACKET_BYTES_MAX, Forget, in_packets, pack, unpack
from tests.support.sibling import an_ask


@pytest.mark.parametrize(
    "message", [an_ask(), an_ask(fields=(), validators=()), Forget((b"a\0\xff", b"b"))]
)
def test_what_is_packed_comes_out_again(message) -> None:
    assert unpack(pack(message)) == message


def test_the_largest_field_section_fits() -> None:
    fields = ((b"cookie", bytes([0xFF]) * 32 * 1024),)
    assert len(pack(an_ask(fields=fields))) < PACKET_BYTES_MAX


def test_many_keys_take_several_packets() -> None:
    keys = [b"%05d" % number + b"\xe9" * 8000 for number in range(20)]
    packets = list(in_packets(keys))
    assert [key for packet in packets for key in packet.keys] == keys
    assert all(len(pack(packet)) <= PACKET_BYTES_MAX for packet in packets)
    assert len(packets) > 1
    assert list(in_packets([])) == []


@pytest.mark.parametrize("packet", [b"", b"{}", b"\xff"])
def test_what_is_no_packet_is_an_error(packet: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        unpack(packet)
