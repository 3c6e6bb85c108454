"""The slow rows of the table of floods, over real sockets: each peer is ended by its own deadline.

The clock of the edge is the test's, and so are its ticks: nothing here waits for time to pass.
Floods that are fast are in `test_floods.py`; how long each deadline is, to the second, in
`test_h2_slow_peers.py`.
"""

import asyncio
import ssl

import pytest
from hyperframe.frame import GoAwayFrame

from tests.support import h2_crowd as h2
from tests.support.barrier import settle
from tests.support.h2_peer import parse
from tests.support.raw import PATIENCE_SECONDS, PLAIN, block_of, clean, target
from tests.support.transports import drop

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SHUT = h2.frame(h2.SETTINGS, 0, 0, h2.INITIAL_WINDOW_SIZE.to_bytes(2) + bytes(4))
NARROW = h2.frame(h2.SETTINGS, 0, 0, h2.INITIAL_WINDOW_SIZE.to_bytes(2) + b"\0\0\0\1")
LARGE = bytes(100_000)
DEADLINE = range(10, 15)
CALM = 0xB  # ENHANCE_YOUR_CALM


def head(method: bytes, path: bytes) -> list[tuple[bytes, bytes]]:
    return [(b":method", method), (b":scheme", b"https"), (b":authority", PLAIN), (b":path", path)]


def get(path: bytes) -> bytes:
    return h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, block_of(head(b"GET", path)))


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the edge ends the connection."""
    try:
        return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""


async def seconds_until_over(site, reader: asyncio.StreamReader, each=None) -> tuple[int, bytes]:
    """Let second after second pass; return how many it took, and all that came."""
    await site.pop.connected(1)
    heard = asyncio.ensure_future(rest(reader))
    await settle(50)
    passed = 0
    while site.pop.worker.connections:
        assert passed < 200, "nobody ends it"
        if each is not None:
            each()
        await settle()
        passed += 1
        site.clock.advance(1)
        for connection in list(site.pop.worker._listeners[0]._connections):
            connection.tick(site.clock.monotonic())
        await settle()
    return passed, await heard


async def ended(site, protocol: str, octets: bytes, within: range) -> bytes:
    """Say that and no more; see that the connection ends within those seconds."""
    async with site.connected(protocol) as (reader, writer):
        writer.write(octets)
        passed, heard = await seconds_until_over(site, reader)
    assert passed in within
    return heard


def codes_of(heard: bytes) -> list[int]:
    """Return the codes of all GOAWAY."""
    return [each.error_code for each in parse(heard) if isinstance(each, GoAwayFrame)]


async def good_client_is_served(site) -> None:
    path = target()
    site.reply(path)
    assert await clean(site, path) == 1
    await site.pop.connected(0)


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x01\x02\x00\x01", b"\x16"])
async def test_a_slow_handshake(site, octets):
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.pop.port)
        try:
            writer.write(octets)
            passed, heard = await seconds_until_over(site, reader)
            assert passed in DEADLINE
            assert heard == b""
        finally:
            drop(writer)
    await good_client_is_served(site)


@pytest.mark.parametrize(
    "octets", [b"", PREFACE[:10], PREFACE], ids=["nothing", "half", "without SETTINGS"]
)
async def test_a_slow_preface(site, octets):
    await ended(site, "h2", octets, DEADLINE)
    await good_client_is_served(site)


@pytest.mark.parametrize("line", [b"GET / HT", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: "])
async def test_slow_headers_of_http_1(site, line):
    before = site.asked
    heard = await ended(site, "h1", line, DEADLINE)
    assert heard.startswith(b"HTTP/1.1 408 ") or not heard
    assert site.asked == before
    await good_client_is_served(site)


async def test_slow_headers_of_http_2(site):
    before = site.asked
    begun = h2.frame(h2.HEADERS, h2.END_STREAM, 1, block_of(head(b"GET", b"/slow"))[:9])
    heard = await ended(site, "h2", PREFACE + h2.frame(h2.SETTINGS, 0, 0, b"") + begun, DEADLINE)
    assert codes_of(heard) == [CALM]
    assert site.asked == before
    await good_client_is_served(site)


async def test_a_slow_body(site, protocol):
    path = target()
    site.reply(path, method="POST")
    if protocol == "h1":
        octets = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\nx" % path
    else:
        upload = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, block_of(head(b"POST", path)))
        octets = PREFACE + h2.frame(h2.SETTINGS, 0, 0, b"") + upload + h2.frame(h2.DATA, 0, 1, b"x")
    before = site.asked
    await ended(site, protocol, octets, range(10, 75))  # HTTP/2: the stream, then what idles
    assert site.asked == before
    await good_client_is_served(site)


@pytest.mark.parametrize("settings", [SHUT, NARROW], ids=["zero window", "one octet"])
async def test_a_window_that_stays_shut(site, settings):
    path = target()
    site.reply(path, LARGE)
    assert len((await site.get("h2", path)).body) == len(LARGE)
    async with site.connected("h2") as (reader, writer):
        writer.write(PREFACE + settings + get(path))
        passed, heard = await seconds_until_over(site, reader)
    assert passed in range(10, 35)
    assert codes_of(heard) == [CALM]
    await good_client_is_served(site)


async def test_an_idle_connection_is_not_kept_by_pings(site):
    """A PING is answered, and no reason to keep the place of a client that asks for nothing."""
    async with site.connected("h2") as (reader, writer):
        writer.write(PREFACE + h2.frame(h2.SETTINGS, 0, 0, b""))

        def keep() -> None:
            writer.write(h2.frame(h2.PING, 0, 0, b"keep me!"))

        passed, heard = await seconds_until_over(site, reader, keep)
    assert passed in range(60, 70)
    assert b"keep me!" in heard
    assert codes_of(heard) == [0, 0]
    await good_client_is_served(site)
