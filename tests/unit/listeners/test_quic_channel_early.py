"""Tests for edgeproxy/listeners/quic_channel.py: early data (RFC 8470), over real sockets."""

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.http.messages import Request, Response
from edgeproxy.listeners import udp
from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.listeners.udp import UdpListener
from edgeproxy.quic.early import EarlyData
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.handshakes import Handshake
from tests.support.early import EarlyClient
from tests.support.h3_client import h3_client
from tests.support.http1_session import FakeApplication, response
from tests.support.quic import any_identity, settings_of
from tests.support.quic_endpoint import bound


@pytest.fixture
def seen():
    return []


@pytest.fixture
def settings(seen):
    front = FrontContext([any_identity()], observe=seen.append)
    return settings_of(front, clock=SystemClock(), early=EarlyData(is_on=True))


class Place:
    """A listener whose sessions speak HTTP/3, and what they were asked for."""

    def __init__(self, settings):
        self.settings = settings
        self.application = FakeApplication()
        self.filled: list[bytes] = []
        self.application.handler = self._fill
        self.socket = bound()
        self.listener = UdpListener(settings, self._session)

    @property
    def address(self):
        return self.socket.getsockname()

    @property
    def channel(self):
        (channel,) = self.listener._ids
        return channel

    async def _fill(self, request: Request) -> Response:
        self.filled.append(request.target)
        return response(b"filled")

    def _session(self, streams):
        settings = self.settings
        return Http3Session(streams, self.application, clock=settings.clock, limits=settings.limits)

    async def ticket(self):
        """Return the ticket of a client that was here."""
        async with h3_client(self.address[1], "a.test") as client:
            assert (await client.get("/miss")).status == 200
        self.filled.clear()
        return client.quic.tickets[-1]


@pytest.fixture
async def place(settings):
    place = Place(settings)
    await place.listener.start([place.socket])
    yield place
    await place.listener.aclose()
    place.socket.close()


async def test_a_hit_is_answered_before_the_handshake_is_complete(place, seen):
    with EarlyClient(place.address, await place.ticket()) as client:
        stream_id = client.ask("/hit")
        client.go_on()
        assert await client.answer(stream_id) == (200, b"hello")
        assert place.listener.half_open == 1
        assert place.channel.info.server_name == "a.test"
        assert place.channel.info.covers("a.test")
        assert len(seen) == 1
        client.go_on()
        later = client.ask("/miss")
        client.go_on()
        assert await client.answer(later) == (200, b"filled")
        assert place.listener.half_open == 0
        assert seen[1:] == [Handshake("completed", "resumed", "P-256")]
    assert place.listener.early_data == {"accepted": 1}


@pytest.mark.parametrize(("path", "method"), [("/miss", b"GET"), ("/up", b"POST")])
async def test_what_goes_beyond_memory_is_too_early(place, path, method):
    with EarlyClient(place.address, await place.ticket()) as client:
        stream_id = client.ask(path, method, end=method == b"GET")
        client.go_on()
        assert await client.answer(stream_id) == (425, b"")
        assert client.fields[stream_id][b"cache-control"] == b"no-store"
        assert place.filled == []
        client.go_on()
        again = client.ask(path, method)
        client.go_on()
        assert await client.answer(again) == (200, b"filled")
        assert place.filled == [path.encode()]


async def test_a_recording_is_answered_once(place):
    with EarlyClient(place.address, await place.ticket()) as client:
        stream_id = client.ask("/hit")
        client.go_on()
        await client.answer(stream_id)
        place.channel._end()
        place.listener._closed.clear()  # as if it had been forgotten
        asked = len(place.application.requests)
        client.say(*client.recorded)
        await client.hear()  # a handshake that begins, and nothing else
        assert place.listener.half_open == 1
        assert not place.channel.engine.takes_early_data
        assert len(place.application.requests) == asked
    assert place.listener.early_data == {"accepted": 1, "replayed": 1}


async def test_a_retry_costs_a_round_trip_and_nothing_else(place, monkeypatch):
    ticket = await place.ticket()
    monkeypatch.setattr(udp, "RETRY_ABOVE", 0)
    with EarlyClient(place.address, ticket) as client:
        client.ask("/hit")
        client.go_on()
        client.take(await client.hear())
        assert place.listener.replies == {"retry": 1}
        stream_id = client.ask("/hit")  # aioquic's client does not repeat what Retry has cost
        client.go_on()
        assert await client.answer(stream_id) == (200, b"hello")
        assert place.listener.half_open == 1
        assert place.listener.early_data == {"accepted": 1}


async def test_a_handshake_that_is_not_completed_has_ten_seconds_all_the_same(place, seen):
    with EarlyClient(place.address, await place.ticket()) as client:
        stream_id = client.ask("/hit")
        client.go_on()
        await client.answer(stream_id)
        channel, now = place.channel, place.settings.clock.monotonic()
        session = channel._session
        channel.tick(now + 9)
        assert place.listener.connections == 1
        channel.tick(now + 11)
        assert place.listener.connections == 0
        assert session._is_closed
    assert place.listener.refusals == {"tls_handshake_timeout": 1}
    assert seen[1:] == [Handshake("timeout")]


async def test_a_drain_does_not_wait_for_who_may_be_a_recording(place, seen):
    with EarlyClient(place.address, await place.ticket()) as client:
        stream_id = client.ask("/hit")
        client.go_on()
        await client.answer(stream_id)
        assert await place.listener.drain(1)
    assert seen[1:] == [Handshake("other")]


async def test_it_can_be_switched_off(place):
    ticket = await place.ticket()
    place.listener.adopt(place.settings.limits)
    with EarlyClient(place.address, ticket) as client:
        client.ask("/hit")
        client.go_on()
        while client.completed is None:
            client.take(await client.hear())
        assert client.completed.session_resumed
        assert not client.completed.early_data_accepted
    assert (await place.ticket()).max_early_data_size is None
    place.listener.adopt(place.settings.limits, early_data=True)
    assert (await place.ticket()).max_early_data_size == 0xFFFFFFFF
    assert place.listener.early_data == {"off": 1}
