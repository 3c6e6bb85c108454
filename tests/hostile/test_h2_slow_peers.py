"""Peers that move too little, through a whole session and a clock that is moved by hand.

Slow preface, slow field sections, slow uploads, slow readers, shut windows (CVE-2019-9511, 9517,
slowloris). What is counted and not timed stands in `test_h2_floods.py`.
"""

import sys

import hyperframe.frame as oracle
import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.http.messages import Request, Response
from edgeproxy.wire.h2 import codes, frames
from tests.support.h2_peer import data_frame, ping
from tests.support.http1_session import response
from tests.support.http2_session import SessionPeer, request

CALM = codes.ENHANCE_YOUR_CALM
SHUT = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0)]


def every_second(peer: SessionPeer, *parts: bytes, most: int = 5000) -> int:
    """Send the parts one a second, the last one again and again; return when it was over."""
    for second in range(most):
        if peer.channel.is_closed:
            return second
        peer.send(parts[min(second, len(parts) - 1)])
        peer.pass_time(1)
    raise AssertionError("never closed")


def single_octets(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- beginnings ---------------------------------------------------------------------------------


async def test_a_silent_peer():
    peer = SessionPeer(settings=None)
    assert peer.elapsed() == 11
    assert peer.goaway == CALM


async def test_a_slow_preface():
    peer = SessionPeer(settings=None)
    assert every_second(peer, *single_octets(frames.PREFACE)) == 11
    assert peer.goaway == CALM


async def test_a_preface_without_settings():
    peer = SessionPeer(settings=None).send(frames.PREFACE)
    assert peer.elapsed() == 11


async def test_a_slow_field_section_in_one_frame():
    peer = SessionPeer()
    peer.pass_time(50)
    peer.send(peer.headers(1, request(b"/hit"))[:5])
    assert peer.elapsed() == 11
    assert peer.goaway == CALM


async def test_a_slow_field_section_octet_by_octet():
    peer = SessionPeer()
    block = peer.headers(1, request(b"/" + b"x" * 2000))
    assert every_second(peer, *single_octets(block)) in (11, 12, 13, 14, 15)
    assert peer.goaway == CALM


async def test_a_field_section_in_slow_parts():
    peer = SessionPeer()
    peer.send(frames.frame(frames.HEADERS, frames.END_STREAM, 1, b"\x82"))
    assert peer.elapsed() == 11
    assert peer.goaway == CALM


async def test_a_field_section_after_a_long_rest_has_its_own_time():
    peer = SessionPeer()
    peer.pass_time(58)
    block = peer.block(request(b"/hit"))
    peer.send(frames.frame(frames.HEADERS, frames.END_STREAM, 1, block[:4]))
    peer.pass_time(9)
    peer.send(frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[4:]))
    assert peer.body(1) == b"hello"
    assert peer.goaway is None


# --- idleness -----------------------------------------------------------------------------------


async def test_an_idle_connection_is_closed_in_order():
    peer = SessionPeer()
    assert peer.elapsed() in (62, 63)
    assert [f.error_code for f in peer.of(oracle.GoAwayFrame)] == [0, 0]


async def test_an_unfinished_frame_keeps_nothing_alive():
    peer = SessionPeer()
    unknown = frames.frame(0xEE, 0, 0, bytes(16384))
    assert every_second(peer, *single_octets(unknown[:5000])) in (62, 63)


async def test_pings_keep_no_connection_alive():
    peer = SessionPeer()
    assert every_second(peer, *[ping()] * 90) in (62, 63)
    assert [f.error_code for f in peer.of(oracle.GoAwayFrame)] == [0, 0]


async def test_requests_keep_a_connection_alive_for_an_hour():
    peer = SessionPeer()
    for number in range(60):
        peer.pass_time(59)
        peer.get_target(2 * number + 1, b"/hit")
    assert not peer.channel.is_closed
    assert peer.elapsed() <= 100


# --- readers ------------------------------------------------------------------------------------


async def test_a_window_that_stays_shut():
    peer = SessionPeer(settings=SHUT).get_target(1, b"/hit")
    assert peer.elapsed() in (31, 32)
    assert peer.goaway == CALM
    assert peer.application.ended == [(b"/hit", 0, False)]


async def test_a_hundred_shut_windows_hold_one_body():
    peer = SessionPeer(settings=SHUT)
    body = bytes(2**20)
    peer.application.hits[b"/hit"] = response(body)
    before = sys.getrefcount(body)
    for number in range(1, 201, 2):
        peer.get_target(number, b"/hit")
    assert sys.getrefcount(body) - before >= 100
    assert len(peer.channel.pending) < 10_000
    peer.elapsed()
    assert len(peer.application.ended) == 100
    assert sys.getrefcount(body) - before < 10


@pytest.mark.parametrize("size", [1, 100, 1000])
async def test_a_window_that_opens_by_a_few_octets(size: int):
    peer = SessionPeer(settings=SHUT)
    peer.application.hits[b"/hit"] = response(bytes(2**20))
    peer.get_target(1, b"/hit")
    seconds = every_second(peer, frames.window_update_frame(1, size))
    assert seconds in (11, 12, 13)
    assert peer.goaway == CALM


async def test_a_window_that_opens_just_before_its_deadline():
    peer = SessionPeer(settings=SHUT)
    peer.application.hits[b"/hit"] = response(bytes(2**20))
    peer.get_target(1, b"/hit")
    for _ in range(3):
        peer.pass_time(28)
        peer.send(frames.window_update_frame(1, 1))
    assert peer.channel.is_closed


async def test_a_reader_at_two_kilobytes_a_second_gets_everything():
    peer = SessionPeer(settings=SHUT)
    peer.application.hits[b"/hit"] = response(bytes(200_000))
    peer.get_target(1, b"/hit")
    for _ in range(100):
        peer.send(frames.window_update_frame(1, 2048), frames.window_update_frame(0, 2048))
        peer.pass_time(1)
    assert peer.goaway is None
    assert len(peer.body(1)) == 200_000
    assert peer.application.ended == [(b"/hit", 200_000, True)]


async def test_a_reader_whose_connection_is_slow_but_moves_gets_everything():
    peer = SessionPeer(settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**20)])
    peer.send(frames.window_update_frame(0, 2**20))
    peer.channel.capacity = 256 * 1024
    peer.application.hits[b"/hit"] = response(bytes(500_000))
    peer.get_target(1, b"/hit")
    while peer.channel.unsent_bytes > 0:
        peer.drain(min(10_000, peer.channel.unsent_bytes))
        await peer.settle()
        peer.pass_time(1)
    assert peer.goaway is None
    assert len(peer.body(1)) == 500_000


async def test_a_reader_whose_connection_hardly_moves():
    peer = SessionPeer(settings=[(frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**20)])
    peer.send(frames.window_update_frame(0, 2**20))
    peer.channel.capacity = 256 * 1024
    peer.application.hits[b"/hit"] = response(bytes(500_000))
    peer.get_target(1, b"/hit")
    for _ in range(12):
        peer.drain(100)
        peer.pass_time(1)
    assert peer.channel.is_closed
    assert peer.goaway == CALM


# --- uploads ------------------------------------------------------------------------------------


async def reading(given: Request) -> Response:
    assert given.body is not None
    try:
        async for _ in given.body:
            pass
    except DownstreamError as error:
        return response(b"", status=error.status)
    return response()


async def test_an_upload_that_stops():
    peer = SessionPeer()
    peer.application.handler = reading
    await peer.post(1).settle()
    peer.pass_time(11)
    await peer.settle()
    assert peer.status(1) == b"408"
    assert peer.tasks == 0
    assert peer.goaway is None


async def test_an_upload_of_single_octets():
    peer = SessionPeer()
    peer.application.handler = reading
    await peer.post(1).settle()
    for second in range(100):
        peer.send(data_frame(1, b"x"))
        await peer.settle()
        peer.pass_time(1)
        await peer.settle()
        if peer.status(1):
            assert second in (10, 11)
            break
    assert peer.status(1) == b"408"


async def test_a_fast_upload_that_stops():
    peer = SessionPeer()
    peer.application.handler = reading
    await peer.post(1).settle()
    for _ in range(100):
        await peer.send(data_frame(1, bytes(16384))).settle()
    peer.pass_time(60)
    await peer.settle()
    assert peer.status(1) is None
    peer.pass_time(1)
    await peer.settle()
    assert peer.status(1) == b"408"


async def test_an_upload_in_an_unfinished_frame():
    peer = SessionPeer()
    peer.application.handler = reading
    await peer.post(1).send(data_frame(1, bytes(16384))[:5000]).settle()
    peer.pass_time(12)
    await peer.settle()
    assert peer.status(1) == b"408"


async def test_an_upload_at_two_kilobytes_a_second_is_taken():
    peer = SessionPeer()
    peer.application.handler = reading
    await peer.post(1).settle()
    for _ in range(200):
        await peer.send(data_frame(1, bytes(2048))).settle()
        peer.pass_time(1)
    await peer.send(data_frame(1, end=True)).settle()
    assert peer.status(1) == b"200"
