from edgeproxy.http.messages import (
    ConnectionInfo,
    FieldSection,
    Request,
    Response,
    combined,
    first,
)


def test_a_connection_without_tls_covers_every_host():
    connection = ConnectionInfo(client="192.0.2.1")
    assert connection.covers("anything.example")
    assert connection.scheme == b"https"
    assert connection.sites == {}


def test_a_request_keeps_what_it_is_given():
    connection = ConnectionInfo(client="192.0.2.1")
    request = Request(
        b"GET", b"/a?b", [(b"accept", b"*/*")], authority=b"example.com", connection=connection
    )
    assert (request.method, request.target, request.authority) == (b"GET", b"/a?b", b"example.com")
    assert request.fields == [(b"accept", b"*/*")]
    assert request.connection is connection
    assert (request.scheme, request.protocol) == (b"https", "HTTP/2")
    assert request.body is None
    assert request.content_length is None
    assert (request.received_at, request.started) == (0.0, 0.0)


def test_a_response_lists_the_fields_of_all_sections_in_order():
    fixed = FieldSection([(b"a", b"1"), (b"b", b"2")])
    live = FieldSection(iter([(b"age", b"3")]))
    response = Response(200, (fixed, live), b"body")
    assert response.fields == [(b"a", b"1"), (b"b", b"2"), (b"age", b"3")]
    assert response.fields is not response.fields
    assert fixed.h1 is None
    assert fixed.h2 is None
    assert (response.outcome, response.site, response.rule) == ("error", "_other", "")


def test_lookup_of_fields():
    fields = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert first(fields, b"a") == b"1"
    assert first(fields, b"c") is None
    assert combined(fields, b"a") == b"1, 3"
    assert combined(fields, b"c") is None
