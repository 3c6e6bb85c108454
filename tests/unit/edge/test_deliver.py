import pytest

from edgeproxy.edge.deliver import Labels, Part, live_section, range_of, represent, respond, select
from edgeproxy.edge.growing import GrowingBody
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.http.conditionals import Precondition
from edgeproxy.http.messages import FieldSection, Response, combined
from edgeproxy.http.ranges import ByteRange, Unsatisfiable
from tests.support.edge import Pop, make_pop

MODIFIED = "Tue, 14 Nov 2023 22:00:00 GMT"
FIELDS = (
    (b"etag", b'"1"'),
    (b"last-modified", MODIFIED.encode()),
    (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
)
LIVE = FieldSection([(b"cache-status", b"fra1; hit")])


def route_of(pop: Pop) -> Route:
    request = pop.request()
    return pop.edge._lookup.site_routes(request).route(request.target)


def answer(status: int = 200, **asked: object) -> Response:
    request = make_pop().request(**asked)
    made = Representation(status, FIELDS, length=10)
    return respond(
        request, made, b"0123456789", length=10, tail=(LIVE,), labels=Labels("hit", "s", "r")
    )


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ({}, 200, b"0123456789"),
        ({"method": "HEAD"}, 200, b""),
        ({"if_none_match": '"1"'}, 304, b""),
        ({"if_none_match": 'W/"1"'}, 304, b""),
        ({"if_none_match": '"2"', "if_modified_since": MODIFIED}, 200, b"0123456789"),
        ({"if_modified_since": MODIFIED}, 304, b""),
        ({"if_match": '"2"'}, 412, b""),
        ({"if_unmodified_since": "Tue, 14 Nov 2022 22:00:00 GMT"}, 412, b""),
        ({"range": "bytes=2-3"}, 206, b"23"),
        ({"range": "bytes=-3"}, 206, b"789"),
        ({"range": "bytes=2-3", "method": "HEAD"}, 200, b""),
        ({"range": "bytes=2-3,5-6"}, 200, b"0123456789"),
        ({"range": "lines=2-3"}, 200, b"0123456789"),
        ({"range": "bytes=10-"}, 416, b""),
        ({"range": "bytes=2-3", "if_range": '"1"'}, 206, b"23"),
        ({"range": "bytes=2-3", "if_range": '"2"'}, 200, b"0123456789"),
        ({"range": "bytes=2-3", "if_none_match": '"1"'}, 304, b""),
    ],
)
def test_requests_get_what_they_ask_for(asked: dict, status: int, body: bytes) -> None:
    response = answer(**asked)
    assert (response.status, bytes(response.body)) == (status, body)
    assert response.sections[-1] is LIVE
    assert (response.outcome, response.site, response.rule) == ("hit", "s", "r")
    lengths = [value for name, value in response.fields if name == b"content-length"]
    assert lengths == {206: [b"%d" % len(body)], 304: []}.get(
        status, [b"10"] if status == 200 else [b"0"]
    )


@pytest.mark.parametrize("status", [301, 404])
def test_preconditions_and_ranges_are_for_200_only(status: int) -> None:
    assert answer(status, if_none_match='"1"').status == status
    assert answer(status, range="bytes=0-0").status == status


@pytest.mark.parametrize("tags", ['"1"', "*"])
def test_if_match_is_not_judged_by_a_tag_that_nobody_knows_yet(tags: str) -> None:
    request = make_pop().request(if_match=tags, if_unmodified_since="Tue, 14 Nov 2022 22:00:00 GMT")
    made = Representation(200, [(b"last-modified", MODIFIED.encode())], length=1)
    assert select(request, made, 1) is Precondition.PASS


def test_refusals_of_a_part_say_how_much_there_is() -> None:
    response = answer(range="bytes=10-")
    assert combined(response.fields, b"content-range") == b"bytes */10"
    assert combined(response.fields, b"cache-control") == b"no-store"


def test_a_refusal_of_what_has_no_date_has_none() -> None:
    made = Representation(200, [(b"etag", b'"1"')], length=1)
    response = respond(
        make_pop().request(if_match='"2"'), made, b"x", length=1, tail=(), labels=Labels("", "", "")
    )
    assert combined(response.fields, b"date") is None


def test_without_a_length_there_are_no_parts() -> None:
    request = make_pop().request(range="bytes=0-0")
    made = Representation(200, FIELDS, length=None)
    assert select(request, made, None) is Precondition.PASS
    assert select(request, made, 3) == Part(ByteRange(0, 0), 3)
    assert select(request, made, 0) == Unsatisfiable(0)


@pytest.mark.parametrize(
    ("asked", "is_read"),
    [({}, True), ({"range": "bytes=0-1"}, True), ({"method": "HEAD"}, False)],
)
async def test_a_reader_is_handed_on_or_left(asked: dict, is_read: bool) -> None:
    body = GrowingBody(keep_bytes_max=99, window_bytes=9, on_abandoned=lambda: None)
    reader = body.read()
    made = Representation(200, FIELDS, length=10)
    response = respond(
        make_pop().request(**asked), made, reader, length=10, tail=(), labels=Labels("", "", "")
    )
    assert (response.body is reader) is is_read
    assert (reader in body._readers) is is_read


def test_range_is_read_from_get_alone() -> None:
    pop = make_pop()
    assert range_of(pop.request(range="bytes=0-0")) == b"bytes=0-0"
    assert range_of(pop.request()) is None
    assert range_of(pop.request(method="HEAD", range="bytes=0-0")) is None


@pytest.mark.parametrize(
    ("upstream", "age", "expected"),
    [
        (b"", None, [(b"cache-status", b"m")]),
        (b"o; hit", 3.9, [(b"age", b"3"), (b"cache-status", b"o; hit, m")]),
    ],
)
def test_the_live_fields(upstream: bytes, age: float | None, expected: list) -> None:
    made = Representation(200, (), length=0, cache_status=upstream)
    assert list(live_section(made, b"m", age=age).fields) == expected


@pytest.mark.parametrize(
    ("lines", "age"),
    [
        ([], None),
        ([b"7"], 7),
        ([b"7, 9"], 7),
        ([b"7", b"9"], 7),
        ([b"-7"], None),
        ([b"x"], None),
        ([b""], None),
    ],
)
def test_the_age_on_arrival(lines: list[bytes], age: int | None) -> None:
    fields = tuple((b"age", value) for value in lines)
    made = represent(route_of(make_pop()), 200, fields, length=0, may_be_shared=True)
    assert made.age == age


@pytest.mark.parametrize(("status", "may_be_shared"), [(404, True), (200, False)])
def test_only_what_is_cut_here_promises_ranges(status: int, may_be_shared: bool) -> None:
    fields = ((b"accept-ranges", b"none"),)
    route = route_of(make_pop())
    own = represent(route, 200, fields, length=1, may_be_shared=True)
    assert own.fields == ((b"accept-ranges", b"bytes"),)
    other = represent(route, status, fields, length=1, may_be_shared=may_be_shared)
    assert other.fields == fields


def test_204_states_no_length() -> None:
    made = represent(route_of(make_pop()), 204, (), length=0, may_be_shared=True)
    assert made.whole.fields == ()
