"""Requests that want to be read in two ways, over real sockets: vectors 1 to 8 and 18 to 21.

Octets are written as they are and seen again at a scripted origin. Each test looks at three sides:
what the attacker is told, what reaches the origin, and what a second, clean client gets.
"""

import pytest

from tests.support.h1_client import CutError
from tests.support.raw import PLAIN, RULED, STRANGER, Attacked, Lines, request_frames, target
from tests.support.rows import PROTOCOLS

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = b"canary-7f3a.example"
OVERRIDES = [
    b"x-forwarded-host",
    b"x-forwarded-scheme",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-forwarded-server",
    b"x-forwarded-for",
    b"x-host",
    b"x-original-url",
    b"x-rewrite-url",
    b"forwarded",
    b"x-http-method-override",
    b"x-method-override",
    b"x-http-method",
]
UNKEYED = [
    *OVERRIDES,
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"origin",
    b"user-agent",
    b"cookie",
    b"referer",
    b"range",
    b"via",
    b"priority",
    b"early-data",
    b"cdn-loop",
    b"max-forwards",
    b"x-unknown",
]
HOP_BY_HOP = [b"te", b"upgrade", b"keep-alive", b"proxy-connection", b"http2-settings"]


async def clean(site: Attacked, path: bytes, *, host: bytes = PLAIN, body: bytes = b"clean") -> int:
    """See that clean clients get the clean answer; return how often the origin was asked."""
    await site.pop.fills_ended()
    before = site.asked
    for protocol in PROTOCOLS:
        answer = await site.get(protocol, path, host=host)
        assert (answer.status, answer.body, answer.is_whole) == (200, body, True)
        assert CANARY not in repr(answer.fields).encode()
    return site.asked - before


async def untouched(site: Attacked, path: bytes, before: int) -> None:
    """See that nothing has reached the origin, and that nothing is stored."""
    assert site.asked == before
    site.reply(path)
    assert await clean(site, path) == 1


# --- 1: what no key knows -------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNKEYED)
async def test_1_under_a_rule_the_origin_hears_nothing_that_no_key_knows(site, protocol, name):
    path, before = target(), site.asked
    site.reply(path)
    await site.get(protocol, path, [(name, CANARY)], host=RULED)
    assert [CANARY in each.head for each in site.forwarded(before)] in ([False], [])
    assert await clean(site, path, host=RULED) == (site.asked - before == 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", OVERRIDES)
async def test_1_without_a_rule_no_override_reaches_the_origin(site, protocol, name, method):
    path, before = target(), site.asked
    site.reply(path)
    site.reply(path, b"written", [], method="POST")
    await site.ask(protocol, method.encode(), path, [(name, CANARY)])
    (heard,) = site.forwarded(before)
    assert (heard.method, CANARY in heard.head) == (method, False)
    await clean(site, path)


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("name", HOP_BY_HOP)
async def test_1_what_is_of_one_connection_stays_there(site, name, host):
    path, before = target(), site.asked
    site.reply(path)
    lines = [(name, CANARY), (b"connection", name)]
    await site.get("h1", path, lines, host=host)
    assert not [each for each in site.forwarded(before) if CANARY in each.head]
    await clean(site, path, host=host)
    refused = await site.get("h2", path, lines, host=host)
    assert (refused.status, refused.is_refused) == (0, True)


# --- 2: who is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [b"LOCALHOST", b"localhost.", b"localhost:443", b"LocalHost.:443"])
async def test_2_one_object_under_every_spelling(site, protocol, host):
    path, before = target(), site.asked
    site.reply(path)
    assert (await site.get(protocol, path, host=host)).body == b"clean"
    assert await clean(site, path) == 0
    (heard,) = site.forwarded(before)
    assert heard.values(b"host") == [b"origin.test"]


NO_HOSTS = [
    b"",
    b"localhost:0",
    b"localhost:99999",
    b"localhost:4_3",
    b"user@localhost",
    b"localhost@evil.example",
    b"localhost/x",
    b"localhost,evil.example",
    b"local host",
    b"localhost\t",
    b"localh\xc3\xb6st",
    b"\xe2\x84\xaaocalhost",
    b"evil.example",
    b"127.0.0.1",
    STRANGER,
]


@pytest.mark.parametrize("host", NO_HOSTS)
async def test_2_any_other_host_is_refused(site, protocol, host):
    if host == b"localhost\t" and protocol == "h1":
        host = b"localhost\x0b"  # a tab behind a value is no part of it in HTTP/1.1
    path, before = target(), site.asked
    assert (await site.get(protocol, path, host=host)).is_refused
    await untouched(site, path, before)


@pytest.mark.parametrize(
    "lines",
    [
        b"host: localhost\r\nhost: localhost\r\n",
        b"host: localhost\r\nHost: evil.example\r\n",
        b"host: evil.example\r\nHost: localhost\r\n",
        b"host : localhost\r\n",
        b"host: localhost\r\n x\r\n",
        b"x: y\r\n host: localhost\r\n",
        b"",
    ],
)
async def test_2_not_exactly_one_host(site, lines):
    path, before = target(), site.asked
    octets = await site.say_to_the_end(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, lines))
    assert octets.startswith(b"HTTP/1.1 400 ")
    await untouched(site, path, before)


async def test_2_the_authority_of_absolute_form_is_the_one_that_counts(site):
    """RFC 9112 section 3.2.2: Host is ignored, and cannot store under another name."""
    path, before = target(), site.asked
    form = b"GET https://%b%b HTTP/1.1\r\nhost: %b\r\n\r\n"
    for authority in (b"evil.example", STRANGER):
        assert (await site.say("h1", form % (authority, path, PLAIN))).status == 421
    assert site.asked == before
    site.reply(path)
    assert (await site.say("h1", form % (PLAIN, path, b"evil.example"))).body == b"clean"
    (heard,) = site.forwarded(before)
    assert (heard.target.encode(), b"evil" in heard.head) == (path, False)
    assert await clean(site, path) == 0


@pytest.mark.parametrize(
    "lines",
    [
        [(b"host", b"evil.example")],
        [(b"host", b"localhost"), (b"host", b"evil.example")],
        [(b"host", STRANGER)],
    ],
)
async def test_2_an_authority_that_host_contradicts(site, lines):
    path, before = target(), site.asked
    assert (await site.get("h2", path, lines)).is_refused
    await untouched(site, path, before)


# --- 3: schemes -----------------------------------------------------------------------------------


async def test_3_the_redirect_of_the_plain_port_is_nobodys_answer_here(site):
    path, before = target(), site.asked
    moved = await site.pop.plain_curl(path.decode())
    assert (moved.status, "cache-status" in moved.fields) == (301, False)
    assert moved.fields["location"].endswith(path.decode())
    await untouched(site, path, before)


@pytest.mark.parametrize("scheme", [b"http", b"ftp", b"https:", b"https://evil/?", b""])
async def test_3_no_other_scheme_is_served_here(site, protocol, scheme):
    path, before = target(), site.asked
    if protocol == "h1":
        octets = b"GET %b://localhost%b HTTP/1.1\r\nhost: localhost\r\n\r\n" % (scheme, path)
    else:
        head = [(b":method", b"GET"), (b":scheme", scheme), (b":authority", PLAIN), (b":path", path)]
        octets = request_frames(head)
    assert (await site.say(protocol, octets)).is_refused
    await untouched(site, path, before)


async def test_3_a_redirect_of_the_origin_is_stored_only_if_it_says_so(site, protocol):
    for lines, is_stored in [([], False), ([(b"cache-control", b"max-age=60")], True)]:
        path, before = target(), site.asked
        site.reply(path, b"", [(b"location", b"https://localhost/x"), *lines], status=302)
        for _ in range(2):
            assert (await site.get(protocol, path)).status == 302
        assert site.asked - before == (1 if is_stored else 2)


# --- 4: queries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [PLAIN, RULED])
async def test_4_a_query_is_what_its_octets_are(site, protocol, host):
    path = target()
    queries = [
        b"",
        b"?",
        b"??",
        b"?a=1&b=2",
        b"?b=2&a=1",
        b"?a=1&a=2",
        b"?a=2&a=1",
        b"?a=1;b=2",
        b"?a=1&utm_source=evil",
        b"?a=1&UTM_source=evil",
        b"?a=%31&b=2",
        b"?a=1&b=2&",
        b"?a=1%26b=2",
        b"?%2e%2E/\\^`{|}'\"<>[]",
    ]
    before = site.asked
    for query in queries:
        site.reply(path + query, query)
        assert (await site.get(protocol, path + query, host=host)).body == query
    await site.pop.fills_ended()
    assert [each.target.encode() for each in site.forwarded(before)] == [path + q for q in queries]
    for query in queries:
        assert await clean(site, path + query, host=host, body=query) == 0


# --- 5: content where there is none ---------------------------------------------------------------


CONTENT = [
    b"content-length: 3\r\n\r\nfat",
    b"content-length: 38\r\n\r\nGET /hit-smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n3\r\nfat\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /hit-smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
]


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_5_content_on_get_is_refused_and_never_forwarded(
    site, protocol, method, is_stored, host
):
    path = target()
    site.reply(path)
    if is_stored:
        await clean(site, path, host=host)
    before = site.asked
    assert (await site.ask(protocol, method, path, host=host, content=b"fat")).status == 400
    assert site.asked == before
    assert await clean(site, path, host=host) == (not is_stored)


@pytest.mark.parametrize("rest", CONTENT)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_5_what_such_content_says_is_no_request(site, method, rest):
    path, before = target(), site.asked
    octets = await site.say_to_the_end(b"%b %b HTTP/1.1\r\nhost: localhost\r\n%b" % (method, path, rest))
    assert octets.startswith(b"HTTP/1.1 400 ")
    assert octets.count(b"HTTP/1.1 ") == 1
    await untouched(site, path, before)


# --- 6: methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH", "REPORT"])
async def test_6_no_method_is_stored_as_the_get_of_its_target(site, protocol, method):
    path, before = target(), site.asked
    site.reply(path, b"wrong!", method=method)
    await site.ask(protocol, method.encode(), path)
    await site.pop.fills_ended()
    assert [each.method for each in site.forwarded(before)] == [method]
    site.reply(path)
    assert await clean(site, path) == 1


@pytest.mark.parametrize(
    "method", [b"GET ", b"GE T", b"G\0ET", b"GET\t", b"g@t", b"\xc7ET", b"", b"GET\r\nx: y"]
)
async def test_6_what_is_no_method(site, protocol, method):
    path, before = target(), site.asked
    assert (await site.ask(protocol, method, path)).is_refused
    await untouched(site, path, before)


async def test_6_methods_are_told_apart_by_case(site, protocol):
    path, before = target(), site.asked
    site.reply(path, b"wrong", method="get")
    await site.ask(protocol, b"get", path)
    assert {each.method for each in site.forwarded(before)} <= {"get"}
    assert (await site.ask(protocol, b"get", path, host=RULED)).status == 501
    site.reply(path)
    assert await clean(site, path) == 1


# --- 7: paths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        b"/a b",
        b"/a#b",
        b"/a\0b",
        b"/a\x07b",
        b"/a\x7fb",
        b"/a\tb",
        b"/a\rb",
        b"/a\nb",
        b"/a\r\nx: y",
        b"/\xc3\xa9",
        b"/\xc0\xaf",
        b"/\xff",
        b"*",
        b"?a",
        b"a/b",
    ],
)
async def test_7_targets_that_two_parsers_could_read_differently(site, protocol, path):
    before = site.asked
    assert (await site.get(protocol, path)).is_refused
    assert site.asked == before


@pytest.mark.parametrize("host", [PLAIN, RULED])
async def test_7_the_key_is_exactly_what_the_origin_is_asked_for(site, protocol, host):
    path = target()
    spellings = [
        b"/a/b",
        b"//a/b",
        b"/a//b",
        b"/a/./b",
        b"/x/../a/b",
        b"/%2e%2e/a/b",
        b"/%2E%2e/a/b",
        b"/a%2fb",
        b"/a%2Fb",
        b"/a\\b",
        b"/a%5cb",
        b"/a/b%00",
        b"/a/b%0a",
        b"/a/b;x",
        b"/a/b%3bx",
        b"/a/b%23x",
        b"/a/b%3fx",
        b"/a/%c0%af",
        b"/a/%zz",
        b"/%61/b",
        b"/a/b/",
    ]
    before = site.asked
    for spelling in spellings:
        site.reply(path + spelling, spelling)
        assert (await site.get(protocol, path + spelling, host=host)).body == spelling
    await site.pop.fills_ended()
    heard = [each.target.encode() for each in site.forwarded(before)]
    assert heard == [path + spelling for spelling in spellings]
    for spelling in spellings:
        again = await site.get(protocol, path + spelling, host=host)
        assert again.body == spelling


# --- 8: deception ---------------------------------------------------------------------------------

DISGUISES = [
    b"/account/x.css",
    b"/account;.css",
    b"/account%23.css",
    b"/account%3f.css",
    b"/account%0a.css",
    b"/account%00.css",
    b"/account%2fx.css",
    b"/static/..%2faccount",
    b"/account%2f..%2fstatic/x.js",
    b"/static/../account",
    b"/robots.txt/..",
]
SECRETS: list[Lines] = [
    [(b"cache-control", b"no-store")],
    [(b"cache-control", b"private")],
    [(b"cache-control", b"no-cache")],
    [(b"cache-control", b"max-age=60"), (b"set-cookie", b"id=1")],
    [(b"cache-control", b"max-age=60"), (b"vary", b"*")],
    [],
]


@pytest.mark.parametrize("lines", SECRETS)
@pytest.mark.parametrize("path", DISGUISES)
async def test_8_nobodys_account_is_stored_for_its_extension(site, protocol, path, lines):
    path = target() + path
    site.reply(path, b"the victim's secret", lines)
    site.reply(path, b"who are you?", lines)
    victim = await site.get(protocol, path, [(b"cookie", b"id=victim")])
    assert victim.body == b"the victim's secret"
    await site.pop.fills_ended()
    for each in PROTOCOLS:
        answer = await site.get(each, path)
        assert (answer.body, answer.is_hit) == (b"who are you?", False)


@pytest.mark.parametrize("path", [b"/x%2fy.css", b"/x;.css", b"/s/..%2fx", b"/x%00.css"])
async def test_8_what_can_be_read_in_two_ways_borrows_no_lifetime_from_a_rule(site, protocol, path):
    path = target() + path
    for body in (b"first", b"second"):
        site.reply(path, body, [])
    assert (await site.get(protocol, path, host=RULED)).body == b"first"
    await site.pop.fills_ended()
    assert (await site.get(protocol, path, host=RULED)).body == b"second"


# --- 18: administration ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("method", [b"PURGE", b"TRACE", b"TRACK"])
async def test_18_purges_and_echoes_are_refused(site, protocol, method, host):
    path = target()
    site.reply(path)
    await clean(site, path, host=host)
    before = site.asked
    lines = [(b"cookie", CANARY), (b"x-purge", b"1")]
    refused = await site.ask(protocol, method, path, lines, host=host)
    assert (refused.status, b"GET" in refused[b"allow"]) == (405, True)
    assert CANARY not in refused.body
    assert site.asked == before
    assert await clean(site, path, host=host) == 0


async def test_18_nobody_gets_a_tunnel(site):
    before = site.asked
    request = b"CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n"
    assert (await site.say("h1", request)).status == 405
    head = [(b":method", b"CONNECT"), (b":authority", b"localhost:443")]
    assert (await site.say("h2", request_frames(head))).is_refused
    assert site.asked == before


async def test_18_nothing_shows_a_key(site, protocol):
    path = target()
    site.reply(path)
    for lines in ([], [(b"pragma", b"x-get-cache-key"), (b"x-debug", b"1"), (b"fastly-debug", b"1")]):
        answer = await site.get(protocol, path, lines)
        status = answer[b"cache-status"]
        assert path not in repr(answer.fields).encode()
        assert b"key=" not in status


# --- 19: fields of HTTP/2 that would be others in HTTP/1.1 ------------------------------------------

FIELDS: list[Lines] = [
    [(b"x", b"a\r\nhost: evil")],
    [(b"x", b"a\nb")],
    [(b"x", b"a\rb")],
    [(b"x", b"a\0b")],
    [(b"x", b" a")],
    [(b"x", b"a\t")],
    [(b"x y", b"a")],
    [(b"x:", b"a")],
    [(b"x\r\nhost", b"evil")],
    [(b"x\0", b"a")],
    [(b"", b"a")],
    [(b"X-Upper", b"a")],
    [(b"\xc3\xa9", b"a")],
    [(b"transfer-encoding", b"chunked")],
    [(b"connection", b"close")],
    [(b"keep-alive", b"1")],
    [(b"proxy-connection", b"close")],
    [(b"upgrade", b"h2c")],
    [(b"te", b"gzip")],
    [(b"content-length", b"1")],
    [(b"content-length", b"+0")],
    [(b"content-length", b"0"), (b"content-length", b"1")],
    [(b":path", b"/evil")],
    [(b":evil", b"x")],
]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("lines", FIELDS)
async def test_19_a_field_that_would_be_another_ends_its_stream(site, method, lines):
    path, before = target(), site.asked
    answer = await site.ask("h2", method, path, lines)
    assert answer.is_refused
    await untouched(site, path, before)


PSEUDO: list[Lines] = [
    [(b":path", b"/a b")],
    [(b":path", b"/a HTTP/1.1\r\nhost: evil\r\n\r\n")],
    [(b":path", b"")],
    [(b":path", b"evil")],
    [(b":method", b"GET / HTTP/1.1\r\n")],
    [(b":method", b"")],
    [(b":scheme", b"http")],
    [(b":scheme", b"")],
    [(b":scheme", b"https\r\nx: y")],
    [(b":authority", b"localhost\r\nx: y")],
    [(b":path", b"/"), (b":path", b"/evil")],
]


@pytest.mark.parametrize("changed", PSEUDO)
async def test_19_pseudo_fields_are_what_they_may_be(site, changed):
    before = site.asked
    names = [name for name, _ in changed]
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", PLAIN), (b":path", b"/p")]
    answer = await site.say("h2", request_frames([x for x in head if x[0] not in names] + changed))
    assert answer.is_refused
    await untouched(site, target(), before)


@pytest.mark.parametrize("missing", [b":method", b":scheme", b":path"])
async def test_19_no_pseudo_field_may_be_missing(site, missing):
    before = site.asked
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", PLAIN), (b":path", b"/p")]
    answer = await site.say("h2", request_frames([x for x in head if x[0] != missing]))
    assert answer.is_refused
    assert site.asked == before


async def test_19_a_pseudo_field_behind_others(site):
    before = site.asked
    head = [(b":method", b"GET"), (b":scheme", b"https"), (b"x", b"y"), (b":path", b"/p")]
    assert (await site.say("h2", request_frames([*head, (b":authority", PLAIN)]))).is_refused
    assert site.asked == before


@pytest.mark.parametrize(("length", "content"), [(b"4", b"abc"), (b"2", b"abc"), (b"0", b"a")])
async def test_19_content_is_what_its_length_says(site, length, content):
    path, before = target(), site.asked
    site.reply(path, method="POST").unread  # never asked whole
    answer = await site.ask("h2", b"POST", path, [(b"content-length", length)], content=content)
    assert answer.is_refused
    assert site.asked == before


# --- 20: loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [PLAIN, RULED])
async def test_20_a_loop_is_cut_the_second_time(site, protocol, host):
    path = target()
    site.reply(path)
    for value in (b"fra1, other, FRA1; v=1", b"fra1, fra1"):
        before = site.asked
        looped = await site.get(protocol, path, [(b"cdn-loop", value)], host=host)
        assert (looped.status, site.asked) == (508, before)
        assert b"proxy_loop_detected" in looped[b"proxy-status"]
    lines = [(b"cdn-loop", b"fra1"), (b"cdn-loop", b"fra1")]
    assert (await site.get(protocol, path, lines, host=host)).status == 508
    assert (await site.get(protocol, path, [(b"cdn-loop", b"fra1")], host=host)).status == 200
    await clean(site, path, host=host)


async def test_20_an_origin_that_is_this_edge_ends(tmp_path):
    """The way leads here again and again, and is cut at the second time that we see it."""
    from tests.support.raw import attacked

    async with attacked(tmp_path, origin="") as site:
        path = target()
        ours = site.pop.edge
        assert ours is not None
        site.reply(path)
        await site.get("h2", path)
        (heard,) = site.received
        lines = [(b"cdn-loop", value) for value in heard.values(b"cdn-loop")]
        assert lines == [(b"cdn-loop", b"fra1")]


# --- 21: whom we ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (b"http://169.254.169.254/latest", PLAIN),
        (b"https://169.254.169.254/latest", PLAIN),
        (b"https://localhost@169.254.169.254/", PLAIN),
        (b"https://localhost:22/x", b"169.254.169.254"),
        (b"/x", b"169.254.169.254"),
        (b"/x", b"[::1]"),
        (b"/x", b"origin.test"),
        (b"/x", b"127.0.0.1:22"),
    ],
)
async def test_21_no_request_chooses_the_upstream(site, protocol, path, host):
    before, connections = site.asked, site.pop.origin.connections
    site.reply(b"/x")
    answer = await site.get(protocol, path, host=host)
    if path.startswith(b"https://localhost:22") and protocol == "h1":
        assert answer.body == b"clean"  # another port of ours is still us
        (heard,) = site.forwarded(before)
        assert heard.values(b"host") == [b"origin.test"]
        return
    assert answer.is_refused
    assert (site.asked, site.pop.origin.connections) == (before, connections)


@pytest.mark.parametrize("path", [b"//evil.example/a", b"/@evil.example", b"/http://evil.example/"])
async def test_21_a_path_is_only_a_path(site, protocol, path):
    path, before = path + target(), site.asked
    site.reply(path)
    assert (await site.get(protocol, path)).body == b"clean"
    (heard,) = site.forwarded(before)
    assert (heard.target.encode(), heard.values(b"host")) == (path, [b"origin.test"])
    assert await clean(site, path) == 0
