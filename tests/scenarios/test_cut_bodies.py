"""What the origin breaks off ends as an error for everybody and is never taken for the whole."""

import pytest

from tests.support.barrier import Barrier
from tests.support.h1_client import CutError
from tests.support.h2_client import StreamBrokenError
from tests.support.origin import Reply, Route
from tests.support.pop import ENTRY, RunningPop, clock_of_today, running_pop

FIRST, SECOND = b"f" * 50_000, b"s" * 50_000
INTERNAL_ERROR = 2
CURL_PARTIAL_FILE, CURL_RECEIVE_ERROR, CURL_HTTP2_STREAM = 18, 56, 92


def short(route: Route) -> Reply:
    return route.reply(200, [FIRST, SECOND]).cut(1)


def reset(route: Route) -> Reply:
    return route.reply(200, [FIRST, SECOND]).cut(1, reset=True)


def in_a_chunk(route: Route) -> Reply:
    return route.raw(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n" + FIRST, SECOND
    ).cut(1)


def without_last_chunk(route: Route) -> Reply:
    # All data arrives, cut after two of two segments: only the proof of the end is missing.
    return route.reply(200, [FIRST, SECOND]).chunked().cut(2)


CUTS = [short, reset, in_a_chunk, without_last_chunk]


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as running:
        yield running


async def refills(pop: RunningPop, path: str) -> None:
    """The next request asks again and gets everything; the one after it is a hit."""
    before = pop.origin.requests
    for status in ("fra1; fwd=uri-miss; stored", "fra1; hit; ttl="):
        answer = await pop.curl(path)
        assert answer.body == FIRST + SECOND
        assert answer.fields["cache-status"].startswith(status)
    assert pop.origin.requests == before + 1


@pytest.mark.parametrize("cut", CUTS)
async def test_followers_on_every_protocol_see_the_cut_and_nothing_is_stored(pop, cut):
    route = pop.origin.on("GET", "/a")
    cut(route).pause(1, middle := Barrier())
    route.reply(200, FIRST + SECOND)
    async with pop.h2() as h2, pop.h2() as other, pop.h1() as h1:
        streams = [client.send("GET", "/a") for client in (h2, h2, other)]
        h1.send("GET", "/a")
        older = await h1.reply()
        for stream in streams:
            await stream.first_byte.wait()
        await older.piece()
        middle.open()

        for stream in streams:
            with pytest.raises(StreamBrokenError):
                await stream.whole()
            assert (stream.status, stream.error_code) == (200, INTERNAL_ERROR)
        with pytest.raises(CutError):
            await older.whole()
        assert pop.origin.requests == 1
        assert pop.store.objects == 0
        assert pop.counters.broken_exchanges == 4

        # Only the streams broke: their connection goes on.
        again = await h2.get("/a")
        assert again.body == FIRST + SECOND
        assert not h2.is_over.is_set()
    assert (await pop.curl("/a")).fields["cache-status"].startswith("fra1; hit")
    assert pop.origin.requests == 2


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("flag", "codes"),
    [
        ("--http2", {CURL_HTTP2_STREAM}),
        ("--http1.1", {CURL_PARTIAL_FILE, CURL_RECEIVE_ERROR}),
        ("--http1.0 --no-alpn", {CURL_PARTIAL_FILE, CURL_RECEIVE_ERROR}),
    ],
)
async def test_curl_knows_that_something_is_missing(pop, cut, flag, codes):
    route = pop.origin.on("GET", "/a")
    cut(route)
    route.reply(200, FIRST + SECOND)
    code, body = await pop.curl_exit("/a", *flag.split())
    assert code in codes
    assert (FIRST + SECOND).startswith(body)
    assert pop.store.objects == 0
    await refills(pop, "/a")


@pytest.mark.parametrize("flag", ["--http2", "--http1.1"])
async def test_a_close_that_is_a_reset_ends_nothing(pop, flag):
    pop.origin.on("GET", "/a").reply(200, [FIRST, SECOND]).until_close().cut(1, reset=True)
    code, _ = await pop.curl_exit("/a", *flag.split())
    assert code in {CURL_PARTIAL_FILE, CURL_RECEIVE_ERROR, CURL_HTTP2_STREAM}
    assert pop.store.objects == 0


@pytest.mark.parametrize("flag", ["--http2", "--http1.1"])
async def test_what_ends_with_the_connection_is_passed_on_but_not_kept(pop, flag):
    pop.origin.on("GET", "/a").reply(200, [FIRST, SECOND]).until_close()
    for _ in range(2):
        answer = await pop.curl("/a", flag)
        assert answer.body == FIRST + SECOND
    assert pop.origin.requests == 2
    assert pop.store.objects == 0


async def test_more_than_announced_is_not_believed(pop):
    """Octets behind the announced end are never content, of this response or the next one."""
    route = pop.origin.on("GET", "/a")
    route.reply(200, FIRST).followed_by(SECOND)
    pop.origin.on("GET", "/b").reply(200, b"b")
    async with pop.h2() as client:
        assert (await client.get("/a")).body == FIRST
        assert (await client.get("/b")).body == b"b"


async def test_a_cut_before_any_content_is_an_error_with_a_name(pop):
    pop.origin.on("GET", "/a").drop()
    answer = await pop.curl("/a")
    assert answer.status == 502
    assert answer.fields["proxy-status"] == "fra1; error=connection_terminated"
    assert answer.fields["cache-control"] == "no-store"


async def test_a_cut_of_what_is_not_stored_reaches_its_client(pop):
    fields = [(b"cache-control", b"no-store")]
    pop.origin.on("GET", "/a").reply(200, [FIRST, SECOND], fields=fields).cut(1)
    async with pop.h2() as h2, pop.h1() as h1:
        with pytest.raises(StreamBrokenError):
            await h2.get("/a")
        with pytest.raises(CutError):
            await h1.get("/a")


async def test_a_cut_refresh_replaces_nothing(tmp_path):
    clock = clock_of_today()
    async with running_pop(tmp_path, rules=ENTRY, clock=clock) as pop:
        route = pop.origin.on("GET", "/a")
        route.reply(200, b"good")
        route.reply(200, [FIRST, SECOND]).cut(1)
        for seconds in (0, 61):
            clock.advance(seconds)
            async with pop.h1() as client:
                assert (await client.get("/a")).body == b"good"
        await pop.fills_ended()
        assert pop.origin.requests == 2
        async with pop.h1() as client:
            again = await client.get("/a")
        assert again.body == b"good"
        assert again["cache-status"] == "fra1; hit; ttl=-1; detail=stale-while-revalidate"
