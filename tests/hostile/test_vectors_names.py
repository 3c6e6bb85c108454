"""Requests under names and in fields that no key knows, over real sockets: vectors 1 to 4, 7, 8.

Octets are written as they are and seen again at a scripted origin. Each test looks at three sides:
what the attacker is told, what reaches the origin, and what a second, clean client gets.
"""

import pytest

from tests.support.raw import (
    PLAIN,
    RULED,
    STRANGER,
    Lines,
    clean,
    request_frames,
    target,
    untouched,
)
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
        head = [
            (b":method", b"GET"),
            (b":scheme", scheme),
            (b":authority", PLAIN),
            (b":path", path),
        ]
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
    [(b"cache-control", b'max-age=60, x="a, no-store')],
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
