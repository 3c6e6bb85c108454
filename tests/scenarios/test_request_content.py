"""Content on its way in: passed through in both directions, held back by whoever is slow."""

import random

import pytest

from tests.support.barrier import Barrier, settle
from tests.support.pop import ENTRY, running_pop

UP, DOWN = random.Random(2).randbytes(2**20), random.Random(3).randbytes(2**20)
PIECES = [DOWN[at : at + 2**16] for at in range(0, len(DOWN), 2**16)]
# More than every buffer between a client and an origin together: the kernel's four alone may hold
# some twenty megabytes on a loopback.
HUGE = bytes(48 * 2**20)
# Turns of the loop in which nothing moved: client, edge and origin all run on this one.
ROUNDS = 500


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path) as running:
        yield running


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("protocol", ["h2", "h1"])
async def test_a_megabyte_up_and_another_down(pop, method, protocol):
    pop.origin.on(method, "/api").reply(201, PIECES, location="/api/1", cache_control="max-age=60")
    async with pop.h2() as h2, pop.h1() as h1:
        if protocol == "h2":
            reply = await (await h2.upload(method, "/api", UP)).whole()
        else:
            h1.send(method, "/api", body=UP)
            reply = await (await h1.reply()).whole()
    assert (reply.status, reply.body, reply["location"]) == (201, DOWN, "/api/1")
    assert reply["cache-status"] == "fra1; fwd=method"
    [request] = pop.origin.received
    assert (request.method, request.body) == (method, UP)
    assert request.values(b"content-length") == [b"%d" % len(UP)]
    assert pop.store.objects == 0


async def test_content_of_unknown_length_goes_in_chunks(pop):
    pop.origin.on("POST", "/api").reply(200, b"ok")
    async with pop.h2() as h2, pop.h1() as h1:
        first = h2.send("POST", "/api", is_end=False)
        await h2.send_on(first, UP)
        assert (await first.whole()).body == b"ok"

        h1.send("POST", "/api", [("transfer-encoding", "chunked")])
        h1.writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(UP), UP))
        assert (await (await h1.reply()).whole()).body == b"ok"
    for request in pop.origin.received:
        assert request.body == UP
        assert request.values(b"transfer-encoding") == [b"chunked"]


async def test_both_directions_at_the_same_time(pop):
    """The response may begin, and end, while the request is still being sent."""
    reply = pop.origin.on("POST", "/echo").reply(200, PIECES).early()
    reply.pause(8, middle := Barrier())
    async with pop.h2() as client:
        stream = client.send("POST", "/echo", is_end=False)
        await client.send_on(stream, UP[: 2**14], is_end=False)
        await stream.first_byte.wait()
        await client.send_on(stream, UP[2**14 : 2**15], is_end=False)
        await middle.reached()
        middle.open()
        await stream.ended.wait()
        assert stream.body == DOWN


async def test_an_origin_that_does_not_read_stops_the_client(tmp_path):
    async with running_pop(tmp_path) as pop:
        pop.origin.on("PUT", "/huge").reply(200, b"done").unread(gate := Barrier())
        async with pop.h2() as client:
            stream = client.send("PUT", "/huge", is_end=False)
            await client.send_on(stream, HUGE[: (sent := 2**14)], is_end=False)
            await gate.reached()
            while sent < len(HUGE):
                if not client.room(stream):
                    await settle(ROUNDS)
                if not (room := client.room(stream)):
                    break
                await client.send_on(stream, HUGE[sent : sent + room], is_end=False)
                sent += room
            assert sent < len(HUGE)
            assert gate.waiting == 1
            gate.open()
            await client.send_on(stream, HUGE[sent:])
            assert (await stream.whole()).body == b"done"
        assert len(pop.origin.received[0].body) == len(HUGE)


async def test_a_client_that_does_not_read_stops_the_origin(tmp_path):
    async with running_pop(tmp_path) as pop:
        pieces = [HUGE[at : at + 2**20] for at in range(0, len(HUGE), 2**20)]
        reply = pop.origin.on("GET", "/huge").reply(200, pieces, cache_control="no-store")
        reply.pause(len(pieces) - 1, end := Barrier())
        async with pop.h2(window=2**16) as client:
            client.grants_windows = False
            stream = client.send("GET", "/huge")
            await stream.first_byte.wait()
            await settle(ROUNDS)
            assert len(stream.body) == 2**16
            assert end.waiting == 0
            client.grant(stream)
            await end.reached()
            end.open()
            assert len((await stream.whole()).body) == len(HUGE)


@pytest.mark.parametrize("expects", [True, False])
async def test_who_waits_for_100_gets_it_when_the_content_is_wanted(pop, expects):
    pop.origin.on("POST", "/api").reply(200, b"ok")
    fields = [("content-length", "5"), *([("expect", "100-continue")] if expects else [])]
    async with pop.h1() as client:
        for _ in range(2):
            client.send("POST", "/api", fields)
            if expects:
                assert (await client.reply()).status == 100
            client.writer.write(b"hello")
            reply = await (await client.reply()).whole()
            assert (reply.status, reply.body) == (200, b"ok")
    for request in pop.origin.received:
        assert request.body == b"hello"
        assert request.values(b"expect") == []


async def test_who_waits_for_100_is_spared_what_is_refused(pop):
    fields = [("content-length", "5"), ("expect", "100-continue")]
    async with pop.h1() as client:
        client.send("POST", "/api", [*fields, ("cdn-loop", "fra1, fra1")])
        assert (await client.reply()).status == 508
    assert pop.origin.requests == 0


@pytest.mark.parametrize("protocol", ["h2", "h1"])
async def test_content_that_breaks_off_reaches_no_origin_as_whole(pop, protocol):
    pop.origin.on("POST", "/api").reply(200, b"ok")
    async with pop.h2() as h2, pop.h1() as h1:
        if protocol == "h2":
            stream = h2.send("POST", "/api", [("content-length", "100")], is_end=False)
            await h2.send_on(stream, b"only this", is_end=False)
            await h2.heard()
            h2.cancel(stream)
            await h2.heard()
        else:
            h1.send("POST", "/api", [("content-length", "100")])
            h1.writer.write(b"only this")
            h1.drop()
            await pop.connected(1)
        await pop.origin.connections_closed()
    assert pop.origin.requests == 0


async def test_a_preflight_is_answered_by_the_edge(tmp_path):
    cors = """
[cors.shops]
origins = ["https://shop.example"]
methods = ["GET", "HEAD", "PUT"]
headers = ["x-token"]
max_age = "2h"
"""
    async with running_pop(tmp_path, host='cors = "shops"', rules=ENTRY + cors) as pop:
        asking = ["-X", "OPTIONS", "-H", "Access-Control-Request-Method: PUT"]
        for flag in ("--http2", "--http1.1"):
            allowed = await pop.curl("/a", flag, *asking, "-H", "Origin: https://shop.example")
            assert (allowed.status, allowed.body) == (204, b"")
            assert allowed.fields["access-control-allow-origin"] == "https://shop.example"
            assert allowed.fields["access-control-allow-methods"] == "GET, HEAD, PUT"
            assert allowed.fields["access-control-allow-headers"] == "x-token"
            assert allowed.fields["access-control-max-age"] == "7200"
            other = await pop.curl("/a", flag, *asking, "-H", "Origin: https://other.example")
            assert other.status == 204
            assert not [name for name in other.fields if name.startswith("access-control-")]
        assert pop.origin.requests == 0


async def test_other_options_reach_the_origin(pop):
    pop.origin.on("OPTIONS", "/a").reply(204, allow="GET, OPTIONS")
    answer = await pop.curl("/a", "-X", "OPTIONS")
    assert (answer.status, answer.fields["allow"]) == (204, "GET, OPTIONS")
    assert (await pop.curl("/", "-X", "OPTIONS", "--request-target", "*")).status == 204
    assert pop.origin.requests == 1
