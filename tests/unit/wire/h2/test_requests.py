import pytest

from edgeproxy.errors import StreamFault
from edgeproxy.wire import requests
from edgeproxy.wire.h2.codes import PROTOCOL_ERROR
from edgeproxy.wire.h2.requests import parse_request, parse_trailers
from tests.support.h2_peer import REQUEST


def test_what_is_well_formed_is_what_both_protocols_read():
    fields = [*REQUEST, (b"a", b"b")]
    assert parse_request(fields, scheme=b"https") == requests.parse_request(fields, b"https")
    assert parse_trailers([(b"a", b"b")]) == [(b"a", b"b")]


def test_a_malformed_request_resets_its_stream():
    with pytest.raises(StreamFault, match=":scheme") as caught:
        parse_request(list(REQUEST), scheme=b"http", stream_id=7)
    assert (caught.value.stream_id, caught.value.code) == (7, PROTOCOL_ERROR)


def test_malformed_trailers_reset_their_stream():
    with pytest.raises(StreamFault, match="not allowed in trailers") as caught:
        parse_trailers([(b"content-length", b"1")], stream_id=9)
    assert (caught.value.stream_id, caught.value.code) == (9, PROTOCOL_ERROR)
