"""What a worker answers a sibling about what is stale: validated once, or standing in."""

import pytest

from tests.support.barrier import Barrier, settle
from tests.support.edge import rule
from tests.support.sibling import make_family, target_owned_by

OWNED = target_owned_by(1)  # by the second worker; the first one asks
MINUTE = "max-age=60"


def results(pop) -> dict[str, int]:
    return dict(pop.counters.sibling_requests)


@pytest.mark.parametrize("who", [0, 1])
async def test_what_is_stale_is_validated_once(who: int) -> None:
    async with make_family(2, rule()) as family:
        origin = family[0].origin.on("GET", OWNED)
        origin.reply(200, b"x", cache_control=MINUTE, etag='"1"')
        origin.reply(304, cache_control=MINUTE, etag='"1"')
        for pop in family:
            await pop.get(OWNED)
        family[0].clock.advance(100_000)
        for pop in (family[who], family[1 - who]):
            exchange = await pop.get(OWNED)
            assert exchange.body == b"x"
            assert (await pop.get(OWNED)).outcome == "hit"
        assert family[0].origin.requests == 2


async def test_a_new_version_replaces_what_the_asker_has() -> None:
    async with make_family(2, rule()) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"old", cache_control=MINUTE, etag='"1"')
        origin.reply(200, b"new", cache_control=MINUTE, etag='"2"')
        await asker.get(OWNED)
        asker.clock.advance(100_000)
        assert (await owner.get(OWNED)).body == b"new"
        assert (await asker.get(OWNED)).body == b"new"
        assert asker.origin.requests == 2


async def test_followers_of_both_workers_hear_of_one_validation() -> None:
    async with make_family(2, rule()) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"x", cache_control=MINUTE, etag='"1"')
        origin.reply(304, cache_control=MINUTE).hold(held := Barrier())
        await asker.get(OWNED)
        asker.clock.advance(100_000)
        crowds = [*owner.crowd(5, OWNED), *asker.crowd(5, OWNED)]
        await held.reached()
        await settle(50)
        held.open()
        assert {(await each).body for each in crowds} == {b"x"}
        assert asker.origin.requests == 2


STALE_ALLOWED = "max-age=60, stale-if-error=600"


@pytest.mark.parametrize("failing", ["fail", "503"])
async def test_a_stale_copy_of_the_owners_stands_in(failing: str) -> None:
    async with make_family(2) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"x", cache_control=STALE_ALLOWED)
        await owner.get(OWNED)
        asker.clock.advance(100)
        origin.replies.clear()
        if failing == "fail":
            origin.fail()
        else:
            origin.reply(503)
        exchange = await asker.get(OWNED)
        assert (exchange.status, exchange.body) == (200, b"x")
        assert owner.counters.stale_served == {"error": 1}


async def test_an_asker_with_a_stale_copy_of_its_own_hears_of_the_failure() -> None:
    async with make_family(2) as family:
        asker, _ = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"x", cache_control=STALE_ALLOWED)
        await asker.get(OWNED)
        asker.clock.advance(100)
        origin.replies.clear()
        origin.fail()
        exchange = await asker.get(OWNED)
        assert (exchange.body, exchange.outcome) == (b"x", "hit_stale")
        assert results(asker) == {"answered": 1}
        origin.replies.clear()
        origin.reply(503)
        exchange = await asker.get(OWNED)
        assert (exchange.body, exchange.outcome) == (b"x", "hit_stale")
        assert results(asker) == {"answered": 1, "unavailable": 1}


async def test_followers_of_a_failure_hear_of_it_too() -> None:
    async with make_family(2) as family:
        asker, owner = family
        asker.origin.on("GET", OWNED).fail().hold(held := Barrier())
        [theirs], [mine] = owner.crowd(1, OWNED), asker.crowd(1, OWNED)
        await held.reached()
        await settle(50)
        held.open()
        assert ((await theirs).status, (await mine).status) == (502, 502)
        assert asker.origin.requests == 1


async def test_what_may_be_reused_meanwhile_is_given_and_validated_once() -> None:
    async with make_family(2) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"old", cache_control="max-age=60, stale-while-revalidate=600")
        await owner.get(OWNED)
        asker.clock.advance(100)
        origin.replies.clear()
        origin.reply(200, b"new", cache_control=MINUTE)
        assert (await asker.get(OWNED)).body == b"old"
        assert owner.counters.stale_served == {"while-revalidate": 1}
        await settle(50)
        assert (await owner.get(OWNED)).body == b"new"
        assert (await asker.get(OWNED)).body == b"old"  # and asks in the background
        while (await asker.get(OWNED)).body != b"new":
            await settle()
        assert asker.origin.requests == 2


async def test_a_background_refresh_waits_for_the_owners() -> None:
    async with make_family(2) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"old", cache_control="max-age=60, stale-while-revalidate=600")
        origin.reply(200, b"new", cache_control=MINUTE)
        await asker.get(OWNED)
        asker.clock.advance(100)
        assert (await asker.get(OWNED)).body == b"old"
        while (await asker.get(OWNED)).body != b"new":
            await settle()
        assert (asker.origin.requests, owner.counters.stale_served) == (2, {})
