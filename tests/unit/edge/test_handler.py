import json

import pytest

from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.sites import CorsPolicy
from edgeproxy.http.messages import combined
from edgeproxy.observe.access_log import AccessLog, AccessLogSettings
from edgeproxy.observe.counters import Counters
from tests.support.edge import HOST, Pop, make_pop, rule


@pytest.fixture
async def pop():
    pop = make_pop(rule(), cors=CorsPolicy(origins=frozenset({b"https://a.example"})))
    pop.origin.on("GET", "/a").reply(
        200, b"0123", cache_control="max-age=60", etag='"1"', content_type="text/plain"
    )
    await pop.get()
    yield pop
    await pop.edge.aclose()


def hit(pop: Pop, **asked: object) -> object:
    return pop.edge.hit(pop.request(**asked), pop.clock.now())


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ({}, 200, b"0123"),
        ({"method": "HEAD"}, 200, b""),
        ({"if_none_match": '"1"'}, 304, b""),
        ({"if_match": '"2"'}, 412, b""),
        ({"range": "bytes=1-2"}, 206, b"12"),
        ({"range": "bytes=4-"}, 416, b""),
        ({"origin": "https://a.example"}, 200, b"0123"),
        ({"cache_control": "no-cache", "pragma": "no-cache"}, 200, b"0123"),
    ],
)
async def test_memory_answers_at_once(pop: Pop, asked: dict, status: int, body: bytes) -> None:
    response = hit(pop, **asked)
    assert (response.status, bytes(response.body)) == (status, body)
    assert (response.outcome, response.site, response.rule) == ("hit", HOST, "entry")
    assert combined(response.fields, b"cache-status") == b"fra1; hit; ttl=60"
    assert pop.origin.requests == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"target": "/cold"},
        {"target": "not a target"},
        {"host": "other.example"},
        {"host": "a b"},
        {"method": "POST"},
        {"method": "POST", "range": "bytes=0-0"},
        {"method": "PURGE"},
        {"authorization": "Bearer t"},
        {"expect": "100-continue"},
    ],
)
async def test_memory_leaves_the_rest_to_handle(pop: Pop, asked: dict) -> None:
    assert hit(pop, **asked) is None


async def test_memory_does_not_answer_content(pop: Pop) -> None:
    request = pop.request()
    request.body = object()
    assert pop.edge.hit(request, pop.clock.now()) is None


@pytest.mark.parametrize("asked", [{}, {"range": "bytes=0-0"}, {"origin": "https://a.example"}])
async def test_memory_does_not_answer_what_is_stale(pop: Pop, asked: dict) -> None:
    assert hit(pop, **asked) is not None
    pop.clock.advance(60)
    assert hit(pop, **asked) is None


async def test_a_transparent_hit_listens_to_the_request() -> None:
    pop = make_pop()
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60, public")
    await pop.get()
    assert hit(pop, cache_control="max-age=60") is not None
    assert hit(pop, cache_control="no-cache") is None
    assert hit(pop, authorization="Bearer t") is not None


@pytest.mark.parametrize("name", ["if_match", "if_unmodified_since"])
async def test_a_transparent_site_leaves_the_origins_preconditions_to_the_origin(
    name: str,
) -> None:
    pop = make_pop()
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x", cache_control="max-age=60", etag='"1"')
    route.reply(412)
    await pop.get()
    asked = {name: '"1"' if name == "if_match" else "Tue, 14 Nov 2023 22:13:20 GMT"}
    assert hit(pop, **asked) is None
    refused = await pop.get(**asked)
    assert (refused.status, refused.cache_status) == (412, "fra1; fwd=bypass")
    assert combined(pop.origin.asked[1].fields, name.replace("_", "-").encode())
    assert hit(pop) is not None


async def test_variants_are_told_apart_at_once() -> None:
    pop = make_pop()
    route = pop.origin.on("GET", "/a")
    for body in (b"de", b"en"):
        route.reply(200, body, cache_control="max-age=60", vary="Accept-Language")
    for language in ("de", "en"):
        await pop.get(accept_language=language)
    assert hit(pop, accept_language="de").body == b"de"
    assert hit(pop, accept_language="en").body == b"en"
    assert hit(pop, accept_language="fr") is None


async def test_handle_answers_what_memory_holds_too(pop: Pop) -> None:
    response = await pop.edge.handle(pop.request())
    assert (response.status, response.outcome) == (200, "hit")


async def test_refusals_are_counted_by_reason_and_know_no_cache(pop: Pop) -> None:
    for asked in ({"method": "PURGE"}, {"host": "other.example"}, {"host": "other.example"}):
        refused = await pop.get(**asked)
        assert (refused.outcome, refused.cache_status) == ("denied", None)
    assert pop.counters.refusals == {"method": 1, "unknown-host": 2}
    assert refused.response.site == "_other"


async def test_a_refusal_of_a_known_site_is_counted_for_it(pop: Pop) -> None:
    refused = await pop.get(cache_control="only-if-cached", target="/cold", method="REPORT")
    assert refused.status == 501
    transparent = make_pop()
    only = await transparent.get(cache_control="only-if-cached")
    assert (only.status, only.response.site) == (504, HOST)


async def test_completed_counts_and_writes_one_line() -> None:
    text: list[str] = []
    log = AccessLog(text.append, AccessLogSettings(), counters=Counters())
    pop = make_pop(rule(), access_log=log)
    pop.origin.on("GET", "/a").reply(200, b"0123", cache_control="max-age=60")
    await pop.get()
    request = pop.request()
    pop.clock.advance(0.002)
    pop.edge.completed(request, hit(pop), 2, is_whole=False)
    await log.aclose()
    lines = [json.loads(line) for line in "".join(text).splitlines()]
    assert [(line["cache"], line["bytes"], line["whole"]) for line in lines] == [
        ("miss", 4, True),
        ("hit", 2, False),
    ]
    assert lines[1]["ms"] == pytest.approx(2, abs=0.001)
    assert pop.counters.broken_exchanges == 1
    assert pop.counters.requests_by("outcome") == {"miss": 1, "hit": 1}
    await pop.edge.aclose()


async def test_a_rule_that_stores_nothing_reads_nothing() -> None:
    pop = make_pop(rule("pass", cache=CachePolicy(may_store=False)))
    pop.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    assert (await pop.get(range="bytes=0-0")).outcome == "bypass"
    assert hit(pop) is None
