"""Clients that say any octets over TLS, and a place to say them: for what no library would send.

    async with attacked(folder) as site:
        answer = await site.ask("h2", b"GET", b"/a", [(b"host", b"evil")])
        assert answer.is_refused

What a test says is written as it is: over HTTP/1.1 as lines, over HTTP/2 as literal fields that
nobody looks at before they leave. Answers are parsed by a few lines of hand, `hyperframe` and
`hpack`, which share no code with the product, and so are the requests that reach the origin
(`strict_origin.Parser`). Each exchange has a connection of its own.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import hpack

from tests.support import h2_crowd as h2
from tests.support.clock import ManualClock
from tests.support.origin import ReceivedRequest, Reply, Route
from tests.support.pop import RunningPop, clock_of_today, make_place, scripted_origin, serving
from tests.support.strict_origin import Parser, UnfinishedError
from tests.support.transports import drop

Lines = Sequence[tuple[bytes, bytes]]

PLAIN, RULED, STRANGER = b"localhost", b"ruled.test", b"stranger.test"
"""A site without rules, one whose rule keeps everything, and one under another certificate."""

PATIENCE_SECONDS = 60  # never awaited where things work: it turns a hang into a failure
MALFORMED = {1, 0xA}  # PROTOCOL_ERROR, CONNECT_ERROR

_SITES = """
[[host]]
name = "{ruled}"
origin = "assets"
cert = {{ chain = "{first.chain_path}", key = "{first.key_path}" }}

[[host.rule]]
id = "entry"
path = "/**"
policy = "entry"

[[host]]
name = "{stranger}"
origin = "assets"
cert = {{ chain = "{second.chain_path}", key = "{second.key_path}" }}
"""
_numbers = count()


def target(prefix: bytes = b"/v") -> bytes:
    """Return a target that no other test has."""
    return b"%b/%d" % (prefix, next(_numbers))


@dataclass
class Answer:
    """What came back; `status` is 0 where there was none, `error` says how HTTP/2 ended it."""

    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = False
    interims: int = 0
    error: int | None = None

    def __getitem__(self, name: bytes) -> bytes:
        return b", ".join(value for key, value in self.fields if key == name)

    @property
    def is_refused(self) -> bool:
        """Whether the request was called wrong: by 4xx, 501, 505 or as a malformed stream."""
        return 400 <= self.status < 500 or self.status in {501, 505} or self.error in MALFORMED

    @property
    def is_hit(self) -> bool:
        return self[b"cache-status"].startswith(b"fra1; hit")


# --- HTTP/1.1 -------------------------------------------------------------------------------------


async def _answer_1(reader: asyncio.StreamReader, *, is_head: bool) -> Answer:
    answer = Answer()
    try:
        while answer.status < 200:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            answer.interims += bool(answer.status)
            answer.status = int(first.split(b" ")[1])
            pairs = [line.partition(b":") for line in lines]
            answer.fields = [(name.lower(), value.strip(b" ")) for name, _, value in pairs]
        if not (is_head or answer.status in {204, 304}):
            await _content_1(reader, answer)
        answer.is_whole = True
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass  # it is not whole
    return answer


async def _content_1(reader: asyncio.StreamReader, answer: Answer) -> None:
    if not answer[b"transfer-encoding"]:
        answer.body = await reader.readexactly(int(answer[b"content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        answer.body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers


# --- HTTP/2 ---------------------------------------------------------------------------------------


def block_of(fields: Lines) -> bytes:
    """Encode literally and without a table, so that nothing is refused or corrected (RFC 7541)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    rest, octets = size - 127, b"\x7f"
    while rest >= 128:
        octets += bytes((rest & 127 | 128,))
        rest >>= 7
    return octets + bytes((rest,)) + text


def request_frames(fields: Lines, content: bytes | None = None) -> bytes:
    """Return a preface, wide windows, and one request on stream 1."""
    wide = h2.INITIAL_WINDOW_SIZE.to_bytes(2) + h2.WINDOW_MAX.to_bytes(4)
    end = h2.END_STREAM if content is None else 0
    block = block_of(fields)
    frames = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        h2.frame(h2.SETTINGS, 0, 0, wide),
        h2.frame(h2.WINDOW_UPDATE, 0, 0, (h2.WINDOW_MAX - 65535).to_bytes(4)),
    ]
    first, rest = block[:16384], block[16384:]
    frames.append(h2.frame(h2.HEADERS, end | (0 if rest else h2.END_HEADERS), 1, first))
    while rest:
        first, rest = rest[:16384], rest[16384:]
        frames.append(h2.frame(9, 0 if rest else h2.END_HEADERS, 1, first))
    if content is not None:
        frames.append(h2.frame(h2.DATA, h2.END_STREAM, 1, content))
    return b"".join(frames)


async def _answer_2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    answer, decoder = Answer(), hpack.Decoder()
    try:
        while answer.error is None and not answer.is_whole:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3]))
            kind, flags, stream_id = head[3], head[4], int.from_bytes(head[5:])
            if kind == h2.SETTINGS and not flags & h2.ACK:
                writer.write(h2.frame(h2.SETTINGS, h2.ACK, 0, b""))
            elif kind == h2.GOAWAY:
                answer.error = int.from_bytes(payload[4:8])
            elif stream_id == 1:
                _take_2(answer, kind, flags, payload, decoder)
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass  # it is not whole
    return answer


def _take_2(answer: Answer, kind: int, flags: int, payload: bytes, decoder: hpack.Decoder) -> None:
    if kind == h2.HEADERS:
        fields = [(bytes(n), bytes(v)) for n, v in decoder.decode(payload, raw=True)]
        if fields and fields[0][0] == b":status":
            answer.interims += bool(answer.status)
            answer.status, answer.fields = int(fields[0][1]), fields
    elif kind == h2.DATA:
        answer.body += payload
    elif kind == h2.RST_STREAM:
        answer.error = int.from_bytes(payload)
    if kind in {h2.HEADERS, h2.DATA} and flags & h2.END_STREAM:
        answer.is_whole = True


# --- the place ------------------------------------------------------------------------------------


@dataclass
class Attacked:
    """A running PoP with the three sites, and its origin, which has to be asked by the letter."""

    pop: RunningPop
    clock: ManualClock

    @property
    def received(self) -> list[ReceivedRequest]:
        return self.pop.origin.received

    @property
    def asked(self) -> int:
        """How many requests have reached the origin."""
        return self.pop.origin.requests

    def on(self, path: bytes, method: str = "GET") -> Route:
        return self.pop.origin.on(method, path.decode("latin-1"))

    def reply(
        self,
        path: bytes,
        body: bytes = b"clean",
        lines: Lines = ((b"cache-control", b"max-age=60"),),
        *,
        status: int = 200,
        method: str = "GET",
    ) -> Reply:
        return self.on(path, method).reply(status, body, fields=list(lines))

    async def say(self, protocol: str, octets: bytes, *, is_head: bool = False) -> Answer:
        """Say that on a new connection, and return the first answer."""
        async with self.connected(protocol) as (reader, writer):
            writer.write(octets)
            if protocol == "h2":
                return await _answer_2(reader, writer)
            return await _answer_1(reader, is_head=is_head)

    async def say_to_the_end(self, octets: bytes) -> bytes:
        """Say that in HTTP/1.1, and return all that comes until the edge closes the connection."""
        async with self.connected("h1") as (reader, writer):
            writer.write(octets)
            try:
                return await reader.read()
            except (ConnectionError, ssl.SSLError):
                return b""

    async def ask(
        self,
        protocol: str,
        method: bytes,
        path: bytes,
        lines: Lines = (),
        *,
        host: bytes = PLAIN,
        content: bytes | None = None,
    ) -> Answer:
        """Ask for something in well-framed words, whatever they say."""
        if protocol == "h1":
            sized = [] if content is None else [(b"content-length", b"%d" % len(content))]
            every = b"".join(b"%b: %b\r\n" % x for x in [(b"host", host), *lines, *sized])
            octets = b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, path, every, content or b"")
        else:
            pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", host)]
            octets = request_frames([*pseudo, (b":path", path), *lines], content)
        return await self.say(protocol, octets, is_head=method == b"HEAD")

    async def get(
        self, protocol: str, path: bytes, lines: Lines = (), *, host: bytes = PLAIN
    ) -> Answer:
        return await self.ask(protocol, b"GET", path, lines, host=host)

    @asynccontextmanager
    async def connected(
        self, protocol: str
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        context = ssl.create_default_context(cafile=str(self.pop.ca_file))
        context.set_alpn_protocols([{"h1": "http/1.1"}.get(protocol, protocol)])
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.pop.port, ssl=context, server_hostname=PLAIN.decode()
            )
            try:
                yield reader, writer
            finally:
                drop(writer)

    def forwarded(self, since: int) -> list[ReceivedRequest]:
        """Return what reached the origin since so many; each has to be one request by RFC 9112."""
        found = self.received[since:]
        for each in found:
            try:
                Parser(each.head).request()
            except UnfinishedError:
                continue  # its content, which was read apart
        return found


@asynccontextmanager
async def attacked(folder: Path, **tables: str) -> AsyncIterator[Attacked]:
    """Run the PoP, its clock standing still; the tables are those of `Place.text`."""
    place, clock = make_place(folder, PLAIN.decode(), RULED.decode()), clock_of_today()
    second = place.ca.issue(STRANGER.decode())
    sites = _SITES.format(
        ruled=RULED.decode(), stranger=STRANGER.decode(), first=place.leaf, second=second
    )
    async with scripted_origin(place.ca) as origin:
        text = place.text(origin.url, rules=sites, **tables)
        text = text.replace("[listen]\n", '[listen]\nhttp_redirect = "127.0.0.1:0"\n')
        async with serving(text, folder, origin, place.ca.path, clock=clock) as pop:
            yield Attacked(pop, clock)


async def clean(site: Attacked, path: bytes, *, host: bytes = PLAIN, body: bytes = b"clean") -> int:
    """See that clean clients get the clean answer; return how often the origin was asked."""
    await site.pop.fills_ended()
    before = site.asked
    for protocol in ("h1", "h2"):
        answer = await site.get(protocol, path, host=host)
        assert (answer.status, answer.body, answer.is_whole) == (200, body, True)
    return site.asked - before


async def untouched(site: Attacked, path: bytes, before: int) -> None:
    """See that nothing has reached the origin, and that nothing is stored."""
    assert site.asked == before
    site.reply(path)
    assert await clean(site, path) == 1
