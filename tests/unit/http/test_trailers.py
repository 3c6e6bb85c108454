"""Tests for edgeproxy/http/trailers.py."""

import pytest

from edgeproxy.http.trailers import accepts_trailers, trailer_fields, trailers_of

KEPT = ((b"content-digest", b"sha-256=:x:"), (b"etag", b'"x"'), (b"x-sum", b"1"), (b"x-sum", b"2"))


@pytest.mark.parametrize(
    "name",
    [
        b"access-control-allow-origin",
        b"age",
        b"authorization",
        b"cache-control",
        b"cdn-cache-control",
        b"cdn-loop",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"date",
        b"expect",
        b"expires",
        b"forwarded",
        b"host",
        b"if-none-match",
        b"keep-alive",
        b"location",
        b"max-forwards",
        b"pragma",
        b"proxy-authorization",
        b"proxy-connection",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"strict-transport-security",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"vary",
        b"via",
        b"www-authenticate",
        b"x-forwarded-for",
        b"x-http-method-override",
        b"x-original-url",
    ],
)
def test_what_may_not_stand_behind_content(name):
    assert trailer_fields([KEPT[0], (name, b"x"), *KEPT[1:]]) == KEPT


def test_what_connection_lists_goes_too():
    assert trailer_fields([(b"connection", b"x-mine"), (b"x-mine", b"1"), KEPT[1]]) == (KEPT[1],)


def test_where_trailers_are_found():
    class Content:
        trailers = KEPT

    assert trailers_of(Content()) == KEPT
    assert trailers_of(b"x") == trailers_of(iter(())) == ()


@pytest.mark.parametrize(
    ("fields", "accepts"),
    [
        ([], False),
        ([(b"te", b"")], False),
        ([(b"te", b"gzip")], False),
        ([(b"te", b"trailers")], True),
        ([(b"te", b"gzip;q=0.5, TRAILERS")], True),
        ([(b"te", b"gzip"), (b"te", b"trailers")], True),
        ([(b"x", b"trailers")], False),
    ],
)
def test_who_looks_at_trailers(fields, accepts):
    assert accepts_trailers(fields) is accepts
