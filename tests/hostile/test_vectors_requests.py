"""Requests that want to be another one, or none, over real sockets: vectors 5, 6, 18 to 21.

Octets are written as they are and seen again at a scripted origin. Each test looks at three sides:
what the attacker is told, what reaches the origin, and what a second, clean client gets.
"""

import socket

import aiohttp
import pytest

from tests.support.pop import ORIGIN_NAME, clock_of_today, make_place, scripted_origin, serving
from tests.support.raw import (
    PLAIN,
    RULED,
    Attacked,
    Lines,
    clean,
    request_frames,
    target,
    untouched,
)
from tests.support.rows import PROTOCOLS

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = b"canary-7f3a.example"


# --- 5: content where there is none ---------------------------------------------------------------


SMUGGLED = b"GET /hit-smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
CONTENT = [
    b"content-length: 3\r\n\r\nfat",
    b"content-length: %d\r\n\r\n%b" % (len(SMUGGLED), SMUGGLED),
    b"transfer-encoding: chunked\r\n\r\n3\r\nfat\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
]


LAST = b"TRACE / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


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
    fat = b"%b %b HTTP/1.1\r\nhost: localhost\r\n%b" % (method, path, rest)
    octets = await site.say_to_the_end(fat + LAST)
    statuses = [each[:3] for each in octets.split(b"HTTP/1.1 ")[1:]]
    assert statuses[0] == b"400"
    # what follows is the request behind the content, or nothing
    assert statuses[1:] in ([], [b"405"])
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
    for lines in (
        [],
        [(b"pragma", b"x-get-cache-key"), (b"x-debug", b"1"), (b"fastly-debug", b"1")],
    ):
        answer = await site.get(protocol, path, lines)
        status = answer[b"cache-status"]
        assert path not in repr(answer.fields).encode()
        assert b"key=" not in status


# --- 19: fields of HTTP/2 that would be others in HTTP/1.1 ----------------------------------------

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


async def test_20_an_origin_that_is_this_edge_is_the_end_of_the_way(tmp_path, monkeypatch):
    """The name of the origin leads back here: the second time that a request comes by, it ends."""

    async def here(*_: object, **__: object) -> list[dict[str, object]]:
        found = {"hostname": "edge.invalid", "host": "127.0.0.1", "port": port}
        return [{**found, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", here)
    made = make_place(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = made.text(f"https://edge.invalid:{port}", port=port)
    text = text.replace(f'host = "{ORIGIN_NAME}"', 'host = "localhost"')
    async with (
        scripted_origin(made.ca) as unused,
        serving(text, tmp_path, unused, made.ca.path, clock=clock_of_today()) as pop,
    ):
        ours = Attacked(pop, clock_of_today())
        for protocol in PROTOCOLS:
            assert (await ours.ask(protocol, b"POST", b"/x", content=b"x")).status == 508
        assert ours.asked == pop.store.objects == 0
        assert pop.counters.refusals == {"loop": 2}


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
