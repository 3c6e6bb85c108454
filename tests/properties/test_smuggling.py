"""Whatever a client writes, the origin gets whole requests, one for each that the edge accepted.

Real octets through a whole point of presence. The parser that judges both sides is the one of
`tests/support/strict_origin.py`, written from the grammar of RFC 9112 and sharing nothing with the
product: what reached the origin must be, in order, among what it reads in the client's octets, and
every answer of the origin must have reached the client whose request it was.
"""

import asyncio
import re
import ssl
from itertools import count
from types import SimpleNamespace

import h2.exceptions
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.h1_client import PATIENCE_SECONDS
from tests.support.h2_client import StreamBrokenError
from tests.support.pop import ORIGIN_NAME, clock_of_today, make_place, serving
from tests.support.strict_origin import FramingError, Parser, StrictOrigin, UnfinishedError
from tests.support.transports import drop

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUNDED = settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
_numbers = count()

# Whatever a client has begun ends with this: content and chunks are full (none here is longer),
# lines are over, and what is left are more empty lines than anybody may send.
END = b"\r\n" * 64
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"

lines_end = st.sampled_from(
    [b"\r\n"] * 8 + [b"\n", b"\r", b"\r\n ", b"\n\r\n", b"\r\r\n", b"\0\r\n"]
)
methods = st.sampled_from([b"POST"] * 8 + [b"GET"] * 4 + [b"PUT", b"HEAD", b"post", b"PO ST", b""])
targets = st.sampled_from(
    [b"/%d"] * 14
    + [
        b"https://localhost/%d",
        b"https://evil.example/%d",
        b"http://localhost/%d",
        b"//evil.example/%d",
        b"/%d/../x",
        b"/%d%%0d%%0ax: y",
        b"/%d x",
        b"/%d#x",
        b"/%d\0",
        b"/%d\xff",
        b"/%d HTTP/1.1\nx: y",
        b"*",
        b"",
    ]
)
versions = st.sampled_from(
    [b"HTTP/1.1"] * 14 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/0.9", b"http/1.1", b""]
)
hosts = st.sampled_from(
    [[b"host: localhost"]] * 16
    + [
        [],
        [b"host: localhost", b"host: localhost"],
        [b"host: localhost", b"Host: evil.example"],
        [b"host: evil.example"],
        [b"host : localhost"],
        [b" host: localhost"],
        [b"host: localhost@evil"],
        [b"host: localhost, evil"],
        [b"host:"],
    ]
)
one_framing = st.sampled_from(
    [
        b"content-length: 0",
        b"content-length: 5",
        b"content-length: 44",
        b"Content-Length:5",
        b"content-length: 5 ",
        b"content-length: +5",
        b"content-length: 5, 5",
        b"content-length: 05",
        b"content-length: 0x5",
        b"content-length: 5_0",
        b"content-length: \xb2",
        b"content-length : 5",
        b"content-length\t: 5",
        b"content-length: 5\x0b",
        b"content-length: 99999999999999999999999",
        b"content-length:",
        b"transfer-encoding: chunked",
        b"transfer-encoding: chunked",
        b"Transfer-Encoding:\tChunked",
        b"transfer-encoding: chunked ",
        b"transfer-encoding : chunked",
        b"transfer-encoding: xchunked",
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: chunked, identity",
        b"transfer-encoding: identity",
        b"transfer-encoding: \x0bchunked",
        b"transfer-encoding:\r\n chunked",
        b"transfer-encoding: chunked\r\n ",
        b"x: y\ntransfer-encoding: chunked",
        b"transfer_encoding: chunked",
    ]
)
BOTH = [b"content-length: 5", b"content-length: 0", b"transfer-encoding: chunked"]
both = st.tuples(st.sampled_from(BOTH), st.sampled_from(BOTH) | one_framing)
framings = one_framing.map(lambda line: [line]) | both.map(list)
others = st.lists(
    st.sampled_from(
        [
            b"x-a: b",
            b"x-a:",
            b"x-a: b\r\n c",
            b"x a: b",
            b"x-a : b",
            b": b",
            b"x-a",
            b"x-a: b\0c",
            b"x-a: b\x07c",
            b"x-a: \xff",
            b"x-\xe9: b",
            b"connection: close",
            b"connection: content-length",
            b"connection: transfer-encoding, host",
            b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk",
            b"expect: 100-continue",
            b"expect: x",
            b"te: trailers",
            b"trailer: content-length",
            b"GET /smuggled HTTP/1.1",
        ]
    ),
    max_size=2,
)
sizes = st.sampled_from(
    [b"5"] * 4
    + [
        b"05",
        b"5;a=b",
        b"5;a",
        b'5;a="\n"',
        b"5 ;a",
        b" 5",
        b"5 ",
        b"+5",
        b"-5",
        b"0x5",
        b"5_",
        b"5\xb2",
        b"5g",
        b"",
        b"5;\r",
    ]
)
chunk_ends = st.sampled_from([b"\r\n"] * 40 + [b"\n", b"\r", b"", b"x\r\n"])
trailers = st.lists(
    st.sampled_from(
        [
            b"x-t: 1",
            b"content-length: 5",
            b"transfer-encoding: chunked",
            b"host: evil",
            b"x : y",
            b"x",
            b"x: y\nz: 1",
        ]
    ),
    max_size=1,
)


@st.composite
def chunked(draw):
    octets = b""
    for _ in range(draw(st.integers(0, 2))):
        octets += draw(sizes) + draw(chunk_ends) + b"hello" + draw(chunk_ends)
    octets += draw(st.sampled_from([b"0", b"0", b"0", b"00", b"0;a", b"0x0", b""])) + draw(
        chunk_ends
    )
    for line in draw(trailers):
        octets += line + draw(chunk_ends)
    return octets + draw(chunk_ends)


plain = st.sampled_from([b"", b"hello", b"hell", SMUGGLED, b"0\r\n\r\n", b"0\r\n\r\n" + SMUGGLED])
# Requests as they should be: framing and content that belong together.
GOOD = [
    ([], b""),
    ([b"content-length: 0"], b""),
    ([b"content-length: 5"], b"hello"),
    ([b"content-length: %d" % len(SMUGGLED)], SMUGGLED),
    ([b"transfer-encoding: chunked"], b"0\r\n\r\n"),
    ([b"transfer-encoding: chunked"], b"5;a=b\r\nhello\r\n0\r\nx-t: 1\r\n\r\n"),
]
DIMENSIONS = ["method", "target", "version", "host", "framing", "other", "end", "content"]


@st.composite
def requests(draw):
    """Draw a request that is strange in up to two ways; none of them need be wrong."""
    strange = draw(st.sets(st.sampled_from(DIMENSIONS), max_size=2))

    def choice(dimension, strategy, good):
        return draw(strategy) if dimension in strange else good

    framing, content = draw(st.sampled_from(GOOD))
    if "content" in strange and draw(st.booleans()):
        content = draw(plain)
    elif "content" in strange:
        framing, content = [b"transfer-encoding: chunked"], draw(chunked())
    target = choice("target", targets, b"/%d").replace(b"%d", _name(), 1).replace(b"%%", b"%")
    method = choice("method", methods, b"POST")
    line = b" ".join([method, target, choice("version", versions, b"HTTP/1.1")])
    fields = [
        *choice("host", hosts, [b"host: localhost"]),
        *choice("framing", framings, framing),
        *choice("other", others, []),
    ]
    lines = [line, *draw(st.permutations(fields)), b""]
    ends = [choice("end", lines_end, b"\r\n") for _ in lines]
    head = b"".join(each + end for each, end in zip(lines, ends, strict=True))
    return head + content


def _name() -> bytes:
    return b"n%d" % next(_numbers)


streams = st.lists(requests(), min_size=1, max_size=3).map(b"".join)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pop")
    place = make_place(folder)
    tls = place.ca.issue(ORIGIN_NAME).server_context()
    async with StrictOrigin(tls, b"cache-control: no-store\r\n") as origin:
        origin.reflects = False
        text = place.text(origin.url)
        clock = clock_of_today()
        async with serving(text, folder, origin, place.ca.path, clock=clock) as pop:
            yield SimpleNamespace(pop=pop, origin=origin, ca=place.ca.path)


async def said_to(site, octets: bytes) -> bytes:
    """Send octets and return everything that the edge says until it closes."""
    context = ssl.create_default_context(cafile=str(site.ca))
    context.set_alpn_protocols(["http/1.1"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.pop.port, ssl=context, server_hostname="localhost"
        )
        try:
            writer.write(octets)
            said = b""
            try:
                while data := await reader.read(65536):
                    said += data
            except (ConnectionError, ssl.SSLError):
                pass
            return said
        finally:
            drop(writer)


def statuses(said: bytes) -> list[int]:
    """The final statuses of what was said; no content of the origin here looks like one."""
    found = [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", said)]
    return [status for status in found if status >= 200]


def strictly(octets: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Read what the strict parser can read: method, path and content."""
    parser, found = Parser(octets, is_gateway=True), []
    while True:
        while parser.rest.startswith(b"\r\n"):
            parser = Parser(parser.rest[2:], is_gateway=True)
        try:
            request = parser.request()
        except (FramingError, UnfinishedError):
            return found
        target = re.sub(rb"\A[a-z]+://[^/]*", b"", request.target)
        found.append((request.method, target, request.content))


def is_in_order(few: list, many: list) -> bool:
    rest = iter(many)
    return all(each in rest for each in few)


async def check_an_honest_client(site, protocol: str) -> None:
    """Another client, on another connection, gets its own answer."""
    path = f"/honest/{next(_numbers)}"
    async with getattr(site.pop, protocol)() as client:
        reply = await client.get(path)
    assert (reply.status, bytes(reply.body)) == (200, path.encode() + b"\n")
    assert site.origin.received[-1].target == path.encode()


def post(*lines: bytes, content: bytes, line: bytes = b"POST /a HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"host: localhost", *lines, b"", content])


LENGTH, CHUNKED = b"content-length: %d" % len(SMUGGLED), b"transfer-encoding: chunked"


@BOUNDED
@example(octets=post(LENGTH, content=SMUGGLED) + SMUGGLED)
@example(octets=post(LENGTH, content=SMUGGLED, line=b"GET /a HTTP/1.1"))
@example(octets=post(b"content-length: 0", LENGTH, content=SMUGGLED))
@example(octets=post(LENGTH, CHUNKED, content=b"0\r\n\r\n" + SMUGGLED))
@example(octets=post(CHUNKED, b"content-length: 4", content=b"0\r\n\r\n" + SMUGGLED))
@example(octets=post(CHUNKED, b"transfer-encoding: x", content=b"0\r\n\r\n" + SMUGGLED))
@example(octets=post(CHUNKED, content=b"5;\nhello\r\n0\r\n\r\n" + SMUGGLED))
@example(octets=post(CHUNKED, content=b"5\r\nhello\n0\r\n\r\n" + SMUGGLED))
@example(octets=post(b"transfer-encoding:", b" chunked", content=b"0\r\n\r\n" + SMUGGLED))
@example(octets=post(b"x: y\ntransfer-encoding: chunked", content=b"0\r\n\r\n" + SMUGGLED))
@given(octets=streams)
async def test_http_1_reaches_the_origin_as_what_it_is_or_not_at_all(site, octets):
    site.origin.received.clear()
    said = await said_to(site, octets + END)
    received = [(each.method, each.target, each.content) for each in site.origin.received]
    assert site.origin.faults == []
    assert is_in_order(received, strictly(octets + END)), (octets, received)
    assert statuses(said).count(200) == len(received), (octets, said)
    await check_an_honest_client(site, "h1")


PIECES = [
    b"a",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\x07",
    b"\x7f",
    b"\xff",
    b"x: y",
    b"\r\n\r\n" + SMUGGLED,
    b" HTTP/1.1\r\nhost: evil\r\n\r\n",
    b"chunked",
    b"0",
    b"5",
]
texts = st.lists(st.sampled_from(PIECES), max_size=3).map(b"".join)
names = st.one_of(
    texts,
    st.sampled_from(
        [
            b"transfer-encoding",
            b"content-length",
            b"connection",
            b"host",
            b"te",
            b"expect",
            b"upgrade",
            b"Upper",
            b":path",
            b":unknown",
            b"x-a",
            b"trailer",
            b"keep-alive",
        ]
    ),
)


def usually(good: bytes, bad: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.integers(0, 9).flatmap(lambda at: bad if at == 0 else st.just(good))


@BOUNDED
@given(
    pseudo=st.fixed_dictionaries(
        {
            ":method": usually(b"POST", texts | st.sampled_from([b"GET", b"HEAD", b"CONNECT"])),
            ":scheme": usually(b"https", texts | st.just(b"http")),
            ":authority": usually(b"localhost", texts | st.just(b"evil.example")),
            ":path": usually(b"/a", texts | texts.map(b"/".__add__)),
        }
    ),
    fields=st.lists(st.tuples(st.just(b"x-a") | names, st.just(b"b") | texts), max_size=3),
    content=st.sampled_from([b"", b"hello", SMUGGLED]),
)
async def test_http_2_reaches_the_origin_as_what_it_is_or_not_at_all(site, pseudo, fields, content):
    site.origin.received.clear()
    method, path = pseudo[":method"], pseudo[":path"]
    head = [*((name.encode(), value) for name, value in pseudo.items()), *fields]
    status = await status_over_h2(site, head, content)
    received = [(each.method, each.target, each.content) for each in site.origin.received]
    assert site.origin.faults == []
    assert received == ([(method, path, content)] if status == 200 else []), status
    await check_an_honest_client(site, "h2")


async def status_over_h2(site, head, content: bytes) -> int | None:
    """Send one request as it is; None for a stream or a connection that was broken."""
    async with site.pop.h2() as client:
        client.h2.config.validate_outbound_headers = False
        client.h2.config.normalize_outbound_headers = False
        reply = client.send("GET", "/", head=head, body=content)
        try:
            return (await reply.whole()).status
        except (StreamBrokenError, h2.exceptions.ProtocolError):
            return None
