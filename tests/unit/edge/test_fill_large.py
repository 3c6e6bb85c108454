"""Fills of what memory does not keep, over a tier below that a test holds in its hands."""

import asyncio

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.cache.stored import LargeBody
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.errors import StoreError
from edgeproxy.store.tiered import TieredStore
from tests.support.barrier import Barrier, settle
from tests.support.edge import make_pop, rule
from tests.support.lower import DictLower

MIB = 1 << 20
CHUNKS = [bytes([number]) * (1 << 16) for number in range(64)]
BODY = b"".join(CHUNKS)
POLICY = CachePolicy(honours_request_directives=False, body_bytes_max=64 * MIB)


async def full(_pieces):
    raise StoreError("no space")


class Lab:
    """A PoP whose memory keeps bodies of 1 MiB, and whose disk keeps those of 16 MiB."""

    def __init__(self, *, settings=None, **ruling) -> None:
        self.lower = DictLower()
        self.lower.large_bytes_max = 16 * MIB
        store = TieredStore(8 * MIB, MIB, self.lower)
        the_rule = rule(cache=ruling.pop("cache", POLICY), **ruling)
        self.pop = make_pop(the_rule, store=store, settings=settings)
        self.origin = self.pop.origin

    def reply(self, body=CHUNKS, **fields):
        return self.origin.on("GET", "/a").reply(
            200, body, **{"cache_control": "max-age=60", **fields}
        )

    async def get(self, **asked):
        return await self.pop.get("/a", **asked)

    async def fills_ended(self):
        while self.pop.edge._flights.count:
            await settle()

    async def stored(self, **fields):
        self.reply(**fields)
        await self.get()
        await self.fills_ended()
        self.origin.on("GET", "/a").replies.clear()

    @property
    def kept(self):
        return [each.body for each in self.pop.store._responses(self.key)]

    @property
    def key(self):
        return self.pop.edge._lookup.site_routes(self.pop.request()).route(b"/a").key

    @property
    def discarded(self):
        return dict(self.pop.counters.discarded_fills)

    @property
    def room_used(self):
        return self.pop.edge._forwarder.filler.room.used


@pytest.mark.parametrize("has_length", [True, False])
async def test_it_is_stored_below_and_then_a_hit(has_length):
    lab = Lab()
    reply = lab.reply()
    if not has_length:
        reply.chunked()
    first = await lab.get()
    assert (first.body, first.outcome) == (BODY, "miss")
    await lab.fills_ended()
    assert lab.kept == [LargeBody(len(BODY))]
    [spill] = lab.lower.spills
    assert spill.is_closed
    assert bytes(spill.content) == BODY
    again = await lab.get()
    assert (again.body, again.outcome) == (BODY, "hit")
    assert again.field("age") is not None
    assert lab.origin.requests == 1
    assert lab.room_used == 0
    assert lab.discarded == {}


async def test_memory_holds_windows_while_a_crowd_reads():
    lab = Lab()
    lab.reply().pause(32, middle := Barrier())
    crowd = lab.pop.crowd(10, "/a")
    await middle.reached()
    assert lab.room_used == 2 * EdgeSettings().stream_window_bytes
    late = lab.pop.crowd(10, "/a")
    await settle()
    middle.open()
    for task in [*crowd, *late]:
        assert (await task).body == BODY
    assert lab.origin.requests == 1
    assert lab.pop.counters.coalesced == 19


async def test_what_the_tier_cannot_begin_is_passed_on():
    lab = Lab()
    lab.lower.refuses.add("begin")
    lab.reply()
    first = await lab.get()
    assert (first.body, first.outcome) == (BODY, "uncacheable")
    assert "detail=too-large" in first.cache_status
    assert lab.discarded == {"no-disk": 1}
    assert lab.room_used == 0
    assert lab.kept == []


async def test_what_grows_and_cannot_be_begun_passes():
    lab = Lab()
    lab.lower.refuses.add("begin")
    lab.reply().chunked()
    assert (await lab.get()).body == BODY
    assert lab.discarded == {"no-disk": 1}
    assert lab.kept == []
    assert lab.room_used == 0


@pytest.mark.parametrize("has_length", [True, False])
async def test_beyond_what_the_rule_allows_nothing_is_begun(has_length):
    lab = Lab(cache=CachePolicy(honours_request_directives=False, body_bytes_max=2 * MIB))
    reply = lab.reply()
    if not has_length:
        reply.chunked()
    assert (await lab.get()).body == BODY
    assert len(lab.lower.spills) == (0 if has_length else 1)
    assert all(spill.is_closed for spill in lab.lower.spills)
    assert lab.kept == []
    assert lab.room_used == 0


async def test_without_room_for_windows_it_is_passed_on():
    lab = Lab(settings=EdgeSettings(growing_bytes_max=1000))
    lab.reply()
    assert (await lab.get()).body == BODY
    assert lab.discarded == {"no-room": 1}
    assert lab.lower.spills == []


async def test_a_disk_that_fails_in_the_middle_fails_no_request():
    lab = Lab()
    lab.reply().pause(32, middle := Barrier())
    crowd = lab.pop.crowd(5, "/a")
    await middle.reached()
    [spill] = lab.lower.spills
    spill.write = full
    middle.open()
    for task in crowd:
        assert (await task).body == BODY
    await lab.fills_ended()
    assert spill.is_closed
    assert lab.kept == []
    assert lab.room_used == 0


async def test_content_that_breaks_off_is_not_stored():
    lab = Lab()
    lab.reply().cut(32)
    exchange = await lab.get()
    assert exchange.failure is not None
    assert exchange.body == b"".join(CHUNKS[:32])
    await lab.fills_ended()
    [spill] = lab.lower.spills
    assert spill.is_closed
    assert lab.lower.large == {}
    assert lab.room_used == 0


async def test_a_disk_that_fails_at_the_very_end_fails_no_request():
    lab = Lab()
    lab.reply([*CHUNKS, b"rest"]).pause(64, end := Barrier())
    getting = asyncio.ensure_future(lab.get())
    await end.reached()
    lab.lower.spills[0].write = full
    end.open()
    exchange = await getting
    assert exchange.failure is None
    assert exchange.body == BODY + b"rest"
    await lab.fills_ended()
    assert lab.kept == []


async def test_what_cannot_be_committed_is_counted():
    lab = Lab()
    lab.lower.refuses.add("commit")
    lab.reply()
    assert (await lab.get()).body == BODY
    await lab.fills_ended()
    assert lab.discarded == {"no-disk": 1}


async def test_what_was_overtaken_is_not_committed():
    lab = Lab()
    lab.reply().pause(32, middle := Barrier())
    getting = asyncio.ensure_future(lab.get())
    await middle.reached()
    lab.pop.edge.forget([lab.key])
    middle.open()
    assert (await getting).body == BODY
    await lab.fills_ended()
    assert lab.discarded == {"invalidated": 1}
    assert lab.lower.large == {}


async def test_equal_bytes_keep_when_they_were_first_seen():
    lab = Lab(generates_validators=True)
    await lab.stored()
    before = (await lab.get(method="HEAD")).field("last-modified")
    lab.pop.clock.advance(3600)
    await lab.stored()
    after = await lab.get(method="HEAD")
    assert after.field("last-modified") == before
    assert after.outcome == "hit"
    assert after.field("etag") is not None


async def test_who_seeks_far_ahead_of_what_has_arrived_asks_for_itself():
    lab = Lab()
    lab.reply().pause(8, middle := Barrier())
    lab.reply(b"part", content_range=f"bytes 4000000-4000003/{len(BODY)}")
    first = asyncio.ensure_future(lab.get())
    await middle.reached()
    far = await lab.get(range="bytes=4000000-4000003")
    assert far.body == b"part"
    assert "detail=far-range" in far.cache_status
    near = asyncio.ensure_future(lab.get(range="bytes=600000-600003"))
    await settle()
    assert not near.done()
    middle.open()
    assert (await near).body == BODY[600000:600004]
    assert (await first).body == BODY
    assert lab.origin.requests == 2


async def test_what_is_gone_from_disk_is_a_miss():
    lab = Lab()
    await lab.stored()
    lab.lower.large.clear()
    lab.lower.kept.clear()
    lab.reply()
    again = await lab.get()
    assert (again.body, again.outcome) == (BODY, "miss")
    assert again.cache_status == "fra1; fwd=uri-miss; stored"


async def test_what_is_stale_is_served_while_it_is_validated():
    lab = Lab()
    await lab.stored(cache_control="max-age=60, stale-while-revalidate=60", etag='"1"')
    lab.pop.clock.advance(90)
    lab.origin.on("GET", "/a").reply(304, etag='"1"', cache_control="max-age=60")
    stale = await lab.get()
    assert (stale.body, stale.outcome) == (BODY, "hit_stale")
    await lab.fills_ended()
    assert (await lab.get()).outcome == "hit"
    assert lab.lower.kept[lab.key][0].freshness.lifetime == 60


async def test_what_is_stale_and_gone_is_asked_for_even_where_it_would_be_good():
    lab = Lab()
    await lab.stored(cache_control="max-age=60, stale-while-revalidate=60", etag='"1"')
    lab.pop.clock.advance(90)
    lab.lower.large.clear()
    lab.origin.on("GET", "/a").reply(304, etag='"1"', cache_control="max-age=60")
    lab.reply()
    again = await lab.get()
    assert again.body == BODY
    assert "detail=body-gone" in again.cache_status
    assert lab.kept == []


async def test_what_is_gone_does_not_stand_in_for_an_error():
    lab = Lab()
    await lab.stored(cache_control="max-age=60, stale-if-error=600")
    lab.pop.clock.advance(90)
    lab.origin.on("GET", "/a").fail()
    stale = await lab.get()
    assert (stale.body, stale.outcome) == (BODY, "hit_stale")
    lab.lower.large.clear()
    assert (await lab.get()).status == 502


async def test_it_is_had_in_the_coding_that_it_came_in():
    lab = Lab(codings=(b"br", b"gzip"))
    await lab.stored(content_type="text/plain")
    plain = await lab.get(accept_encoding="br, gzip")
    assert (plain.body, plain.outcome, plain.field("content-encoding")) == (BODY, "hit", None)


async def test_who_comes_when_it_turned_out_large_gets_it_as_it_came():
    lab = Lab(codings=(b"br", b"gzip"))
    reply = lab.reply(content_type="text/plain").chunked()
    reply.pause(0, beginning := Barrier()).pause(32, middle := Barrier())
    coded = asyncio.ensure_future(lab.get(accept_encoding="gzip"))
    await beginning.reached()
    await settle()
    beginning.open()
    await middle.reached()
    late = asyncio.ensure_future(lab.get(accept_encoding="gzip"))
    await settle()
    middle.open()
    assert (await coded).field("content-encoding") == "gzip"
    assert (await late).body == BODY
    await lab.fills_ended()
    assert lab.origin.requests == 1
    [kept] = lab.pop.store._responses(lab.key)
    assert not kept.derived
    assert kept.body == LargeBody(len(BODY))
