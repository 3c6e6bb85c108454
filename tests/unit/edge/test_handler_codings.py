"""One response in many codings, through the whole edge with a scripted origin."""

import hashlib
import zlib

import pytest

from edgeproxy.edge.sites import CorsPolicy
from tests.support.barrier import Barrier, settle
from tests.support.coded import CODE, decoded
from tests.support.edge import Pop, make_pop, origin_field, rule

ALL = (b"br", b"zstd", b"gzip")
TEXT = b"".join(b"function f%d() { return %d; }\n" % (n, n * n) for n in range(4000))
CACHEABLE = {"cache_control": "max-age=60", "content_type": "text/javascript", "etag": '"v1"'}
CODINGS = ["identity", "br", "zstd", "gzip"]


@pytest.fixture
async def pop():
    pop = make_pop(rule(codings=ALL))
    yield pop
    await pop.edge.aclose()


def serve(pop: Pop, coding: str = "identity", body: bytes = TEXT, **fields: str):
    fields = {**CACHEABLE, **fields}
    if coding != "identity":
        fields["content_encoding"] = coding
    return pop.origin.on("GET", "/a").reply(200, CODE[coding](body), **fields)


async def get(pop: Pop, accepted: str | None = None, **more: str):
    if accepted is not None:
        more["accept_encoding"] = accepted
    return await pop.get("/a", **more)


async def best(pop: Pop) -> None:
    """Wait until everything is coded as well as it gets."""
    await pop.edge._coder._to_improve.join()


@pytest.mark.parametrize("sent", CODINGS)
@pytest.mark.parametrize("accepted", CODINGS)
async def test_every_client_gets_its_coding_cold_and_warm(pop, sent, accepted) -> None:
    serve(pop, sent)
    for _ in range(3):
        got = await get(pop, accepted)
        assert (got.status, got.field("content-encoding") or "identity") == (200, accepted)
        assert decoded(got) == TEXT
        assert got.field("vary") == "Accept-Encoding"
        own = '"v1"' if accepted == sent else f'"v1-{accepted}"'
        assert got.field("etag") in {own, f"W/{own}"}
    assert len(pop.origin.asked) == 1
    assert origin_field(pop, "accept-encoding") == b"br, zstd, gzip"
    steps = [] if sent == accepted else [f"{sent} {accepted} fast"]
    assert [made for made in pop.counters.codings if made.endswith("fast")] == steps


@pytest.mark.parametrize("sent", CODINGS)
async def test_each_coding_is_made_once_however_often_it_is_asked_for(pop, sent) -> None:
    serve(pop, sent)
    for accepted in [None, *CODINGS, *CODINGS, "gzip, br", "br;q=0.1, gzip;q=0.2", None]:
        assert decoded(await get(pop, accepted)) == TEXT
    fast = {made: n for made, n in pop.counters.codings.items() if made.endswith("fast")}
    assert len(fast) == 3
    assert set(fast.values()) == {1}
    assert (len(pop.origin.asked), pop.store.objects) == (1, 1)


async def test_what_the_origin_coded_is_kept_and_sent_as_it_is(pop) -> None:
    serve(pop, "br")
    for _ in range(2):
        got = await get(pop, "gzip, deflate, br, zstd")
        assert (got.body, got.field("etag")) == (CODE["br"](TEXT), '"v1"')
    (stored,) = pop.store.candidates(b"https://widgets.example.com/a", pop.clock.now()) or [None]
    assert pop.counters.codings == {}
    assert stored is None or stored.body == CODE["br"](TEXT)


async def test_a_better_coding_takes_the_place_of_the_fast_one(pop) -> None:
    serve(pop)
    fast = await get(pop, "br")
    assert fast.field("etag") == 'W/"v1-br"'
    await best(pop)
    small = await get(pop, "br")
    assert len(small.body) < len(fast.body)
    assert (small.field("etag"), decoded(small)) == ('"v1-br"', TEXT)
    unchanged = await get(pop, "br", if_none_match=fast.field("etag"))
    assert (unchanged.status, unchanged.field("vary")) == (304, "Accept-Encoding")
    assert pop.counters.codings == {"identity br fast": 1, "identity br best": 1}


async def test_a_tag_is_good_for_its_own_coding_only(pop) -> None:
    serve(pop)
    tags = {coding: (await get(pop, coding)).field("etag") for coding in CODINGS}
    assert len({tag.removeprefix("W/") for tag in tags.values()}) == len(CODINGS)
    for coding in CODINGS:
        for known in CODINGS:
            again = await get(pop, coding, if_none_match=tags[known])
            assert again.status == (304 if known == coding else 200)


async def test_a_refresh_keeps_the_codings(pop) -> None:
    serve(pop)
    pop.origin.on("GET", "/a").reply(304, etag='"v1"', cache_control="max-age=60")
    await get(pop, "br")
    await best(pop)
    pop.clock.advance(61)
    got = await get(pop, "br")
    assert (got.outcome, decoded(got)) == ("hit_revalidated", TEXT)
    assert pop.counters.codings["identity br fast"] == 1


async def test_new_bytes_are_coded_anew(pop) -> None:
    serve(pop)
    serve(pop, body=TEXT + b"//", etag='"v2"')
    assert decoded(await get(pop, "br")) == TEXT
    pop.clock.advance(61)
    got = await get(pop, "br")
    assert (decoded(got), got.field("etag")) == (TEXT + b"//", 'W/"v2-br"')


async def test_ranges_are_of_the_coding_that_is_sent(pop) -> None:
    serve(pop)
    whole = await get(pop, "br")
    part = await get(pop, "br", range="bytes=10-19")
    assert (part.status, part.field("content-encoding")) == (206, "br")
    assert part.field("content-range") == f"bytes 10-19/{len(whole.body)}"
    assert part.body == whole.body[10:20]


async def test_if_range_holds_only_for_bytes_that_stay(pop) -> None:
    serve(pop, last_modified="Wed, 01 Jan 2020 00:00:00 GMT")
    fast = await get(pop, "br")
    dated = {"range": "bytes=0-9", "if_range": fast.field("last-modified")}
    assert (await get(pop, "br", **dated)).status == 200
    await best(pop)
    assert (await get(pop, "br", **dated)).status == 206
    tag = (await get(pop, "br")).field("etag")
    assert (await get(pop, "br", range="bytes=0-9", if_range=tag)).status == 206
    assert (await get(pop, "gzip", range="bytes=0-9", if_range=tag)).status == 200


@pytest.mark.parametrize("is_warm", [False, True])
async def test_head_has_the_fields_of_get(pop, is_warm) -> None:
    serve(pop)
    if is_warm:
        await get(pop, "br")
        await best(pop)
    head = await pop.exchange(pop.request("/a", method="HEAD", accept_encoding="br"))
    get_ = await get(pop, "br")
    assert head.body == b""
    names = ["content-encoding", "vary", "content-type"] + ["etag", "content-length"] * is_warm
    assert [head.field(name) for name in names] == [get_.field(name) for name in names]


@pytest.mark.parametrize("sent", CODINGS)
async def test_no_transform_leaves_the_octets_alone(pop, sent) -> None:
    serve(pop, sent, cache_control="max-age=60, no-transform")
    for _ in range(2):
        got = await get(pop, "br, zstd, gzip")
        assert got.body == CODE[sent](TEXT)
    assert (pop.counters.codings, len(pop.origin.asked)) == ({}, 1)


async def test_no_transform_sends_a_client_of_another_coding_to_the_origin(pop) -> None:
    serve(pop, "br", cache_control="max-age=60, no-transform")
    serve(pop, "gzip", cache_control="max-age=60, no-transform")
    await get(pop, "br")
    got = await get(pop, "gzip")
    assert (got.cache_status, got.body) == (
        "fra1; fwd=vary-miss; detail=coding",
        CODE["gzip"](TEXT),
    )
    assert origin_field(pop, "accept-encoding") == b"gzip"
    assert (await get(pop, "br")).outcome == "hit"


async def test_everything_refused_is_406_cold_and_warm(pop) -> None:
    serve(pop)
    for _ in range(2):
        got = await get(pop, "*;q=0")
        assert (got.status, got.field("cache-control")) == (406, "no-store")
    assert pop.store.objects == 1
    assert pop.counters.refusals == {"not-acceptable": 2}


@pytest.mark.parametrize(
    ("fields", "body"),
    [({"content_type": "image/png"}, TEXT), ({}, b"short")],
)
async def test_what_is_not_worth_it_is_not_coded(pop, fields, body) -> None:
    serve(pop, body=body, **fields)
    for _ in range(2):
        got = await get(pop, "br")
        assert (got.body, got.field("content-encoding"), got.field("vary")) == (body, None, None)


async def test_what_does_not_get_smaller_is_sent_as_it_is(pop) -> None:
    noise = hashlib.shake_256(b"seed").digest(4000)
    serve(pop, body=noise)
    first = await get(pop, "br")
    assert decoded(first) == noise
    again = await get(pop, "br")
    assert (again.body, again.field("content-encoding")) == (noise, None)
    assert again.field("vary") == "Accept-Encoding"


async def test_a_crowd_of_all_codings_costs_one_fetch_and_one_coding_each(pop) -> None:
    serve(pop).hold(barrier := Barrier())
    crowds = {coding: pop.crowd(50, accept_encoding=coding) for coding in CODINGS}
    await settle()
    barrier.open()
    for coding, crowd in crowds.items():
        for task in crowd:
            got = await task
            assert (got.field("content-encoding") or "identity", decoded(got)) == (coding, TEXT)
    assert len(pop.origin.asked) == 1
    fast = {made: n for made, n in pop.counters.codings.items() if made.endswith("fast")}
    assert fast == {f"identity {coding} fast": 1 for coding in CODINGS[1:]}


async def test_coded_content_flows_before_it_is_whole(pop) -> None:
    half = len(TEXT) // 2
    reply = pop.origin.on("GET", "/a").reply(200, [TEXT[:half], TEXT[half:]], **CACHEABLE)
    reply.pause(1, barrier := Barrier())
    response = await pop.respond(pop.request("/a", accept_encoding="gzip"))
    early = await anext(aiter(response.body))
    assert len(zlib.decompressobj(31).decompress(early)) == half
    barrier.open()
    rest = b"".join([chunk async for chunk in response.body])
    await response.body.aclose()
    assert zlib.decompress(early + rest, 31) == TEXT


async def test_content_that_breaks_off_breaks_off_in_every_coding(pop) -> None:
    serve(pop, body=TEXT).cut(0)
    for coding in ["br", "identity"]:
        got = await get(pop, coding)
        assert got.failure is not None
    assert pop.store.objects == 0


BROKEN = [b"no brotli" * 500, b"at all" * 500]


async def test_content_that_is_not_in_its_coding_breaks_off(pop) -> None:
    reply = pop.origin.on("GET", "/a").reply(200, BROKEN, content_encoding="br", **CACHEABLE)
    reply.pause(1, barrier := Barrier())
    (task,) = pop.crowd(1)
    await settle()
    barrier.open()
    assert (await task).failure.word == "http_response_content_coding"
    assert pop.counters.coding_failures == 1


async def test_where_stored_content_cannot_be_decoded_the_origin_is_asked(pop) -> None:
    pop.origin.on("GET", "/a").reply(200, BROKEN, content_encoding="br", **CACHEABLE)
    pop.origin.on("GET", "/a").reply(200, TEXT, **CACHEABLE)
    for accepted in ["br", None, "identity", "br"]:
        got = await get(pop, accepted)
        assert got.body == (b"".join(BROKEN) if accepted == "br" else TEXT)
    assert pop.counters.coding_failures == 1
    assert pop.store.objects == 1


async def test_an_unknown_coding_is_each_clients_own_affair(pop) -> None:
    pop.origin.on("GET", "/a").reply(200, b"x" * 2000, content_encoding="dcb", **CACHEABLE)
    for _ in range(2):
        got = await get(pop, "dcb")
        assert (got.body, got.field("content-encoding")) == (b"x" * 2000, "dcb")
    assert origin_field(pop, "accept-encoding") == b"dcb"
    assert pop.store.objects == 0


async def test_what_is_not_stored_is_asked_for_again_if_the_client_cannot_read_it(pop) -> None:
    private = {"cache_control": "no-store", "content_type": "text/html"}
    pop.origin.on("GET", "/a").reply(200, CODE["br"](TEXT), content_encoding="br", **private)
    pop.origin.on("GET", "/a").reply(200, TEXT, **private)
    got = await get(pop)
    assert (got.body, got.field("content-encoding")) == (TEXT, None)
    assert len(pop.origin.asked) == 2


async def test_stale_content_has_its_codings_too(pop) -> None:
    serve(pop, cache_control="max-age=1, stale-while-revalidate=60, stale-if-error=600")
    pop.origin.on("GET", "/a").reply(503)
    await get(pop, "br")
    pop.clock.advance(10)
    got = await get(pop, "gzip")
    assert (got.outcome, decoded(got)) == ("hit_stale", TEXT)
    await settle()
    pop.clock.advance(100)
    got = await get(pop, "zstd")
    assert (got.outcome, decoded(got)) == ("hit_stale", TEXT)
    assert (await get(pop, "*;q=0")).status == 406


async def test_a_rule_that_negotiates_nothing_asks_for_nothing_and_passes_what_comes() -> None:
    pop = make_pop(rule())
    serve(pop)
    got = await get(pop, "br")
    assert (got.body, got.field("vary"), origin_field(pop, "accept-encoding")) == (TEXT, None, None)
    await pop.edge.aclose()


async def test_a_transparent_site_leaves_codings_to_the_origin() -> None:
    pop = make_pop()
    for coding in ["br", "gzip"]:
        serve(pop, coding, vary="Accept-Encoding")
    for coding in ["br", "gzip"]:
        for _ in range(2):
            assert (await get(pop, coding)).body == CODE[coding](TEXT)
        assert origin_field(pop, "accept-encoding") == coding.encode()
    assert (pop.store.objects, len(pop.origin.asked)) == (2, 2)
    await pop.edge.aclose()


async def test_cors_and_coding_both_vary() -> None:
    cors = CorsPolicy(origins=frozenset({b"https://a.example"}))
    pop = make_pop(rule(codings=ALL), cors=cors)
    serve(pop)
    for _ in range(2):
        got = await get(pop, "br", origin="https://a.example")
        assert got.field("vary") == "Accept-Encoding, Origin"
        assert got.field("access-control-allow-origin") == "https://a.example"
    await pop.edge.aclose()


async def test_two_lines_are_one_list(pop) -> None:
    serve(pop)
    lines = [(b"accept-encoding", b"gzip;q=0.5"), (b"accept-encoding", b"zstd")]
    for _ in range(2):
        assert (await pop.get("/a", fields=lines)).field("content-encoding") == "zstd"


async def test_a_generated_tag_has_its_codings() -> None:
    pop = make_pop(rule(codings=ALL, generates_validators=True))
    pop.origin.on("GET", "/a").reply(
        200, TEXT[:5000], content_type="text/css", cache_control="max-age=9"
    )
    first = await get(pop, "br")
    plain = await get(pop)
    tag = plain.field("etag").rstrip('"')
    assert first.field("etag") == f'{tag}-br"'
    assert pop.counters.codings == {"identity br best": 1}
    assert first.field("content-length") == str(len(first.body))
    assert decoded(first) == TEXT[:5000]
    await pop.edge.aclose()
