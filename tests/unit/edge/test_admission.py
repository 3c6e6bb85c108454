from collections.abc import AsyncIterator

import pytest

from edgeproxy.edge.admission import KNOWN_METHODS, admit, admit_to, max_forwards
from edgeproxy.http.messages import Field, Request
from tests.support.edge import make_pop, rule


async def _content() -> AsyncIterator[bytes]:
    yield b"x"


def request(
    method: bytes = b"GET", target: bytes = b"/", fields: tuple[Field, ...] = (), **options: object
) -> Request:
    made = make_pop().request(fields=fields)
    made.method, made.target = method, target
    for name, value in options.items():
        setattr(made, name, value)
    return made


def refusal(made: Request) -> tuple[int, str] | None:
    found = admit(made, cdn_id=b"fra1")
    return None if found is None else (found.status, found.reason)


@pytest.mark.parametrize("method", [*sorted(KNOWN_METHODS), b"REPORT"])
def test_methods_are_admitted_before_their_site_is_known(method: bytes) -> None:
    assert refusal(request(method)) is None


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"TRACK", b"PURGE"])
def test_tunnels_and_echoes_are_not(method: bytes) -> None:
    found = admit(request(method), cdn_id=b"fra1")
    assert (found.status, found.fields[0][0]) == (405, b"allow")


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"OPTIONS", b"*", None),
        (b"GET", b"*", (400, "target")),
        (b"GET", b"/a b", (400, "target")),
        (b"GET", b"http://a/", (400, "target")),
    ],
)
def test_targets(method: bytes, target: bytes, expected: tuple[int, str] | None) -> None:
    assert refusal(request(method, target)) == expected


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_content_where_it_means_nothing(method: bytes) -> None:
    assert refusal(request(method, body=_content())) == (400, "content-on-get")


def test_content_where_it_means_something() -> None:
    assert refusal(request(b"POST", body=_content())) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"100-continue", None), (b"100-Continue", None), (b"200-ok", (417, "expectation"))],
)
def test_expectations(value: bytes, expected: tuple[int, str] | None) -> None:
    assert refusal(request(fields=((b"expect", value),))) == expected


@pytest.mark.parametrize(
    ("values", "is_loop"),
    [
        ([b"fra1"], False),
        ([b"fra1, fra2"], False),
        ([b"fra1", b"fra1"], True),
        ([b'fra1; a="x,fra1,y"'], False),
        ([b"FRA1 ;v=1 , other,  fra1"], True),
    ],
)
def test_the_own_name_twice_is_a_loop(values: list[bytes], is_loop: bool) -> None:
    found = refusal(request(fields=tuple((b"cdn-loop", value) for value in values)))
    assert found == ((508, "loop") if is_loop else None)


@pytest.mark.parametrize(
    ("rules", "method", "is_refused"),
    [
        ((rule(),), b"REPORT", True),
        ((rule("pass"),), b"REPORT", True),
        ((rule(),), b"DELETE", False),
        ((), b"REPORT", False),
    ],
)
def test_unknown_methods_end_where_a_rule_decides(
    rules: tuple[object, ...], method: bytes, is_refused: bool
) -> None:
    pop = make_pop(*rules)
    made = pop.request(method=method.decode())
    route = pop.edge._lookup.site_routes(made).route(made.target)
    found = admit_to(route, made)
    assert (found is not None and found.status == 501) is is_refused


@pytest.mark.parametrize(
    ("method", "value", "hops"),
    [
        (b"OPTIONS", b"0", 0),
        (b"OPTIONS", b"12", 12),
        (b"OPTIONS", b"+1", None),
        (b"OPTIONS", None, None),
        (b"GET", b"0", None),
    ],
)
def test_max_forwards_is_read_for_options_only(
    method: bytes, value: bytes | None, hops: int | None
) -> None:
    fields = () if value is None else ((b"max-forwards", value),)
    assert max_forwards(request(method, fields=fields)) == hops


def test_no_line_of_expect_hides_behind_another() -> None:
    lines = ((b"expect", b"100-Continue"), (b"expect", b"x"))
    assert refusal(request(b"POST", fields=lines)) == (417, "expectation")
    assert refusal(request(b"POST", fields=lines[:1])) is None
