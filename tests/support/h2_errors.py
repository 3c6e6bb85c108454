"""What a peer's mistake must lead to, for tests of conformance."""

import hyperframe.frame as oracle

from tests.support.h2_peer import Peer, ping


def connection_error(peer: Peer, *data: bytes) -> int | None:
    """Send, and return the code of the GOAWAY; the connection must be over then."""
    peer.send(*data)
    assert peer.connection.is_failed
    assert not peer.connection.streams
    return peer.goaway


def stream_error(peer: Peer, stream_id: int, *data: bytes) -> int | None:
    """Send, and return the code of the RST_STREAM; the connection must live on."""
    peer.send(*data)
    assert peer.goaway is None, peer.connection.fault
    code = peer.resets.get(stream_id)
    peer.send(ping())
    assert peer.of(oracle.PingFrame)
    return code


def lives(peer: Peer) -> bool:
    before = len(peer.of(oracle.PingFrame))
    peer.send(ping())
    return len(peer.of(oracle.PingFrame)) == before + 1 and peer.goaway is None
