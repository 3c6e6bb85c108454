"""The whole edge over HTTP/3, with aioquic's client: the same answers as over other versions."""

from pathlib import Path

import pytest

from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.edge import HOST, Pop, make_pop, rule
from tests.support.h3_quic import H3Pair

BODY = bytes(range(256)) * 100


class Client:
    """Asks a PoP over HTTP/3."""

    def __init__(self, directory: Path, pop: Pop) -> None:
        self.pop = pop
        self.pair = H3Pair(
            directory,
            lambda streams: Http3Session(streams, pop.edge, clock=pop.clock, limits=Limits()),
        )
        self.pair.authority = HOST.encode()

    async def get(
        self, path: bytes, *fields: tuple[bytes, bytes], method: bytes = b"GET"
    ) -> tuple[bytes | None, dict[bytes, bytes], bytes]:
        """Return status, fields and content."""
        number = self.pair.request(path, method, *fields)
        for _ in range(50):
            self.pair.exchange()
            if self.pair.has_ended(number):
                break
            await settle()
        assert self.pair.has_ended(number)
        sections = self.pair.sections(number)
        return self.pair.status(number), dict(sections[-1]), self.pair.body(number)


@pytest.fixture
async def client(tmp_path: Path):
    pop = make_pop(rule())
    pop.origin.on("GET", "/a").reply(200, BODY, cache_control="max-age=60", etag='"a"')
    client = Client(tmp_path, pop)
    yield client
    client.pair.side.lost()
    await pop.edge.aclose()


async def test_a_miss_and_then_hits(client: Client):
    status, fields, body = await client.get(b"/a")
    assert (status, body) == (b"200", BODY)
    assert b"uri-miss" in fields[b"cache-status"]
    status, fields, body = await client.get(b"/a")
    assert (status, body) == (b"200", BODY)
    assert b"hit" in fields[b"cache-status"]
    assert len(client.pop.origin.asked) == 1
    assert not client.pair.side._tasks
    assert client.pop.counters.requests_by("protocol") == {"HTTP/3": 2}


async def test_conditions_and_ranges(client: Client):
    await client.get(b"/a")
    status, fields, body = await client.get(b"/a", (b"if-none-match", b'"a"'))
    assert (status, fields[b"etag"], body) == (b"304", b'"a"', b"")
    status, fields, body = await client.get(b"/a", (b"range", b"bytes=10-19"))
    assert (status, body) == (b"206", BODY[10:20])
    assert fields[b"content-range"] == b"bytes 10-19/%d" % len(BODY)
    assert client.pair.closed is None


async def test_other_hosts_are_misdirected(client: Client):
    client.pair.authority = b"other.example"
    status, _, _ = await client.get(b"/a")
    assert status == b"421"
    assert not client.pop.origin.asked


async def test_fields_over_the_limits_are_refused_like_anywhere(client: Client):
    status, fields, _ = await client.get(b"/a", *[(b"x-%d" % n, b"v") for n in range(200)])
    assert status == b"431"
    assert fields[b"cache-control"] == b"no-store"
    assert not client.pop.origin.asked
