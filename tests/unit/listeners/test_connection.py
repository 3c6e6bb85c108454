import contextlib
import gc
import weakref

import pytest
from OpenSSL import SSL

from edgeproxy.listeners.turns import Turns
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.engine import ciphertext_in
from edgeproxy.tls.identity import load_identity
from tests.support.barrier import settle
from tests.support.ca import LocalCa
from tests.support.connections import FakeRegistry, Plain, Tls


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> FrontContext:
    leaf = LocalCa(tmp_path_factory.mktemp("ca")).issue("localhost", "edge.example")
    return FrontContext([load_identity([leaf.files])])


@pytest.fixture
def plain():
    made = Plain()
    yield made
    made.transport.free()


@pytest.fixture
def tls(front: FrontContext):
    made = Tls(front, protocols=(b"h2", b"http/1.1"), name=b"Edge.Example").shake_hands()
    yield made
    made.transport.free()


@pytest.fixture
def fresh(front: FrontContext):
    made = Tls(front)
    yield made
    made.transport.free()


# --- in the clear -------------------------------------------------------------------------------


def test_a_connection_joins_and_leaves(plain: Plain):
    assert plain.registry.members == [plain.connection]
    assert plain.connection.info.client == "192.0.2.7"
    assert plain.connection.info.scheme == b"http"
    assert plain.transport.high == 64 * 1024
    plain.connection.connection_lost(None)
    assert plain.registry.members == []
    assert plain.session.events == ["lost"]


def test_a_peer_without_an_address():
    plain = Plain(peer=None)
    assert plain.connection.info.client == ""
    plain.transport.free()


def test_one_connection_too_many_is_dropped():
    registry = FakeRegistry()
    registry.is_full = True
    plain = Plain(registry)
    assert plain.transport.was_aborted
    assert plain.sessions == []
    assert registry.refusals == {"connections_max": 1}
    plain.connection.connection_lost(None)
    plain.transport.free()


def test_bytes_reach_the_session_and_come_back(plain: Plain):
    plain.feed(b"hello")
    assert plain.session.received == b"hello"
    assert plain.session.protocol == "http/1.1"
    plain.connection.write([b"a", memoryview(b"b")])
    assert plain.transport.buffer == b"ab"
    assert plain.connection.unsent_bytes == 2


def answer_with(plain: Plain, size: int) -> None:
    plain.session.on_receive = lambda _: plain.connection.write([bytes(size)])


def test_above_the_mark_nothing_is_read(plain: Plain):
    answer_with(plain, 300_000)
    plain.feed(b"question")
    assert plain.connection.is_paused
    assert not plain.transport.is_reading_now
    plain.transport.drain(290_000)
    assert not plain.connection.is_paused
    assert plain.transport.is_reading_now
    assert plain.session.events == ["writable"]


def test_a_peer_that_is_busy_with_content_is_still_heard(plain: Plain):
    plain.connection.write([bytes(200_000)])
    assert plain.connection.is_paused
    for _ in range(3):
        plain.feed(b"cancel")
        assert plain.transport.is_reading_now
    answer_with(plain, 30_000)
    plain.feed(b"question")
    assert plain.transport.is_reading_now
    plain.feed(b"question")
    plain.feed(b"question")
    assert not plain.transport.is_reading_now


def test_a_session_may_stop_reading_as_well(plain: Plain):
    connection, transport = plain.connection, plain.transport
    answer_with(plain, 300_000)
    connection.pause_reading()
    assert not transport.is_reading_now
    plain.feed(b"question")
    connection.resume_reading()
    assert not transport.is_reading_now
    transport.drain(290_000)
    assert transport.is_reading_now
    plain.feed(b"question")
    connection.pause_reading()
    transport.drain(300_000)
    assert not transport.is_reading_now
    connection.resume_reading()
    assert transport.is_reading_now


def test_closing_in_order(plain: Plain):
    plain.connection.write([b"last"])
    plain.connection.close()
    plain.connection.close()
    assert plain.transport.has_eof
    assert not plain.transport.was_aborted
    plain.connection.write([b"nothing more"])
    plain.feed(b"ignored")
    assert plain.transport.buffer == b"last"
    assert plain.session.received == b""
    assert plain.connection.eof_received() is False
    assert plain.session.events == []


def test_a_closed_connection_produces_nothing_when_it_drains(plain: Plain):
    plain.connection.write([bytes(300_000)])
    plain.connection.close()
    plain.transport.drain(300_000)
    assert plain.session.events == []


def test_closing_lingers_behind_the_last_byte(plain: Plain):
    plain.connection.write([b"last"])
    plain.connection.close()
    assert plain.pass_time(50) == 50
    plain.transport.drain(4)
    assert plain.pass_time(50) == 4
    assert plain.transport.was_aborted
    assert "tick" not in plain.session.events


def test_closing_does_not_wait_for_ever(plain: Plain):
    plain.connection.write([bytes(100_000)])
    plain.connection.close()
    assert plain.pass_time(1000) == 61


def test_closing_does_not_wait_for_a_dribble(plain: Plain):
    plain.connection.write([bytes(250_000)])
    plain.connection.close()
    waited = 0.0
    while not plain.transport.was_aborted:
        plain.transport.drain(1)
        waited += plain.pass_time(10, step=10)
        assert waited < 400
    assert waited > 256


def test_closing_behind_a_peer_that_is_gone(plain: Plain):
    assert plain.connection.eof_received() is True
    assert plain.session.events == ["peer_closed"]
    plain.connection.close()
    assert plain.transport.was_closed
    assert not plain.transport.has_eof


def test_aborting(plain: Plain):
    plain.connection.abort()
    assert plain.transport.was_aborted
    plain.connection.close()
    assert not plain.transport.has_eof
    plain.connection.pause_reading()
    plain.connection.resume_reading()


def test_a_lost_connection_takes_no_more_orders(plain: Plain):
    plain.connection.connection_lost(None)
    assert plain.connection.is_paused
    plain.connection.write([b"x"])
    plain.connection.close()
    plain.connection.pause_reading()
    plain.connection.resume_reading()
    assert plain.transport.buffer == b""
    assert not plain.transport.has_eof


def test_a_tick_reaches_the_session(plain: Plain):
    plain.pass_time(2)
    assert plain.session.events == ["tick", "tick"]


def test_a_drain_reaches_the_session(plain: Plain):
    plain.connection.drain()
    assert plain.session.events == ["drain"]


def test_a_peer_that_takes_nothing_is_dropped(plain: Plain):
    plain.connection.write([bytes(300_000)])
    assert plain.pass_time(1000) == 61
    assert plain.registry.refusals == {"write_stall": 1}


def test_a_peer_that_takes_a_little_is_the_session_s_affair(plain: Plain):
    plain.connection.write([bytes(300_000)])
    for _ in range(10):
        plain.transport.drain(1000)
        assert plain.pass_time(50, step=10) == 50
    assert plain.session.events.count("tick") == 50


# --- TLS ----------------------------------------------------------------------------------------


def test_the_session_begins_behind_the_handshake(tls: Tls):
    assert tls.session.protocol == "h2"
    assert tls.session.channel is tls.connection
    info = tls.connection.info
    assert (info.server_name, info.scheme) == ("edge.example", b"https")
    assert info.covers("localhost")
    assert not info.covers("other.example")


def test_without_protocol_and_name(front: FrontContext, fresh: Tls):
    fresh.shake_hands()
    assert fresh.session.protocol == "http/1.1"
    assert fresh.connection.info.server_name is None


def test_plaintext_goes_both_ways(tls: Tls):
    tls.feed(tls.send(b"x" * 50_000))
    assert tls.session.received == b"x" * 50_000
    tls.connection.write([b"abc", memoryview(b"def")])
    assert tls.read() == b"abcdef"
    tls.connection.write([memoryview(b"ghi")])
    assert tls.read() == b"ghi"


def test_what_the_kernel_does_not_take_waits_in_order(tls: Tls):
    data = bytes(i % 251 for i in range(1_000_000))
    for at in range(0, len(data), 50_000):
        tls.connection.write([data[at : at + 50_000]])
    assert tls.connection.is_paused
    assert tls.connection.unsent_bytes > 0
    assert tls.read() == data
    assert not tls.connection.is_paused


def test_a_kernel_that_takes_nothing(tls: Tls):
    filler = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filler += tls.transport.kernel.send(bytes(65536))
    tls.connection.write([b"behind"])
    assert tls.connection.unsent_bytes > 6
    waiting = bytes(tls.transport.buffer)
    assert tls.arrived() == bytes(filler) + waiting
    tls.client.bio_write(waiting)
    assert tls.client.recv(100) == b"behind"


def test_plaintext_in_the_handshake_s_last_flight(fresh: Tls):
    with pytest.raises(SSL.WantReadError):
        fresh.client.do_handshake()
    fresh.feed(fresh.outgoing())
    fresh.client.bio_write(fresh.arrived())
    fresh.client.do_handshake()
    fresh.feed(fresh.outgoing() + fresh.send(b"early bird"))
    assert fresh.session.received == b"early bird"


def test_no_handshake(fresh: Tls):
    fresh.feed(b"\x16\x03\x01\x00\x05junk!")
    assert fresh.registry.refusals == {"tls": 1}
    assert fresh.transport.has_eof
    assert fresh.arrived()[:1] == b"\x15"  # an alert
    assert fresh.sessions == []
    assert fresh.connection.eof_received() is False
    assert fresh.pass_time(10) == 3


def test_a_slow_handshake(fresh: Tls):
    assert fresh.pass_time(100) == 11
    assert fresh.registry.refusals == {"tls_handshake_timeout": 1}


def test_the_end_of_a_peer_in_its_handshake(fresh: Tls):
    assert fresh.connection.eof_received() is False


def test_draining_in_the_handshake(fresh: Tls):
    fresh.connection.drain()
    assert not fresh.transport.was_aborted
    fresh.shake_hands()
    assert fresh.sessions[0].events[0] == "drain"


def test_a_broken_record(tls: Tls):
    wire = bytearray(tls.send(b"hello"))
    wire[-1] ^= 1
    tls.feed(bytes(wire))
    assert tls.registry.refusals == {"tls": 1}
    assert tls.transport.has_eof
    with pytest.raises(SSL.Error, match="bad record mac"):
        tls.read()
    assert tls.session.received == b""
    tls.connection.write([b"nothing"])
    assert tls.pass_time(10) == 3
    tls.connection.connection_lost(None)
    assert tls.session.events == ["lost"]


def test_the_peer_s_close_notify_is_told_once(tls: Tls):
    wire = tls.send(b"last words")
    tls.client.shutdown()
    tls.feed(wire + tls.outgoing())
    assert tls.session.received == b"last words"
    assert tls.session.events == ["peer_closed"]
    assert tls.connection.eof_received() is True
    assert tls.session.events == ["peer_closed"]
    tls.connection.write([b"answer"])
    tls.connection.close()
    assert tls.transport.was_closed


def test_closing_says_goodbye_twice_over(tls: Tls):
    tls.connection.write([b"answer"])
    tls.connection.close()
    assert tls.transport.has_eof
    assert tls.client.bio_write(tls.arrived())
    assert tls.client.recv(100) == b"answer"
    with pytest.raises(SSL.ZeroReturnError):
        tls.client.recv(100)
    tls.connection.write([b"too late"])
    tls.feed(tls.send(b"ignored"))
    assert tls.session.received == b""


def test_a_session_may_close_while_it_receives(tls: Tls):
    tls.session.on_receive = lambda _data: tls.connection.close()
    tls.feed(tls.send(bytes(50_000)))
    assert len(tls.session.received) == 50_000  # what was decrypted with it; sessions ignore it
    assert tls.registry.refusals == {}
    assert tls.transport.has_eof


def test_a_session_may_abort_while_it_receives(tls: Tls):
    tls.session.on_receive = lambda _data: (tls.connection.abort(), tls.connection.write([b"x"]))
    tls.feed(tls.send(bytes(50_000)))
    assert tls.transport.was_aborted
    assert tls.transport.buffer == b""
    assert tls.arrived() == b""


def test_a_session_may_fill_the_channel_while_it_receives(tls: Tls):
    tls.session.on_receive = lambda _data: tls.connection.write([bytes(400_000)])
    tls.feed(tls.send(bytes(40_000)))
    assert not tls.transport.is_reading_now
    assert len(tls.read()) == 2 * 400_000
    assert tls.transport.is_reading_now


def test_a_kernel_that_refuses_drops_the_connection(tls: Tls):
    tls.transport.other.close()
    tls.connection.write([b"a"])
    tls.connection.write([b"b"])
    assert tls.transport.was_aborted


def test_an_engine_that_refuses_drops_the_connection(tls: Tls):
    tls.connection._engine.shutdown()
    tls.connection.write([b"too late"])
    assert tls.transport.was_aborted


def test_a_lost_connection_frees_what_openssl_holds_at_once(tls: Tls):
    gc.disable()
    try:
        held = weakref.ref(tls.connection._engine.connection)
        tls.connection.connection_lost(None)
        assert held() is None
    finally:
        gc.enable()
    tls.connection.write([b"x"])
    tls.connection.close()


def test_the_shared_buffer_is_as_large_as_a_read():
    assert len(ciphertext_in) == 65536


# --- turns --------------------------------------------------------------------------------------


@pytest.fixture
async def queued(front: FrontContext):
    made = Tls(front)
    made.registry.turns = Turns(made.registry.clock.monotonic)
    yield made
    made.transport.free()


async def test_a_handshake_waits_for_its_turn_and_hears_nothing_meanwhile(queued: Tls):
    with contextlib.suppress(SSL.WantReadError):
        queued.client.do_handshake()
    queued.feed(queued.outgoing())
    assert not queued.transport.is_reading_now
    assert not queued.arrived()
    await settle(1)
    assert queued.transport.is_reading_now
    assert queued.arrived()


async def test_a_connection_that_was_lost_has_no_handshake(queued: Tls):
    with contextlib.suppress(SSL.WantReadError):
        queued.client.do_handshake()
    queued.feed(queued.outgoing())
    queued.connection.connection_lost(None)
    await settle(1)
    assert not queued.arrived()


class _Over(Turns):
    """Turns of which each is over before it began."""

    def is_over(self) -> bool:
        return True


@pytest.fixture
async def late():
    registry = FakeRegistry()
    registry.turns = _Over(registry.clock.monotonic)
    made = Plain(registry)
    yield made
    made.transport.free()


async def test_what_comes_when_the_time_is_over_is_read_in_order_and_nothing_more_meanwhile(
    late: Plain,
):
    late.feed(b"one")
    assert not late.transport.is_reading_now
    assert late.session.received == b""
    late.feed(b"two" * 40_000)  # reading was resumed for another reason
    await settle(1)
    assert late.session.received == b"one" + b"two" * 40_000
    assert late.transport.is_reading_now


async def test_the_end_comes_behind_what_waits(late: Plain):
    late.feed(b"last words")
    assert late.connection.eof_received()
    assert late.session.received == b"last words"
    assert late.session.events == ["peer_closed"]


async def test_a_session_that_closes_hears_nothing_of_what_waits(late: Plain):
    late.session.on_receive = lambda _: late.connection.close()
    late.feed(b"a" * 65536)
    late.feed(b"b")
    await settle(1)
    assert late.session.received == b"a" * 65536


async def test_back_pressure_outlives_what_waited(late: Plain):
    late.session.on_receive = lambda _: late.connection.pause_reading()
    late.feed(b"a")
    await settle(1)
    assert not late.transport.is_reading_now
