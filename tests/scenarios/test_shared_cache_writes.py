"""A site without rules: unsafe methods, fields on their way through, and who may be asked.

RFC 9111 sections 3.1 and 4.4, RFC 9110 sections 7.6 and 9. Over HTTP/1.1 and HTTP/2 alike.
"""

import pytest

from tests.support.rows import Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRESH: list[Line] = [("cache-control", "max-age=60")]


async def is_stored(stage: Stage, path: str) -> bool:
    return (await stage.ask(path))["cache-status"].startswith("fra1; hit")


async def stored(stage: Stage) -> str:
    path = target()
    stage.reply(path, b"x", FRESH)
    assert not await is_stored(stage, path)
    assert await is_stored(stage, path)
    return path


# --- writes (RFC 9111 section 4.4) ----------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 404, 500])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"])
async def test_a_write_invalidates_unless_it_failed(stage: Stage, method: str, status: int) -> None:
    path = await stored(stage)
    stage.reply(path, b"", [], status=status, method=method)
    reply = await stage.ask(path, method=method)
    assert (reply.status, reply["cache-status"]) == (status, "fra1; fwd=method")
    assert await is_stored(stage, path) is (status >= 400)


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD"])
async def test_safe_methods_invalidate_nothing(stage: Stage, method: str) -> None:
    path = await stored(stage)
    stage.reply(path, b"", [], method=method)
    await stage.ask(path, method=method)
    assert await is_stored(stage, path)


@pytest.mark.parametrize("field", ["location", "content-location"])
@pytest.mark.parametrize(
    ("reference", "is_ours"),
    [
        ("{path}", True),
        ("https://localhost{path}", True),
        ("https://LOCALHOST:443{path}", True),
        ("//localhost{path}", True),
        ("http://localhost{path}", False),
        ("https://localhost:444{path}", False),
        ("https://other.example{path}", False),
        ("//other.example{path}", False),
    ],
)
async def test_a_write_invalidates_what_its_answer_names_on_its_own_origin(
    stage: Stage, field: str, reference: str, is_ours: bool
) -> None:
    other, path = await stored(stage), target()
    stage.reply(path, b"", [(field, reference.format(path=other))], status=201, method="POST")
    await stage.ask(path, method="POST")
    assert await is_stored(stage, other) is not is_ours


async def test_the_answer_to_a_write_is_nobody_elses(stage: Stage) -> None:
    """Hostile input 6."""
    path = target()
    stage.reply(path, b"posted", FRESH, method="POST")
    stage.reply(path, b"got", FRESH)
    assert bytes((await stage.ask(path, method="POST")).body) == b"posted"
    assert bytes((await stage.ask(path)).body) == b"got"


# --- fields of responses --------------------------------------------------------------------------

KEPT: list[Line] = [
    ("x-unknown", "1"),
    ("content-type", "text/plain"),
    ("content-language", "de"),
    ("content-location", "/foo"),
    ("content-security-policy", "default-src 'self'"),
    ("clear-site-data", '"cache"'),
    ("x-frame-options", "deny"),
    ("www-authenticate", "Basic"),
    ("link", "</a>; rel=preload"),
    ("link", "</b>; rel=preload"),
    ("warning", '199 - "x"'),
    ("trailer", "x-later"),
]
DROPPED: list[Line] = [
    ("connection", "x-hop, X-Other"),
    ("x-hop", "1"),
    ("x-other", "1"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "close"),
    ("te", "trailers"),
    ("upgrade", "h2c"),
]
NEVER_KEPT: list[Line] = [
    ("proxy-authenticate", "Basic"),
    ("proxy-authentication-info", "x"),
    ("proxy-authorization", "x"),
]


async def test_fields_are_kept_in_their_order_but_those_of_one_connection(stage: Stage) -> None:
    """RFC 9111 section 3.1, RFC 9110 sections 5.3 and 7.6.1."""
    path = target()
    stage.reply(path, b"x", [*FRESH, *KEPT[:4], *DROPPED, *KEPT[4:], *NEVER_KEPT])
    for outcome in ("fra1; fwd=uri-miss; stored", "fra1; hit; ttl=60"):
        reply = await stage.ask(path)
        assert reply["cache-status"] == outcome
        names = [name for name, _ in KEPT]
        shown = [(name, value) for name, value in reply.fields if name in names]
        assert shown == KEPT
        for name, _ in [*DROPPED, *NEVER_KEPT]:
            assert not reply[name]


@pytest.mark.parametrize("directive", ["private", "no-cache"])
async def test_fields_named_by_a_directive_are_not_reused(stage: Stage, directive: str) -> None:
    """RFC 9111 sections 5.2.2.4 and 5.2.2.7."""
    path = target()
    control = f'max-age=60, {directive}="X-Mine, x-too"'
    stage.reply(
        path, b"x", [("cache-control", control), ("x-mine", "1"), ("x-too", "2"), ("x-all", "3")]
    )
    for expected in (["1", "2", "3"], ["", "", "3"]):
        reply = await stage.ask(path)
        assert [reply[name] for name in ("x-mine", "x-too", "x-all")] == expected
        assert reply["cache-control"] == control


async def test_caching_fields_pass_unchanged(stage: Stage) -> None:
    """RFC 9111 section 5.2, RFC 9213 section 3."""
    said: list[Line] = [
        ("cache-control", 'max-age=60, foo="a, b"'),
        ("cache-control", "public"),
        ("cdn-cache-control", "max-age=600"),
        ("surrogate-control", "max-age=3"),
        ("expires", "0"),
        ("pragma", "x"),
    ]
    path = target()
    stage.reply(path, b"x", said)
    for _ in range(2):
        reply = await stage.ask(path)
        assert [line for line in reply.fields if line in said] == said
    assert reply["cache-status"] == "fra1; hit; ttl=600"


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ([("cache-status", "shield; hit; ttl=9")], "shield; hit; ttl=9, "),
        ([("cache-status", "a; hit"), ("cache-status", "b; fwd=miss")], "a; hit, b; fwd=miss, "),
    ],
)
async def test_ours_stands_once_behind_what_other_caches_said(
    stage: Stage, upstream: list[Line], expected: str
) -> None:
    """RFC 9211 section 2."""
    path = target()
    stage.reply(path, b"x", [*FRESH, *upstream])
    for own in ("fra1; fwd=uri-miss; stored", "fra1; hit; ttl=60", "fra1; hit; ttl=60"):
        reply = await stage.ask(path)
        assert [value for name, value in reply.fields if name == "cache-status"] == [expected + own]


# --- what the origin is asked ---------------------------------------------------------------------


async def test_the_origin_is_asked_for_what_the_client_asked_for(stage: Stage) -> None:
    """RFC 9110 sections 7.6.1, 7.6.3 and 7.7; hostile input 1, 4 and 7."""
    path = f"{target()}/%2E%2e;x/a%2Fb?b=2&a=1&&b=3;c?d+%20"
    stage.reply(path, b"x", FRESH)
    sent: list[Line] = [
        ("accept-language", "de"),
        ("cookie", "a=b"),
        ("x-canary", "1"),
        ("via", "1.0 fred"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=6.6.6.6"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
    ]
    await stage.ask(path, sent)
    request = stage.pop.origin.received[-1]
    assert (request.method, request.target) == ("GET", path)
    version = {"h1": "1.1", "h2": "2"}[stage.protocol]
    assert stage.received("via") == ["1.0 fred", f"{version} fra1"]
    assert stage.received("host") == ["origin.test"]
    assert stage.received("cdn-loop") == ["fra1"]
    assert stage.received("forwarded") == ["for=127.0.0.1;by=_fra1;host=localhost;proto=https"]
    for name, value in sent[:3]:
        assert stage.received(name) == [value]
    for name, _ in sent[4:]:
        assert name == "forwarded" or stage.received(name) == []


async def test_queries_are_part_of_what_is_asked_for(stage: Stage) -> None:
    path = target()
    for query in ("", "?", "?a=1&b=2", "?b=2&a=1", "?a=1&b=2&", "?utm_source=x"):
        stage.reply(path + query, query.encode(), FRESH)
        for _ in range(2):
            assert bytes((await stage.ask(path + query)).body) == query.encode()
    assert await is_stored(stage, path + "?b=2&a=1")


async def test_only_if_cached(stage: Stage) -> None:
    """RFC 9111 section 5.2.1.7."""
    before = stage.asked
    reply = await stage.ask(target(), [("cache-control", "only-if-cached")])
    assert (reply.status, stage.asked) == (504, before)
    path = await stored(stage)
    stage.clock.advance(61)
    assert (await stage.ask(path, [("cache-control", "only-if-cached")])).status == 504
