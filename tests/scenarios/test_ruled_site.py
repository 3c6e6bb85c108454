"""A site with rules, over HTTP/1.1 and HTTP/2: validators, codings, names, paths, strange fields.

What rules make of single responses is in `test_rules.py`; here a whole point of presence runs with
the built-in policies as an operator writes them.
"""

import asyncio

import pytest
import pytest_asyncio

from edgeproxy.http.dates import format_date
from tests.support.barrier import Barrier
from tests.support.coded import CODE
from tests.support.pop import clock_of_today, running_pop
from tests.support.rows import PROTOCOLS, At, Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = """
[[host.rule]]
id = "versioned"
path = ["/v{semver}/**"]
policy = "versioned"

[[host.rule]]
id = "entry"
path = ["/row/**"]
policy = "entry"

[[host.rule]]
id = "manifest"
path = ["/manifest/**"]
policy = "manifest"

[[host.rule]]
id = "api"
path = ["/api/**"]
policy = "pass"
"""
BODY = b"0123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    clock = clock_of_today()
    folder = tmp_path_factory.mktemp("pop")
    async with running_pop(folder, clock=clock, rules=RULES) as pop:
        yield Stage(pop, clock)


@pytest.fixture(params=PROTOCOLS)
def stage(running, request):
    return Stage(running.pop, running.clock, request.param)


async def settled(stage: Stage, path: str, lines: list[Line], body: bytes = BODY) -> str:
    """Have it stored, whatever was scripted before."""
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, body, lines)
    await stage.ask(path)
    await stage.pop.fills_ended()
    return path


# --- validators -----------------------------------------------------------------------------------


async def test_the_first_answer_can_be_revalidated_by_what_it_carries(stage: Stage) -> None:
    path = target()
    stage.reply(path, BODY, [])
    first = await stage.ask(path)
    await stage.pop.fills_ended()
    conditions: list[list[Line]] = [[("if-modified-since", first["last-modified"])]]
    if first["etag"]:
        conditions.append([("if-none-match", first["etag"])])
    for condition in conditions:
        again = await stage.ask(path, condition)
        assert (again.status, again["cache-status"]) == (304, "fra1; hit; ttl=60")
        assert again["cache-control"] == "public, max-age=86400, must-revalidate"


async def test_made_validators_outlive_refills_of_the_same_bytes(stage: Stage) -> None:
    path = await settled(stage, target(), [])
    first = await stage.ask(path)
    for _ in range(2):
        stage.clock.advance(3600 * 24 + 361)  # past every window: a new fill, in the foreground
        filled = await stage.ask(path)
        assert filled["cache-status"] == "fra1; fwd=stale; stored"
        assert stage.received("if-none-match") == stage.received("if-modified-since") == []
        await stage.pop.fills_ended()
        hit = await stage.ask(path)
        assert hit["etag"] == first["etag"]
        assert hit["last-modified"] == first["last-modified"]
        assert hit["date"] != first["date"]
        assert (await stage.ask(path, [("if-none-match", first["etag"])])).status == 304
        assert (await stage.ask(path, [("if-modified-since", filled["date"])])).status == 304


async def test_made_validators_change_with_the_bytes(stage: Stage) -> None:
    path = await settled(stage, target(), [])
    first = await stage.ask(path)
    stage.clock.advance(3600 * 24 + 361)
    await settled(stage, path, [], b"other")
    for condition in (
        ("if-none-match", first["etag"]),
        ("if-modified-since", first["last-modified"]),
    ):
        reply = await stage.ask(path, [condition])
        assert (reply.status, bytes(reply.body)) == (200, b"other")
    part = await stage.ask(path, [("range", "bytes=0-1"), ("if-range", first["etag"])])
    assert (part.status, bytes(part.body)) == (200, b"other")


async def test_made_validators_live_through_a_304(stage: Stage) -> None:
    """An origin with Last-Modified alone: its 304 keeps the tag that we made."""
    path = await settled(stage, target(), [("last-modified", At(-1000))])
    first = await stage.ask(path)
    assert first["etag"]
    stage.clock.advance(61)
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, b"", [], status=304)
    await stage.ask(path)
    await stage.pop.fills_ended()
    assert stage.received("if-modified-since") == [first["last-modified"]]
    assert stage.received("if-none-match") == []
    hit = await stage.ask(path, [("if-none-match", first["etag"])])
    assert (hit.status, hit["cache-status"]) == (304, "fra1; hit; ttl=60")


@pytest.mark.parametrize("range_", ["bytes=2-3", "bytes=-2"])
async def test_parts_by_the_tag_that_we_made(stage: Stage, range_: str) -> None:
    path = await settled(stage, target(), [])
    tag = (await stage.ask(path))["etag"]
    for if_range, status in [(tag, 206), (f"W/{tag}", 200), ('"x"', 200)]:
        reply = await stage.ask(path, [("range", range_), ("if-range", if_range)])
        assert (reply.status, reply["etag"]) == (status, tag)


@pytest.mark.parametrize("asked", [[("range", "bytes=2-3")], [("if-none-match", '"x"')]], ids=str)
async def test_the_whole_is_fetched_whatever_the_first_client_wants(
    stage: Stage, asked: list[Line]
) -> None:
    path = target()
    stage.reply(path, BODY, [])
    reply = await stage.ask(path, asked)
    assert reply.status == (206 if asked[0][0] == "range" else 200)
    assert stage.received("range") == stage.received("if-none-match") == []
    await stage.pop.fills_ended()
    whole = await stage.ask(path)
    assert (bytes(whole.body), whole["cache-status"]) == (BODY, "fra1; hit; ttl=60")


@pytest.mark.parametrize("policy", ["row", "manifest", "v1.0.0"])
async def test_head_cold_fresh_and_stale_is_the_get_without_content(
    stage: Stage, policy: str
) -> None:
    path = f"/{policy}{target()}"
    stage.reply(path, BODY, [("content-type", "text/plain")])
    cold = await stage.ask(path, method="HEAD")
    assert (cold.status, bytes(cold.body), cold["content-length"]) == (200, b"", "10")
    assert cold["cache-status"] == "fra1; fwd=uri-miss; stored"
    await stage.pop.fills_ended()
    head, get = await stage.ask(path, method="HEAD"), await stage.ask(path)
    assert head.fields == get.fields
    assert bytes(get.body) == BODY
    stage.clock.advance(3 * 366 * 86_400)
    stale = await stage.ask(path, method="HEAD")
    assert stale["cache-status"] == "fra1; fwd=stale; stored"
    stage.clock.advance(-3 * 366 * 86_400)


# --- codings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vary", [[], [("vary", "Accept-Encoding")]])
async def test_a_coded_answer_is_decoded_for_whom_it_is_not_coded(
    stage: Stage, vary: list[Line]
) -> None:
    path, coded = target(), CODE["gzip"](BODY)
    stage.reply(path, coded, [("content-encoding", "gzip"), *vary])
    for accepted, body in (("identity", BODY), ("gzip", coded), ("br", BODY), ("gzip", coded)):
        reply = await stage.ask(path, [("accept-encoding", accepted)])
        await stage.pop.fills_ended()
        assert (bytes(reply.body), reply["vary"]) == (body, "Accept-Encoding")
        assert reply["content-encoding"] == ("gzip" if body is coded else "")
    assert stage.received("accept-encoding") == ["br, zstd, gzip"]


async def test_what_is_shared_is_asked_for_in_the_name_of_the_rule(stage: Stage) -> None:
    path = target()
    stage.reply(path, BODY, [("vary", "Accept-Encoding")])
    await stage.ask(path, [("accept-encoding", "x-mine")])
    assert stage.received("accept-encoding") == ["br, zstd, gzip"]
    await stage.pop.fills_ended()
    for accepted in ("gzip", "br", "identity", "*;q=0"):
        reply = await stage.ask(path, [("accept-encoding", accepted)])
        assert reply["cache-status"].startswith("fra1; hit")


# --- one client's word ----------------------------------------------------------------------------

STRANGE: list[str] = [
    "x-forwarded-host",
    "x-forwarded-scheme",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-for",
    "x-host",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-charset",
    "origin",
    "user-agent",
    "cookie",
    "referer",
    "range",
    "if-none-match",
    "if-range",
    "via",
    "upgrade-insecure-requests",
    "priority",
    "early-data",
    "cdn-loop",
    "max-forwards",
    "cache-control",
    "pragma",
    "x-whatever",
]


@pytest.mark.parametrize("prefix", ["", "/v1.0.0", "/manifest"])
async def test_no_field_of_a_stranger_reaches_what_is_shared(stage: Stage, prefix: str) -> None:
    """Hostile input 1."""
    path = prefix + target()
    stage.reply(path, BODY, [])
    await stage.ask(path, [(name, "canary") for name in STRANGE])
    assert b"canary" not in stage.pop.origin.received[-1].head
    await stage.pop.fills_ended()
    assert (await stage.ask(path))["cache-status"].startswith("fra1; hit")


async def test_who_is_authorized_is_asked_of_the_origin(stage: Stage) -> None:
    path = await settled(stage, target(), [])
    before = stage.asked
    reply = await stage.ask(path, [("authorization", "Basic eA==")])
    assert (reply["cache-status"], stage.asked) == ("fra1; fwd=bypass", before + 1)
    assert stage.received("authorization") == ["Basic eA=="]
    assert not reply["cache-control"]


@pytest.mark.parametrize("value", ["no-cache", "max-age=0", "no-store", "only-if-cached"])
async def test_a_reload_does_not_reach_the_origin(stage: Stage, value: str) -> None:
    """RFC 9111 section 5.2.1 leaves it to us; under a rule the operator decides."""
    path = await settled(stage, target(), [])
    before = stage.asked
    reply = await stage.ask(path, [("cache-control", value), ("pragma", "no-cache")])
    assert (reply["cache-status"], stage.asked) == ("fra1; hit; ttl=60", before)


# --- what the origin's words still decide ---------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([("cache-control", "no-store")], "no-store"),
        ([("cache-control", "private")], "private"),
        ([("cache-control", "max-age=60"), ("set-cookie", "a=b")], "set-cookie"),
        ([("vary", "*")], "vary"),
        ([("cdn-cache-control", "private")], "private"),
    ],
    ids=str,
)
async def test_what_is_not_for_all_is_not_stored(
    stage: Stage, lines: list[Line], reason: str
) -> None:
    path = target()
    stage.reply(path, BODY, lines)
    first = await stage.ask(path)
    assert first["cache-status"] == f"fra1; fwd=uri-miss; detail={reason}"
    assert "86400" not in first["cache-control"]
    before = stage.asked
    again = await stage.ask(path)
    assert again["cache-status"] == "fra1; fwd=uri-miss; detail=hit-for-miss"
    assert stage.asked == before + 1


async def test_a_key_that_turns_cacheable_is_stored_after_a_while(stage: Stage) -> None:
    path = target()
    stage.reply(path, BODY, [("cache-control", "private")])
    stage.reply(path, BODY, [])
    await stage.ask(path)
    stage.clock.advance(11)
    assert (await stage.ask(path))["cache-status"] == "fra1; fwd=uri-miss; stored"


@pytest.mark.parametrize(
    "lines", [[("age", "5000")], [("date", At(-5000))], [("age", "5000"), ("expires", "0")]]
)
async def test_a_rules_lifetime_counts_from_the_arrival(stage: Stage, lines: list[Line]) -> None:
    path = await settled(stage, target(), lines)
    stage.clock.advance(5)
    reply = await stage.ask(path)
    assert (reply["cache-status"], reply["age"]) == ("fra1; hit; ttl=55", "5005")
    stage.clock.advance(55)
    assert not (await stage.ask(path))["cache-status"].startswith("fra1; hit; ttl=6")
    await stage.pop.fills_ended()


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_gone_is_asked_for_again_soon(stage: Stage, status: int) -> None:
    path = target()
    stage.reply(path, b"gone", [("cache-control", "max-age=3600")], status=status)
    stage.reply(path, BODY, [])
    await stage.ask(path)
    stage.clock.advance(9)
    hit = await stage.ask(path)
    assert (hit.status, hit["cache-status"]) == (status, "fra1; hit; ttl=1")
    stage.clock.advance(1)
    assert (await stage.ask(path)).status == 200


@pytest.mark.parametrize("status", [302, 400, 403, 405, 414, 431, 500, 501, 502, 503, 504])
async def test_errors_are_not_stored_and_replace_nothing(stage: Stage, status: int) -> None:
    """Hostile input 9."""
    path = target()
    stage.reply(path, b"bad", [("cache-control", "max-age=3600")], status=status)
    bad = await stage.ask(path)
    assert (bad.status, "stored" in bad["cache-status"]) == (status, False)
    assert bad["cache-control"] == "max-age=3600"
    stage.clock.advance(11)
    await settled(stage, path, [])
    stage.clock.advance(361)
    stage.pop.origin.on("GET", path).replies.clear()
    stage.reply(path, b"bad", [("cache-control", "max-age=3600")], status=status)
    insured = await stage.ask(path)
    assert insured.status == (200 if status in {500, 502, 503, 504} else status)
    stage.clock.advance(11)
    stage.pop.origin.on("GET", path).replies.clear()
    stage.pop.origin.on("GET", path).drop()
    assert bytes((await stage.ask(path)).body) == BODY


# --- keys -----------------------------------------------------------------------------------------


async def test_a_write_forgets_what_it_changed(stage: Stage) -> None:
    path = await settled(stage, target(), [])
    stage.reply(path, b"", [], status=204, method="POST")
    await stage.ask(path, method="POST")
    assert (await stage.ask(path))["cache-status"] == "fra1; fwd=uri-miss; stored"


async def test_a_purge_beats_a_fill(stage: Stage) -> None:
    path = target()
    stage.reply(path, BODY, []).hold(filled := Barrier())
    first = asyncio.get_running_loop().create_task(stage.ask(path))
    await filled.reached()
    stage.pop.edge.generations.advance()
    filled.open()
    assert bytes((await first).body) == BODY
    assert (await stage.ask(path))["cache-status"] == "fra1; fwd=uri-miss; stored"
    await stage.pop.fills_ended()
    assert (await stage.ask(path))["cache-status"] == "fra1; hit; ttl=60"


AMBIGUOUS = ["%2e%2e/x.js", "..%2fx.js", "a//x.js", "x%00.js", "x;y.js", "x%3b.js", "%5cx.js"]


@pytest.mark.parametrize("path", [f"/row/{part}" for part in AMBIGUOUS] + ["/row/%C0%AE/x.js"])
async def test_what_can_be_read_in_two_ways_is_passed_on_as_it_is(stage: Stage, path: str) -> None:
    """Hostile input 7 and 8."""
    stage.reply(path, BODY, [("cache-control", "max-age=60")])
    for _ in range(2):
        reply = await stage.ask(path)
        assert (reply.status, reply["cache-status"]) == (200, "fra1; fwd=bypass")
        assert stage.pop.origin.received[-1].target == path


async def test_the_year_of_a_versioned_path_ignores_the_query(stage: Stage) -> None:
    path = f"/v1.2.3{target()}"
    stage.reply(path, BODY, [])
    assert (await stage.ask(path + "?x=1"))["cache-status"] == "fra1; fwd=uri-miss; stored"
    await stage.pop.fills_ended()
    reply = await stage.ask(path + "?y=2")
    assert reply["cache-status"] == "fra1; hit; ttl=31536000"
    assert reply["cache-control"] == "public, max-age=31536000, immutable"


async def test_one_site_under_every_spelling_of_its_name(stage: Stage) -> None:
    """Hostile input 2."""
    path = await settled(stage, target(), [])
    for authority in ("LOCALHOST", "localhost.", "localhost:443", f"localhost:{stage.pop.port}"):
        async with stage.pop.h2() as client:
            reply = await client.send("GET", path, authority=authority).whole()
        assert (reply.status, reply["cache-status"]) == (200, "fra1; hit; ttl=60")
    async with stage.pop.h2() as client:
        reply = await client.send("GET", path, authority="other.example").whole()
    assert (reply.status, reply["cache-status"]) == (421, "")


async def test_dates_are_what_they_say(stage: Stage) -> None:
    now = int(stage.clock.now())
    path = await settled(stage, target(), [])
    stage.clock.advance(7)
    reply = await stage.ask(path)
    assert reply["date"] == reply["last-modified"] == format_date(now).decode()
    assert reply["age"] == "7"
