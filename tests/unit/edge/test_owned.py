"""Tests for edgeproxy/edge/owned.py: two workers beside each other, one origin, one clock."""

import asyncio
import gc

import pytest

from edgeproxy.cache.key import cache_key
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.collapse import Flight
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import Site, Sites
from edgeproxy.http.messages import FieldSection
from edgeproxy.store.tiered import TieredStore
from tests.support.barrier import Barrier, settle
from tests.support.edge import HOST, rule
from tests.support.lower import DictLower
from tests.support.sibling import make_family, target_owned_by

OWNED = target_owned_by(1)  # by the second worker; the first one asks
MINUTE = "max-age=60"
LARGE = 1 << 20


def key_of(target: str) -> bytes:
    return cache_key(HOST.encode(), b"https", target.encode())


def results(pop) -> dict[str, int]:
    return dict(pop.counters.sibling_requests)


@pytest.mark.parametrize("rules", [(), (rule(),)])
async def test_one_origin_request_serves_crowds_of_both_workers(rules) -> None:
    async with make_family(2, *rules) as family:
        asker, owner = family
        body = bytes(range(256)) * 1024
        asker.origin.on("GET", OWNED).reply(200, body, cache_control=MINUTE).hold(held := Barrier())
        crowds = [*asker.crowd(50, OWNED), *owner.crowd(50, OWNED)]
        await held.reached()
        await settle(50)
        held.open()
        exchanges = [await each for each in crowds]
        assert {each.body for each in exchanges} == {body}
        assert {each.status for each in exchanges} == {200}
        assert asker.origin.requests == 1
        assert results(asker) == {"answered": 1}
        for pop in family:  # both have it now
            assert pop.edge.hit(pop.request(OWNED), pop.clock.now()) is not None


async def test_what_crosses_is_stored_as_it_was_received() -> None:
    async with make_family(2, rule(generates_validators=True)) as family:
        asker, owner = family
        reply = asker.origin.on("GET", OWNED).reply(
            200, b"x" * 100, cache_control=MINUTE, age="7", content_type="text/plain"
        )
        reply.undated()
        await owner.get(OWNED)
        asker.clock.advance(10)
        mine = await asker.get(OWNED)
        assert mine.cache_status == "fra1; fwd=uri-miss; stored"
        [there], [here] = (pop.store.candidates(key_of(OWNED), 0.0) for pop in (owner, asker))
        for name in ("status", "fields", "body", "request_time", "response_time", "etag", "vary"):
            assert getattr(here, name) == getattr(there, name), name
        for name in ("fresh_until", "initial_age", "last_modified", "digest", "is_vary_free"):
            assert getattr(here, name) == getattr(there, name), name
        theirs = await owner.get(OWNED)
        again = await asker.get(OWNED)
        assert again.response.fields == theirs.response.fields


async def test_bytes_cross_while_they_arrive() -> None:
    async with make_family(2, rule()) as family:
        asker, _ = family
        reply = asker.origin.on("GET", OWNED).reply(200, [b"one", b"two"], cache_control=MINUTE)
        reply.pause(1, middle := Barrier())
        response = await asker.respond(asker.request(OWNED))
        assert await anext(response.body) == b"one"
        middle.open()
        assert [piece async for piece in response.body] == [b"two"]


async def test_a_response_of_unknown_length_is_stored_by_both() -> None:
    async with make_family(2, rule()) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).reply(200, [b"a", b"b"], cache_control=MINUTE).chunked()
        assert (await asker.get(OWNED)).body == b"ab"
        assert [pop.store.objects for pop in family] == [1, 1]


async def test_what_is_ours_is_asked_of_no_sibling() -> None:
    async with make_family(2, rule()) as family:
        asker, owner = family
        asker.origin.on("GET", target_owned_by(0)).reply(200, b"x", cache_control=MINUTE)
        await asker.get(target_owned_by(0))
        assert (results(asker), owner.counters.origin_requests) == ({}, 0)


async def test_what_is_one_clients_is_refused_to_a_follower_and_given_to_a_leader() -> None:
    async with make_family(2) as family:
        asker, owner = family
        reply = asker.origin.on("GET", OWNED).reply(200, b"me", cache_control="private")
        reply.hold(held := Barrier())
        [theirs] = owner.crowd(1, OWNED)
        await held.reached()
        [mine] = asker.crowd(1, OWNED)
        await settle(50)
        held.open()
        assert ((await theirs).body, (await mine).body) == (b"me", b"me")
        assert (results(asker), asker.origin.requests) == ({"not_shared": 1}, 2)
        assert (await asker.get(OWNED)).cache_status == "fra1; fwd=uri-miss; detail=hit-for-miss"
        other = target_owned_by(1, prefix="/p")
        asker.origin.on("GET", other).reply(200, b"me", cache_control="private", set_cookie="a=b")
        exchange = await asker.get(other)
        assert (exchange.body, exchange.field("set-cookie")) == (b"me", "a=b")
        assert exchange.cache_status == "fra1; fwd=uri-miss; detail=private"
        assert results(asker) == {"not_shared": 1, "answered": 1}
        assert (await owner.get(other)).cache_status == "fra1; fwd=uri-miss; detail=hit-for-miss"
        asker.edge._flights._uncacheable.clear()
        await asker.get(other)
        assert results(asker) == {"not_shared": 2, "answered": 1}


async def test_fields_that_are_for_the_first_one_reach_only_him() -> None:
    directives = 'max-age=60, private="set-cookie"'
    async with make_family(2) as family:
        asker, owner = family
        for leader, follower in ((asker, owner), (owner, asker)):
            target = target_owned_by(1, prefix=f"/{family.index(leader)}")
            reply = asker.origin.on("GET", target).reply(
                200, b"x", cache_control=directives, set_cookie="a=b"
            )
            reply.hold(held := Barrier())
            [first] = leader.crowd(1, target)
            await held.reached()
            [second] = follower.crowd(1, target)
            await settle(50)
            held.open()
            assert (await first).field("set-cookie") == "a=b"
            assert (await second).field("set-cookie") is None
        assert asker.origin.requests == 2


async def test_variants_are_asked_for_once_each() -> None:
    async with make_family(2) as family:
        asker, _ = family
        origin = asker.origin.on("GET", OWNED)
        for language in (b"de", b"en"):
            origin.reply(200, language, vary="accept-language", cache_control=MINUTE)
        for language in ("de", "en"):
            for pop in family:
                assert (await pop.get(OWNED, accept_language=language)).body == language.encode()
        assert asker.origin.requests == 2


async def test_variants_that_are_asked_for_at_once_find_their_own() -> None:
    async with make_family(2) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        held = Barrier()
        for _ in range(2):
            origin.reply(200, b"x", vary="accept-language", cache_control=MINUTE).hold(held)
        crowd = [
            *owner.crowd(2, OWNED, accept_language="de"),
            *asker.crowd(2, OWNED, accept_language="en"),
        ]
        await held.reached()
        await settle(50)
        held.open()
        assert {(await each).status for each in crowd} == {200}
        assert asker.origin.requests == 2
        assert owner.store.objects == 2


async def test_a_vary_that_varies_itself_ends_at_the_origin() -> None:
    async with make_family(2) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        first, second = Barrier(), Barrier()
        origin.reply(200, b"x", vary="a", cache_control=MINUTE).hold(first)
        origin.reply(200, b"x", vary="b", cache_control=MINUTE).hold(second)
        origin.reply(200, b"x", vary="b", cache_control=MINUTE)
        [one] = owner.crowd(1, OWNED, a="1", b="1")
        await first.reached()
        [two] = owner.crowd(1, OWNED, a="2", b="2")
        [three] = asker.crowd(1, OWNED, a="2", b="3")
        await settle(50)
        first.open()
        await second.reached()
        await settle(50)
        second.open()
        assert {(await each).status for each in (one, two, three)} == {200}
        assert results(asker) == {"not_shared": 1}


async def test_a_failure_is_told_once_and_counted_once() -> None:
    async with make_family(2, rule()) as family:
        asker, owner = family
        asker.origin.on("GET", OWNED).fail("connection_timeout", 504)
        assert (await asker.get(OWNED)).status == 504
        assert asker.origin.requests == 1
        assert (asker.counters.origin_errors, owner.counters.origin_errors) == (
            {},
            {"connection_timeout": 1},
        )


async def test_flights_that_failed_are_freed_when_both_workers_have_been_told() -> None:
    async with make_family(2, rule()) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).fail("connection_timeout", 504)
        gc.collect()
        gc.disable()
        try:
            assert (await asker.get(OWNED)).status == 504
            await settle(20)
            assert not [each for each in gc.get_objects() if isinstance(each, Flight)]
        finally:
            gc.enable()


async def test_content_that_breaks_off_breaks_off_everywhere() -> None:
    async with make_family(2, rule()) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).reply(200, [b"one", b"two"], cache_control=MINUTE).cut(1)
        exchange = await asker.get(OWNED)
        assert (exchange.body, exchange.failure.word) == (b"one", "http_response_incomplete")
        assert [pop.store.objects for pop in family] == [0, 0]
        assert asker.counters.origin_errors == {}


@pytest.mark.parametrize("fields", [{"cache_control": "no-cache"}, {"authorization": "a"}])
async def test_what_is_asked_for_oneself_takes_no_hop(fields) -> None:
    async with make_family(2) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE)
        await asker.get(OWNED)
        before = results(asker)
        await asker.get(OWNED, **fields)
        assert results(asker) == before


async def test_what_is_validated_for_every_reuse_is_refused() -> None:
    async with make_family(2) as family:
        asker, owner = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control="no-cache", etag='"1"')
        await owner.get(OWNED)
        assert (await asker.get(OWNED)).body == b"x"
        assert results(asker) == {"not_shared": 1}


async def test_two_confirmations_of_what_nobody_may_share_are_two() -> None:
    async with make_family(2) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"x", cache_control=MINUTE, etag='"1"')
        origin.reply(304, cache_control="no-cache", etag='"1"').hold(held := Barrier())
        origin.reply(304, cache_control="no-cache", etag='"1"')
        await asker.get(OWNED)
        asker.clock.advance(100)
        [theirs], [mine] = owner.crowd(1, OWNED), asker.crowd(1, OWNED)
        await held.reached()
        await settle(50)
        held.open()
        assert ((await theirs).body, (await mine).body) == (b"x", b"x")
        assert results(asker) == {"answered": 1, "not_shared": 1}


async def test_who_waits_too_long_for_anothers_fill_asks_himself() -> None:
    settings = EdgeSettings(coalesce_timeout_seconds=0.01)
    async with make_family(2, rule(), settings=settings) as family:
        asker, owner = family
        origin = asker.origin.on("GET", OWNED)
        origin.reply(200, b"x", cache_control=MINUTE).hold(held := Barrier())
        origin.reply(200, b"y", cache_control=MINUTE)
        [theirs] = owner.crowd(1, OWNED)
        await held.reached()
        assert (await asker.get(OWNED)).body == b"y"
        assert results(asker) == {"not_shared": 1}
        held.open()
        assert (await theirs).body == b"x"


async def test_an_owner_that_runs_as_many_fills_as_it_may_says_so() -> None:
    async with make_family(2, rule(), settings=EdgeSettings(fills_max=2)) as family:
        asker, owner = family
        held = Barrier()
        busy = target_owned_by(1, prefix="/busy")
        asker.origin.on("GET", busy).reply(200, b"x", cache_control=MINUTE).hold(held)
        [waiting] = owner.crowd(1, busy)
        await held.reached()
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE)
        assert (await asker.get(OWNED)).body == b"x"
        assert results(asker) == {"busy": 1}
        held.open()
        await waiting


@pytest.mark.parametrize("change", ["rule", "query", "gone"])
async def test_a_key_that_means_something_else_to_its_owner_is_refused(change: str) -> None:
    async with make_family(2, rule()) as family:
        asker, owner = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE)
        passing = rule("pass") if change == "rule" else rule(cache=CachePolicy(may_store=False))
        name = "other.example.com" if change == "gone" else HOST
        site = Site(name=name, hosts=(name,), origin=owner.origin, rules=(passing,))
        owner.edge.adopt(Sites([site]), None)
        assert (await asker.get(OWNED)).body == b"x"
        assert results(asker) == {"not_mine": 1}


async def test_the_owner_writes_the_disk_and_the_asker_does_not() -> None:
    lower = [DictLower(), DictLower()]
    stores = iter([TieredStore(LARGE, LARGE, each) for each in lower])
    async with make_family(2, rule(), stores=stores) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE)
        await asker.get(OWNED)
        assert [len(each.kept) for each in lower] == [0, 1]
        own = target_owned_by(0)
        asker.origin.on("GET", own).reply(200, b"x", cache_control=MINUTE)
        await asker.get(own)
        assert [len(each.kept) for each in lower] == [1, 1]


async def test_the_owner_reads_its_disk_before_it_asks() -> None:
    lower = [DictLower(), DictLower()]
    stores = iter([TieredStore(LARGE, LARGE, each) for each in lower])
    async with make_family(2, rule(), stores=stores) as family:
        asker, owner = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE)
        await owner.get(OWNED)
        [key] = list(owner.store._index)
        super(TieredStore, owner.store).forget(key)
        assert (await asker.get(OWNED)).body == b"x"
        assert asker.origin.requests == 1


async def test_an_owner_that_ends_in_the_middle_costs_the_askers_clients_nothing() -> None:
    lower = [DictLower(), DictLower()]
    stores = iter([TieredStore(LARGE, LARGE, each) for each in lower])
    async with make_family(2, rule(), stores=stores) as family:
        asker, owner = family
        reply = asker.origin.on("GET", OWNED).reply(
            200, [b"one", b"two"], cache_control=MINUTE, etag='"1"'
        )
        reply.pause(1, middle := Barrier())
        crowd = asker.crowd(5, OWNED)
        await middle.reached()
        await settle(50)
        await owner.beside.siblings.aclose()
        await middle.reached(2)
        middle.open()
        assert {(await each).body for each in crowd} == {b"onetwo"}
        assert results(asker) == {"answered": 1, "resumed": 1}
        assert len(lower[0].kept) == 1  # nobody else has


async def test_an_asker_that_leaves_costs_the_owners_own_clients_nothing() -> None:
    async with make_family(2, rule()) as family:
        asker, owner = family
        reply = asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE)
        reply.hold(held := Barrier())
        [mine] = asker.crowd(1, OWNED)
        await held.reached()
        [theirs] = owner.crowd(1, OWNED)
        await settle(50)
        await asker.edge.aclose()
        await settle(50)
        held.open()
        assert (await theirs).body == b"x"
        assert (await mine).status == 500
        assert asker.origin.requests == 1


async def test_what_a_write_makes_invalid_is_forgotten_everywhere_before_it_is_answered() -> None:
    async with make_family(3, rule()) as family:
        origin = family[0].origin.on("GET", "/a")
        origin.reply(200, b"old", cache_control=MINUTE)
        for pop in family:
            assert (await pop.get("/a")).body == b"old"
        origin.replies.clear()
        origin.reply(200, b"new", cache_control=MINUTE)
        family[0].origin.on("POST", "/a").reply(204)
        assert (await family[2].get("/a", method="POST")).status == 204
        assert [pop.store.objects for pop in family] == [0, 0, 0]
        for pop in family:
            assert (await pop.get("/a")).body == b"new"


async def test_what_a_write_overtakes_is_stored_by_neither() -> None:
    async with make_family(2, rule()) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE).hold(held := Barrier())
        asker.origin.on("POST", OWNED).reply(204)
        [mine] = asker.crowd(1, OWNED)
        await held.reached()
        assert (await asker.get(OWNED, method="POST")).status == 204
        held.open()
        assert (await mine).body == b"x"
        await settle(50)
        assert [pop.store.objects for pop in family] == [0, 0]


async def test_interim_responses_cross_to_who_leads() -> None:
    async with make_family(2, rule()) as family:
        asker, _ = family
        asker.origin.on("GET", OWNED).reply(200, b"x", cache_control=MINUTE).hold(held := Barrier())
        request, heard = asker.request(OWNED), []
        request.interim = lambda status, section: heard.append((status, section.fields))
        asking = asyncio.get_running_loop().create_task(asker.exchange(request))
        await held.reached()
        asker.origin.asked[0].interim(103, FieldSection([(b"link", b"</a>")]))
        while not heard:
            await settle()
        held.open()
        assert (await asking).body == b"x"
        assert heard == [(103, ((b"link", b"</a>"),))]
