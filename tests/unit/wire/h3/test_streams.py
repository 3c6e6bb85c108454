from collections import deque

from edgeproxy.wire.h3.streams import EXPECTS_CONTENT, Stream
from edgeproxy.wire.requests import RequestHead

HEAD = RequestHead(b"GET", b"https", b"a", b"/", [], None, None)


def test_a_new_stream_waits_for_its_request():
    stream = Stream(4, 1000.0)
    assert (stream.id, stream.began) == (4, 1000.0)
    assert stream.is_awaited
    assert not stream.is_sendable
    stream.expects = EXPECTS_CONTENT
    assert not stream.is_awaited
    stream.held = HEAD
    assert stream.is_awaited


def test_what_can_be_sent():
    stream = Stream(4, 0.0)
    stream.head = b"x"
    assert stream.is_sendable
    stream.is_blocked = True
    assert not stream.is_sendable
    stream.is_blocked, stream.head = False, b""
    stream.queued_bytes = 1
    assert stream.is_sendable
    stream.queued_bytes, stream.is_final = 0, True
    assert stream.is_sendable
    stream.is_local_ended = True
    assert not stream.is_sendable


def test_a_stream_that_is_gone_keeps_nothing():
    stream = Stream(4, 0.0)
    stream.pending = stream.head = stream.current = b"abc"
    stream.chunks, stream.queued_bytes, stream.offset = deque((b"d",)), 4, 1
    stream.held = HEAD
    stream.release()
    assert stream.is_gone
    assert not stream.is_sendable
    assert (stream.pending, stream.head, stream.current) == (b"", b"", b"")
    assert (stream.chunks, stream.held) == (None, None)
