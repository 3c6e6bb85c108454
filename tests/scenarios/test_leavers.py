"""Whoever goes away takes nothing from the others, and nobody waits for what is not theirs."""

import pytest

from tests.support.barrier import Barrier
from tests.support.pop import ENTRY, running_pop

FIRST, SECOND = b"f" * 50_000, b"s" * 50_000


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as running:
        yield running


@pytest.fixture
async def transparent(tmp_path):
    async with running_pop(tmp_path) as running:
        yield running


@pytest.mark.parametrize("how", ["h2 reset", "h2 lost", "h1 lost"])
@pytest.mark.parametrize("when", ["before the fields", "in the middle"])
async def test_the_leader_leaves_and_followers_finish(pop, how, when):
    reply = pop.origin.on("GET", "/a").reply(200, [FIRST, SECOND])
    held = Barrier()
    reply.hold(held) if when == "before the fields" else reply.pause(1, held)
    leading = pop.h1() if how == "h1 lost" else pop.h2()
    async with leading as leader, pop.h2() as h2, pop.h1() as h1:
        leading_stream = leader.send("GET", "/a")
        await held.reached()
        stream = h2.send("GET", "/a")
        h1.send("GET", "/a")
        await h2.heard()
        if how == "h2 reset":
            leader.cancel(leading_stream)
            await leader.heard()
        else:
            leader.drop()
            await pop.connected(2)
        held.open()

        older = await (await h1.reply()).whole()
        assert (await stream.whole()).body == older.body == FIRST + SECOND
        assert stream["cache-status"] == "fra1; fwd=uri-miss; collapsed"
        assert pop.origin.requests == 1
        assert (await h2.get("/a"))["cache-status"].startswith("fra1; hit")


@pytest.mark.parametrize("lost", ["h1", "h2"])
async def test_a_fill_whose_only_client_left_is_stored(pop, lost):
    """What has been paid for is kept: the next client gets a hit."""
    pop.origin.on("GET", "/a").reply(200, [FIRST, SECOND]).pause(1, middle := Barrier())
    async with pop.h1() if lost == "h1" else pop.h2() as client:
        client.send("GET", "/a")
        await middle.reached()
    await pop.connected(0)
    middle.open()
    await pop.fills_ended()
    async with pop.h2() as next_client:
        assert (await next_client.get("/a"))["cache-status"].startswith("fra1; hit")
    assert pop.origin.requests == 1


@pytest.mark.parametrize("lost", ["h1", "h2"])
async def test_what_nobody_may_share_is_not_fetched_for_nobody(transparent, lost):
    pop = transparent
    reply = pop.origin.on("GET", "/a").reply(200, [FIRST, SECOND], cache_control="no-store")
    reply.pause(1, middle := Barrier())
    async with pop.h1() if lost == "h1" else pop.h2() as client:
        client.send("GET", "/a")
        await middle.reached()
    await pop.origin.connections_closed()
    assert pop.store.objects == 0
    assert pop.counters.broken_exchanges == 1


@pytest.mark.parametrize("directive", ["private", "no-store"])
@pytest.mark.parametrize("later", ["h2", "h1"])
async def test_nobody_waits_for_an_answer_that_is_anothers(pop, directive, later):
    """The first one's content is held back for ever, as far as the second can tell."""
    route = pop.origin.on("GET", "/me")
    route.reply(200, b"first", cache_control=directive).pause(0, held := Barrier())
    route.reply(200, b"second", cache_control=directive)
    async with pop.h2() as first, pop.h1() if later == "h1" else pop.h2() as second:
        mine = first.send("GET", "/me")
        await mine.begun.wait()
        await held.reached()

        yours = await second.get("/me")
        assert yours.body == b"second"
        assert not mine.ended.is_set()
        assert held.waiting == 1

        held.open()
        assert (await mine.whole()).body == b"first"
        assert mine["cache-status"] == f"fra1; fwd=uri-miss; detail={directive}"
        assert yours["cache-status"] == "fra1; fwd=uri-miss; detail=hit-for-miss"
    assert pop.store.objects == 0


async def test_those_who_waited_go_for_themselves_once_the_fields_say_so(pop):
    """Who joined before anybody knew is released by the fields, not by the content."""
    route = pop.origin.on("GET", "/me")
    first = route.reply(200, b"first", cache_control="private")
    first.hold(fields := Barrier()).pause(0, content := Barrier())
    route.reply(200, b"others", cache_control="private")
    async with pop.h2() as client:
        streams = [client.send("GET", "/me") for _ in range(10)]
        await client.heard()
        await fields.reached()
        assert pop.origin.requests == 1
        fields.open()
        for stream in streams[1:]:
            assert (await stream.whole()).body == b"others"
        content.open()
        assert (await streams[0].whole()).body == b"first"
    assert pop.origin.requests == 10


async def test_a_client_that_reads_nothing_holds_up_nobody(pop):
    """A closed window stops that client's stream: not the fill, not those who follow it."""
    chunks = [bytes([number]) * 2**16 for number in range(16)]
    pop.origin.on("GET", "/large").reply(200, chunks)
    async with pop.h2(window=1000) as slow, pop.h2() as quick, pop.h1() as older:
        slow.grants_windows = False
        stuck = slow.send("GET", "/large")
        await stuck.first_byte.wait()
        assert (await quick.get("/large")).body == b"".join(chunks)
        assert (await older.get("/large")).body == b"".join(chunks)
        assert len(stuck.body) == 1000
        slow.grant(stuck)
        assert (await stuck.whole()).body == b"".join(chunks)
    assert pop.origin.requests == 1
