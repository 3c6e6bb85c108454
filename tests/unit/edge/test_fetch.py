from collections.abc import AsyncIterator

import pytest

from edgeproxy.edge.fetch import never_asks, outbound, passed, question
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.sites import CorsPolicy, Rule
from edgeproxy.http.messages import Field, Request
from tests.support.edge import HOST, Pop, make_pop, rule

CLIENT: list[Field] = [
    (b"accept", b"*/*"),
    (b"accept-encoding", b"br"),
    (b"accept-language", b"de"),
    (b"authorization", b"Bearer t"),
    (b"cdn-loop", b"other"),
    (b"connection", b"x-hop"),
    (b"cookie", b"id=1"),
    (b"if-match", b'"m"'),
    (b"if-modified-since", b"Tue, 14 Nov 2023 22:13:20 GMT"),
    (b"if-none-match", b'"n"'),
    (b"if-range", b'"r"'),
    (b"if-unmodified-since", b"Tue, 14 Nov 2023 22:13:20 GMT"),
    (b"origin", b"https://shop.example"),
    (b"range", b"bytes=0-1"),
    (b"x-forwarded-for", b"1.2.3.4"),
    (b"x-forwarded-host", b"evil"),
    (b"x-hop", b"hop"),
    (b"x-http-method-override", b"DELETE"),
    (b"x-original-url", b"/admin"),
]


def routed(pop: Pop, **options: object) -> tuple[Request, Route]:
    request = pop.request(fields=CLIENT, **options)
    return request, pop.edge._lookup.site_routes(request).route(request.target)


def names(fields: list[Field]) -> list[str]:
    return [name.decode() for name, _ in fields]


def test_a_rules_question_holds_what_it_lists_and_nothing_personal() -> None:
    asked = question(*routed(make_pop(rule(forward_fields=frozenset({b"accept-language"})))))
    assert names(asked.fields) == ["accept-language"]
    assert (asked.method, asked.body) == (b"GET", None)


def test_a_rule_that_lists_everything_still_asks_nothing_personal() -> None:
    asked = question(*routed(make_pop(rule(forward_fields="all"))))
    assert names(asked.fields) == ["accept", "accept-language"]


def test_a_transparent_question_leaves_out_preconditions_overrides_and_hops() -> None:
    asked = question(*routed(make_pop()))
    assert names(asked.fields) == [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cdn-loop",
        "cookie",
        "origin",
    ]


def test_a_cors_list_answers_for_the_origin() -> None:
    asked = question(*routed(make_pop(cors=CorsPolicy())))
    assert "origin" not in names(asked.fields)


@pytest.mark.parametrize("host", [HOST, f"{HOST}:1337", f"{HOST.upper()}.", "alias.example.com"])
@pytest.mark.parametrize("rules", [(), (rule(),)])
def test_a_question_is_asked_in_the_sites_name(host: str, rules: tuple[Rule, ...]) -> None:
    request, route = routed(make_pop(*rules), host=host)
    assert outbound(question(request, route)).authority == HOST.encode()
    assert passed(request, route).authority == host.encode()


def test_head_asks_for_the_whole() -> None:
    assert question(*routed(make_pop(rule()), method="HEAD")).method == b"GET"


def test_validators_follow_the_questions_fields() -> None:
    asked = question(*routed(make_pop(rule())))
    wire = outbound(asked, [(b"if-none-match", b'"1"')])
    assert names(wire.fields) == ["accept", "if-none-match"]
    assert (wire.method, wire.target, wire.body) == (b"GET", b"/a", None)
    assert (wire.client, wire.scheme, wire.protocol) == ("192.0.2.7", b"https", "HTTP/2")


def test_a_passed_request_is_the_clients_own() -> None:
    for pop in (make_pop(), make_pop(rule())):
        wire = passed(*routed(pop))
        kept = [
            name
            for name, _ in CLIENT
            if name not in {b"connection", b"x-hop", b"x-original-url", b"x-http-method-override"}
            and not name.startswith(b"x-forwarded")
        ]
        assert names(wire.fields) == [name.decode() for name in kept]


def test_a_pass_rules_list_is_respected() -> None:
    wire = passed(*routed(make_pop(rule("pass", forward_fields=frozenset({b"cookie"})))))
    assert names(wire.fields) == ["cdn-loop", "cookie"]


@pytest.mark.parametrize("rules", [(), (rule(),), (rule("pass", forward_fields=frozenset()),)])
@pytest.mark.parametrize("said", [[b"1"], [b"1", b"1"], [b"canary"]])
def test_early_data_goes_on_as_the_one_thing_that_it_can_say(
    rules: tuple[Rule, ...], said: list[bytes]
) -> None:
    """RFC 8470 section 5.1, whatever a rule lists and a client calls hop-by-hop."""
    request, route = routed(make_pop(*rules))
    early = [(b"connection", b"early-data"), *((b"early-data", value) for value in said)]
    request.fields.extend(early)
    for wire in (outbound(question(request, route)), passed(request, route)):
        assert [line for line in wire.fields if line[0] == b"early-data"] == [(b"early-data", b"1")]


def test_content_goes_along() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    body = content()
    wire = passed(*routed(make_pop(), method="POST", body=body, content_length=1))
    assert (wire.method, wire.body, wire.content_length) == (b"POST", body, 1)


@pytest.mark.parametrize(
    ("ranges", "is_forwarded"),
    [
        ([b"bytes=0-1"], True),
        ([b"bytes=0-1,3-4"], False),
        ([b"bytes=0-1", b"bytes=3-4"], False),
    ],
)
def test_several_ranges_go_nowhere(ranges: list[bytes], is_forwarded: bool) -> None:
    pop = make_pop()
    request = pop.request(fields=[*((b"range", each) for each in ranges), (b"if-range", b'"1"')])
    route = pop.edge._lookup.site_routes(request).route(request.target)
    wire = passed(request, route)
    assert ("range" in names(wire.fields)) is is_forwarded
    assert ("if-range" in names(wire.fields)) is is_forwarded


@pytest.mark.parametrize(("hops", "sent"), [("5", b"4"), ("1", b"0")])
def test_an_options_request_has_one_hop_less(hops: str, sent: bytes) -> None:
    pop = make_pop()
    request = pop.request(method="OPTIONS", max_forwards=hops)
    route = pop.edge._lookup.site_routes(request).route(request.target)
    assert dict(passed(request, route).fields)[b"max-forwards"] == sent


@pytest.mark.parametrize(
    ("rules", "nominated", "expected"),
    [
        ((rule(),), (), True),
        ((rule(),), (b"accept-encoding", b"origin", b"cookie"), True),
        ((rule(),), (b"accept-encoding", b"accept"), False),
        ((rule(),), (b"user-agent", b"if-none-match"), True),
        ((rule(forward_fields="all"),), (b"user-agent",), False),
        ((), (b"cookie",), False),
    ],
)
def test_what_is_never_asked_selects_nothing(
    rules: tuple, nominated: tuple[bytes, ...], expected: bool
) -> None:
    _, route = routed(make_pop(*rules))
    assert never_asks(route, nominated) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("other; v=1", []), ("other, FRA1;x", [b"fra1"]), ("fra1, fra1", [b"fra1", b"fra1"])],
)
def test_of_a_loop_only_our_own_name_reaches_what_is_shared(said: str, expected: list) -> None:
    pop = make_pop(rule())
    request = pop.request(cdn_loop=said)
    route = pop.edge._lookup.site_routes(request).route(request.target)
    asked = question(request, route, cdn_id=b"fra1")
    assert [value for name, value in asked.fields if name == b"cdn-loop"] == expected


def test_what_is_about_one_message_is_no_part_of_a_question() -> None:
    pop = make_pop()
    request = pop.request(max_forwards="9", priority="u=1", proxy_authorization="Basic eA==")
    route = pop.edge._lookup.site_routes(request).route(request.target)
    assert question(request, route).fields == []
    assert names(passed(request, route).fields) == ["max-forwards", "priority"]
