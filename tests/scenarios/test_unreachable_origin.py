"""An origin that is down, slow or an impostor: what is stale serves for its time, then errors."""

import asyncio
import socket

import pytest

from tests.support.barrier import Barrier, settle
from tests.support.ca import LocalCa
from tests.support.origin import ScriptedOrigin
from tests.support.pop import (
    ENTRY,
    ORIGIN_NAME,
    clock_of_today,
    make_place,
    running_pop,
    scripted_origin,
    serving,
)

DAY = 86_400


def error(word: str) -> str:
    return f"fra1; error={word}"


async def status_of(pop, path: str = "/a") -> tuple[int, str, str]:
    """Ask over both protocols, which must agree."""
    async with pop.h2() as h2, pop.h1() as h1:
        newer, older = await h2.get(path), await h1.get(path)
    for reply in (newer, older):
        assert reply["cache-control"] == "no-store"
        assert int(reply["content-length"]) == len(reply.body) > 0
    answers = {
        (reply.status, reply["proxy-status"], reply["cache-status"]) for reply in (newer, older)
    }
    assert len(answers) == 1
    return answers.pop()


@pytest.fixture
def free_port():
    """A port on which nobody listens, kept from others meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def silent_port():
    """A port where connections come about and nothing is ever said."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


async def answer_of(tmp_path, url: str, **tables) -> tuple[int, str, str]:
    place = make_place(tmp_path)
    text = place.text(url, **tables)
    async with (
        scripted_origin(place.ca) as unused,
        serving(text, tmp_path, unused, place.ca.path) as pop,
    ):
        return await status_of(pop)


async def test_nobody_listens(tmp_path, free_port):
    answer = await answer_of(tmp_path, f"https://127.0.0.1:{free_port}")
    assert answer == (502, error("connection_refused"), "")


async def test_connecting_takes_too_long(tmp_path, silent_port):
    url = f"https://127.0.0.1:{silent_port}"
    answer = await answer_of(tmp_path, url, origin='connect_timeout = "100ms"')
    assert answer == (504, error("connection_timeout"), "")


async def test_the_fields_take_too_long(tmp_path):
    async with running_pop(tmp_path, origin='first_byte_timeout = "100ms"') as pop:
        pop.origin.on("GET", "/a").reply(200).hold(Barrier())
        assert await status_of(pop) == (504, error("http_response_timeout"), "")


@pytest.mark.parametrize("rules", [ENTRY, ENTRY.replace('"entry"', '"pass"'), ""])
async def test_the_content_stops_coming(tmp_path, rules):
    """Too late for another status: the response that was begun is broken off."""
    chunks = [b"x" * 1000] * 2
    async with running_pop(tmp_path, rules=rules, origin='between_bytes_timeout = "100ms"') as pop:
        pop.origin.on("GET", "/a").reply(200, chunks).pause(1, Barrier())
        code, body = await pop.curl_exit("/a", "--http1.1")
        assert code in {18, 56}  # a partial file, or a reset
        assert chunks[0].startswith(body)
        assert pop.counters.origin_errors == {"connection_read_timeout": 1}


@pytest.mark.parametrize("impostor", ["other authority", "other name", "expired"])
async def test_who_cannot_prove_to_be_the_origin_is_asked_nothing(tmp_path, impostor):
    place = make_place(tmp_path)
    ca = LocalCa(tmp_path / "other") if impostor == "other authority" else place.ca
    name = "elsewhere.test" if impostor == "other name" else ORIGIN_NAME
    leaf = ca.issue(name, days=-1 if impostor == "expired" else 30)
    async with ScriptedOrigin(leaf.server_context()) as false_origin:
        text = place.text(false_origin.url)
        async with serving(text, tmp_path, false_origin, place.ca.path) as pop:
            assert await status_of(pop) == (502, error("tls_certificate_error"), "")
        assert false_origin.requests == 0


async def test_no_tls_where_tls_is_due(tmp_path):
    async with ScriptedOrigin(babble=b"HTTP/1.1 400 Bad Request\r\n\r\n") as plain:
        url = f"https://127.0.0.1:{plain.port}"
        assert await answer_of(tmp_path, url) == (502, error("tls_protocol_error"), "")


async def test_what_is_not_http_is_not_passed_on(tmp_path):
    async with running_pop(tmp_path) as pop:
        pop.origin.on("GET", "/a").raw(b"220 smtp.example ESMTP\r\n\r\n")
        assert await status_of(pop) == (502, error("http_protocol_error"), "")


async def ask(pop):
    """Ask on a connection of its own: a clock that leaps takes the old ones beyond their time."""
    async with pop.h2() as client:
        return await client.get("/a")


async def test_stale_serves_for_its_time_and_then_errors_do(tmp_path):
    clock = clock_of_today()
    async with running_pop(tmp_path, rules=ENTRY, clock=clock) as pop:
        route = pop.origin.on("GET", "/a")
        route.reply(200, b"good")
        route.drop()
        await ask(pop)

        clock.advance(61)  # stale-while-revalidate: at once, and asked in the background
        reply = await ask(pop)
        assert (reply.status, reply.body) == (200, b"good")
        assert reply["cache-status"] == "fra1; hit; ttl=-1; detail=stale-while-revalidate"
        await pop.fills_ended()

        clock.advance(300)  # stale-if-error: after the origin was asked in vain
        reply = await ask(pop)
        assert (reply.status, reply.body, reply["age"]) == (200, b"good", "361")
        assert reply["cache-status"] == "fra1; fwd=stale; ttl=-301; detail=stale-if-error"
        assert reply["proxy-status"] == error("connection_terminated")

        clock.advance(DAY - 302)
        assert (await ask(pop)).status == 200
        clock.advance(2)
        reply = await ask(pop)
        assert (reply.status, reply["proxy-status"]) == (502, error("connection_terminated"))
        assert reply.body != b"good"
        assert pop.counters.stale_served == {"while-revalidate": 1, "error": 2}


async def test_an_origin_that_comes_back_is_used_again(tmp_path):
    clock = clock_of_today()
    async with running_pop(tmp_path, rules=ENTRY, clock=clock) as pop:
        route = pop.origin.on("GET", "/a")
        route.reply(200, b"old")
        route.reply(503, b"down")
        route.reply(200, b"new")
        assert (await ask(pop)).body == b"old"
        clock.advance(400)
        reply = await ask(pop)
        assert (reply.status, reply.body) == (200, b"old")
        assert "fwd-status=503" in reply["cache-status"]
        reply = await ask(pop)
        assert (reply.body, reply["cache-status"]) == (b"new", "fra1; fwd=stale; stored")


async def test_connections_to_the_origin_are_used_again(tmp_path):
    async with running_pop(tmp_path) as pop:
        for number in range(20):
            pop.origin.on("GET", f"/{number}").reply(200, b"x" * number)
        async with pop.h2() as client, pop.h1() as older:
            for number in range(0, 20, 2):
                await client.get(f"/{number}")
                await older.get(f"/{number + 1}")
    assert (pop.origin.requests, pop.origin.connections) == (20, 1)


async def test_a_connection_that_the_origin_closed_meanwhile_costs_nobody_anything(tmp_path):
    async with running_pop(tmp_path) as pop:
        pop.origin.on("GET", "/a").reply(200, b"x", cache_control="no-store")
        async with pop.h2() as client:
            for _ in range(5):
                assert (await client.get("/a")).status == 200
                pop.origin.hang_up()
        assert (pop.origin.requests, pop.origin.connections) == (5, 5)


async def test_a_crowd_at_a_dead_origin_is_told_at_once(tmp_path):
    """One attempt answers all: the crowd does not fall on what is down already."""
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/a").drop().hold(held := Barrier())
        async with pop.h2() as client:
            streams = [client.send("GET", "/a") for _ in range(50)]
            await client.heard()
            await held.reached()
            await settle(4 * len(streams))  # each begins in a turn of its own
            held.open()
            async with asyncio.timeout(10):
                statuses = {(await stream.whole()).status for stream in streams}
        assert statuses == {502}
        assert pop.origin.requests == 1
