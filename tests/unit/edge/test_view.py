import pytest

from edgeproxy.cache.codings import with_derived
from edgeproxy.cache.stored import DerivedBody
from edgeproxy.edge.deliver import Labels, respond
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.view import View, view_of
from edgeproxy.http.messages import Field, combined
from edgeproxy.store.memory import MemoryStore
from tests.support.edge import Pop, make_pop, rule
from tests.support.stored import NOW, stored

STORE = MemoryStore(1 << 20, 1 << 20)
MODIFIED = "Tue, 14 Nov 2023 22:00:00 GMT"
FIELDS = (
    (b"etag", b'"1"'),
    (b"last-modified", MODIFIED.encode()),
    (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
)


def route_of(pop: Pop) -> Route:
    request = pop.request()
    return pop.edge._lookup.site_routes(request).route(request.target)


def test_a_view_is_remembered_per_rule() -> None:
    kept = stored()
    route = route_of(make_pop(rule()))
    view = view_of(kept, route, STORE)
    assert view_of(kept, route, STORE) is view
    other = view_of(kept, route_of(make_pop(rule())), STORE)
    assert other is not view
    assert kept.memo is other


def test_a_view_lasts_until_age_ticks_or_the_response_is_stale() -> None:
    kept = stored(lifetime=2)
    route = route_of(make_pop())
    view = View(kept, route, kept.body)
    assert view.refresh(route, NOW + 0.25, "fra1")
    assert (view.live_from, view.live_until) == (NOW + 0.25, NOW + 1)
    assert combined(view.response.fields, b"age") == b"0"
    assert view.refresh(route, NOW + 1.5, "fra1")
    assert view.live_until == NOW + 2
    assert combined(view.response.fields, b"cache-status") == b"fra1; hit; ttl=1"
    assert not view.refresh(route, NOW + 2, "fra1")


def test_head_and_get_share_their_fields() -> None:
    route = route_of(make_pop())
    view = View(kept := stored(body=b"1234"), route, kept.body)
    view.refresh(route, NOW, "fra1")
    assert view.response.sections == view.head_response.sections
    assert (view.response.body, view.head_response.body) == (b"1234", b"")


CONDITIONS: list[tuple[list[Field], bool]] = [
    ([], False),
    ([(b"if-none-match", b'"1"')], True),
    ([(b"origin", b"null"), (b"if-none-match", b'"1"')], True),
    ([(b"if-none-match", b'"1"'), (b"if-modified-since", b"whatever")], True),
    ([(b"if-modified-since", MODIFIED.encode()), (b"if-none-match", b'"2"')], False),
    ([(b"if-modified-since", MODIFIED.encode())], True),
    ([(b"if-modified-since", b"Tue, 14 Nov 2022 22:00:00 GMT")], False),
    # What needs a parser.
    ([(b"if-none-match", b'W/"1"')], True),
    ([(b"if-none-match", b'"0", "1"')], True),
    ([(b"if-none-match", b"*")], True),
    ([(b"if-none-match", b'"1"'), (b"if-none-match", b'"0"')], True),
    ([(b"if-modified-since", b"Tue, 14 Nov 2023 22:00:01 GMT")], True),
    ([(b"if-modified-since", MODIFIED.encode()), (b"if-modified-since", b"x")], False),
]


@pytest.mark.parametrize(("conditions", "expected"), CONDITIONS)
@pytest.mark.parametrize("status", [200, 404])
def test_a_prepared_304_is_what_a_304_is(
    conditions: list[Field], expected: bool, status: int
) -> None:
    kept = stored(status=status, fields=FIELDS)
    route = route_of(make_pop())
    view = view_of(kept, route, STORE)
    view.refresh(route, NOW, "fra1")
    prepared = view.unchanged(b"GET", conditions)
    assert (prepared is not None) is (expected and status == 200)
    if prepared is not None:
        full = respond(
            make_pop().request(fields=conditions),
            view.representation,
            kept.body,
            length=len(kept.body),
            tail=(view.live,),
            labels=Labels("hit", route.site.name, route.rule.id),
        )
        assert (prepared.status, prepared.fields) == (full.status, full.fields)
        assert (prepared.outcome, prepared.site, prepared.rule) == ("hit", full.site, full.rule)


def test_all_revalidations_of_one_second_get_the_same_answer() -> None:
    kept = stored(fields=FIELDS)
    route = route_of(make_pop())
    view = view_of(kept, route, STORE)
    asked = [(b"if-none-match", b'"1"')]
    view.refresh(route, NOW, "fra1")
    first = view.unchanged(b"GET", asked)
    assert view.unchanged(b"HEAD", asked) is first
    view.refresh(route, NOW + 1, "fra1")
    assert combined(view.unchanged(b"GET", asked).fields, b"age") == b"1"


def test_generated_validators_are_offered() -> None:
    kept = stored()
    kept.etag, kept.last_modified = b'"generated"', kept.date
    made = View(kept, route_of(make_pop()), kept.body).representation
    assert (made.etag, made.last_modified) == (b'"generated"', kept.date)


CODED = (b"content-type", b"text/css"), (b"content-encoding", b"br"), (b"etag", b'"1"')


def coded_route() -> Route:
    return route_of(make_pop(rule(codings=(b"br", b"gzip"))))


def test_a_coding_that_is_not_there_has_no_view_and_is_never_live() -> None:
    kept, route = stored(body=b"coded", fields=CODED), coded_route()
    plain = view_of(kept, route, STORE)
    assert not plain.refresh(route, NOW, "fra1")
    assert plain.codings.view_in(b"identity") is plain.codings.accepting(b"gzip") is None
    assert plain.codings.accepting(b"*;q=0") is None
    assert plain.codings.at_hand(b"gzip, br;q=0.1").body == b"coded"
    assert plain.codings.at_hand(None) is None


def test_what_a_value_leads_to_is_remembered_within_bounds() -> None:
    body = DerivedBody(b"decoded", is_final=True)
    kept, route = stored(body=b"coded", fields=CODED), coded_route()
    plain = view_of(with_derived(kept, b"identity", body), route, STORE)
    assert plain.refresh(route, NOW, "fra1")
    assert plain.response.body == b"decoded"
    codings = plain.codings
    assert codings.accepting(b"identity") is plain is codings.view_in(b"identity")
    coded = codings.accepting(b"br")
    assert coded is codings.accepting(b"br") is codings.accepting(b"br, gzip")
    assert coded.body == b"coded"
    for number in range(100):
        assert codings.accepting(b"br, x%d" % number) is coded
    assert len(codings._by_accepted) <= 16
    assert codings.accepting(b"br".rjust(129)) is coded
    assert all(len(accepted) <= 128 for accepted in codings._by_accepted)
