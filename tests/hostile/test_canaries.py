"""What one client says reaches no second one (hostile input 1), over real sockets.

The origin is as careless as can be: it repeats every field that it is told in its content and in
a field, names nothing in Vary and calls it all cacheable. With rules nothing may come through.
Without rules a cache owes the origin the client's fields (RFC 9110 section 5.1), and which of them
chose the answer only the origin knows, who says it by Vary, private or no-store (RFC 9111 sections
3 and 4.1): `REFLECTED` is exactly what such an origin must name; all else is safe even there.
"""

from itertools import count
from types import SimpleNamespace

import pytest
import pytest_asyncio

from tests.support.pop import ORIGIN_NAME, clock_of_today, make_place, serving
from tests.support.rows import PROTOCOLS
from tests.support.strict_origin import StrictOrigin

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-7f3a"
NAMES = [
    "x-forwarded-host",
    "x-forwarded-scheme",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-for",
    "x-forwarded-prefix",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-real-ip",
    "forwarded",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "accept",
    "accept-language",
    "accept-encoding",
    "accept-charset",
    "origin",
    "user-agent",
    "cookie",
    "referer",
    "range",
    "if-range",
    "if-none-match",
    "if-modified-since",
    "via",
    "te",
    "expect",
    "upgrade",
    "priority",
    "early-data",
    "cdn-loop",
    "max-forwards",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "http2-settings",
    "surrogate-capability",
    "upgrade-insecure-requests",
    "cache-control",
    "pragma",
    "from",
    "x-unknown",
]
HOPS = {"te", "upgrade", "keep-alive", "proxy-connection", "http2-settings"}
# What HTTP/2 forbids: refused as a stream error before anything is looked up.
H1_ONLY = HOPS | {"expect"}
REFLECTED = {
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "cookie",
    "from",
    "pragma",
    "referer",
    "upgrade-insecure-requests",
    "user-agent",
    "x-unknown",
}
VALUES = {
    "cdn-loop": f"{CANARY}; v=1",
    "via": f"1.1 {CANARY}",
    "origin": f"https://{CANARY}.example",
    "range": f"bytes=0-0, {CANARY}",
    "if-none-match": f'"{CANARY}"',
}
RULES = """
[[host.rule]]
id = "versioned"
path = ["/v{semver}/**"]
policy = "versioned"

[[host.rule]]
id = "manifest"
path = ["/manifest/**"]
policy = "manifest"

[[host.rule]]
id = "entry"
path = ["/**"]
policy = "entry"
"""
CACHEABLE = b"cache-control: max-age=60\r\n"
_numbers = count()


async def _run(folder, rules):
    place = make_place(folder)
    clock = clock_of_today()
    tls = place.ca.issue(ORIGIN_NAME).server_context()
    async with StrictOrigin(tls, CACHEABLE) as origin:
        text = place.text(origin.url, rules=rules)
        async with serving(text, folder, origin, place.ca.path, clock=clock) as pop:
            yield SimpleNamespace(pop=pop, origin=origin, clock=clock)
        assert origin.faults == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ruled(tmp_path_factory):
    async for site in _run(tmp_path_factory.mktemp("ruled"), RULES):
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def transparent(tmp_path_factory):
    async for site in _run(tmp_path_factory.mktemp("plain"), ""):
        yield site


async def ask(site, protocol, path, lines=(), *, method="GET"):
    async with getattr(site.pop, protocol)() as client:
        sent = client.send(method, path, lines)
        reply = await client.reply() if protocol == "h1" else sent
        return await reply.whole()


def shows(reply):
    """Whether the canary is anywhere in what a client gets."""
    return CANARY in repr(reply.fields) + bytes(reply.body).decode("latin-1")


async def planted(site, protocol, path, name, *, method="GET"):
    """Say the canary; nobody cares what the one hears who said it."""
    lines = [(name, VALUES.get(name, CANARY))]
    if name in HOPS - {"keep-alive", "proxy-connection"}:
        lines.append(("connection", name))
    await ask(site, protocol, path, lines, method=method)
    await site.pop.fills_ended()


CASES = [(name, p) for name in NAMES for p in PROTOCOLS if p == "h1" or name not in H1_ONLY]


@pytest.mark.parametrize("prefix", ["", "/v1.0.0", "/manifest"])
@pytest.mark.parametrize(("name", "protocol"), CASES)
async def test_with_rules_no_canary_reaches_a_second_client(ruled, prefix, name, protocol):
    path = f"{prefix}/{next(_numbers)}"
    await planted(ruled, protocol, path, name)
    for second in PROTOCOLS:
        reply = await ask(ruled, second, path)
        assert reply.status == 200
        assert not shows(reply)


@pytest.mark.parametrize(("name", "protocol"), CASES)
async def test_without_rules_only_what_an_origin_must_name_reaches_a_second(
    transparent, name, protocol
):
    path = f"/{next(_numbers)}"
    await planted(transparent, protocol, path, name)
    for second in PROTOCOLS:
        assert shows(await ask(transparent, second, path)) is (name in REFLECTED)


@pytest.mark.parametrize(("name", "protocol"), CASES)
async def test_without_rules_a_vary_of_the_origin_is_enough(transparent, name, protocol):
    path = f"/{next(_numbers)}"
    transparent.origin.fields = CACHEABLE + b"vary: %b\r\n" % ", ".join(sorted(REFLECTED)).encode()
    try:
        await planted(transparent, protocol, path, name)
        for second in PROTOCOLS:
            assert not shows(await ask(transparent, second, path))
    finally:
        transparent.origin.fields = CACHEABLE


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ["cdn-loop", "via", "origin"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_updates_a_stored_response_tells_no_more_than_what_made_it(
    transparent, name, protocol, method
):
    """A 304, and the answer to a HEAD, bring fields as well (RFC 9111 sections 3.2 and 4.3.5)."""
    path = f"/{next(_numbers)}"
    stored = await ask(transparent, protocol, path)
    transparent.clock.advance(61)
    transparent.origin.confirms = stored["etag"].encode()
    await planted(transparent, protocol, path, name, method=method)
    transparent.origin.confirms = b""
    for second in PROTOCOLS:
        reply = await ask(transparent, second, path)
        assert reply.status == 200
        assert not shows(reply)


async def test_who_says_the_same_gets_the_same_again(ruled):
    """A shield behind another cache is none the worse for it."""
    path, before = f"/{next(_numbers)}", ruled.origin.requests
    for _ in range(3):
        reply = await ask(ruled, "h1", path, [("cdn-loop", "front")])
    assert (ruled.origin.requests - before, reply["cache-status"][:9]) == (1, "fra1; hit")
    assert ruled.origin.received[-1].values(b"cdn-loop") == [b"fra1"]


async def test_what_was_stored_for_all_is_for_those_who_came_through_another_cache_too(ruled):
    path, before = f"/{next(_numbers)}", ruled.origin.requests
    await ask(ruled, "h1", path)
    await ruled.pop.fills_ended()
    reply = await ask(ruled, "h1", path, [("cdn-loop", "front")])
    assert (ruled.origin.requests - before, reply["cache-status"][:9]) == (1, "fra1; hit")
