"""Content that goes up while the answer comes down, and who is held back by whom.

RFC 9112 section 9.3, RFC 9113 sections 8.1 and 6.9. Nothing here is measured in seconds: memory is
counted in octets that wait, progress in turns of the loop in which nothing moved.
"""

import asyncio

import pytest

from tests.support.barrier import Barrier, settle
from tests.support.pop import ENTRY, running_pop

UP, DOWN = bytes(range(256)) * 256, bytes(range(255, -1, -1)) * 1024
PIECES = [DOWN[at : at + 2**14] for at in range(0, len(DOWN), 2**14)]
HUGE_PIECE = bytes(2**20)
HUGE_PIECES = 48
ROUNDS = 300
CHUNKED = [("transfer-encoding", "chunked")]


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path) as running:
        yield running


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# --- an answer before the content has ended -----------------------------------------------------


async def test_over_http_2_an_early_answer_is_whole_and_stops_the_upload(pop):
    pop.origin.on("POST", "/up").reply(200, PIECES).early()
    async with pop.h2() as client:
        stream = client.send("POST", "/up", is_end=False)
        await client.send_on(stream, UP[:1000], is_end=False)
        assert (await stream.whole()).body == DOWN
        await client.heard()
        assert stream.error_code == 0  # NO_ERROR, behind the END_STREAM
        async with asyncio.timeout(10):  # less than connections are kept for
            await pop.origin.connections_closed()  # half a request is on it
        pop.origin.on("GET", "/b").reply(200, b"b")
        assert (await client.get("/b")).body == b"b"


async def test_over_http_1_1_an_early_answer_is_whole_and_the_last(pop):
    pop.origin.on("POST", "/up").reply(200, PIECES).early()
    async with pop.h1() as client:
        client.send("POST", "/up", CHUNKED)
        client.writer.write(chunk(UP[:1000]))
        reply = await (await client.reply()).whole()
        assert (reply.body, reply["connection"]) == (DOWN, "close")
        await client.closed()
    async with asyncio.timeout(10):
        await pop.origin.connections_closed()


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("status", [401, 413, 503])
async def test_a_refusal_that_does_not_wait_for_the_content_arrives(pop, protocol, status):
    pop.origin.on("POST", "/up").reply(status, b"no").early().closing()
    async with pop.h2() as h2, pop.h1() as h1:
        if protocol == "h2":
            stream = h2.send("POST", "/up", is_end=False)
            await h2.send_on(stream, UP[:1000], is_end=False)
            reply = await stream.whole()
        else:
            h1.send("POST", "/up", CHUNKED)
            h1.writer.write(chunk(UP[:1000]))
            reply = await (await h1.reply()).whole()
        assert (reply.status, reply.body) == (status, b"no")


@pytest.mark.parametrize("protocol", ["h1", "h2"])
async def test_who_uploads_slowly_may_read_meanwhile(pop, protocol):
    """Turn by turn: a piece up, a piece down, and the answer ends before the content does."""
    reply = pop.origin.on("POST", "/talk").reply(200, [b"one", b"two", b"three"]).early().chunked()
    gates = [Barrier() for _ in range(3)]
    for number, gate in enumerate(gates):
        reply.pause(number, gate)
    async with pop.h2() as h2, pop.h1() as h1:
        if protocol == "h2":
            stream = h2.send("POST", "/talk", is_end=False)
        else:
            h1.send("POST", "/talk", CHUNKED)
        answer = None
        for gate, said in zip(gates, (b"one", b"two", b"three"), strict=True):
            if protocol == "h2":
                await h2.send_on(stream, b"up", is_end=False)
            else:
                h1.writer.write(chunk(b"up"))
            await gate.reached()
            gate.open()
            if protocol == "h1":
                answer = answer or await h1.reply()
                assert await answer.piece() == said
            else:
                while not stream.body.endswith(said):
                    await h2._next_move()
        if protocol == "h2":
            assert (await stream.whole()).body == b"onetwothree"
        else:
            assert (await answer.whole()).body == b"onetwothree"


async def test_the_upload_goes_on_behind_the_beginning_of_the_answer(pop):
    """What the origin reads last may come long after its first octet went down."""
    pop.origin.on("POST", "/up").raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"ok")
    reply = pop.origin.on("POST", "/up").replies[0].early()
    reply.pause(1, gate := Barrier())
    async with pop.h2() as client:
        stream = client.send("POST", "/up", is_end=False)
        await client.send_on(stream, UP[:1000], is_end=False)
        await stream.begun.wait()
        await gate.reached()
        await client.send_on(stream, UP[1000:], is_end=False)
        await client.heard()
        gate.open()
        assert (await stream.whole()).body == b"ok"


# --- who does not take stops who gives ----------------------------------------------------------


def unsent(pop) -> int:
    """Return how much waits in this process for clients to take it."""
    listeners = pop.worker._listeners
    return sum(each.unsent_bytes for of in listeners for each in of._connections)


def unread(pop) -> int:
    """Return how much of what clients sent waits for the origin to take it."""
    found = 0
    for connection in [each for of in pop.worker._listeners for each in of._connections]:
        session = connection._session
        if hasattr(session, "_reader"):
            found += session._reader.buffered
        elif session is not None:
            found += sum(stream.unused_bytes for stream in session._h2.streams.values())
    return found


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("control", ["no-store", "max-age=60"])
async def test_a_client_that_does_not_read_stops_the_origin(pop, protocol, control):
    limits = pop.worker._listeners[0].limits
    reply = pop.origin.on("GET", "/huge").reply(
        200, [HUGE_PIECE] * HUGE_PIECES, cache_control=control
    )
    reply.pause(HUGE_PIECES - 1, end := Barrier())
    async with pop.h2(window=2**30) as h2, pop.h1() as h1:
        client = h2 if protocol == "h2" else h1
        reader = client._reader
        reader._transport.pause_reading()
        client.send("GET", "/huge")
        await pop.origin.asked_for(1)
        peak, still = 0, 0
        while still < ROUNDS and not end.waiting:
            before = peak
            await settle(1)
            peak = max(peak, unsent(pop))
            still = 0 if peak > before else still + 1
        assert end.waiting == 0
        assert 0 < peak <= limits.unsent_bytes_max + 256 * 1024
        client.drop()
    end.open()


@pytest.mark.parametrize("protocol", ["h1", "h2"])
async def test_an_origin_that_does_not_read_stops_the_client(pop, protocol):
    limits = pop.worker._listeners[0].limits
    pop.origin.on("PUT", "/huge").reply(200, b"done").unread(gate := Barrier())
    async with pop.h2() as h2, pop.h1() as h1:
        sender = asyncio.ensure_future(_send_huge(h2 if protocol == "h2" else h1, protocol))
        await gate.reached()
        peak, still = 0, 0
        while still < ROUNDS and not sender.done():
            before = peak
            await settle(1)
            peak = max(peak, unread(pop))
            still = 0 if peak > before else still + 1
        assert not sender.done()
        assert 0 < peak <= limits.request_body_buffer_bytes + 256 * 1024
        gate.open()
        await sender
        await pop.origin.asked_for(1)
    assert len(pop.origin.received[0].body) == len(HUGE_PIECE) * HUGE_PIECES


async def _send_huge(client, protocol):
    if protocol == "h2":
        stream = client.send("PUT", "/huge", is_end=False)
        for number in range(HUGE_PIECES):
            await client.send_on(stream, HUGE_PIECE, is_end=number == HUGE_PIECES - 1)
        assert (await stream.whole()).body == b"done"
        return
    client.send("PUT", "/huge", CHUNKED)
    for _ in range(HUGE_PIECES):
        client.writer.write(chunk(HUGE_PIECE))
        await client.writer.drain()
    client.writer.write(b"0\r\n\r\n")
    assert (await (await client.reply()).whole()).body == b"done"


# --- methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "QUERY", "FROBNICATE", "head", "post"])
async def test_methods_that_we_do_not_know_pass_with_their_content(pop, method, protocol):
    pop.origin.on(method, "/a").reply(207, PIECES, cache_control="max-age=60")
    async with pop.h2() as h2, pop.h1() as h1:
        for _ in range(2):
            if protocol == "h2":
                reply = await h2.send(method, "/a", body=UP[:1000]).whole()
            else:
                h1.send(method, "/a", body=UP[:1000])
                reply = await (await h1.reply()).whole()
            assert (reply.status, reply.body) == (207, DOWN)
    assert [(each.method, each.body) for each in pop.origin.received] == [(method, UP[:1000])] * 2
    assert pop.store.objects == 0


@pytest.mark.parametrize("method", ["PROPFIND", "FROBNICATE"])
async def test_under_a_rule_they_are_not_implemented(tmp_path, method):
    async with running_pop(tmp_path, rules=ENTRY) as pop, pop.h2() as h2, pop.h1() as h1:
        assert (await h2.send(method, "/a", body=b"x").whole()).status == 501
        h1.send(method, "/a", body=b"x")
        assert (await h1.reply()).status == 501
    assert pop.origin.requests == 0


# --- Expect -------------------------------------------------------------------------------------

EXPECTS = [("expect", "100-continue"), ("content-length", "5")]


async def test_over_http_2_100_comes_when_the_content_is_wanted(pop):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h2() as client:
        stream = client.send("POST", "/a", EXPECTS, is_end=False)
        await client.hinted(stream, 1)
        assert stream.interims == [[(":status", "100")]]
        await client.send_on(stream, b"hello")
        assert (await stream.whole()).body == b"ok"
    assert pop.origin.received[0].body == b"hello"
    assert pop.origin.received[0].values(b"expect") == []


@pytest.mark.parametrize("lines", [[("cdn-loop", "fra1, fra1")], [("expect", "x")]])
async def test_none_comes_before_a_refusal(pop, lines):
    async with pop.h2() as h2, pop.h1() as h1:
        stream = h2.send("POST", "/a", [*EXPECTS, *lines], is_end=False)
        await stream.begun.wait()
        assert (stream.status, stream.interims) == (508 if lines[0][0] == "cdn-loop" else 417, [])
        h1.send("POST", "/a", [*EXPECTS, *lines])
        assert (await h1.reply()).status == stream.status
    assert pop.origin.requests == 0


async def test_http_1_0_gets_none(pop):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h1() as client:
        client.writer.write(
            b"POST /a HTTP/1.0\r\nhost: localhost\r\ncontent-length: 5\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        await pop.connected(1)
        await settle(ROUNDS)
        client.writer.write(b"hello")
        said = await client.closed()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert pop.origin.received[0].body == b"hello"


# --- what a gateway says about itself -----------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("protocol", ["h1", "h2"])
async def test_via_and_cdn_loop_are_appended_on_fills_too(pop, method, protocol):
    pop.origin.on(method, "/a").reply(200, b"ok")
    lines = [("via", "1.1 before"), ("cdn-loop", "other; x=1"), ("cdn-loop", "fra1")]
    async with pop.h2() as h2, pop.h1() as h1:
        if protocol == "h2":
            await h2.send(method, "/a", lines).whole()
        else:
            h1.send(method, "/a", lines)
            await (await h1.reply()).whole()
    [request] = pop.origin.received
    version = b"2" if protocol == "h2" else b"1.1"
    assert request.values(b"via") == [b"1.1 before", version + b" fra1"]
    assert request.values(b"cdn-loop") == [b"other; x=1", b"fra1", b"fra1"]
