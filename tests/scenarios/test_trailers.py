"""Fields behind the content: through the edge in both directions, and into nothing else.

RFC 9110 section 6.5, RFC 9112 section 7.1.2, RFC 9113 section 8.1; RFC 9111 section 3.1 lets a
cache drop them, and this one stores none.
"""

import asyncio

import pytest

from tests.support import clients
from tests.support.barrier import Barrier
from tests.support.h1_client import CutError
from tests.support.h2_client import StreamBrokenError
from tests.support.pop import ENTRY, running_pop

TE = [("te", "trailers"), ("connection", "te")]
SUM, TIMING = (b"X-Sum", b"abc"), (b"server-timing", b"db;dur=5")
SEEN = [("x-sum", "abc"), ("server-timing", "db;dur=5")]


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "control"), [("GET", "max-age=60"), ("GET", "no-store"), ("POST", "no-store")]
)
async def test_trailers_of_the_origin_reach_the_client(pop, method, control):
    pop.origin.on(method, "/a").reply(200, [b"he", b"llo"], cache_control=control).trailed(
        SUM, TIMING
    )
    async with pop.h2() as h2, pop.h1() as h1:
        reply = await h2.send(method, "/a", body=b"x" if method == "POST" else b"").whole()
        assert (reply.body, reply.trailers) == (b"hello", SEEN)
        assert reply["x-sum"] == reply["server-timing"] == ""
        pop.origin.on(method, "/b").reply(200, b"hello", cache_control=control).trailed(SUM, TIMING)
        h1.send(method, "/b", TE, body=b"x" if method == "POST" else b"")
        reply = await (await h1.reply()).whole()
        assert (reply.body, reply.trailers) == (b"hello", SEEN)
        assert reply["x-sum"] == ""
        pop.origin.on("GET", "/c").reply(200, b"c")
        assert (await h1.get("/c")).body == b"c"  # the connection is as good as ever


async def test_a_client_of_http_1_1_that_does_not_look_gets_none(pop):
    pop.origin.on("GET", "/a").reply(200, b"hello", cache_control="no-store").trailed(SUM)
    async with pop.h1() as client:
        for _ in range(2):
            reply = await client.get("/a")
            assert (reply.body, reply.trailers, reply["x-sum"]) == (b"hello", [], "")


async def test_all_readers_of_a_fill_get_them_and_no_hit(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        reply = pop.origin.on("GET", "/a").reply(200, [b"he", b"llo"]).trailed(SUM)
        reply.pause(1, gate := Barrier())
        async with pop.h2() as client:
            leader = client.send("GET", "/a")
            await leader.first_byte.wait()
            follower = client.send("GET", "/a")
            await follower.first_byte.wait()
            gate.open()
            for stream in (leader, follower):
                assert (await stream.whole()).trailers == SEEN[:1]
            hit = await client.get("/a")
        assert hit["cache-status"].startswith("fra1; hit")
        assert (hit.body, hit.trailers, hit["x-sum"]) == (b"hello", None, "")
        assert pop.origin.requests == 1


async def test_a_part_of_the_content_has_none(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/a").reply(200, b"hello").trailed(SUM)
        async with pop.h2() as client:
            reply = await client.get("/a", [("range", "bytes=0-1")])
        assert (reply.status, reply.body, reply.trailers) == (206, b"he", None)


@pytest.mark.parametrize("te", [True, False])
async def test_the_origin_hears_of_te_from_us_when_the_client_said_it(pop, te):
    pop.origin.on("POST", "/a").reply(200, b"x")
    async with pop.h2() as client:
        await client.send("POST", "/a", TE[:1] if te else (), body=b"x").whole()
    [request] = pop.origin.received
    assert request.values(b"te") == ([b"trailers"] if te else [])
    assert request.values(b"connection") == ([b"te"] if te else [])


FORBIDDEN = [
    (b"transfer-encoding", b"chunked"),
    (b"content-length", b"99"),
    (b"set-cookie", b"a=1"),
    (b"cache-control", b"max-age=99"),
    (b"content-type", b"text/html"),
    (b"location", b"/evil"),
    (b"vary", b"*"),
    (b"connection", b"x-sum"),
]


@pytest.mark.parametrize("line", FORBIDDEN, ids=[name.decode() for name, _ in FORBIDDEN])
async def test_names_that_may_not_stand_there_are_dropped(pop, line):
    pop.origin.on("GET", "/a").reply(200, b"hello", cache_control="max-age=60").trailed(
        line, TIMING
    )
    async with pop.h2() as client:
        reply = await client.get("/a")
        assert (reply.body, reply.trailers) == (b"hello", SEEN[1:])
        hit = await client.get("/a")
    for each in (reply, hit):
        assert each[line[0].decode()] != line[1].decode()
    assert hit["cache-status"].startswith("fra1; hit")


HEAD = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("trailers", "word"),
    [
        (b"a: b\r\n" * 2000, "http_response_trailer_section_size"),
        (b"a: " + b"b" * 9000 + b"\r\n", "http_response_trailer_section_size"),
        (b"a: b\nset-cookie: evil\r\n", "http_protocol_error"),
        (b"a: b\rset-cookie: evil\r\n", "http_protocol_error"),
        (b"a: b\x00c\r\n", "http_protocol_error"),
        (b"a: b\r\n folded\r\n", "http_protocol_error"),
        (b"a b: c\r\n", "http_protocol_error"),
        (b": c\r\n", "http_protocol_error"),
    ],
)
@pytest.mark.parametrize("is_split", [True, False])
async def test_trailers_that_are_not_believed_break_the_response_off(pop, trailers, word, is_split):
    content, rest = HEAD + b"5\r\nhello\r\n", b"0\r\n" + trailers + b"\r\n"
    pop.origin.on("GET", "/a").raw(*([content, rest] if is_split else [content + rest]))
    pop.origin.on("GET", "/b").reply(200, b"unharmed")
    async with pop.h2() as h2, pop.h1() as h1:
        with pytest.raises(StreamBrokenError):
            await h2.get("/a")
        h1.send("GET", "/a", TE)
        with pytest.raises(CutError):
            await (await h1.reply()).whole()
        assert (await h2.get("/b")).body == b"unharmed"
    assert pop.counters.origin_errors[word] == 2
    assert pop.store.objects == 0


async def test_there_are_none_behind_a_length(pop):
    pop.origin.on("GET", "/a").raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello" + b"x-sum: abc\r\n\r\n"
    )
    async with pop.h2() as client:
        try:
            reply = await client.get("/a")
        except StreamBrokenError:
            return
    assert reply.trailers is None
    assert reply["x-sum"] == ""


async def test_trailers_of_a_request_reach_the_origin(pop):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h2() as h2, pop.h1() as h1:
        stream = h2.send("POST", "/a", is_end=False)
        await h2.send_on(stream, b"hello", is_end=False)
        h2.h2.send_headers(stream.stream_id, [("x-sum", "abc")], end_stream=True)
        h2._flush()
        assert (await stream.whole()).body == b"ok"
        h1.send("POST", "/a", [("transfer-encoding", "chunked")])
        h1.writer.write(b"5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n")
        assert (await (await h1.reply()).whole()).body == b"ok"
    for request in pop.origin.received:
        assert (request.body, request.trailers) == (b"hello", [(b"x-sum", b"abc")])
        assert request.values(b"x-sum") == []


async def test_a_length_leaves_no_room_for_trailers(pop):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h2() as client:
        stream = client.send("POST", "/a", [("content-length", "5")], is_end=False)
        await client.send_on(stream, b"hello", is_end=False)
        client.h2.send_headers(stream.stream_id, [("x-sum", "abc")], end_stream=True)
        client._flush()
        assert (await stream.whole()).body == b"ok"
    [request] = pop.origin.received
    assert (request.body, request.trailers) == (b"hello", [])
    assert request.values(b"content-length") == [b"5"]


@pytest.mark.parametrize(
    "line",
    [
        b"transfer-encoding: chunked",
        b"content-length: 100",
        b"host: evil",
        b"authorization: Basic eA==",
        b"cookie: a=1",
        b"x-forwarded-for: 127.0.0.1",
        b"x-original-url: /admin",
        b"cdn-loop: fra1",
        b"cache-control: no-store",
    ],
)
async def test_trailers_of_a_request_smuggle_nothing(pop, line):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h1() as client:
        for _ in range(2):
            client.send("POST", "/a", [("transfer-encoding", "chunked")])
            client.writer.write(b"5\r\nhello\r\n0\r\n" + line + b"\r\nx-sum: abc\r\n\r\n")
            assert (await (await client.reply()).whole()).body == b"ok"
    for request in pop.origin.received:
        assert request.trailers == [(b"x-sum", b"abc")]
        name, _, value = line.partition(b": ")
        expected = {b"transfer-encoding": [b"chunked"], b"cdn-loop": [b"fra1"]}
        assert request.values(name) == expected.get(name, request.values(name))
        assert value in expected.get(name, ()) or value not in request.values(name)


@pytest.mark.parametrize(
    ("trailers", "status"),
    [
        (b"a: " + b"b" * 9000 + b"\r\n", 431),
        (b"a: b\r\n" * 2000, 431),
        (b"a: b\nhost: evil\r\n", 400),
        (b"a: b\rhost: evil\r\n", 400),
        (b"a: b\x00\r\n", 400),
        (b"a : b\r\n", 400),
        (b"a: b\r\n c\r\n", 400),
    ],
)
async def test_trailers_of_a_request_that_are_none_reach_no_origin(pop, trailers, status):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h1() as client:
        client.send("POST", "/a", [("transfer-encoding", "chunked")])
        client.writer.write(b"5\r\nhello\r\n0\r\n" + trailers + b"\r\nGET /b HTTP/1.1\r\n")
        reply = await client.reply()
        assert (reply.status, reply["connection"]) == (status, "close")
        await client.closed()
    await pop.origin.connections_closed()
    assert pop.origin.requests == 0  # none that was whole


async def test_more_trailers_than_http_2_takes_are_none(pop):
    pop.origin.on("POST", "/a").reply(200, b"ok")
    async with pop.h2() as client:
        stream = client.send("POST", "/a", is_end=False)
        await client.send_on(stream, b"hello", is_end=False)
        lines = [(f"x-{number}", "y") for number in range(200)]
        client.h2.send_headers(stream.stream_id, lines, end_stream=True)
        client._flush()
        assert (await stream.whole()).body == b"ok"
    [request] = pop.origin.received
    assert (request.body, request.trailers) == (b"hello", [])


async def test_what_a_real_client_sees(pop):
    pop.origin.on("GET", "/a").reply(200, b"hello", cache_control="max-age=60").trailed(SUM)
    done = await asyncio.to_thread(
        clients.run,
        "nghttp",
        "-v",
        "-H",
        f":authority: {pop.name}",
        f"https://127.0.0.1:{pop.port}/a",
    )
    said = (done.stdout + done.stderr).decode()
    assert said.index("hello") < said.index("x-sum: abc")
