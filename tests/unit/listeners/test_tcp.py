"""A listener on real sockets of loopback, on both event loops."""

import asyncio
import contextlib
import gc
import socket
import ssl
import weakref
from typing import Self

import hpack
import hyperframe.frame as oracle
import pytest
import uvloop

from edgeproxy.listeners.connection import Connection
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.listeners.session import Channel
from edgeproxy.listeners.tcp import SLICES, TcpListener
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.identity import load_identity
from edgeproxy.wire.h2 import frames
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock
from tests.support.connections import Plain
from tests.support.h2_client import h2_client
from tests.support.h2_peer import parse
from tests.support.http1_session import FakeApplication, Stream, response
from tests.support.http2_session import request
from tests.support.transports import drop

RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


class Echo:
    """A session that says everything back, and closes at the peer's end or its drain."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.is_lost = asyncio.Event()
        self.ticks = 0
        self.is_stubborn = False
        self.raises = False

    def receive(self, data: bytes) -> None:
        self.channel.write([data])

    def writable(self) -> None:
        pass

    def peer_closed(self) -> None:
        self.channel.close()

    def lost(self) -> None:
        self.is_lost.set()

    def tick(self, now: float) -> None:
        self.ticks += 1
        if self.raises:
            raise ZeroDivisionError("bug")

    def drain(self) -> None:
        if not self.is_stubborn:
            self.channel.close()


class WatchedListener(TcpListener):
    """A listener that says when its connections change."""

    changed: asyncio.Event

    def joined(self, connection: Connection) -> bool:
        self.changed.set()
        return super().joined(connection)

    def left(self, connection: Connection) -> None:
        self.changed.set()
        super().left(connection)


class Server:
    """A listener, its socket, and its sessions."""

    def __init__(self, front: FrontContext | None = None, *, limits: Limits | None = None) -> None:
        self.sessions: list[Echo] = []
        self.clock = ManualClock()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.listener = WatchedListener(
            self.session, clock=self.clock, limits=limits or Limits(), front=front
        )

    def session(self, channel: Channel, _protocol: str) -> Echo:
        self.sessions.append(Echo(channel))
        return self.sessions[-1]

    async def __aenter__(self) -> Self:
        self.changed = self.listener.changed = asyncio.Event()
        await self.listener.start([self.socket])
        self.stop_ticking()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.aclose()
        self.socket.close()

    async def connections(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.listener.connections != count:
                self.changed.clear()
                await self.changed.wait()

    def tick(self) -> None:
        """Let a second pass, in the place of the timer, which never does."""
        for _ in range(SLICES):
            self.listener._tick()
            self.stop_ticking()

    def stop_ticking(self) -> None:
        assert self.listener._ticker is not None
        assert not self.listener._ticker.cancelled()
        self.listener._ticker.cancel()


@contextlib.asynccontextmanager
async def connected(port: int, context: ssl.SSLContext | None = None):
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name
    )
    try:
        yield reader, writer
    finally:
        drop(writer)
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture(scope="module")
def ca(tmp_path_factory) -> LocalCa:
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def front(ca: LocalCa) -> FrontContext:
    leaf = ca.issue("localhost", "127.0.0.1")
    return FrontContext([load_identity([leaf.files])])


@RUNNERS
def test_bytes_go_both_ways(run):
    async def scenario() -> None:
        async with Server() as server, connected(server.port) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            assert server.listener.connections == 1
            writer.write_eof()
            assert await reader.read() == b""

    run(scenario())


@RUNNERS
def test_a_megabyte_goes_both_ways_through_tls(run, ca, front):
    data = bytes(i % 251 for i in range(1_000_000))

    async def scenario() -> None:
        async with (
            Server(front) as server,
            connected(server.port, ca.client_context()) as (reader, writer),
        ):
            writer.write(data)
            assert await reader.readexactly(len(data)) == data

    run(scenario())


@RUNNERS
def test_a_connection_that_ends_is_forgotten_and_its_session_hears_it(run, ca, front):
    async def scenario() -> None:
        async with Server(front) as server:
            async with connected(server.port, ca.client_context()) as (reader, writer):
                writer.write(b"x")
                await reader.readexactly(1)
            await server.connections(0)
            async with asyncio.timeout(5):
                await server.sessions[0].is_lost.wait()

    run(scenario())


@RUNNERS
def test_one_connection_too_many_is_refused(run):
    async def scenario() -> None:
        async with Server(limits=Limits(connections_max=1)) as server:
            async with connected(server.port) as (reader, writer):
                writer.write(b"x")
                await reader.readexactly(1)
                async with connected(server.port) as (second, _):
                    with contextlib.suppress(ConnectionResetError):
                        assert await second.read() == b""
                assert server.listener.refusals == {"connections_max": 1}
            await server.connections(0)

    run(scenario())


async def test_one_client_never_has_all_connections():
    limits = Limits(connections_per_client_max=2)
    async with Server(limits=limits) as server:
        async with connected(server.port), connected(server.port) as (reader, writer):
            await server.connections(2)
            async with connected(server.port) as (third, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await third.read() == b""
            assert server.listener.refusals == {"connections_per_client_max": 1}
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        await server.connections(0)
        assert not server.listener._of_household
        async with connected(server.port):
            await server.connections(1)


async def test_0_connections_for_each_client_are_as_many_as_it_likes():
    limits = Limits(connections_per_client_max=0)
    async with Server(limits=limits) as server, connected(server.port), connected(server.port):
        await server.connections(2)


async def test_connections_are_ticked_a_few_at_a_time():
    async with Server() as server, contextlib.AsyncExitStack() as stack:
        for _ in range(SLICES + 1):
            await stack.enter_async_context(connected(server.port))
        await server.connections(SLICES + 1)
        server.listener._tick()
        server.stop_ticking()
        assert sum(session.ticks for session in server.sessions) == 2


@RUNNERS
def test_a_drain_lets_sessions_finish_and_takes_nothing_new(run):
    async def scenario() -> None:
        async with Server() as server, connected(server.port) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            drained = asyncio.get_running_loop().create_task(server.listener.drain(5.0))
            assert await reader.read() == b""
            writer.close()
            assert await drained
            assert server.listener.connections == 0
            async with connected(server.port) as (second, _):  # the socket is still the caller's
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await second.read()
            assert server.socket.fileno() >= 0

    run(scenario())


async def test_who_was_accepted_before_a_drain_is_let_in_and_drained():
    listener = TcpListener(pytest.fail, clock=ManualClock(), limits=Limits())
    drained = asyncio.ensure_future(listener.drain(5.0))
    await asyncio.sleep(0)  # it has begun, and the connection is made a turn later
    late = Plain(listener)
    assert listener.connections == 1
    await settle()
    assert (late.session.events[0], drained.done()) == ("drain", False)
    late.connection.connection_lost(None)
    assert await drained
    late.transport.free()


@RUNNERS
def test_a_drain_has_an_end(run):
    async def scenario() -> None:
        async with Server() as server, connected(server.port) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            server.sessions[0].is_stubborn = True
            assert not await server.listener.drain(0.01)
            assert server.listener.connections == 1

    run(scenario())


@RUNNERS
def test_sockets_can_be_served_again_by_another_listener(run):
    async def scenario() -> None:
        async with Server() as server:
            await server.listener.drain(1.0)
            other = TcpListener(server.session, clock=server.clock, limits=Limits())
            await other.start([server.socket])
            async with connected(server.port) as (reader, writer):
                writer.write(b"again")
                assert await reader.readexactly(5) == b"again"
            await other.aclose()

    run(scenario())


async def test_a_tick_is_for_everybody_and_never_the_last():
    async with Server() as server, connected(server.port), connected(server.port):
        await server.connections(2)
        server.tick()
        server.tick()
        assert [session.ticks for session in server.sessions] == [2, 2]


async def test_a_session_that_fails_loses_its_connection_and_nobody_else_s(caplog):
    async with Server() as server, connected(server.port), connected(server.port):
        await server.connections(2)
        server.sessions[0].raises = True
        server.tick()
        await server.connections(1)
        server.tick()
        assert server.sessions[1].ticks == 2
        assert "bug" in caplog.text


async def test_deadlines_reach_connections_in_their_handshake(front):
    async with Server(front) as server, connected(server.port) as (reader, _):
        await server.connections(1)
        server.clock.advance(11.0)
        server.tick()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert server.listener.refusals == {"tls_handshake_timeout": 1}


async def test_a_listener_that_never_started_can_be_closed():
    listener = TcpListener(lambda _c, _p: None, clock=ManualClock(), limits=Limits())
    await listener.aclose()


# --- with the HTTP/2 session --------------------------------------------------------------------


class Http2Server(Server):
    def __init__(self, front: FrontContext) -> None:
        super().__init__(front)
        self.application = FakeApplication()
        self.live: list[weakref.ref[Http2Session]] = []

    def session(self, channel: Channel, protocol: str) -> Http2Session:
        assert protocol == "h2"
        made = Http2Session(channel, self.application, clock=self.clock, limits=Limits())
        self.live.append(weakref.ref(made))
        return made


@RUNNERS
def test_answers_of_all_sizes_arrive_intact_and_in_parallel(run, ca, front):
    sizes = [0, 1, 100, 16384, 16385, 65536, 65537, 300_000, 2_000_000]

    async def scenario() -> None:
        async with Http2Server(front) as server:
            bodies = {b"/hit%d" % size: bytes(i % 251 for i in range(size)) for size in sizes}
            for target, body in bodies.items():
                server.application.hits[target] = response(body)
            async with h2_client(server.port, ca.path, window=100_000) as client:
                replies = [(t, client.send("GET", t.decode())) for t in [*bodies] * 3]
                for target, reply in replies:
                    await reply.whole()
                    assert bytes(reply.body) == bodies[target]
            await server.connections(0)
            assert len(server.application.ended) == 3 * len(sizes)
            assert all(is_whole for *_, is_whole in server.application.ended)

    run(scenario())


@RUNNERS
def test_a_reader_that_stops_holds_only_its_own_connection_up(run, ca, front):
    async def scenario() -> None:
        async with Http2Server(front) as server:
            server.application.hits[b"/hit/large"] = response(bytes(20_000_000))
            async with h2_client(server.port, ca.path, window=2**30) as slow:
                slow._writer.transport.pause_reading()
                slow.send("GET", "/hit/large")
                async with h2_client(server.port, ca.path) as other:
                    for _ in range(10):
                        assert (await other.get("/hit")).body == b"hello"
                connection = next(iter(server.listener._connections))
                async with asyncio.timeout(10):
                    while not connection.is_paused:  # what it is sent has turns, as all others
                        await settle()
                assert connection.unsent_bytes < 2 * Limits().unsent_bytes_max
            await server.connections(0)
            assert (b"/hit/large", False) in [(t, w) for t, _, w in server.application.ended]

    run(scenario())


@RUNNERS
def test_nothing_is_left_of_lost_connections(run, ca, front):
    async def scenario() -> None:
        async with Http2Server(front) as server:
            bodies = [Stream(bytes(100)) for _ in range(5)]
            waiting = iter(bodies)

            async def handler(_request):
                body = next(waiting)
                body.gate = asyncio.Event()
                return response(body)

            server.application.handler = handler
            for _ in bodies:
                async with h2_client(server.port, ca.path) as client:
                    reply = client.send("GET", "/miss")
                    async with asyncio.timeout(5):
                        await reply.begun.wait()
            await server.connections(0)
            await settle(50)
            assert all(body.is_closed for body in bodies)
            assert [whole for *_, whole in server.application.ended] == [False] * 5
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in others if "Http2Session" in repr(task)]
        gc.collect()
        assert [ref() for ref in server.live] == [None] * 5

    run(scenario())


@RUNNERS
def test_draining_finishes_what_is_in_flight(run, ca, front):
    async def scenario() -> None:
        async with Http2Server(front) as server:
            gate = asyncio.Event()

            async def handler(_request):
                server.application.asked.set()
                await gate.wait()
                return response(b"finished")

            server.application.asked = asyncio.Event()

            server.application.handler = handler
            context = ca.client_context()
            context.set_alpn_protocols(["h2"])
            async with connected(server.port, context) as (reader, writer):
                head = hpack.Encoder().encode(request(b"/miss"))
                writer.write(frames.PREFACE + frames.settings_frame(()))
                writer.write(frames.frame(frames.HEADERS, 5, 1, head))
                await server.application.asked.wait()
                drained = asyncio.get_running_loop().create_task(server.listener.drain(5.0))
                await settle()
                server.clock.advance(1.0)
                server.tick()
                gate.set()
                sent = parse(await reader.read())
                writer.close()
            content = [f.data for f in sent if isinstance(f, oracle.DataFrame)]
            farewells = [f.last_stream_id for f in sent if isinstance(f, oracle.GoAwayFrame)]
            assert content == [b"finished"]
            assert farewells == [2**31 - 1, 1]
            assert await drained

    run(scenario())
