"""What the first client of a file gets whose origin sends no validators: the same as all others."""

import asyncio

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.settings import EdgeSettings
from tests.support.barrier import Barrier
from tests.support.edge import Pop, make_pop, rule

ENTRY = rule(
    generates_validators=True,
    cache=CachePolicy(edge_lifetime=60, honours_request_directives=False),
)


@pytest.fixture
async def pop():
    pop = make_pop(ENTRY)
    yield pop
    await pop.edge.aclose()


async def test_the_first_answer_of_a_small_file_has_the_tag_of_all_later_ones(pop: Pop):
    pop.origin.on("GET", "/a").reply(200, body=[b"var ", b"a=1"])
    missed, hit = await pop.get(), await pop.get()
    assert (missed.outcome, hit.outcome) == ("miss", "hit")
    assert missed.field("etag") is not None
    for name in ("etag", "last-modified", "date", "content-length"):
        assert missed.field(name) == hit.field(name), name
    assert (missed.body, hit.body) == (b"var a=1", b"var a=1")
    assert missed.cache_status == "fra1; fwd=uri-miss; stored"


async def test_the_first_answer_is_a_304_where_the_client_has_the_bytes_already(pop: Pop):
    pop.origin.on("GET", "/a").reply(200, body=b"var a=1")
    tag = (await pop.get()).field("etag")
    pop.clock.advance(61)
    again = await pop.get(if_none_match=str(tag))
    assert (again.status, again.body, pop.origin.requests) == (304, b"", 2)


async def test_an_etag_of_the_origin_is_not_waited_for(pop: Pop):
    middle = Barrier()
    pop.origin.on("GET", "/a").reply(200, body=[b"1", b"2"], etag='"o"').pause(1, middle)
    response = await pop.respond(pop.request())
    await middle.reached()  # answered while the origin holds the rest
    assert (b"etag", b'"o"') in response.fields
    middle.open()


async def test_content_larger_than_the_bound_is_streamed():
    pop = make_pop(ENTRY, settings=EdgeSettings(settle_bytes_max=1))
    middle = Barrier()
    pop.origin.on("GET", "/a").reply(200, body=[b"1", b"2"]).pause(1, middle)
    response = await pop.respond(pop.request())
    await middle.reached()  # answered while the origin holds the rest
    assert b"etag" not in dict(response.fields)
    assert b"last-modified" in dict(response.fields)
    middle.open()
    await pop.edge.aclose()


async def test_content_that_comes_slowly_is_streamed_after_a_moment():
    pop = make_pop(ENTRY, settings=EdgeSettings(settle_seconds=0))
    middle = Barrier()
    pop.origin.on("GET", "/a").reply(200, body=[b"1", b"2"]).pause(1, middle)
    async with asyncio.timeout(10):
        response = await pop.respond(pop.request())
    await middle.reached()  # answered while the origin holds the rest
    assert b"etag" not in dict(response.fields)
    middle.open()
    await pop.edge.aclose()


async def test_small_content_that_breaks_off_is_broken_off(pop: Pop):
    pop.origin.on("GET", "/a").reply(200, body=[b"1", b"2"]).cut(1)
    broken = await pop.get()
    assert broken.status == 200
    assert broken.failure is not None
    assert pop.store.objects == 0
