import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.h3.frames import REQUEST_ID_MAX
from edgeproxy.wire.limits import Limits
from tests.support.h3_peer import REQUEST, UPLOAD, Peer, data_frame, headers, parse

TRAILERS = headers([(b"x-sum", b"1")])


# --- greeting -----------------------------------------------------------------------------------


def test_the_greeting_offers_no_table_and_says_what_is_too_large():
    peer = Peer(greets=False)
    sent = peer.transport.sent[3]
    assert sent[:1] == b"\0"
    ((kind, payload),) = parse(sent[1:])
    assert kind == frames.SETTINGS
    assert payload[:1] == b"\x06"
    assert payload[1:5] == (0x8000_4000).to_bytes(4, "big")
    assert peer.transport.priorities == {3: (0, False)}


# --- requests -----------------------------------------------------------------------------------


def test_a_request_that_comes_whole_is_answered_without_an_object():
    peer = Peer(answers=b"hello").get(0)
    assert peer.sink.at_once == [0]
    assert not peer.connection.streams
    assert (peer.status(0), peer.body(0)) == (b"200", b"hello")
    assert peer.transport.ended == {0}
    assert peer.transport.credits[0] == len(headers())


def test_its_end_may_come_later():
    peer = Peer(answers=b"hello").on(0, headers())
    assert peer.connection.streams[0].is_awaited
    assert not peer.sink.heads
    peer.on(0, b"", end=True)
    assert peer.sink.at_once == [0]
    assert not peer.connection.streams


def test_its_end_may_come_later_to_one_that_is_worked_on():
    peer = Peer().on(0, headers()).on(0, b"", end=True)
    assert peer.sink.whole == [0]
    assert peer.connection.streams[0].exchange is peer.sink


def test_it_may_have_content_after_all():
    peer = Peer().on(0, headers()).on(0, data_frame(b"abc")).on(0, b"", end=True)
    assert peer.sink.content[0] == b"abc"
    assert peer.sink.whole == [0]
    assert peer.sink.at_once == []


def test_it_may_have_trailers_after_all():
    peer = Peer().on(0, headers() + TRAILERS, end=True)
    assert peer.sink.trailers == {0: [(b"x-sum", b"1")]}
    assert peer.sink.whole == [0]


@pytest.mark.parametrize("field", [(b"expect", b"100-continue"), (b"content-length", b"3")])
def test_who_announces_content_is_not_waited_for(field: tuple[bytes, bytes]):
    peer = Peer().on(0, headers((*REQUEST, field)))
    assert peer.sink.heads


def test_unknown_frames_around_a_request_are_nothing():
    grease = frames.frame(0x21, b"abc")
    peer = Peer(answers=b"hello").on(0, grease + headers() + grease, end=True)
    assert peer.sink.at_once == [0]


def test_an_upload_and_its_answer():
    peer = Peer(answers=b"hello").upload(0, (b"content-length", b"6"))
    peer.on(0, data_frame(b"abc")).on(0, data_frame(b"def"), end=True).pump()
    assert peer.sink.content[0] == b"abcdef"
    assert peer.body(0) == b"hello"
    assert not peer.connection.streams
    assert peer.transport.stops == {}


def test_requests_overtake_one_another():
    peer = Peer(answers=b"hello").get(8)
    assert peer.connection.has_gaps
    peer.get(0).get(4)
    assert not peer.connection.has_gaps
    assert peer.sink.at_once == [8, 0, 4]
    assert peer.connection.requests == 3
    assert peer.connection.highest_stream_id == 8


def test_requests_do_not_overtake_without_bounds():
    assert Peer().get(4 * 200).fault is None
    assert Peer().get(4 * 201).fault == codes.EXCESSIVE_LOAD


# --- malformed requests (row 121) ---------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        [],
        REQUEST[1:],
        [*REQUEST, (b":path", b"/")],
        [*REQUEST, (b"Accept", b"*/*")],
        [*REQUEST, (b"a", b"b\r\nc")],
        [*REQUEST, (b"connection", b"close")],
        [*REQUEST, (b"transfer-encoding", b"chunked")],
        [*REQUEST, (b"te", b"gzip")],
        [*REQUEST, (b"host", b"other.example")],
        [*REQUEST, (b"content-length", b"+1")],
        [(b"a", b"b"), *REQUEST],
        [*REQUEST[:3], (b":path", b"")],
        [*REQUEST[:3], (b":path", b"a b")],
        [REQUEST[0], (b":scheme", b"http"), *REQUEST[2:]],
    ],
)
def test_malformed_requests_reach_nobody(fields):
    for cut in (False, True):
        peer = Peer(answers=b"hello")
        if cut:
            peer.on(0, headers(fields), b"", end=True)
        else:
            peer.on(0, headers(fields), end=True)
        assert peer.transport.resets == {0: codes.MESSAGE_ERROR}
        assert not peer.sink.heads
        assert not peer.connection.streams
        assert peer.get(4).body(4) == b"hello"


def test_content_that_was_said_and_is_not_there():
    peer = Peer().on(0, headers([*REQUEST, (b"content-length", b"1")]), end=True)
    assert peer.transport.resets == {0: codes.MESSAGE_ERROR}
    assert not peer.sink.heads


@pytest.mark.parametrize("fields", [[(b":path", b"/")], [(b"content-length", b"1")], [(b"A", b"")]])
def test_malformed_trailers(fields):
    peer = Peer().upload(0).on(0, data_frame(b"abc") + headers(fields), end=True)
    assert peer.transport.resets == {0: codes.MESSAGE_ERROR}
    assert peer.sink.resets == [0]
    assert peer.sink.whole == []


@pytest.mark.parametrize("pieces", [[b"abcd"], [b"abc", b"d"], [b"ab"], [b""], [b"abc", b"de"]])
def test_content_is_of_the_length_that_was_said(pieces: list[bytes]):
    peer = Peer().upload(0, (b"content-length", b"3"))
    peer.on(0, *[data_frame(piece) for piece in pieces], b"", end=True)
    assert peer.transport.resets == {0: codes.MESSAGE_ERROR}
    assert peer.sink.whole == []
    assert len(peer.sink.content[0]) <= 3


def test_a_stream_without_a_request():
    peer = Peer().on(0, b"", end=True).on(4, frames.frame(0x21, b""), end=True)
    assert peer.fault is None
    assert peer.transport.resets == {0: codes.REQUEST_INCOMPLETE, 4: codes.REQUEST_INCOMPLETE}
    assert peer.transport.stops == {}


def test_a_section_that_cannot_be_read_ends_everything():
    peer = Peer().get(0).on(4, b"\x01\x03\0\0\x80", end=True)
    assert peer.fault == codes.QPACK_DECOMPRESSION_FAILED
    assert peer.sink.resets == [0]
    peer.get(8).on(2, b"\0")
    assert 8 not in peer.sink.heads


# --- limits (row 126) ---------------------------------------------------------------------------


def too_large(count: int = 200) -> bytes:
    return headers([*REQUEST, *[(b"name", b"value")] * count])


def test_sections_over_the_limits_are_answered():
    peer = Peer().on(0, too_large(), end=True).on(4, too_large()).on(8, too_large(), b"", end=True)
    assert [peer.status(number) for number in (0, 4, 8)] == [b"431"] * 3
    assert peer.transport.stops == {4: codes.NO_ERROR, 8: codes.NO_ERROR}
    assert peer.sink.too_large == [0, 4, 8]
    assert not peer.sink.heads
    assert not peer.connection.streams


def test_targets_over_the_limits_are_answered():
    """RFC 9110 section 15.5.15, whether the end comes along or not."""
    long = headers([*REQUEST[:3], (b":path", b"/" * 8193)])
    peer = Peer().on(0, long, end=True).on(4, long)
    assert peer.status(0) == peer.status(4) == b"414"
    assert Peer().on(0, headers([*REQUEST[:3], (b":path", b"/" * 8192)]), end=True).sink.heads


def test_sections_that_are_too_large_to_be_kept():
    peer = Peer(Limits(field_block_bytes_max=100)).on(0, too_large(), end=True)
    assert peer.status(0) == b"431"
    assert peer.transport.stops == {}
    peer.on(4, too_large()).on(4, bytes(50_000))
    assert peer.status(4) == b"431"
    assert peer.transport.stops == {4: codes.NO_ERROR}


def test_trailers_over_the_limits_are_as_if_there_were_none():
    trailers = headers([(b"name", b"value")] * 200)
    peer = Peer().upload(0).on(0, data_frame(b"abc") + trailers, end=True)
    assert peer.sink.whole == [0]
    assert peer.sink.trailers == {}
    peer = Peer(Limits(field_block_bytes_max=100)).upload(0)
    peer.on(0, data_frame(b"abc") + trailers, end=True)
    assert peer.sink.whole == [0]
    assert peer.sink.trailers == {}


def test_streams_over_the_limit_are_rejected_unread():
    peer = Peer(Limits(concurrent_streams_max=2)).get(0, 4, 8).upload(12)
    assert peer.transport.resets == {8: codes.REQUEST_REJECTED, 12: codes.REQUEST_REJECTED}
    assert peer.transport.stops == {12: codes.REQUEST_REJECTED}
    peer.on(12, bytes(1000), end=True)
    assert peer.transport.credits[12] == len(headers(UPLOAD)) + 1000
    assert not peer.connection._discarded
    assert list(peer.sink.heads) == [0, 4]


def test_rejected_streams_that_never_end_are_bounded():
    peer = Peer(Limits(concurrent_streams_max=2)).get(0, 4)
    for number in range(5):
        peer.upload(8 + 4 * number)
    assert peer.fault == codes.EXCESSIVE_LOAD


def test_requests_that_take_too_long_are_turned_away_and_others_are_not():
    peer = Peer().on(0, headers()[:10]).on(4, headers()).upload(8).get(12)
    peer.connection.expire(peer.now + 10.0)
    assert not peer.transport.resets
    peer.connection.expire(peer.now + 11.0)
    assert peer.transport.resets == {0: codes.REQUEST_REJECTED, 4: codes.REQUEST_REJECTED}
    assert peer.transport.stops == {0: codes.REQUEST_REJECTED, 4: codes.REQUEST_REJECTED}
    assert peer.sink.resets == [0, 4]


def test_who_waits_for_us_is_not_slow():
    peer = Peer()
    peer.connection.received(0, frames.frame(0x21, b"") * 70 + headers(), peer.now, end=False)
    assert peer.sink.behind
    peer.connection.expire(peer.now + 11.0)
    assert not peer.transport.resets


def test_uploads_that_were_answered_and_never_end_are_bounded():
    """What the listener asks for does not raise, whoever is to blame."""
    peer = Peer(Limits(concurrent_streams_max=2))
    for number in range(0, 20, 4):
        peer.upload(number)
        peer.connection.finished(peer.sink.streams[number])
    assert peer.fault == codes.EXCESSIVE_LOAD
    assert peer.sink.resets == []
    peer.connection.finished(peer.sink.streams[0])
    peer.connection.fail(ConnectionFault(codes.INTERNAL_ERROR, "too late"))
    assert peer.fault == codes.EXCESSIVE_LOAD


# --- cancellation (row 123) ---------------------------------------------------------------------


def test_a_client_cancels_with_a_reset():
    peer = Peer().upload(0).get(4)
    peer.connection.was_reset(0, peer.now)
    assert peer.sink.resets == [0]
    assert peer.transport.resets == {0: codes.REQUEST_CANCELLED}
    assert peer.transport.stops == {}
    assert list(peer.connection.streams) == [4]


def test_a_client_that_stops_the_answer_has_cancelled():
    peer = Peer().upload(0).get(4)
    peer.connection.was_stopped(0, peer.now)
    peer.connection.was_stopped(4, peer.now)
    assert peer.sink.resets == [0, 4]
    assert peer.transport.stops == {0: codes.REQUEST_CANCELLED}
    peer.on(0, data_frame(b"abc"))
    peer.connection.was_reset(0, peer.now)
    assert peer.fault is None
    assert not peer.connection._discarded


def test_a_cancellation_may_come_before_its_request():
    peer = Peer()
    peer.connection.was_reset(0, peer.now)
    peer.connection.was_stopped(4, peer.now)
    peer.on(4, headers(), end=True)
    assert peer.transport.resets == {0: codes.REQUEST_CANCELLED, 4: codes.REQUEST_CANCELLED}
    assert peer.transport.stops == {4: codes.REQUEST_CANCELLED}
    assert not peer.sink.heads
    assert peer.connection.requests == 2


def test_a_cancellation_may_come_too_late():
    peer = Peer(answers=b"hello").get(0)
    peer.connection.was_stopped(0, peer.now)
    peer.connection.was_reset(0, peer.now)
    assert peer.transport.resets == {}


def test_rapid_resets():
    peer = Peer()
    for number in range(101):
        peer.get(4 * number)
        peer.connection.was_stopped(4 * number, peer.now)
    assert peer.fault == codes.EXCESSIVE_LOAD
    assert not peer.connection.streams


def test_being_made_to_reset():
    peer = Peer()
    for number in range(101):
        peer.on(4 * number, headers([]), end=True)
    assert peer.fault == codes.EXCESSIVE_LOAD


# --- what the listener asks for -----------------------------------------------------------------


def test_an_answer_before_the_end_of_the_request_refuses_the_rest():
    peer = Peer().upload(0).on(0, data_frame(b"abc"))
    stream = peer.sink.streams[0]
    assert peer.connection.sender.respond(stream, b"\0\0\xd9", b"")
    peer.connection.finished(stream)
    assert peer.transport.stops == {0: codes.NO_ERROR}
    assert peer.transport.resets == {}
    peer.on(0, data_frame(b"def"), end=True)
    assert peer.sink.content[0] == b"abc"
    assert peer.fault is None


def test_what_is_abandoned_is_broken_off_once():
    peer = Peer().upload(0).get(4)
    for number in (0, 0, 4):
        peer.connection.abandon(peer.sink.streams[number], codes.INTERNAL_ERROR)
    assert peer.transport.resets == {0: codes.INTERNAL_ERROR, 4: codes.INTERNAL_ERROR}
    assert peer.transport.stops == {0: codes.INTERNAL_ERROR}
    assert peer.sink.resets == []


def test_a_stream_goes_on_when_there_is_room():
    peer = Peer(answers=bytes(1000))
    peer.transport.rooms[0] = 500
    peer.get(0).pump()
    assert len(peer.body(0)) < 500
    peer.transport.rooms[0] = 1000
    peer.connection.writable(0)
    peer.connection.writable(4)
    peer.pump()
    assert len(peer.body(0)) == 1000


def test_a_shutdown_is_announced_and_then_done():
    peer = Peer().get(0)
    peer.connection.announce_shutdown()
    assert peer.goaways == [REQUEST_ID_MAX]
    peer.get(8)
    peer.connection.shut_down()
    assert peer.goaways == [REQUEST_ID_MAX, 12]
    peer.get(12)
    assert peer.transport.resets == {12: codes.REQUEST_REJECTED}
    peer.get(4)  # it was only late
    assert list(peer.sink.heads) == [0, 8, 4]


def test_a_shutdown_before_any_request():
    peer = Peer()
    peer.connection.shut_down()
    assert peer.goaways == [0]
    peer.get(0)
    assert peer.transport.resets == {0: codes.REQUEST_REJECTED}


def test_a_connection_that_is_released_lets_go_of_everything():
    peer = Peer().get(0).upload(4)
    peer.connection.release()
    assert peer.sink.resets == [0, 4]
    assert not peer.connection.streams
    assert peer.transport.closed is None
