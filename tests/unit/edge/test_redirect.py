import pytest

from edgeproxy.edge.redirect import RedirectToHttps
from edgeproxy.http.messages import ConnectionInfo, Request, Response, first

HOSTS = {"a.example", "::1"}


def request(
    target: bytes = b"/", authority: bytes = b"a.example", method: bytes = b"GET"
) -> Request:
    connection = ConnectionInfo("192.0.2.1", scheme=b"http")
    return Request(
        method, target, [], authority=authority, connection=connection, received_at=784111777.0
    )


def answer(asked: Request, *, port: int = 443) -> Response:
    return RedirectToHttps(HOSTS.__contains__, port).hit(asked, 784111777.0)


@pytest.mark.parametrize(
    ("authority", "port", "location"),
    [
        (b"a.example", 443, b"https://a.example/x?y=%20"),
        (b"A.Example.:80", 443, b"https://a.example/x?y=%20"),
        (b"a.example:8080", 8443, b"https://a.example:8443/x?y=%20"),
        (b"[::1]:80", 8443, b"https://[::1]:8443/x?y=%20"),
    ],
)
def test_location(authority: bytes, port: int, location: bytes) -> None:
    moved = answer(request(b"/x?y=%20", authority), port=port)
    assert moved.status == 301
    assert first(moved.fields, b"location") == location


def test_the_fields() -> None:
    moved = answer(request())
    assert first(moved.fields, b"date") == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert first(moved.fields, b"content-length") == b"%d" % len(bytes(moved.body))
    assert first(moved.fields, b"strict-transport-security") is None
    assert first(moved.fields, b"cache-control") is None


def test_two_slashes_do_not_lead_away() -> None:
    moved = answer(request(b"//evil.example/"))
    assert first(moved.fields, b"location") == b"https://a.example//evil.example/"


@pytest.mark.parametrize(
    ("method", "status"), [(b"GET", 301), (b"HEAD", 301), (b"POST", 308), (b"OPTIONS", 308)]
)
def test_the_method_is_kept(method: bytes, status: int) -> None:
    assert answer(request(method=method)).status == status


def test_head_has_no_body_but_its_length() -> None:
    moved = answer(request(method=b"HEAD"))
    assert moved.body == b""
    assert first(moved.fields, b"content-length") != b"0"


@pytest.mark.parametrize(
    ("authority", "target", "status"),
    [
        (b"b.example", b"/", 421),
        (b"a.example.evil", b"/", 421),
        (b"", b"/", 400),
        (b"a.example:99999", b"/", 400),
        (b"a.example", b"*", 400),
    ],
)
def test_nobody_else_is_redirected(authority: bytes, target: bytes, status: int) -> None:
    refused = answer(request(target, authority))
    assert refused.status == status
    assert first(refused.fields, b"location") is None


async def test_handle_answers_the_same() -> None:
    asked = request()
    application = RedirectToHttps(HOSTS.__contains__)
    assert (await application.handle(asked)).fields == answer(asked).fields


def test_answers_are_counted() -> None:
    statuses: list[int] = []
    application = RedirectToHttps(HOSTS.__contains__, answered=statuses.append)
    for asked in (request(), request(authority=b"b")):
        moved = application.hit(asked, 0.0)
        application.completed(asked, moved, 0, is_whole=True)
    RedirectToHttps(HOSTS.__contains__).completed(request(), moved, 0, is_whole=True)
    assert statuses == [301, 421]
