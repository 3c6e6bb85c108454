import asyncio
import zlib

import pytest

from edgeproxy.cache.codings import offer_of
from edgeproxy.edge import coder as coder_module
from edgeproxy.edge.coder import Coder
from edgeproxy.edge.growing import GrowingBody, Room
from edgeproxy.edge.recoding import Arrival, Recodings
from edgeproxy.errors import DownstreamError, UpstreamError
from edgeproxy.observe.counters import Counters
from edgeproxy.store.memory import MemoryStore
from tests.support.coded import CODE
from tests.support.edge import make_pop, rule
from tests.support.stored import stored

TEXT = b"".join(b"f(%d);\n" % n for n in range(20_000))
FIELDS = ((b"content-type", b"text/javascript"), (b"etag", b'"1"'))


class Arriving:
    """A response whose content a test grows by hand."""

    def __init__(self, fields=FIELDS, *, room: int = 1 << 24, keep: int = 1 << 24) -> None:
        pop = make_pop(rule(codings=(b"br", b"gzip")))
        self.store, self.counters = MemoryStore(1 << 24, 1 << 22), Counters()
        self.coder = Coder(self.store, self.counters)
        self.body = GrowingBody(
            keep_bytes_max=keep, window_bytes=1 << 16, on_abandoned=lambda: None
        )
        self.room = Room(room)
        self.fields = fields
        self.recodings = Recodings(
            self.coder,
            Arrival(
                route=pop.edge._lookup.site_routes(pop.request()).route(b"/a"),
                status=200,
                fields=fields,
                generated=(),
                offer=offer_of(200, fields, codings=(b"br", b"gzip"), length=None),
                keep_bytes_max=keep,
                window_bytes=1 << 16,
                room=self.room,
            ),
        )

    def read(self, coding: bytes):
        return self.recodings.read(coding, self.body.read())

    async def grow(self, content: bytes) -> None:
        for start in range(0, len(content), 10_000):
            await self.body.append(content[start : start + 10_000])

    def finish(self, content: bytes = TEXT):
        self.body.finish()
        kept = stored(body=content, fields=self.fields)
        self.store.put(kept)
        self.recodings.settle(kept)
        return kept


@pytest.fixture
async def arriving():
    arriving = Arriving()
    yield arriving
    await arriving.coder.aclose()


async def whole(reader) -> bytes:
    return b"".join([chunk async for chunk in reader])


async def test_many_readers_of_one_coding_share_it_and_it_is_kept(arriving) -> None:
    readers = [arriving.read(b"gzip")[1] for _ in range(3)]
    await arriving.grow(TEXT)
    kept = arriving.finish()
    bodies = {await whole(reader) for reader in readers}
    assert [zlib.decompress(body, 31) for body in bodies] == [TEXT]
    assert arriving.counters.codings["identity gzip fast"] == 1
    await asyncio.sleep(0)
    assert arriving.store.latest(kept.body_id).derived[b"gzip"].body in bodies
    assert arriving.room.used == 0


async def test_what_came_can_be_decoded_before_more_comes(arriving) -> None:
    _, reader = arriving.read(b"gzip")
    decoder = zlib.decompressobj(31)
    for piece in (b"small", b"large" * 1000):
        await arriving.body.append(piece)
        assert decoder.decompress(await anext(reader)) == piece
    reader.close()


async def test_what_arrives_coded_can_be_had_decoded() -> None:
    arriving = Arriving((*FIELDS, (b"content-encoding", b"br")))
    recoded, reader = arriving.read(b"identity")
    assert recoded.representation.etag == b'"1-identity"'
    await arriving.grow(CODE["br"](TEXT))
    arriving.finish(CODE["br"](TEXT))
    assert await whole(reader) == TEXT
    await arriving.coder.aclose()


async def test_a_failure_of_the_source_fails_its_codings(arriving) -> None:
    _, reader = arriving.read(b"br")
    arriving.body.fail(UpstreamError("http_response_incomplete", 502))
    with pytest.raises(UpstreamError, match="incomplete"):
        await whole(reader)


async def test_content_that_is_not_coded_as_it_says_fails_and_is_tried_again_later() -> None:
    arriving = Arriving((*FIELDS, (b"content-encoding", b"br")))
    _, reader = arriving.read(b"identity")
    await arriving.grow(b"nothing" * 9)
    with pytest.raises(UpstreamError, match="content_coding"):
        await whole(reader)
    arriving.finish(b"nothing" * 9)
    assert arriving.coder._making == {}
    await arriving.coder.aclose()


async def test_a_close_in_the_middle_fails_who_reads(arriving) -> None:
    _, reader = arriving.read(b"br")
    await asyncio.sleep(0)
    await arriving.coder.aclose()
    with pytest.raises(UpstreamError, match="ended early"):
        await whole(reader)


async def test_without_room_it_passes_through_and_is_not_kept() -> None:
    arriving = Arriving(room=100)
    _, reader = arriving.read(b"gzip")
    await arriving.grow(TEXT)
    kept = arriving.finish()
    assert zlib.decompress(await whole(reader), 31) == TEXT
    await asyncio.sleep(0)
    assert arriving.store.latest(kept.body_id).derived == {b"gzip": None}
    assert arriving.read(b"gzip") is None
    await arriving.coder.aclose()


async def test_the_last_reader_of_what_is_not_kept_stops_the_coding() -> None:
    arriving = Arriving(room=100)
    _, reader = arriving.read(b"gzip")
    await arriving.grow(TEXT[:50_000])
    await anext(reader)
    reader.close()
    await arriving.grow(TEXT[50_000:])
    await asyncio.wait(arriving.coder._tasks)
    assert arriving.body._readers == set()
    await arriving.coder.aclose()


async def test_who_takes_nothing_of_it(arriving, monkeypatch) -> None:
    with pytest.raises(DownstreamError):
        arriving.recodings.choose(b"*;q=0")
    bound = Arriving((*FIELDS, (b"content-encoding", b"br"), (b"cache-control", b"no-transform")))
    assert (bound.recodings.own, bound.recodings.choose(b"gzip")) == (b"br", None)
    monkeypatch.setattr(coder_module, "CODINGS_MAX", 0)
    assert arriving.recodings.choose(b"gzip") == b"identity"
    assert arriving.recodings.choose(b"gzip, identity;q=0") is None
    await bound.coder.aclose()


async def test_what_turned_out_too_large_is_had_as_it_came() -> None:
    place = Arriving()
    assert place.recodings.choose(b"br") == b"br"
    place.recodings.stop()
    assert place.recodings.choose(b"br") == b"identity"
    assert place.recodings.choose(b"br, identity;q=0") is None
    await place.coder.aclose()
