"""Whatever is wrong behind us has a name, and the status that RFC 9209 recommends for it.

Provoked one by one at a real origin and seen from outside, over HTTP/1.1 and HTTP/2. What happens
to content that is under way already is in `test_cut_bodies.py`; stale answers are in
`test_unreachable_origin.py`.
"""

import asyncio
import socket
from collections.abc import Callable

import aiohttp
import http_sf
import pytest

from tests.support.barrier import Barrier
from tests.support.origin import Route, ScriptedOrigin
from tests.support.pop import make_place, running_pop, scripted_origin, serving

OK = b"HTTP/1.1 200 OK\r\n"


def word_of(reply) -> tuple[int, str]:
    """Return status and error; everything else about such an answer holds for all of them."""
    ((identifier, parameters),) = http_sf.parse(reply["proxy-status"].encode(), tltype="list")
    assert (str(identifier), parameters.keys()) == ("fra1", {"error"})
    assert isinstance(parameters["error"], http_sf.Token)
    assert (reply["cache-control"], reply["cache-status"]) == ("no-store", "")
    assert reply["date"]
    return reply.status, str(parameters["error"])


async def asked_twice(pop, path: str = "/a") -> tuple[int, str]:
    async with pop.h2() as h2, pop.h1() as h1:
        answers = {word_of(await h2.get(path)), word_of(await h1.get(path))}
    assert len(answers) == 1
    return answers.pop()


async def answer_of(tmp_path, url: str, origin: str = "") -> tuple[int, str]:
    place = make_place(tmp_path)
    async with (
        scripted_origin(place.ca) as unused,
        serving(place.text(url, origin=origin), tmp_path, unused, place.ca.path) as pop,
    ):
        return await asked_twice(pop)


# --- no connection --------------------------------------------------------------------------------


async def unknown(*_: object, **__: object) -> list[object]:
    raise OSError(socket.EAI_NONAME, "the name is not known")


async def silent(*_: object, **__: object) -> list[object]:
    return await asyncio.get_running_loop().create_future()


async def test_a_name_that_nobody_knows(tmp_path, monkeypatch):
    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", unknown)
    assert await answer_of(tmp_path, "https://origin.invalid") == (502, "dns_error")


async def test_a_name_server_that_says_nothing(tmp_path, monkeypatch):
    """Who asks while that goes on waits for the same answer, and hears the same."""
    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", silent)
    place = make_place(tmp_path)
    text = place.text("https://origin.invalid", origin='connect_timeout = "100ms"')
    async with (
        scripted_origin(place.ca) as unused,
        serving(text, tmp_path, unused, place.ca.path) as pop,
        pop.h2() as client,
    ):
        assert word_of(await client.get("/a")) == (504, "dns_timeout")
        assert word_of(await client.get("/a")) == (504, "dns_timeout")


async def test_nobody_listens(tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{sock.getsockname()[1]}"
        assert await answer_of(tmp_path, url) == (502, "connection_refused")


async def test_somebody_listens_and_says_nothing(tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        url = f"https://127.0.0.1:{sock.getsockname()[1]}"
        answer = await answer_of(tmp_path, url, 'connect_timeout = "100ms"')
    assert answer == (504, "connection_timeout")


async def test_all_connections_are_in_use(tmp_path):
    limits = 'connections_max = 1\nconnect_timeout = "500ms"'
    async with running_pop(tmp_path, origin=limits) as pop:
        pop.origin.on("GET", "/held").reply(200).hold(held := Barrier())
        async with pop.h2() as client:
            waiting = client.send("GET", "/held")
            await held.reached()
            assert await asked_twice(pop) == (503, "connection_limit_reached")
            held.open()
            assert (await waiting.whole()).status == 200
        assert pop.origin.requests == 1


# --- no TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("babble", "word"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "tls_protocol_error"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "tls_alert_received"),
    ],
)
async def test_the_handshake_fails(tmp_path, babble, word):
    async with ScriptedOrigin(babble=babble) as origin:
        url = origin.url.replace("http:", "https:")
        assert await answer_of(tmp_path, url) == (502, word)


async def test_the_origin_is_somebody_else(tmp_path):
    place = make_place(tmp_path)
    async with ScriptedOrigin(place.ca.issue("elsewhere.test").server_context()) as origin:
        async with serving(place.text(origin.url), tmp_path, origin, place.ca.path) as pop:
            assert await asked_twice(pop) == (502, "tls_certificate_error")
        assert origin.requests == 0


# --- no answer ------------------------------------------------------------------------------------


def drops(route: Route) -> None:
    route.drop()


def says(*segments: bytes) -> Callable[[Route], None]:
    def script(route: Route) -> None:
        route.raw(*segments).cut(len(segments))

    return script


def head(*lines: bytes) -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CODED = b"transfer-encoding: gzip, chunked"
ANSWERS = [
    (drops, 502, "connection_terminated"),
    (says(OK), 502, "http_response_incomplete"),
    (says(OK, b"content-len"), 502, "http_response_incomplete"),
    (says(head(b"x: " + b"x" * 17_000)), 502, "http_response_header_size"),
    (says(head(*[b"x: 1"] * 200)), 502, "http_response_header_section_size"),
    (says(head(*[b"x: " + b"x" * 9_000] * 9)), 502, "http_response_header_section_size"),
    (says(head(CODED) + b"0\r\n\r\n"), 502, "http_response_transfer_coding"),
    (says(b"HTTP/1.1 099 Early\r\n\r\n"), 502, "http_protocol_error"),
    (says(b"HTTP/1.1 600 Late\r\ncontent-length: 0\r\n\r\n"), 502, "http_protocol_error"),
    (says(b"HTTP/1.1 999 Later\r\ncontent-length: 0\r\n\r\n"), 502, "http_protocol_error"),
    (says(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), 502, "http_protocol_error"),
    (says(b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n"), 502, "http_protocol_error"),
    (says(b"220 smtp.example ESMTP\r\n\r\n"), 502, "http_protocol_error"),
    (says(head(b"content-length: 1", b"content-length: 2")), 502, "http_protocol_error"),
    (says(head(b"content-length: -1")), 502, "http_protocol_error"),
    (says(head(b"x: a\0b", b"content-length: 0")), 502, "http_protocol_error"),
    (says(head(b"x : 1", b"content-length: 0")), 502, "http_protocol_error"),
    (says(head(b"x: 1", b" folded", b"content-length: 0")), 502, "http_protocol_error"),
]


@pytest.mark.parametrize(("script", "status", "word"), ANSWERS)
async def test_what_is_no_answer_has_a_name(tmp_path, script, status, word):
    """RFC 9110 section 15: a status beyond 100 to 599 is as bad as a 5xx."""
    async with running_pop(tmp_path, origin="retries = 0") as pop:
        script(pop.origin.on("GET", "/a"))
        assert await asked_twice(pop) == (status, word)
        assert pop.store.objects == 0
        assert pop.counters.origin_errors == {word: 2}
        pop.origin.on("GET", "/b").reply(200, b"x", cache_control="max-age=60")
        async with pop.h2() as client:
            assert (await client.get("/b")).status == 200


async def test_an_origin_that_hesitates(tmp_path):
    async with running_pop(tmp_path, origin='first_byte_timeout = "100ms"') as pop:
        pop.origin.on("GET", "/a").reply(200).hold(Barrier())
        assert await asked_twice(pop) == (504, "http_response_timeout")


async def test_an_origin_that_takes_no_content_is_not_waited_for(tmp_path):
    settings = 'between_bytes_timeout = "100ms"'
    async with running_pop(tmp_path, origin=settings) as pop:
        pop.origin.on("PUT", "/a").reply(200).unread(Barrier())
        async with pop.h2() as client:
            sending = client.send("PUT", "/a", is_end=False)
            upload = asyncio.ensure_future(client.send_on(sending, bytes(32 * 1024 * 1024)))
            try:
                async with asyncio.timeout(30):
                    await sending.begun.wait()
            finally:
                upload.cancel()
                await asyncio.wait({upload})
        assert word_of(sending) == (504, "connection_write_timeout")


@pytest.mark.parametrize(
    ("method", "body", "times"),
    [
        ("GET", b"", 2),
        ("HEAD", b"", 2),
        ("DELETE", b"", 2),
        ("OPTIONS", b"", 2),
        ("PUT", b"x", 1),
        ("POST", b"", 1),
        ("PATCH", b"x", 1),
        ("REPORT", b"", 1),
    ],
)
async def test_only_what_may_happen_twice_is_asked_twice(tmp_path, method, body, times):
    """RFC 9110 section 9.2.2: where a connection that had been idle ends instead of an answer."""
    async with running_pop(tmp_path) as pop:
        pop.origin.on("GET", "/warm").reply(200)
        route = pop.origin.on(method, "/a")
        route.drop()
        route.reply(200)
        async with pop.h2() as client:
            await client.get("/warm")
            reply = await client.send(method, "/a", body=body).whole()
        assert (reply.status, pop.origin.requests - 1) == (200 if times == 2 else 502, times)
        if times == 1:
            assert word_of(reply) == (502, "connection_terminated")


# --- what others said of it -----------------------------------------------------------------------


async def test_ours_stands_behind_what_a_proxy_nearer_to_the_origin_said(tmp_path):
    """RFC 9209 section 2; a status that the origin did send is passed on without a word of ours."""
    theirs = "shield; error=dns_error"
    async with running_pop(tmp_path) as pop:
        route = pop.origin.on("GET", "/a")
        route.reply(502, b"", proxy_status=theirs)
        async with pop.h2() as client:
            reply = await client.get("/a")
        assert (reply.status, reply["proxy-status"]) == (502, theirs)
