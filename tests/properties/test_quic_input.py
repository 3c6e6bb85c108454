"""Whatever a client says over QUIC, with its keys or without: nothing fails inside.

A datagram that makes aioquic raise something unforeseen ends its connection and is logged; here
that is a failure, since each such case is a check that is missing in `quic/frames`.
"""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.headers import destination_of, first_packet, long_header
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import (
    CLIENT,
    Client,
    Pair,
    any_identity,
    datagrams_of,
    packet_of,
    settings_of,
    uint_var,
)

SETTINGS = settings_of(FrontContext([any_identity()]))
KINDS = [*range(0x1F), 0x30, 0x31, 0x40, 0x52]
numbers = st.one_of(
    st.integers(0, 8),
    st.integers(0, (1 << 16) - 1),
    st.sampled_from([63, 64, 16383, 16384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1]),
)


@st.composite
def frames(draw):
    """Something like frames: types, numbers and octets, as they come."""
    parts = []
    for _ in range(draw(st.integers(1, 6))):
        parts.append(uint_var(draw(st.sampled_from(KINDS))))
        parts += [uint_var(draw(numbers)) for _ in range(draw(st.integers(0, 5)))]
        parts.append(draw(st.binary(max_size=24)))
    return b"".join(parts)[:1100]


class Unforeseen(logging.Handler):
    """Keeps what was logged as a fault of ours."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(record.getMessage())


@pytest.fixture(scope="module")
def unforeseen():
    handler = Unforeseen()
    logger = logging.getLogger("edgeproxy.quic")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@given(st.lists(frames(), min_size=1, max_size=4))
def test_frames_of_any_kind(unforeseen, packets):
    pair = Pair(SETTINGS, server_name="a.test").run(4)
    assert pair.server._handshake_complete
    pair.client.send_stream_data(0, b"hello")
    pair.run(2)
    pair.server.queue(0, bytes(3000))
    for each in packets:
        pair.feed(packet_of(pair.client, each, pair.now))
        datagrams_of(pair.server, pair.now)
        if not pair.server.is_over:
            pair.server.on_timer(pair.now)
    assert unforeseen.records == []


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 1199), st.integers(1, 255))))
def test_flights_that_were_changed(unforeseen, at, changes):
    pair = Pair(SETTINGS, server_name="a.test")
    count = 0

    def change(data):
        nonlocal count
        count += 1
        if count != at:
            return data
        changed = bytearray(data)
        for where, what in changes:
            changed[where % len(changed)] ^= what
        return bytes(changed)

    pair.filter = change
    pair.run(4)
    assert unforeseen.records == []


@given(st.binary(max_size=300), st.integers(0, 1200))
def test_octets_of_any_kind(unforeseen, data, filled):
    padded = data + bytes(max(0, filled - len(data)))
    destination_of(padded)
    long_header(padded)
    first_packet(padded)
    server = ServerConnection(SETTINGS, original_id=bytes(8))
    server.take([(padded, CLIENT)], 1.0)
    assert not server.is_begun
    assert datagrams_of(server, 1.0) == []
    assert unforeseen.records == []


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.data())
def test_client_hellos_that_were_changed(unforeseen, changes, data):
    client = Client(server_name="a.test")
    initialize = client._initialize

    def changed(cid):
        initialize(cid)
        send = client.tls._client_send_hello

        def send_changed(buf):
            send(buf)
            hello = bytearray(buf.data)
            for where, what in changes:
                hello[4 + where % (len(hello) - 4)] = what
            if data.draw(st.booleans()):
                hello = hello[: data.draw(st.integers(1, len(hello)))]
            buf.seek(0)
            buf.push_bytes(bytes(hello))

        client.tls._client_send_hello = send_changed

    client._initialize = changed
    Pair(SETTINGS, client=client).run(3)
    assert unforeseen.records == []
