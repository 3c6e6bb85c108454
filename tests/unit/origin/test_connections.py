"""Tests for edgeproxy/origin/connections.py, and of the aiohttp internals that it relies on."""

import asyncio

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.connections import INFORMATIONAL_MAX, OriginConnection, OriginConnector
from edgeproxy.origin.settings import OriginSettings
from tests.support.barrier import Barrier, settle
from tests.support.outbound import content_of, origin_client, outbound

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
EVIL = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL"


async def word(client):
    with pytest.raises(UpstreamError) as caught:
        await content_of(await client.fetch(outbound()))
    return caught.value.word


async def test_contract_the_pool_makes_our_connections():
    connector = OriginConnector(OriginSettings(name="a", url="http://a"), None)
    made = connector._factory()
    assert type(made) is OriginConnection
    assert set(connector._open) == {made}
    await connector.close()


def test_contract_the_methods_that_are_overridden_exist():
    for name in ("set_response_params", "data_received", "feed_data", "connection_lost"):
        assert callable(getattr(ResponseHandler, name))
        assert name in vars(OriginConnection)


def test_contract_a_parsed_head_says_what_frames_its_content():
    assert {"code", "version", "raw_headers", "chunked"} <= set(dir(RawResponseMessage))


async def test_octets_on_an_idle_connection_are_nobodys_response(origin, client):
    origin.on("GET", "/").raw(OK)
    assert await content_of(await client.fetch(outbound())) == b"hi"
    await origin.say(EVIL)
    await origin.connections_closed()
    assert await content_of(await client.fetch(outbound())) == b"hi"
    assert origin.connections == 2


async def test_a_second_response_in_the_same_segment_is_nobodys(origin, client):
    origin.on("GET", "/").raw(OK + EVIL)
    for expected in (1, 2):
        assert await content_of(await client.fetch(outbound())) == b"hi"
        assert origin.connections == expected


async def test_a_second_response_behind_the_last_octet_of_content_is_nobodys(origin, client):
    origin.on("GET", "/").raw(OK[:-1], OK[-1:] + EVIL)
    for expected in (1, 2):
        assert await content_of(await client.fetch(outbound())) == b"hi"
        assert origin.connections == expected


async def test_a_server_that_speaks_first_is_not_believed():
    made = OriginConnection(asyncio.get_running_loop(), OriginSettings(name="a", url="http://a"))
    made.data_received(EVIL)
    assert made.should_close
    assert made.fault is not None


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n",
        b"HTTP/1.1 200 OK\na: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\n\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\r\n\tc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na:\r\n b\r\n\r\n",
    ],
)
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n"])
async def test_line_ends_that_split_responses(origin, client, head, interim):
    origin.on("GET", "/").raw(interim + head)
    assert await word(client) == "http_protocol_error"


@pytest.mark.parametrize("at", range(15, 27))
async def test_line_ends_are_judged_across_segments(origin, client, at):
    head = b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n"
    route = origin.on("GET", "/")
    route.raw(head[:at], head[at:])
    assert await word(client) == "http_protocol_error"
    route.replies.clear()
    good = b"HTTP/1.1 200 OK\r\na: b\r\nc: d\r\ncontent-length: 3\r\n\r\n\n\n "
    route.raw(good[:at], good[at:])
    assert await content_of(await client.fetch(outbound())) == b"\n\n "


async def test_content_may_hold_any_line_end(origin, client):
    body = b"a\nb\r\n c\r\n\r\nHTTP/1.1 1\n\n"
    origin.on("GET", "/").raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert await content_of(await client.fetch(outbound())) == body


async def test_a_storm_of_interim_responses_ends(origin, client):
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    route = origin.on("GET", "/")
    route.raw(interim * (INFORMATIONAL_MAX + 1) + OK)
    assert await word(client) == "http_protocol_error"
    route.replies.clear()
    route.raw(interim * INFORMATIONAL_MAX + OK)
    assert await content_of(await client.fetch(outbound())) == b"hi"


HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: x\r\nx: y\r\n\r\n"


@pytest.mark.parametrize("size", [1, 5, 4096])
async def test_interim_responses_are_handed_on_in_order(origin, client, size):
    whole = HINT + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 X\r\n\r\n" + OK
    origin.on("GET", "/").raw(*(whole[at : at + size] for at in range(0, len(whole), size)))
    heard = []
    request = outbound(interim=lambda status, section: heard.append((status, section.fields)))
    response = await client.fetch(request)
    assert response.fields == [(b"content-length", b"2")]
    assert await content_of(response) == b"hi"
    assert heard == [(103, ((b"link", b"</a>"),)), (199, ())]


async def test_nobody_has_to_listen(origin, client):
    origin.on("GET", "/").raw(HINT + OK)
    assert await content_of(await client.fetch(outbound())) == b"hi"


async def test_who_asked_last_is_forgotten_by_an_idle_connection(origin, client):
    origin.on("GET", "/").raw(HINT + OK)
    request = outbound(interim=lambda *_: None)
    assert await content_of(await client.fetch(request)) == b"hi"
    [connection] = client._connector._open
    assert connection.asides.interim is None


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 103 X\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 104 X\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 103 X\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 103 X\r\n\r\n",
        b"HTTP/1.1 103 X\r\na: b\x07c\r\n\r\n",
        b"\r\n\r\n",
    ],
)
async def test_interim_heads_that_are_none(origin, client, head):
    heard = []
    origin.on("GET", "/").raw(head + OK)
    with pytest.raises(UpstreamError) as caught:
        await client.fetch(outbound(interim=lambda *said: heard.append(said)))
    assert caught.value.word == "http_protocol_error"
    assert heard == []
    await origin.connections_closed()


async def test_fields_without_end_are_cut_short(origin):
    line = b"x: " + b"y" * 500 + b"\r\n"
    origin.on("GET", "/").raw(b"HTTP/1.1 200 OK\r\n", *[line] * 50).hold(gate := Barrier())
    gate.open()
    client = origin_client(origin.settings(response_section_bytes_max=4096))
    assert await word(client) == "http_response_header_section_size"
    await origin.connections_closed()
    await client.aclose()


async def test_a_line_without_end_is_cut_short(origin, client):
    origin.on("GET", "/").raw(b"HTTP/1.1 200 OK\r\nx: ", *[b"y" * 4096] * 10)
    assert await word(client) == "http_response_header_size"


async def test_too_many_lines_are_cut_short(origin, client):
    origin.on("GET", "/").raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n")
    assert await word(client) == "http_response_header_section_size"


async def test_a_large_content_behind_small_fields_is_no_large_section(origin):
    body = bytes(200_000)
    origin.on("GET", "/").raw(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + body)
    client = origin_client(origin.settings(response_section_bytes_max=100))
    assert await content_of(await client.fetch(outbound())) == body
    await client.aclose()


async def test_octets_that_the_kernel_still_holds_are_nobodys_response(origin, client):
    origin.on("GET", "/").raw(OK)
    assert await content_of(await client.fetch(outbound())) == b"hi"
    for writer in origin._open:
        writer.write(EVIL)  # sent at once; our loop does not run before the next request
    assert await content_of(await client.fetch(outbound())) == b"hi"
    assert origin.connections == 2


async def test_a_post_is_not_sent_to_a_connection_that_has_just_ended(origin, client):
    origin.on("POST", "/").reply()
    await client.fetch(outbound("POST"))
    origin.hang_up()
    await settle(3)
    assert (await client.fetch(outbound("POST"))).status == 200
