import pytest

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.storing import DoNotStore, Store
from edgeproxy.edge.collapse import Arriving, Confirmed, Flight, Private, Unavailable
from edgeproxy.edge.fetch import question
from edgeproxy.edge.fill import Filler, may_be_public
from edgeproxy.edge.question import Question
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.errors import UpstreamError
from tests.support.barrier import Barrier, settle
from tests.support.edge import Pop, make_pop, rule


@pytest.fixture
async def pop():
    pop = make_pop(rule(generates_validators=True))
    yield pop
    await pop.edge.aclose()


def filler_of(pop: Pop) -> Filler:
    return pop.edge._forwarder.filler


def asked(pop: Pop, *, is_stale: bool = False) -> Question:
    request = pop.request()
    route = pop.edge._lookup.site_routes(request).route(request.target)
    candidates = pop.store.candidates(route.key, pop.clock.now())
    selected = candidates[0] if candidates and is_stale else None
    return Question(route, question(request, route), "stale", candidates, selected)


def fly(pop: Pop, *, has_leader: bool = True, is_stale: bool = False) -> Flight:
    filler, about = filler_of(pop), asked(pop, is_stale=is_stale)

    async def fill(flight: Flight) -> None:
        await filler.fill(about, flight)

    return pop.edge._flights.lead(about.route.key, fill, has_leader=has_leader)


async def test_a_storable_answer_is_announced_before_it_is_whole_and_stored_after(
    pop: Pop,
) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="max-age=60")
    reply.pause(1, until := Barrier())
    flight = fly(pop)
    told = await flight.told()
    assert isinstance(told, Arriving)
    assert told.representation.last_modified == told.representation.date
    assert pop.store.objects == 0
    until.open()
    await settle()
    (kept,) = pop.store.candidates(flight.key, pop.clock.now())
    assert (kept.body, kept.is_etag_generated) == (b"ab", True)
    assert pop.origin.bodies_closed == 1


@pytest.mark.parametrize("has_leader", [True, False])
async def test_a_private_answer_is_read_for_a_leader_only(pop: Pop, has_leader: bool) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="private")
    flight = fly(pop, has_leader=has_leader)
    told = await flight.told()
    assert isinstance(told, Private)
    assert told.reason == "private"
    assert (flight.reader is not None) is has_leader
    await settle()
    assert pop.origin.chunks_sent == int(has_leader)
    assert pop.edge._flights.is_uncacheable(flight.key)


async def test_a_private_answer_that_breaks_off_breaks_its_reader(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="private").cut(1)
    flight = fly(pop)
    await flight.told()
    reader = flight.take()
    assert await anext(reader) == b"a"
    with pytest.raises(UpstreamError):
        await anext(reader)


async def test_a_failure_is_announced_and_counted(pop: Pop) -> None:
    pop.origin.on("GET", "/a").fail("dns_error")
    told = await fly(pop).told()
    assert isinstance(told, Unavailable)
    assert told.error.word == "dns_error"
    assert pop.counters.origin_errors == {"dns_error": 1}


async def test_a_server_error_makes_way_for_what_may_be_stale_only(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60, stale-if-error=60")
    route.reply(502, b"bad")
    fly(pop)
    await settle()
    pop.clock.advance(61)
    stale = await fly(pop, is_stale=True).told()
    assert stale == Unavailable(None, 502) or stale.received_status == 502
    assert isinstance(await fly(pop).told(), Private)
    await settle()
    pop.clock.advance(61)
    assert isinstance(await fly(pop, is_stale=True).told(), Private)
    assert not pop.edge._flights.is_uncacheable(fly(pop).key)


async def test_a_304_freshens_what_is_still_stored(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", etag='"1"')
    route.reply(304, etag='"1"', x_new="1")
    fly(pop)
    await settle()
    told = await fly(pop, is_stale=True).told()
    assert isinstance(told, Confirmed)
    assert (told.stored.body, dict(told.stored.fields)[b"x-new"]) == (b"x", b"1")
    assert list(pop.store.candidates(told.stored.key, pop.clock.now())) == [told.stored]


async def test_a_304_does_not_bring_back_what_was_purged_meanwhile(pop: Pop) -> None:
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", etag='"1"')
    route.reply(304, etag='"1"').hold(until := Barrier())
    fly(pop)
    await settle()
    flight = fly(pop, is_stale=True)
    await until.reached()
    pop.store.forget(flight.key)
    pop.edge.generations.advance()
    until.open()
    assert isinstance(await flight.told(), Confirmed)
    assert pop.store.objects == 0


async def test_vary_by_what_is_never_sent_makes_no_variants(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(
        200, b"x", cache_control="max-age=60", vary="Accept-Encoding, Cookie"
    )
    flight = fly(pop)
    told = await flight.told()
    assert told.vary == ()
    await settle()
    (kept,) = pop.store.candidates(flight.key, pop.clock.now())
    assert kept.is_vary_free
    assert dict(kept.fields)[b"vary"] == b"Accept-Encoding, Cookie"


async def test_what_the_store_cannot_hold_is_too_large() -> None:
    pop = make_pop(rule(), object_bytes_max=4)
    pop.origin.on("GET", "/a").reply(200, b"12345", cache_control="max-age=60")
    told = await fly(pop).told()
    assert isinstance(told, Private)
    assert told.reason == "too-large"
    await pop.edge.aclose()


async def test_what_all_fills_keep_is_bounded_and_the_rest_passes_through() -> None:
    pop = make_pop(rule(), settings=EdgeSettings(growing_bytes_max=10, settle_bytes_max=0))
    slow = pop.origin.on("GET", "/slow").reply(200, [b"1234", b"5678"], cache_control="max-age=60")
    slow.pause(1, until := Barrier())
    pop.origin.on("GET", "/a").reply(200, [b"abcd", b"efgh"], cache_control="max-age=60")
    (first,) = pop.crowd(1, "/slow")
    await settle()

    second = await pop.get("/a")
    assert (second.body, second.failure) == (b"abcdefgh", None)
    assert pop.counters.discarded_fills == {"no-room": 1}
    assert pop.store.objects == 0

    until.open()
    assert (await first).body == b"12345678"
    assert pop.edge._forwarder.filler.room.used == 0
    pop.clock.advance(60)
    assert (await pop.get("/a")).body == b"abcdefgh"
    assert pop.store.objects == 2
    await pop.edge.aclose()


async def test_what_breaks_off_makes_room(pop: Pop) -> None:
    pop.origin.on("GET", "/a").reply(200, [b"a", b"b"], cache_control="max-age=60").cut(1)
    assert (await pop.get("/a")).failure is not None
    assert pop.edge._forwarder.filler.room.used == 0


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Store(Freshness(1, "rule")), True),
        (DoNotStore("too-large"), True),
        (DoNotStore("unproven-end"), True),
        (DoNotStore("private"), False),
        (DoNotStore("no-store"), False),
        (DoNotStore("set-cookie"), False),
        (DoNotStore("authorization"), False),
    ],
)
def test_what_a_browser_may_be_told(verdict: Store | DoNotStore, expected: bool) -> None:
    assert may_be_public(verdict) is expected
