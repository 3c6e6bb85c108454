import pytest

from edgeproxy.edge.lookup import Route
from edgeproxy.edge.response_fields import CorsSections, compose, preflight_fields
from edgeproxy.edge.sites import CorsPolicy
from edgeproxy.http.messages import Field
from tests.support.edge import Pop, make_pop, rule

OVERRIDING = rule(browser_cache_control=b"public, max-age=31536000, immutable")
CORS = CorsPolicy(origins=frozenset({b"https://a.example"}))


def route_of(pop: Pop) -> Route:
    request = pop.request()
    return pop.edge._lookup.site_routes(request).route(request.target)


def composed(
    pop: Pop, fields: list[Field], status: int = 200, *, may_be_shared: bool = True, **more: object
) -> list[Field]:
    return compose(route_of(pop), status, fields, may_be_shared=may_be_shared, **more)


def test_without_a_rule_the_origins_fields_pass_in_their_order() -> None:
    fields = [(b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"access-control-allow-origin", b"*")]
    assert composed(make_pop(), fields) == fields


@pytest.mark.parametrize(
    "name", [b"age", b"alt-svc", b"cache-status", b"content-length", b"strict-transport-security"]
)
def test_what_only_the_edge_can_say_is_dropped(name: bytes) -> None:
    assert composed(make_pop(), [(name, b"x")]) == []


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        ([], [b"Accept-Encoding"]),
        ([b"Accept"], [b"Accept", b"Accept-Encoding"]),
        ([b"Accept, accept-encoding"], [b"Accept, accept-encoding"]),
        ([b"*"], [b"*"]),
    ],
)
def test_what_is_negotiated_says_so_once(vary: list[bytes], expected: list[bytes]) -> None:
    fields = composed(make_pop(), [(b"vary", value) for value in vary], varies_by_coding=True)
    assert fields == [(b"vary", value) for value in expected]


@pytest.mark.parametrize(
    ("status", "may_be_shared", "is_overridden"),
    [(200, True, True), (200, False, False), (404, True, False), (301, True, False)],
)
def test_the_browsers_lifetime_is_for_good_shared_responses(
    status: int, may_be_shared: bool, is_overridden: bool
) -> None:
    received = [(b"cache-control", b"max-age=1"), (b"expires", b"0"), (b"pragma", b"no-cache")]
    fields = composed(make_pop(OVERRIDING), received, status, may_be_shared=may_be_shared)
    own = [(b"cache-control", b"public, max-age=31536000, immutable")]
    assert fields == (own if is_overridden else received)


def test_the_site_comes_before_the_rule_and_removing_before_setting() -> None:
    ruled = rule(
        set_fields=((b"x", b"rule"), (b"z", b"rule")), remove_fields=frozenset({b"y", b"z"})
    )
    pop = make_pop(
        ruled,
        set_fields=((b"x", b"site"), (b"y", b"site"), (b"w", b"site")),
        remove_fields=frozenset({b"v"}),
    )
    received = [(b"v", b"origin"), (b"x", b"origin"), (b"x", b"origin"), (b"z", b"origin")]
    assert composed(pop, received) == [(b"w", b"site"), (b"x", b"rule"), (b"z", b"rule")]


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("hsts", (b"strict-transport-security", b"max-age=31536000")),
        ("alt_svc", (b"alt-svc", b'h3=":443"; ma=86400')),
    ],
)
def test_what_is_said_of_the_connection_comes_once_and_on_https_only(
    option: str, line: Field
) -> None:
    pop = make_pop(**{option: line[1]})
    assert composed(pop, [(line[0], b"max-age=1")]) == [line]
    plain = make_pop(**{option: line[1]})
    plain.connection.scheme = b"http"
    assert composed(plain, []) == []


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ([], [(b"vary", b"Origin")]),
        ([(b"vary", b"Accept")], [(b"vary", b"Accept"), (b"vary", b"Origin")]),
        ([(b"vary", b"accept, ORIGIN")], [(b"vary", b"accept, ORIGIN")]),
        ([(b"vary", b"*")], [(b"vary", b"*")]),
    ],
)
def test_a_cors_list_varies_by_origin(received: list[Field], expected: list[Field]) -> None:
    assert composed(make_pop(cors=CORS), received) == expected


def test_a_cors_list_speaks_alone() -> None:
    received = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"x")]
    assert composed(make_pop(cors=CORS), received) == [(b"vary", b"Origin")]


def test_permission_is_remembered_per_origin_and_policy() -> None:
    sections = CorsSections(10)
    section = sections.section(CORS, b"https://a.example")
    assert section.fields == ((b"access-control-allow-origin", b"https://a.example"),)
    assert sections.section(CORS, b"https://a.example") is section
    other = CorsPolicy(is_open=True, allows_credentials=True, expose=b"etag")
    assert sections.section(other, b"https://a.example").fields == (
        (b"access-control-allow-origin", b"https://a.example"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"etag"),
    )


@pytest.mark.parametrize(
    ("cors", "origin"),
    [(None, b"https://a.example"), (CORS, None), (CORS, b"https://evil.example"), (CORS, b"null")],
)
def test_nobody_else_gets_permission(cors: CorsPolicy | None, origin: bytes | None) -> None:
    assert CorsSections(10).section(cors, origin) is None


def test_the_memo_of_origins_is_bounded() -> None:
    sections, everybody = CorsSections(3), CorsPolicy(is_open=True)
    for number in range(10):
        sections.section(everybody, b"https://%d.example" % number)
        assert len(sections._sections) <= 3


def test_a_preflight_says_what_is_allowed_and_for_how_long() -> None:
    cors = CorsPolicy(is_open=True, headers=b"x-a", allows_credentials=True, max_age_seconds=5)
    fields = dict(preflight_fields(cors, b"https://a.example"))
    assert fields.pop(b"vary").startswith(b"Origin, ")
    assert fields == {
        b"access-control-allow-origin": b"https://a.example",
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"GET, HEAD",
        b"access-control-allow-headers": b"x-a",
        b"access-control-max-age": b"5",
    }


def test_a_preflight_that_is_not_allowed_says_only_what_it_depends_on() -> None:
    assert [name for name, _ in preflight_fields(CORS, b"https://evil.example")] == [b"vary"]
