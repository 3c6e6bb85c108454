"""What one client's request makes of what others get, over real sockets: vectors 9 to 12,
15 to 17, 22, 23.

Every test asks in both protocols and looks at the client's answer, at what reached the origin, and
at what a second, clean client gets.
"""

import asyncio
import gzip

import pytest

from tests.support.barrier import Barrier, settle
from tests.support.coded import CODE
from tests.support.raw import PLAIN, RULED, Lines, clean, target
from tests.support.rows import PROTOCOLS

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRESH = (b"cache-control", b"max-age=60")
ERRORS = [400, 403, 405, 408, 413, 414, 416, 421, 425, 429, 431, 500, 501, 502, 503, 504]


# --- 9: denial by poisoned errors -----------------------------------------------------------------


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("is_stored", [False, True])
async def test_9_a_header_that_is_too_large_is_refused_here(site, protocol, is_stored, host):
    path = target()
    site.reply(path)
    if is_stored:
        await clean(site, path, host=host)
    before = site.asked
    for lines in ([(b"x", b"a" * 20_000)], [(b"x%d" % n, b"a") for n in range(200)]):
        refused = await site.get(protocol, path, lines, host=host)
        assert refused.status == 431
        assert b"no-store" in refused[b"cache-control"]
    assert site.asked == before
    assert await clean(site, path, host=host) == (not is_stored)


async def test_9_what_we_take_an_ordinary_origin_takes_too(site, protocol):
    """Our limit is that of Apache and nginx for a request line, 8 KiB."""
    path, before = target(), site.asked
    refused = await site.get(protocol, path + b"?" + b"a" * 9000)
    assert refused.status == 414
    assert site.asked == before


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("octet", [b"\x07", b"\r", b"\n", b"\0", b"\x7f", b"\x1b"])
async def test_9_meta_characters_are_refused_here(site, protocol, octet, is_stored):
    path = target()
    site.reply(path)
    if is_stored:
        await clean(site, path)
    before = site.asked
    refused = await site.get(protocol, path, [(b"x-meta", b"a" + octet + b"b")])
    assert refused.is_refused
    assert site.asked == before
    assert await clean(site, path) == (not is_stored)


@pytest.mark.parametrize(
    "name", [b"x-http-method-override", b"x-method-override", b"x-http-method"]
)
async def test_9_no_override_makes_the_origin_refuse(site, protocol, name):
    path, before = target(), site.asked
    site.reply(path)
    assert (await site.get(protocol, path, [(name, b"DELETE")])).body == b"clean"
    (heard,) = site.forwarded(before)
    assert (heard.method, heard.values(name)) == ("GET", [])
    assert await clean(site, path) == 0


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("status", ERRORS)
async def test_9_an_error_is_not_stored_on_its_own_account(site, protocol, status, host):
    path = target()
    site.reply(path, b"error", [], status=status)
    site.reply(path)
    assert (await site.get(protocol, path, host=host)).status == status
    await clean(site, path, host=host)
    site.clock.advance(11)  # until then nobody waits for anybody at this target
    await clean(site, path, host=host)
    assert await clean(site, path, host=host) == 0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_9_an_error_does_not_replace_what_is_good(site, protocol, status):
    path = target()
    site.reply(path)
    site.reply(path, b"error", [FRESH], status=status)
    await clean(site, path, host=RULED)
    site.clock.advance(61)
    before = site.asked
    await clean(site, path, host=RULED)
    await site.pop.fills_ended()
    assert site.asked - before >= 1
    await clean(site, path, host=RULED)


# --- 10: Vary -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vary", [b"*", b"accept, *", b"*, *", b"a" * 4000, b"a b", b"\x80"])
async def test_10_what_vary_does_not_tell_apart_is_not_shared(site, protocol, vary):
    path = target()
    for body in (b"first", b"second"):
        site.reply(path, body, [FRESH, (b"vary", vary)])
    lines = [(b"cookie", b"me"), (b"user-agent", b"me")]
    assert (await site.get(protocol, path, lines)).body == b"first"
    await site.pop.fills_ended()
    again = await site.get(protocol, path)
    if b"*" in vary.split(b", "):
        assert (again.body, again.is_hit) == (b"second", False)
    assert again.status == 200


async def test_10_variants_of_one_target_are_bounded(site, protocol):
    path = target()
    site.reply(path, b"clean", [FRESH, (b"vary", b"User-Agent")])
    before = site.pop.store.objects
    for number in range(40):
        await site.get(protocol, path, [(b"user-agent", b"agent %d" % number)])
    await site.pop.fills_ended()
    assert site.pop.store.objects - before == 32


async def test_10_vary_on_a_cookie_keeps_clients_apart(site, protocol):
    path = target()
    for body in (b"alice", b"bob"):
        site.reply(path, body, [FRESH, (b"vary", b"Cookie, Cookie")])
    for name in (b"alice", b"bob", b"alice", b"bob"):
        answer = await site.get(protocol, path, [(b"cookie", b"id=" + name)])
        assert answer.body == name


async def test_10_accept_encoding_makes_no_more_variants_than_codings(site, protocol):
    path, before, objects = target(), site.asked, site.pop.store.objects
    lines: Lines = [FRESH, (b"vary", b"Accept-Encoding"), (b"content-type", b"text/plain")]
    site.reply(path, b"text " * 400, lines)
    for accepted in (b"gzip", b"gzip, br", b"br;q=0.5, gzip", b"x-evil-%d", b"", b"gzip;q=0"):
        for number in range(8):
            named = accepted.replace(b"%d", b"%d" % number)
            answer = await site.get(protocol, path, [(b"accept-encoding", named)], host=RULED)
            assert answer.status == 200
            await site.pop.fills_ended()
    assert (site.asked - before, site.pop.store.objects - objects) == (1, 1)


# --- 11: ranges -----------------------------------------------------------------------------------

LARGE = bytes(range(256)) * 1024


@pytest.mark.parametrize("host", [PLAIN, RULED])
async def test_11_tiny_ranges_of_a_cold_object_are_no_amplifier(site, protocol, host):
    path, before = target(), site.asked
    site.reply(path, LARGE, [FRESH, (b"etag", b'"1"')])
    many = [site.get(protocol, path, [(b"range", b"bytes=0-0")], host=host) for _ in range(20)]
    for answer in await asyncio.gather(*many):
        assert (answer.status, answer.body) in {(206, LARGE[:1]), (200, LARGE)}
    await site.pop.fills_ended()
    heard = site.forwarded(before)
    assert (
        len(heard) == 1
        if host == RULED
        else all(each.values(b"range") in ([b"bytes=0-0"], []) for each in heard)
    )
    assert (await site.get(protocol, path, host=host)).body == LARGE


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize(
    "ranges",
    [
        b"bytes=0-,0-,0-,0-,0-",
        b"bytes=0-1,1-2,2-3",
        b"bytes=" + b",".join(b"0-%d" % n for n in range(1000)),
        b"bytes=5-2",
        b"bytes=-0",
        b"bytes=0-1_0",
        b"bytes=0-99999999999999999999999",
        b"lines=0-1",
        b"bytes=a-b",
        b"bytes=",
    ],
)
async def test_11_odd_ranges_are_never_forwarded_and_cost_one_copy(site, protocol, ranges, host):
    path, before = target(), site.asked
    site.reply(path, b"0123456789", [FRESH, (b"etag", b'"1"')])
    for _ in range(2):
        answer = await site.get(protocol, path, [(b"range", ranges)], host=host)
        assert answer.status in {200, 206, 416}
        assert len(answer.body) <= len(b"0123456789") if answer.status != 416 else True
        assert b"multipart" not in answer[b"content-type"]
        await site.pop.fills_ended()
    for each in site.forwarded(before):
        assert b"," not in b"".join(each.values(b"range"))
    await clean(site, path, host=host, body=b"0123456789")


async def test_11_a_part_without_strong_validator_is_not_kept(site, protocol):
    path = target()
    for etag in ([], [(b"etag", b'W/"1"')]):
        part = [FRESH, (b"content-range", b"bytes 0-1/10"), *etag]
        site.on(path).replies.clear()
        site.reply(path, b"01", part, status=206)
        answer = await site.get(protocol, path, [(b"range", b"bytes=0-1")])
        assert (answer.status, answer.body) == (206, b"01")
        await site.pop.fills_ended()
        site.on(path).replies.clear()
        site.reply(path, b"other!", [FRESH, (b"vary", b"*")])
        for each in PROTOCOLS:
            assert (await site.get(each, path, [(b"range", b"bytes=0-1")])).status in {200, 206}
            assert (await site.get(each, path)).body == b"other!"


async def test_11_a_part_that_nobody_asked_for_is_not_the_whole(site, protocol):
    path = target()
    lines: Lines = [FRESH, (b"content-range", b"bytes 0-1/10"), (b"etag", b'"1"')]
    site.reply(path, b"01", lines, status=206)
    site.reply(path)
    answer = await site.get(protocol, path)
    assert answer.status in {206, 502}
    assert await clean(site, path) in {1, 2}


# --- 12: conditions -------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize(
    "line",
    [
        (b"if-none-match", b'"1"'),
        (b"if-none-match", b"*"),
        (b"if-modified-since", b"Fri, 31 Dec 2099 23:59:59 GMT"),
        (b"if-match", b'"never"'),
        (b"if-unmodified-since", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"if-range", b'"1"'),
    ],
)
async def test_12_no_condition_leaves_something_empty_for_others(site, protocol, line, host):
    path = target()
    site.reply(path, b"clean", [FRESH, (b"etag", b'"1"'), LAST])
    for _ in range(2):
        answer = await site.get(protocol, path, [line], host=host)
        assert answer.status in {200, 304, 412}
        await clean(site, path, host=host)


LAST = (b"last-modified", b"Sat, 01 Jan 2022 00:00:00 GMT")


async def test_12_an_origin_that_answers_304_to_nobodys_question_stores_nothing(site, protocol):
    path = target()
    site.reply(path, b"", [FRESH, (b"etag", b'"1"')], status=304)
    site.reply(path)
    answer = await site.get(protocol, path)
    assert (answer.status, answer.body) == (200, b"clean")
    assert await clean(site, path) == 0


async def test_12_conditions_are_evaluated_on_what_is_stored(site, protocol):
    path = target()
    site.reply(path, b"0123456789", [FRESH, (b"etag", b'"1"'), LAST])
    await clean(site, path, host=RULED, body=b"0123456789")
    before = site.asked
    for lines, status, body in [
        ([(b"if-none-match", b'"1"')], 304, b""),
        ([(b"if-none-match", b'"2"')], 200, b"0123456789"),
        ([(b"if-match", b'"2"')], 412, None),
        ([(b"if-match", b'"1"')], 200, b"0123456789"),
        ([(b"if-unmodified-since", LAST[1])], 200, b"0123456789"),
        ([(b"range", b"bytes=0-0"), (b"if-range", b'"2"')], 200, b"0123456789"),
        ([(b"range", b"bytes=0-0"), (b"if-range", b'W/"1"')], 200, b"0123456789"),
        ([(b"range", b"bytes=0-0"), (b"if-range", b'"1"')], 206, b"0"),
        ([(b"range", b"bytes=99-")], 416, None),
    ]:
        answer = await site.get(protocol, path, lines, host=RULED)
        assert answer.status == status
        assert body is None or answer.body == body
    assert site.asked == before


# --- 15 and 16: credentials and cookies -----------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "is_shared"),
    [
        (b"max-age=60", False),
        (b"max-age=60, private", False),
        (b"max-age=60, public", True),
        (b"s-maxage=60", True),
        (b"max-age=60, must-revalidate", True),
    ],
)
async def test_15_what_credentials_brought_is_shared_by_permission_only(
    site, protocol, control, is_shared
):
    path, before = target(), site.asked
    site.reply(path, b"for alice", [(b"cache-control", control)])
    site.reply(path, b"for all", [(b"cache-control", control)])
    alice = await site.get(protocol, path, [(b"authorization", b"Bearer alice")])
    assert alice.body == b"for alice"
    assert site.forwarded(before)[0].values(b"authorization") == [b"Bearer alice"]
    await clean(site, path, body=b"for alice" if is_shared else b"for all")


async def test_15_under_a_rule_credentials_go_by_the_cache(site, protocol):
    path, before = target(), site.asked
    site.reply(path, b"for alice", [(b"cache-control", b"public, max-age=60")])
    site.reply(path)
    lines = [(b"authorization", b"Bearer alice"), (b"cookie", b"id=alice")]
    assert (await site.get(protocol, path, lines, host=RULED)).body == b"for alice"
    await clean(site, path, host=RULED)
    first, second = site.forwarded(before)
    assert first.values(b"authorization") == [b"Bearer alice"]
    assert second.values(b"authorization") == second.values(b"cookie") == []


@pytest.mark.parametrize("host", [PLAIN, RULED])
async def test_16_a_cookie_that_an_origin_sets_is_one_clients(site, protocol, host):
    path = target()
    site.reply(path, b"for alice", [FRESH, (b"set-cookie", b"session=alice")])
    site.reply(path)
    assert (await site.get(protocol, path, host=host)).body == b"for alice"
    await site.pop.fills_ended()
    for each in PROTOCOLS:
        answer = await site.get(each, path, host=host)
        assert (answer.body, answer[b"set-cookie"]) == (b"clean", b"")


# --- 17: collapsing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        [(b"cache-control", b"private")],
        [(b"cache-control", b"no-store")],
        [FRESH, (b"set-cookie", b"session=1")],
        [FRESH, (b"vary", b"*")],
    ],
)
async def test_17_nobody_who_waits_gets_anothers_answer(site, protocol, lines):
    path, before = target(), site.asked
    held = Barrier()
    site.reply(path, b"for the first", lines).hold(held)
    site.reply(path, b"for each", lines)
    first = asyncio.ensure_future(site.get(protocol, path, host=RULED))
    await held.reached()
    rest = [asyncio.ensure_future(site.get(each, path, host=RULED)) for each in PROTOCOLS * 4]
    await site.pop.connected(1 + len(rest))
    await settle()
    assert site.asked - before == 1
    held.open()
    assert (await first).body == b"for the first"
    assert {(await each).body for each in rest} == {b"for each"}
    assert site.asked - before == 1 + len(rest)


async def test_17_who_waits_under_other_selecting_values_is_asked_for_apart(site, protocol):
    path = target()
    held = Barrier()
    lines: Lines = [FRESH, (b"vary", b"Accept-Language")]
    site.reply(path, b"deutsch", lines).hold(held)
    site.reply(path, b"english", lines)
    first = asyncio.ensure_future(site.get(protocol, path, [(b"accept-language", b"de")]))
    await held.reached()
    other = asyncio.ensure_future(site.get(protocol, path, [(b"accept-language", b"en")]))
    await site.pop.connected(2)
    await settle()
    held.open()
    assert ((await first).body, (await other).body) == (b"deutsch", b"english")


async def test_17_a_leader_that_leaves_takes_nothing_with_it(site, protocol):
    path, before = target(), site.asked
    held = Barrier()
    site.reply(path).hold(held)
    leader = asyncio.ensure_future(site.get(protocol, path, host=RULED))
    await held.reached()
    rest = [asyncio.ensure_future(site.get(each, path, host=RULED)) for each in PROTOCOLS]
    await site.pop.connected(3)
    leader.cancel()
    await asyncio.wait({leader})
    await site.pop.connected(2)
    held.open()
    assert {(await each).body for each in rest} == {b"clean"}
    assert site.asked - before == 1


# --- 22: what an origin says about the edge -------------------------------------------------------


async def test_22_the_edge_speaks_for_itself(site, protocol):
    path = target()
    said: Lines = [
        FRESH,
        (b"alt-svc", b'h3="evil.example:443"'),
        (b"strict-transport-security", b"max-age=1"),
        (b"cache-status", b"fra1; hit; ttl=9999"),
        (b"cache-status", b"shield; hit"),
        (b"proxy-status", b"fra1; error=evil"),
    ]
    site.reply(path, b"clean", said)
    for _ in range(2):
        answer = await site.get(protocol, path)
        status = answer[b"cache-status"]
        assert not answer[b"alt-svc"]
        assert not answer[b"strict-transport-security"]
        assert b"ttl=9999" not in status.rpartition(b", ")[2]
        assert status.rpartition(b", ")[2].startswith(b"fra1; ")
    await clean(site, path)


@pytest.mark.parametrize(
    "age", [b"-1", b"+5", b"1_0", b"5.0", b"0x5", b"five", b"", b"\xb2", b"9" * 40]
)
async def test_22_a_garbage_age_is_not_passed_on_and_gives_no_freshness(site, protocol, age):
    path = target()
    site.reply(path, b"first", [FRESH, (b"age", age), (b"etag", b'"1"')])
    site.reply(path, b"second", [FRESH, (b"etag", b'"2"')])
    first = await site.get(protocol, path)
    assert (first.body, first[b"age"] in {b"", b"%d" % 2**31}) == (b"first", True)
    await site.pop.fills_ended()
    assert (await site.get(protocol, path)).body == b"second"


async def test_22_an_honest_age_counts(site, protocol):
    path = target()
    site.reply(path, b"first", [FRESH, (b"age", b"59"), (b"etag", b'"1"')])
    site.reply(path, b"second", [FRESH, (b"etag", b'"2"')])
    assert (await site.get(protocol, path))[b"age"] == b"59"
    assert (await site.get(protocol, path)).is_hit
    site.clock.advance(2)
    assert (await site.get(protocol, path)).body == b"second"


# --- 23: compression ------------------------------------------------------------------------------


async def test_23_a_bomb_does_not_unfold_here(site, protocol):
    path = target()
    folded = gzip.compress(bytes(64 * 2**20))
    lines: Lines = [FRESH, (b"content-encoding", b"gzip"), (b"content-type", b"text/plain")]
    site.reply(path, folded, lines)
    whole = await site.get(protocol, path, [(b"accept-encoding", b"gzip")], host=RULED)
    assert (whole.status, whole.body) == (200, folded)
    other = await site.get(protocol, path, [(b"accept-encoding", b"br")], host=RULED)
    assert len(other.body) < 32 * 2**20
    assert other.body == folded or not other.is_whole or other.status >= 400
    site.reply(target())


@pytest.mark.parametrize(
    "lines",
    [
        [(b"cache-control", b"private")],
        [(b"cache-control", b"no-store")],
        [FRESH, (b"set-cookie", b"session=secret")],
        [FRESH, (b"vary", b"*")],
    ],
)
async def test_23_what_is_for_one_client_is_never_compressed_here(site, protocol, lines):
    """A secret beside what the client wrote could be guessed by the length of both (BREACH)."""
    path = target()
    page = b"<input name=csrf value=secret><p>nothing found for 'sec'</p>" * 100
    site.reply(path, page, [(b"content-type", b"text/html"), *lines])
    for _ in range(2):
        answer = await site.get(protocol, path, [(b"accept-encoding", b"br, gzip")], host=RULED)
        assert (answer.body, answer[b"content-encoding"]) == (page, b"")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
async def test_23_what_the_origin_coded_is_not_coded_again(site, protocol, coding):
    path = target()
    text = b"function f() { return 1; }\n" * 200
    coded = CODE[coding](text)
    kind = (b"content-type", b"text/javascript")
    site.reply(path, coded, [FRESH, (b"content-encoding", coding.encode()), kind])
    for _ in range(2):
        answer = await site.get(protocol, path, [(b"accept-encoding", coding.encode())], host=RULED)
        assert (answer.body, answer[b"content-encoding"]) == (coded, coding.encode())
