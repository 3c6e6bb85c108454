import pytest

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.edge.lookup import Lookup, SiteRoutes
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import Site, Sites
from edgeproxy.edge.synthetic import Refusal
from edgeproxy.http.messages import ConnectionInfo, Request
from tests.support.clock import ManualClock
from tests.support.edge import rule
from tests.support.upstream import ScriptedUpstream


def lookup(default: str | None = None, **settings: int) -> Lookup:
    site = Site(
        name="a.example",
        hosts=("a.example", "b.example"),
        origin=ScriptedUpstream(ManualClock()),
        rules=(rule("entry", "/e/**", query=QueryPolicy("ignore")), rule("pass", "/p/**")),
    )
    return Lookup(Sites([site], default), EdgeSettings(**settings))


def request(authority: bytes, connection: ConnectionInfo | None = None) -> Request:
    return Request(
        b"GET",
        b"/",
        [],
        authority=authority,
        connection=connection or ConnectionInfo("192.0.2.1"),
    )


def routes(authority: bytes = b"a.example") -> SiteRoutes:
    found = lookup().site_routes(request(authority))
    assert isinstance(found, SiteRoutes)
    return found


def test_an_authority_is_resolved_once_per_connection() -> None:
    each, connection = lookup(), ConnectionInfo("192.0.2.1")
    first = each.site_routes(request(b"A.example:8443", connection))
    assert connection.sites == {b"A.example:8443": first}
    assert each.site_routes(request(b"A.example:8443", connection)) is first


def test_routes_are_shared_by_connections_and_aliases_but_not_by_schemes() -> None:
    each = lookup()
    first = each.site_routes(request(b"a.example"))
    assert each.site_routes(request(b"b.example")) is first
    plain = each.site_routes(request(b"a.example", ConnectionInfo("192.0.2.1", scheme=b"http")))
    assert plain is not first
    assert plain.route(b"/x").key != first.route(b"/x").key


def test_the_scheme_is_the_connections_and_not_the_clients_word() -> None:
    asked = request(b"a.example", ConnectionInfo("192.0.2.1", scheme=b"http"))
    asked.scheme = b"https"
    assert lookup().site_routes(asked).scheme == b"http"


def test_refusals_are_not_remembered() -> None:
    connection = ConnectionInfo("192.0.2.1")
    assert lookup().site_routes(request(b"c.example", connection)) == Refusal(421, "unknown-host")
    assert lookup().site_routes(request(b"a b", connection)) == Refusal(400, "host")
    assert connection.sites == {}


def test_a_default_site_answers_to_any_name_that_the_certificate_covers() -> None:
    each = lookup(default="a.example")
    assert isinstance(each.site_routes(request(b"127.0.0.1")), SiteRoutes)
    uncovered = ConnectionInfo("192.0.2.1", covers=lambda _host: False)
    assert each.site_routes(request(b"127.0.0.1", uncovered)) == Refusal(
        421, "host-not-on-certificate"
    )


def test_the_memo_of_a_connection_is_bounded() -> None:
    each, connection = lookup(authorities_max=3), ConnectionInfo("192.0.2.1")
    for port in range(1, 20):
        each.site_routes(request(b"a.example:%d" % port, connection))
        assert len(connection.sites) <= 3


def test_a_route_joins_rule_forwarded_target_and_key() -> None:
    route = routes().route(b"/e/x?utm=1")
    assert (route.rule.id, route.target, route.is_managed) == ("entry", b"/e/x", True)
    assert route.key == routes().route(b"/e/x?utm=2").key
    assert routes().route(b"/p/x?y").target == b"/p/x?y"


@pytest.mark.parametrize(("target", "is_managed"), [(b"/p/x", False), (b"/other", False)])
def test_only_caching_rules_manage(target: bytes, is_managed: bool) -> None:
    assert routes().route(target).is_managed is is_managed


@pytest.mark.parametrize("target", [b"", b"*", b"x", b"/a b", b"/#", b"/\xff", b"http://a/"])
def test_what_is_not_origin_form_has_no_route(target: bytes) -> None:
    assert routes().route(target) is None


def test_the_memo_of_routes_is_bounded_in_number_and_in_size() -> None:
    found = lookup(routes_max=3, route_target_bytes_max=8).site_routes(request(b"a.example"))
    for number in range(20):
        route = found.route(b"/%d" % number)
        assert found.route(b"/%d" % number) is route
        assert len(found.routes) <= 3
    assert found.route(b"/too/long/to/remember") is not None
    assert b"/too/long/to/remember" not in found.routes


def test_keys_of_several_targets() -> None:
    found = routes()
    keys = found.keys([b"/a", b"/e/x?1", b"/e/x?2", b"not a target"])
    assert keys == {found.route(b"/a").key, found.route(b"/e/x").key}


def test_other_sites_decide_at_once_also_on_connections_that_remember() -> None:
    made, connection = lookup(), ConnectionInfo("192.0.2.1")
    before = made.site_routes(request(b"a.example", connection))
    assert isinstance(before, SiteRoutes)
    assert before.route(b"/e/x") is not None
    origin = ScriptedUpstream(ManualClock())
    made.adopt(Sites([Site(name="a.example", hosts=("a.example",), origin=origin)]))
    assert before.routes == {}
    assert before.route(b"/e/x") is None
    after = made.site_routes(request(b"a.example", connection))
    assert isinstance(after, SiteRoutes)
    assert after.site.origin is origin
    assert made.site_routes(request(b"b.example", connection)) == Refusal(421, "unknown-host")
    assert connection.sites[b"a.example"] is after
