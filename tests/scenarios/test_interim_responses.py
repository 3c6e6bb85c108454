"""Interim responses of an origin: to whoever waits, at once, and into nothing that lasts.

RFC 9110 section 15.2 and RFC 8297 section 2. Origin and clients are on real sockets.
"""

import asyncio

import pytest

from tests.support import clients
from tests.support.barrier import Barrier, settle
from tests.support.pop import ENTRY, running_pop

LINK = "</a.css>; rel=preload; as=style"
HINT = f"HTTP/1.1 103 Early Hints\r\nlink: {LINK}\r\n\r\n".encode()
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nhi"
POSTED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "REPORT"])
async def test_hints_reach_http_2_before_the_answer_is_known(pop, method):
    pop.origin.on(method, "/a").raw(HINT, HINT, POSTED).pause(2, gate := Barrier())
    async with pop.h2() as client:
        reply = client.send(method, "/a", body=b"x" if method in {"POST", "REPORT"} else b"")
        await client.hinted(reply, 2)
        assert reply.status == 0
        gate.open()
        await reply.whole()
    assert reply.interims == [[(":status", "103"), ("link", LINK)]] * 2
    assert (reply.status, reply.body, reply["link"]) == (200, b"hi", "")


@pytest.mark.parametrize("method", ["GET", "POST", "REPORT"])
async def test_hints_reach_http_1_1_before_the_answer_is_known(pop, method):
    pop.origin.on(method, "/a").raw(HINT, POSTED).pause(1, gate := Barrier())
    async with pop.h1() as client:
        client.send(method, "/a", body=b"" if method == "GET" else b"x")
        hint = await client.reply()
        assert (hint.status, hint.fields) == (103, [("link", LINK)])
        gate.open()
        reply = await (await client.reply()).whole()
        assert (reply.status, reply.body, reply["link"]) == (200, b"hi", "")
        # The connection is as good as ever.
        pop.origin.on("GET", "/b").reply(200, b"b")
        assert (await client.get("/b")).body == b"b"


async def test_http_1_0_gets_none(pop):
    pop.origin.on("GET", "/a").raw(HINT + OK)
    async with pop.h1() as client:
        client.writer.write(b"GET /a HTTP/1.0\r\nhost: localhost\r\n\r\n")
        said = await client.closed()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b" 103 " not in said
    assert b"preload" not in said


async def test_nothing_of_a_hint_is_stored_or_merged(pop):
    pop.origin.on("GET", "/a").raw(HINT + OK)
    async with pop.h2() as client:
        first = await client.get("/a")
        second = await client.get("/a")
    assert len(first.interims) == 1
    assert second.interims == []
    assert second["cache-status"].startswith("fra1; hit")
    for reply in (first, second):
        assert reply["link"] == ""
    assert {name for name, _ in first.interims[0]} == {":status", "link"}  # no Age, no labels


async def test_all_who_wait_for_one_fill_hear_it_and_nobody_later(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        start, end = Barrier(), Barrier()
        pop.origin.on("GET", "/a").raw(HINT, OK).hold(start).pause(1, end)
        async with pop.h2() as h2, pop.h1() as h1:
            leader = h2.send("GET", "/a", [("user-agent", "one"), ("cookie", "a=1")])
            await start.reached()
            follower = h2.send("GET", "/a", [("user-agent", "two"), ("cookie", "a=2")])
            h1.send("GET", "/a")
            await _waiting(pop, 3)
            start.open()
            await h2.hinted(leader, 1)
            await h2.hinted(follower, 1)
            assert (await h1.reply()).status == 103
            late = h2.send("GET", "/a")
            await _waiting(pop, 4)
            end.open()
            assert (await (await h1.reply()).whole()).body == b"hi"
            for reply in (leader, follower, late):
                assert (await reply.whole()).body == b"hi"
        assert (len(follower.interims), late.interims) == (1, [])
        assert pop.origin.requests == 1


async def test_what_was_said_to_one_visitor_is_not_told_to_another(pop):
    """Without a rule the cache asks in the leader's words, and the answer may be his alone."""
    start, end = Barrier(), Barrier()
    pop.origin.on("GET", "/a").raw(HINT, OK).hold(start).pause(1, end)
    async with pop.h2() as client:
        leader = client.send("GET", "/a", [("cookie", "a=1")])
        await start.reached()
        others = [client.send("GET", "/a", [("cookie", f"a={value}")]) for value in (1, 2)]
        await client.heard()
        await settle()
        start.open()
        await client.hinted(leader, 1)
        end.open()
        for reply in (leader, *others):
            assert (await reply.whole()).body == b"hi"
    assert [len(reply.interims) for reply in (leader, *others)] == [1, 0, 0]


async def test_100_was_for_us(pop):
    pop.origin.on("POST", "/a").raw(b"HTTP/1.1 100 Continue\r\n\r\n" + POSTED)
    async with pop.h2() as client:
        reply = await client.send("POST", "/a", body=b"x").whole()
    assert (reply.status, reply.interims) == (200, [])


@pytest.mark.parametrize(
    "hint",
    [
        HINT * 17,
        b"HTTP/1.1 103 X\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 103 X\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 103 X\r\nlink: a\nset-cookie: evil\r\n\r\n",
        b"HTTP/1.1 103 X\r\nlink: a\x00b\r\n\r\n",
        b"HTTP/1.1 103 X\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 103 X\r\na: " + bytes([98]) * 20_000 + b"\r\n\r\n",
        b"HTTP/1.0 103 X\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_interim_heads_that_are_none_fail_the_response(pop, hint):
    pop.origin.on("GET", "/a").raw(hint + OK)
    pop.origin.on("GET", "/b").reply(200, b"unharmed")
    async with pop.h2() as h2, pop.h1() as h1:
        reply = await h2.get("/a")
        assert reply.status == 502
        assert len(reply.interims) <= 16
        h1.send("GET", "/a")
        while (reply := await h1.reply()).status < 200:
            pass
        assert (await reply.whole()).status == 502
        assert (await h2.get("/b")).body == b"unharmed"
    assert pop.store.objects == 0


@pytest.mark.parametrize("program", ["curl", "nghttp"])
async def test_what_real_clients_say(pop, program):
    pop.origin.on("GET", "/a").raw(HINT + OK)
    if program == "curl":
        flags = ("-sSv", "--cacert", str(pop.ca_file), *pop._to_here())
    else:
        flags = ("-v",)
    url = pop.url("/a") if program == "curl" else f"https://127.0.0.1:{pop.port}/a"
    authority = () if program == "curl" else ("-H", f":authority: {pop.name}")
    done = await asyncio.to_thread(clients.run, program, *flags, *authority, url)
    said = (done.stdout + done.stderr).decode()
    if program == "curl":
        assert said.index("< HTTP/2 103") < said.index(f"< link: {LINK}")
        assert said.index(f"< link: {LINK}") < said.index("< HTTP/2 200")
    else:
        assert said.index(":status: 103") < said.index(f"link: {LINK}") < said.index(":status: 200")


async def _waiting(pop, count: int) -> None:
    """Wait until so many requests wait for fills and hear what is said."""
    async with asyncio.timeout(15):
        while True:
            flights = [each for by in pop.edge._flights._by_key.values() for each in by.values()]
            if sum(len(flight.hints._hearers) for flight in flights) == count:
                return
            await asyncio.sleep(0)
