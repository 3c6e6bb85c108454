"""Tests for edgeproxy/origin/client.py: real sockets, real TLS, an origin that follows a script."""

import asyncio
import socket

import pytest

from edgeproxy.clock import SystemClock
from edgeproxy.errors import CertificateError, DownstreamError, UpstreamError
from edgeproxy.origin.client import Origin
from edgeproxy.origin.settings import OriginSettings
from tests.support.barrier import Barrier
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock
from tests.support.origin import ScriptedOrigin
from tests.support.outbound import content_of, origin_client, outbound, pieces


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


async def failure(client, request=None):
    with pytest.raises(UpstreamError) as caught:
        await client.fetch(request or outbound())
    return caught.value


async def tls_failure(ca, context, **chosen):
    """Fetch from a TLS origin that must not be believed; return the error."""
    async with ScriptedOrigin(context) as scripted:
        client = origin_client(scripted.settings(ca.path, **chosen))
        try:
            return await failure(client)
        finally:
            await client.aclose()
            assert scripted.requests == 0


async def test_a_response_arrives_whole(origin, client):
    origin.on("GET", "/a").reply(200, body=b"hello", cache_control="max-age=60")
    response = await client.fetch(outbound("GET", "/a"))
    assert response.status == 200
    assert response.fields == [(b"cache-control", b"max-age=60"), (b"content-length", b"5")]
    assert (response.content_length, response.is_delimited) == (5, True)
    assert await content_of(response) == b"hello"


async def test_the_times_are_the_clocks(origin):
    origin.on("GET", "/").reply().hold(gate := Barrier())
    clock = ManualClock(1000.0)
    client = Origin(origin.settings(), identifier="edgeproxy", clock=clock)
    fetching = asyncio.ensure_future(client.fetch(outbound()))
    await gate.reached()
    clock.advance(7)
    gate.open()
    response = await fetching
    assert (response.request_time, response.response_time) == (1000.0, 1007.0)
    await client.aclose()


async def test_what_is_really_sent(origin, client):
    target = "//a%2Fb;c/../d?x=%20&y=[1]|{}&&?"
    origin.on("GET", target).reply()
    fields = [(b"b", b"1"), (b"accept-encoding", b"br"), (b"b", b"caf\xe9"), (b"a", "é".encode())]
    await client.fetch(outbound("GET", target, fields))
    assert origin.received[0].head == (
        b"GET " + target.encode() + b" HTTP/1.1\r\n"
        b"host: origin.test\r\n"
        b"b: 1\r\naccept-encoding: br\r\nb: caf\xe9\r\na: \xc3\xa9\r\n"
        b"via: 2 edgeproxy\r\ncdn-loop: edgeproxy\r\n"
        b"forwarded: for=192.0.2.7;by=_edgeproxy;host=widgets.example;proto=https\r\n"
        b'surrogate-capability: edgeproxy="Surrogate/1.0"\r\n\r\n'
    )


async def test_a_lone_question_mark_is_another_target(origin, client):
    origin.on("GET", "/a?").reply(body=b"empty query")
    assert await content_of(await client.fetch(outbound("GET", "/a?"))) == b"empty query"


async def test_connections_are_used_again(origin, client):
    origin.on("GET", "/").reply(body=b"x").chunked()
    for _ in range(3):
        await content_of(await client.fetch(outbound()))
    assert (origin.requests, origin.connections) == (3, 1)


@pytest.mark.parametrize("status", [301, 304, 401, 404, 500, 503])
async def test_every_final_status_is_passed_on(origin, client, status):
    origin.on("GET", "/").reply(status, location="https://elsewhere.example/")
    response = await client.fetch(outbound())
    assert response.status == status
    assert origin.requests == 1


async def test_content_is_not_decoded_and_cookies_are_not_kept(origin, client):
    fields = [(b"content-encoding", b"gzip"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    origin.on("GET", "/").reply(body=b"not gzip at all", fields=fields)
    for _ in range(2):
        response = await client.fetch(outbound())
        assert await content_of(response) == b"not gzip at all"
        assert response.fields[:3] == fields
    assert origin.received[1].values(b"cookie") == []


@pytest.mark.parametrize("status", [204, 304])
async def test_responses_without_content_free_the_connection_at_once(origin, client, status):
    origin.on("GET", "/").reply(status)
    for _ in range(2):
        assert (await client.fetch(outbound())).is_delimited
    assert origin.connections == 1


async def test_head_has_fields_but_no_content(origin, client):
    origin.on("HEAD", "/").reply(body=b"12345")
    response = await client.fetch(outbound("HEAD"))
    assert (response.content_length, await content_of(response)) == (5, b"")


async def test_content_without_length_ends_with_the_connection(origin, client):
    origin.on("GET", "/").reply(body=b"hello").until_close()
    response = await client.fetch(outbound())
    assert not response.is_delimited
    assert response.content_length is None
    assert await content_of(response) == b"hello"


async def test_interim_responses_are_skipped(origin, client):
    origin.on("GET", "/").raw(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    )
    response = await client.fetch(outbound())
    assert response.fields == [(b"content-length", b"2")]
    assert await content_of(response) == b"hi"


async def test_content_is_sent_with_its_length_or_in_chunks(origin, client):
    origin.on("POST", "/").reply(201)
    counted = outbound("POST", body=pieces(b"abc", b"", b"de"), content_length=5)
    assert (await client.fetch(counted)).status == 201
    assert (await client.fetch(outbound("POST", body=pieces(b"ab", b"", b"cd")))).status == 201
    assert (await client.fetch(outbound("POST"))).status == 201
    assert [each.body for each in origin.received] == [b"abcde", b"abcd", b""]
    assert origin.connections == 1


async def test_a_client_that_breaks_off_is_not_the_origins_fault(origin, client):
    async def broken():
        yield b"abc"
        raise DownstreamError(400, "client-gone")

    with pytest.raises(DownstreamError):
        await client.fetch(outbound("POST", body=broken(), content_length=10))
    await origin.connections_closed()
    assert origin.requests == 0


@pytest.mark.parametrize("length", [2, 4])
async def test_content_that_is_not_as_long_as_announced_never_completes(origin, client, length):
    error = await failure(client, outbound("POST", body=pieces(b"abc"), content_length=length))
    assert error.word == "proxy_internal_error"
    await origin.connections_closed()
    assert origin.requests == 0


async def test_an_origin_that_answers_early_is_heard(origin, client):
    async def endless():
        yield b"abc"
        await asyncio.Event().wait()

    origin.on("POST", "/").reply(413).early()
    response = await client.fetch(outbound("POST", body=endless()))
    assert response.status == 413
    await response.body.aclose()
    await origin.connections_closed()


# --- deadlines ---------------------------------------------------------------------------------


async def test_no_first_octet_in_time(origin):
    origin.on("GET", "/").reply().hold(Barrier())
    client = origin_client(origin.settings(first_byte_timeout_seconds=0.05))
    error = await failure(client)
    assert (error.word, error.status) == ("http_response_timeout", 504)
    await origin.connections_closed()
    assert origin.requests == 1
    await client.aclose()


async def test_waiting_for_a_connection_has_an_end(origin):
    origin.on("GET", "/").reply().hold(gate := Barrier())
    settings = origin.settings(connections_max=1, connect_timeout_seconds=0.05)
    client = origin_client(settings)
    first = asyncio.ensure_future(client.fetch(outbound()))
    await gate.reached()
    error = await failure(client)
    assert (error.word, error.status) == ("connection_limit_reached", 503)
    gate.open()
    await first
    await client.aclose()


async def test_one_client_does_not_hold_the_whole_pool(origin):
    gate, never = Barrier(), Barrier()
    origin.on("GET", "/slow").reply(body=[b"begun", b"rest"]).pause(1, gate)
    origin.on("GET", "/hangs").reply().hold(never)
    origin.on("GET", "/a").reply(body=b"x")
    client = origin_client(origin.settings(connections_max=4, connect_timeout_seconds=0.05))
    slow = [await client.fetch(outbound("GET", "/slow")) for _ in range(2)]
    hanging = asyncio.ensure_future(client.fetch(outbound("GET", "/hangs")))
    await never.reached()
    error = await failure(client, outbound("GET", "/a"))
    assert (error.word, error.status) == ("connection_limit_reached", 503)
    assert await content_of(await client.fetch(outbound("GET", "/a", client="192.0.2.8"))) == b"x"

    await slow[0].body.aclose()
    assert await content_of(await client.fetch(outbound("GET", "/a"))) == b"x"
    hanging.cancel()
    gate.open()
    assert await content_of(slow[1]) == b"begunrest"
    await client.aclose()


async def test_a_handshake_that_hangs(origin):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = OriginSettings(
            name="a", url=f"https://127.0.0.1:{port}", connect_timeout_seconds=0.05
        )
        client = origin_client(settings)
        error = await failure(client)
        assert (error.word, error.status) == ("connection_timeout", 504)
        await client.aclose()


async def test_cancelling_closes_the_connection(origin, client):
    origin.on("GET", "/").reply().hold(gate := Barrier())
    fetching = asyncio.ensure_future(client.fetch(outbound()))
    await gate.reached()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    gate.open()
    await origin.connections_closed()


# --- repeating ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
async def test_an_idle_connection_that_died_is_replaced(origin, client, reset):
    route = origin.on("GET", "/")
    route.reply(body=b"1")
    route.drop(reset=reset)
    route.reply(body=b"2")
    assert await content_of(await client.fetch(outbound())) == b"1"
    assert await content_of(await client.fetch(outbound())) == b"2"
    assert (origin.requests, origin.connections) == (3, 2)


async def test_all_idle_connections_are_dropped_when_one_died(origin, client):
    route = origin.on("GET", "/")
    route.reply(body=b"x").hold(gate := Barrier())
    both = [asyncio.ensure_future(client.fetch(outbound())) for _ in range(2)]
    await gate.reached(2)
    gate.open()
    for each in both:
        await content_of(await each)
    route.replies.clear()
    route.drop()
    route.reply(body=b"fresh")
    assert await content_of(await client.fetch(outbound())) == b"fresh"
    assert origin.connections == 3


async def test_a_post_is_never_repeated(origin, client):
    origin.on("GET", "/").reply()
    origin.on("POST", "/").drop()
    await client.fetch(outbound())
    error = await failure(client, outbound("POST"))
    assert (error.word, error.status, error.is_retryable) == ("connection_terminated", 502, False)
    assert origin.requests == 2


async def test_content_that_was_touched_is_never_sent_again(origin, client):
    origin.on("GET", "/").reply()
    origin.on("PUT", "/").drop()
    await client.fetch(outbound())
    assert not (await failure(client, outbound("PUT", body=pieces(b"a")))).is_retryable
    assert origin.requests == 2


async def test_a_fresh_connection_that_dies_is_an_answer(origin, client):
    origin.on("GET", "/").drop()
    assert (await failure(client)).word == "connection_terminated"
    assert origin.requests == 1


async def test_a_response_that_has_begun_is_never_asked_for_again(origin, client):
    route = origin.on("GET", "/")
    route.reply()
    route.raw(b"HTTP/1.1 200 OK\r\n").cut(1)
    await client.fetch(outbound())
    assert (await failure(client)).word == "http_response_incomplete"
    assert origin.requests == 2


async def test_retries_can_be_turned_off(origin):
    route = origin.on("GET", "/")
    route.reply()
    route.drop()
    client = origin_client(origin.settings(retries=0))
    await client.fetch(outbound())
    assert (await failure(client)).word == "connection_terminated"
    await client.aclose()


# --- not reaching anybody ----------------------------------------------------------------------


async def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = origin_client(OriginSettings(name="a", url=f"http://127.0.0.1:{port}"))
    error = await failure(client)
    assert (error.word, error.status) == ("connection_refused", 502)
    assert not (await failure(client, outbound("POST"))).is_retryable
    await client.aclose()


class Resolver:
    """Answers from a table; counts."""

    def __init__(self, table):
        self.table = table
        self.asked = 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked += 1
        if host not in self.table:
            raise OSError(None, "unknown")
        return [
            {
                "hostname": host,
                "host": self.table[host],
                "port": port,
                "family": family,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self):
        pass


class SilentResolver(Resolver):
    async def resolve(self, host, port=0, family=socket.AF_INET):
        await asyncio.Event().wait()


def named(origin, resolver, **chosen):
    url = f"http://assets.test:{origin.port}"
    return Origin(
        origin.settings(url=url, keepalive_seconds=0, **chosen),
        identifier="edgeproxy",
        clock=SystemClock(),
        resolver=resolver,
    )


async def test_names_are_resolved_again_after_their_time(origin):
    origin.on("GET", "/").reply()
    resolver = Resolver({"assets.test": "127.0.0.1"})
    kept = named(origin, resolver, dns_ttl_seconds=60)
    for _ in range(2):
        await kept.fetch(outbound())
    assert resolver.asked == 1
    fresh = named(origin, resolver, dns_ttl_seconds=0)
    for _ in range(2):
        await fresh.fetch(outbound())
    assert resolver.asked == 3
    assert origin.connections == 4
    await kept.aclose()
    await fresh.aclose()


async def test_a_name_that_does_not_resolve(origin):
    client = named(origin, Resolver({}))
    error = await failure(client)
    assert (error.word, error.status) == ("dns_error", 502)
    await client.aclose()


async def test_a_name_server_that_is_silent(origin):
    client = named(origin, SilentResolver({}), connect_timeout_seconds=0.05)
    error = await failure(client)
    assert (error.word, error.status) == ("dns_timeout", 504)
    await client.aclose()


async def test_a_closed_origin_fetches_nothing(client):
    await client.aclose()
    assert (await failure(client)).word == "destination_unavailable"


async def test_closing_cuts_what_is_being_read(origin, client):
    origin.on("GET", "/").reply(body=[b"a", b"b"]).pause(1, gate := Barrier())
    response = await client.fetch(outbound())
    await gate.reached()
    await client.aclose()
    with pytest.raises(UpstreamError, match="http_response_incomplete"):
        await content_of(response)


# --- TLS ---------------------------------------------------------------------------------------


async def test_the_certificate_must_be_for_the_configured_name(ca):
    leaf = ca.issue("origin.test")
    seen = []
    context = leaf.server_context()
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    async with ScriptedOrigin(context) as scripted:
        scripted.on("GET", "/").reply(body=b"secret")
        client = origin_client(scripted.settings(ca.path))
        request = outbound(authority=b"client.example")
        assert await content_of(await client.fetch(request)) == b"secret"
        assert scripted.received[0].values(b"host") == [b"origin.test"]
        assert seen == ["origin.test"]
        await client.aclose()


async def test_an_address_may_be_the_name(ca):
    async with ScriptedOrigin(ca.issue("127.0.0.1").server_context()) as scripted:
        scripted.on("GET", "/").reply(body=b"x")
        client = origin_client(scripted.settings(ca.path, host=f"127.0.0.1:{scripted.port}"))
        assert await content_of(await client.fetch(outbound())) == b"x"
        await client.aclose()


async def test_a_certificate_for_another_name(ca):
    error = await tls_failure(ca, ca.issue("other.test").server_context())
    assert (error.word, error.status, error.is_retryable) == ("tls_certificate_error", 502, False)
    assert "Hostname mismatch" in error.detail


async def test_a_certificate_of_another_authority(ca, tmp_path):
    other = LocalCa(tmp_path / "other", "other root")
    error = await tls_failure(ca, other.issue("origin.test").server_context())
    assert error.word == "tls_certificate_error"


async def test_an_expired_certificate(ca):
    error = await tls_failure(ca, ca.issue("origin.test", days=-1).server_context())
    assert (error.word, error.detail) == ("tls_certificate_error", "certificate has expired")


async def test_a_chain_without_its_intermediate(ca):
    leaf = ca.intermediate().issue("origin.test")
    whole = leaf.chain_path.read_bytes()
    leaf.chain_path.write_bytes(whole[: whole.index(b"-----END") + 26])
    error = await tls_failure(ca, leaf.server_context())
    assert error.word == "tls_certificate_error"


async def test_an_origin_that_does_not_speak_tls(ca):
    async with ScriptedOrigin(babble=b"HTTP/1.1 400 Bad Request\r\n\r\n") as scripted:
        url = scripted.url.replace("http:", "https:")
        client = origin_client(scripted.settings(ca.path, url=url))
        error = await failure(client)
        assert (error.word, error.status) == ("tls_protocol_error", 502)
        await client.aclose()


async def test_an_origin_that_refuses_the_handshake(ca):
    handshake_failure = b"\x15\x03\x03\x00\x02\x02\x28"
    async with ScriptedOrigin(babble=handshake_failure) as scripted:
        url = scripted.url.replace("http:", "https:")
        client = origin_client(scripted.settings(ca.path, url=url))
        error = await failure(client)
        assert (error.word, error.status) == ("tls_alert_received", 502)
        await client.aclose()


def test_trust_anchors_are_read_when_it_is_made(tmp_path):
    settings = OriginSettings(name="a", url="https://a", ca_file=tmp_path / "absent.pem")
    with pytest.raises(CertificateError, match="no such file"):
        origin_client(settings)


@pytest.mark.parametrize("identifier", ["", "a b", "a\r\nb", "é"])
def test_an_identifier_that_is_no_token(identifier):
    settings = OriginSettings(name="a", url="http://a")
    with pytest.raises(ValueError, match="token"):
        Origin(settings, identifier=identifier, clock=SystemClock())
