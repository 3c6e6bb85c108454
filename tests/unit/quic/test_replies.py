"""Tests for edgeproxy/quic/replies.py."""

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header

from edgeproxy.quic import replies
from edgeproxy.quic.headers import LongHeader, first_packet
from edgeproxy.quic.secrets import QuicSecrets
from tests.support.quic import SERVER, Client


@pytest.fixture
def client():
    client = Client()
    client.connect(SERVER, now=0.0)
    return client


@pytest.fixture
def header(client):
    return first_packet(client.datagrams_to_send(now=0.0)[0][0])


def test_version_negotiation_names_our_version_and_a_reserved_one():
    data = replies.version_negotiation(LongHeader(0x0A0A0A0A, b"their choice", b"them"))
    header = pull_quic_header(Buffer(data=data), 8)
    assert header.packet_type is QuicPacketType.VERSION_NEGOTIATION
    assert (header.destination_cid, header.source_cid) == (b"them", b"their choice")
    reserved, ours = header.supported_versions
    assert ours == 1
    assert reserved & 0x0F0F0F0F == 0x0A0A0A0A


def test_ids_of_255_octets_are_given_back():
    data = replies.version_negotiation(LongHeader(0x0A0A0A0A, bytes(255), b"\x01" * 255))
    assert data[5] == 255
    assert data[6 : 6 + 255] == b"\x01" * 255


def test_a_client_follows_a_retry(client, header):
    client.receive_datagram(replies.retry(header, b"retry id", b"the token"), SERVER, now=0.1)
    again = first_packet(client.datagrams_to_send(now=0.1)[0][0])
    assert again.token == b"the token"
    assert again.destination_cid == b"retry id"


@pytest.mark.parametrize("code", [0x2, 0xB])
def test_a_client_understands_a_refusal(client, header, code):
    data = replies.refusal(header, code)
    assert len(data) < 100
    client.receive_datagram(data, SERVER, now=0.1)
    assert client._close_event.error_code == code


def test_a_reset_is_smaller_than_what_it_answers_and_ends_with_the_token():
    secrets = QuicSecrets()
    for size in range(1300):
        found = replies.stateless_reset(bytes(size), b"12345678", secrets)
        if size < 22:
            assert found is None
        else:
            assert 21 <= len(found) < size
            assert len(found) <= 43
            assert found[0] & 0xC0 == 0x40
            assert found[-16:] == secrets.reset_token(b"12345678")
