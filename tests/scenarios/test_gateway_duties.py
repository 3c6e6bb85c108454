"""What a gateway owes both its sides (RFC 9110 section 7), seen by a stranger on either.

Every test runs over HTTP/1.1 and HTTP/2 against the same whole point of presence: two names under
one certificate, a third one under another, no rules.
"""

from typing import Any

import pytest
import pytest_asyncio

from edgeproxy.http.dates import format_date
from tests.support.h2_client import StreamBrokenError
from tests.support.pop import clock_of_today, make_place, scripted_origin, serving
from tests.support.rows import Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRESH: list[Line] = [("cache-control", "max-age=60")]
ALIAS, STRANGER = "alias.test", "stranger.test"
RESET = "reset as malformed"

HOSTS = f"""
[[host]]
name = "{ALIAS}"
origin = "assets"
cert = {{{{ chain = "{{first.chain_path}}", key = "{{first.key_path}}" }}}}

[[host]]
name = "{STRANGER}"
origin = "assets"
cert = {{{{ chain = "{{second.chain_path}}", key = "{{second.key_path}}" }}}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pop")
    place, clock = make_place(folder, "localhost", ALIAS), clock_of_today()
    hosts = HOSTS.format(first=place.leaf, second=place.ca.issue(STRANGER))
    async with scripted_origin(place.ca) as origin:
        text = place.text(origin.url, rules=hosts)
        async with serving(text, folder, origin, place.ca.path, clock=clock) as pop:
            yield Stage(pop, clock)


async def ask_as(stage: Stage, authority: str, path: str, method: str = "GET") -> Any:
    """Ask in the name of an authority, on a connection that was made for `localhost`."""
    async with getattr(stage.pop, stage.protocol)() as client:
        sent = client.send(method, path, authority=authority)
        reply = await client.reply() if stage.protocol == "h1" else sent
        return await reply.whole()


async def status_of(asking: Any) -> int | str:
    """Await a reply whose request may be too malformed for HTTP/2 to get one."""
    try:
        return (await asking).status
    except StreamBrokenError:
        return RESET


# --- who is asked (sections 7.2 and 7.4) ----------------------------------------------------------


@pytest.mark.parametrize(
    "authority",
    [
        *("local host", "user@localhost", "localhost:99999", "local%68ost"),
        *("[::1", "localhost/x", "a..b"),
    ],
)
async def test_what_is_no_host_is_no_request(stage: Stage, authority: str) -> None:
    before = stage.asked
    assert await status_of(ask_as(stage, authority, target())) in {400, RESET}
    assert stage.asked == before


async def test_there_is_exactly_one_host(stage: Stage) -> None:
    """RFC 9112 section 3.2; two that differ on HTTP/2 are in `tests/hostile`."""
    before = stage.asked
    async with stage.pop.h1() as client:
        client.writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nHost: localhost\r\n\r\n")
        assert (await client.closed()).startswith(b"HTTP/1.1 400 ")
    async with stage.pop.h1() as client:
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.closed()).startswith(b"HTTP/1.1 400 ")
    assert stage.asked == before


async def test_hosts_are_names_and_not_spellings(stage: Stage) -> None:
    path = target()
    stage.reply(path, b"x", FRESH)
    assert (await ask_as(stage, "localhost", path))["cache-status"].endswith("stored")
    for authority in ("LOCALHOST", "localhost.", "localhost:443", "Localhost:8443"):
        assert (await ask_as(stage, authority, path))["cache-status"].startswith("fra1; hit")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("authority", "status"),
    [(ALIAS, 200), (STRANGER, 421), ("nobody.test", 421), ("127.0.0.1", 421)],
)
async def test_a_connection_serves_the_names_of_its_certificate(
    stage: Stage, authority: str, status: int, method: str
) -> None:
    """Sections 7.4 and 15.5.20; RFC 9113 section 9.1.1: a client may try, and hears 421."""
    path, before = target(), stage.asked
    stage.reply(path, b"x", FRESH, method=method)
    reply = await ask_as(stage, authority, path, method)
    assert reply.status == status
    assert stage.asked - before == (status == 200)
    assert bool(reply["cache-status"]) is (status == 200)


async def test_the_client_does_not_choose_the_host_that_the_origin_hears(stage: Stage) -> None:
    """Section 7.2: the origin's own name; whom the client asked for is told in Forwarded."""
    path = target()
    stage.reply(path, b"x", [("cache-control", "no-store")], method="POST")
    await ask_as(stage, f"{ALIAS}:8443", path, "POST")
    assert stage.received("host") == ["origin.test"]
    (element,) = stage.received("forwarded")
    assert f'host="{ALIAS}:8443"' in element.split(";")


# --- what is said of the way (section 7.6) --------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "lines"),
    [("GET", FRESH), ("GET", []), ("HEAD", FRESH), ("POST", []), ("OPTIONS", [])],
)
async def test_whatever_is_forwarded_says_by_whom_and_for_whom(
    stage: Stage, method: str, lines: list[Line]
) -> None:
    """Via by section 7.6.3, CDN-Loop by RFC 8586, Forwarded by RFC 7239."""
    path = target()
    stage.reply(path, b"", lines, method=method)
    claims: list[Line] = [
        ("via", "1.0 fred, 1.1 p.example"),
        ("cdn-loop", "other; v=1"),
        ("forwarded", "for=6.6.6.6"),
        *((f"x-forwarded-{each}", "6.6.6.6") for each in ("for", "host", "proto", "port")),
        ("x-real-ip", "6.6.6.6"),
    ]
    assert (await stage.ask(path, claims, method=method)).status == 200
    version = {"h1": "1.1", "h2": "2"}[stage.protocol]
    assert stage.received("via") == ["1.0 fred, 1.1 p.example", f"{version} fra1"]
    assert stage.received("cdn-loop") == ["other; v=1", "fra1"]
    assert stage.received("forwarded") == ["for=127.0.0.1;by=_fra1;host=localhost;proto=https"]
    assert b"6.6.6.6" not in stage.pop.origin.received[-1].head


async def test_via_stands_on_validations_too(stage: Stage) -> None:
    path = target()
    stage.reply(path, b"x", [("cache-control", "max-age=1"), ("etag", '"a"')])
    stage.reply(path, b"", [("etag", '"a"')], status=304)
    await stage.ask(path)
    stage.clock.advance(2)
    assert (await stage.ask(path))["cache-status"] == "fra1; fwd=stale; fwd-status=304"
    assert stage.received("if-none-match") == ['"a"']
    assert [value.split(" ")[1] for value in stage.received("via")] == ["fra1"]


@pytest.mark.parametrize("rest", ["/%2e%2E/a%2fb;c=1//?q=%00&&=;/?", "?", "/..;/.", "//"])
async def test_path_and_query_go_on_as_they_came(stage: Stage, rest: str) -> None:
    """Section 7.7, also for what is not stored."""
    path = target() + rest
    for method in ("GET", "POST"):
        stage.reply(path, b"x", [], method=method)
        await stage.ask(path, method=method)
        assert stage.pop.origin.received[-1].target == path


async def test_max_forwards_counts_down_and_ends_here(stage: Stage) -> None:
    """Section 7.6.2."""
    path = target()
    stage.reply(path, b"", [("allow", "GET")], method="OPTIONS")
    assert (await stage.ask(path, [("max-forwards", "2")], method="OPTIONS"))["allow"] == "GET"
    assert stage.received("max-forwards") == ["1"]
    before = stage.asked
    last = await stage.ask(path, [("max-forwards", "0")], method="OPTIONS")
    assert (last.status, stage.asked, last["cache-status"]) == (204, before, "")
    assert "GET" in last["allow"]


async def test_options_of_no_resource_are_ours(stage: Stage) -> None:
    """Section 9.3.7: the asterisk asks the server as such, which no origin is."""
    before = stage.asked
    reply = await stage.ask("*", method="OPTIONS")
    assert (reply.status, stage.asked, reply["cache-status"]) == (204, before, "")
    assert (reply["content-length"], bytes(reply.body)) == ("", b"")
    assert {"GET", "HEAD", "OPTIONS"} <= set(reply["allow"].split(", "))


@pytest.mark.parametrize("method", ["TRACE", "PURGE"])
async def test_nobody_gets_an_echo(stage: Stage, method: str) -> None:
    """Section 9.3.8."""
    before = stage.asked
    reply = await stage.ask(target(), method=method)
    assert (reply.status, stage.asked) == (405, before)
    assert "GET" in reply["allow"].split(", ")
    assert method not in reply["allow"]


async def test_nobody_gets_a_tunnel(stage: Stage) -> None:
    """Section 9.3.6; nothing behind the refused CONNECT is taken for a request."""
    before = stage.asked
    async with stage.pop.h1() as client:
        client.writer.write(b"CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n")
        client.writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        said = await client.closed()
    assert said.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nallow: GET, " in said
    assert said.count(b"HTTP/1.1 ") == 1
    assert stage.asked == before


# --- what is too much or not clean (sections 5.4 and 5.5) -----------------------------------------


@pytest.mark.parametrize(
    "lines",
    [[("x-large", "x" * 20_000)], [(f"x-{number}", "x") for number in range(200)]],
    ids=["large", "many"],
)
async def test_too_many_fields_are_said_to_be(stage: Stage, lines: list[Line]) -> None:
    """Section 5.4: 431, and none is dropped to make the others fit."""
    before = stage.asked
    reply = await stage.ask(target(), lines)
    assert (reply.status, stage.asked) == (431, before)
    assert reply["date"]


async def test_a_target_of_eight_thousand_octets_is_served(stage: Stage) -> None:
    """RFC 9112 section 3: and a longer one is not cut short."""
    path = target() + "?" + "q" * 7_900
    stage.reply(path, b"x", FRESH)
    assert (await stage.ask(path)).status == 200
    before = stage.asked
    assert (await stage.ask(target() + "?" + "q" * 9_000)).status == 414
    assert (await stage.ask(target() + "?" + "q" * 20_000)).status in {414, 431}
    assert stage.asked == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_content_that_means_nothing_is_not_forwarded(stage: Stage, method: str) -> None:
    """Section 9.3.1: some origins read it and some do not, so it may be refused."""
    path, before = target(), stage.asked
    async with getattr(stage.pop, stage.protocol)() as client:
        sent = client.send(method, path, body=b"x")
        reply = await (await client.reply() if stage.protocol == "h1" else sent).whole()
    assert (reply.status, stage.asked) == (400, before)


@pytest.mark.parametrize("octets", [b"\r", b"\n", b"\0", b"a\rb", b"a\0b", b"\x7f"])
async def test_no_control_octet_reaches_anybody(stage: Stage, octets: bytes) -> None:
    """Section 5.5, on a connection that is HTTP/1.1; those of HTTP/2 are in `tests/hostile`."""
    async with stage.pop.h1() as client:
        client.writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: 1" + octets + b"2\r\n\r\n")
        before = stage.asked
        assert (await client.closed()).startswith(b"HTTP/1.1 400 ")
        assert stage.asked == before


# --- what clients are told ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_every_answer_has_a_date(stage: Stage, method: str) -> None:
    """Section 6.6.1: added where the origin sent none, whether it is stored or not."""
    path = target()
    for lines in ([], FRESH, [("cache-control", "no-store")]):
        stage.reply(path, b"", lines, method=method)
        reply = await stage.ask(path, method=method)
        assert reply["date"] == format_date(int(stage.clock.now())).decode()


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/x", [("expect", "something")], 417),
        ("/x", [("cdn-loop", "fra1, fra1")], 508),
        ("/x", [("cache-control", "only-if-cached")], 504),
    ],
)
async def test_what_we_say_ourselves_no_cache_had_a_part_in(
    stage: Stage, path: str, fields: list[Line], status: int
) -> None:
    """RFC 9211 section 2; never to be stored by anybody."""
    before = stage.asked
    reply = await stage.ask(path, fields)
    assert (reply.status, stage.asked) == (status, before)
    assert (reply["cache-status"], reply["cache-control"]) == ("", "no-store")
    assert reply["proxy-status"] == ("fra1; error=proxy_loop_detected" if status == 508 else "")
    assert reply["date"] == format_date(int(stage.clock.now())).decode()


async def test_no_other_way_to_us_is_advertised(stage: Stage) -> None:
    """RFC 7838: the origin's Alt-Svc speaks of the origin's endpoints, and we have one only."""
    path = target()
    stage.reply(path, b"x", [*FRESH, ("alt-svc", 'h3=":443"; ma=86400')])
    for _ in range(2):
        assert (await stage.ask(path))["alt-svc"] == ""


# --- early data (RFC 8470) ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_too_early_is_the_clients_to_repeat(stage: Stage, method: str) -> None:
    """Section 5: the origin hears of it, the client gets the 425, and nobody else does."""
    path, early = target(), [("early-data", "1")]
    stage.reply(path, b"", FRESH, status=425, method=method)
    stage.reply(path, b"x", FRESH, method=method)
    before = stage.asked
    assert (await stage.ask(path, early, method=method)).status == 425
    assert (stage.asked - before, stage.received("early-data")) == (1, ["1"])
    again = await stage.ask(path, method=method)
    assert (again.status, stage.received("early-data")) == (200, [])
    if method == "GET":
        assert again["cache-status"] == "fra1; fwd=uri-miss; stored"
        assert (await stage.ask(path, early))["cache-status"].startswith("fra1; hit")
