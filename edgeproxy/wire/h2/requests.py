"""Requests of HTTP/2: what is malformed resets its stream (RFC 9113 section 8.1.1)."""

from edgeproxy.errors import StreamFault
from edgeproxy.wire.h2.codes import PROTOCOL_ERROR
from edgeproxy.wire.requests import Field, MalformedRequest, RequestHead
from edgeproxy.wire.requests import parse_request as parse_fields
from edgeproxy.wire.requests import parse_trailers as parse_trailing_fields


def parse_request(fields: list[Field], *, scheme: bytes, stream_id: int = 0) -> RequestHead:
    """Check a field section and take it apart; `scheme` is the one of the connection.

    Raises:
        StreamFault: It is malformed.
    """
    try:
        return parse_fields(fields, scheme)
    except MalformedRequest as error:
        raise StreamFault(stream_id, PROTOCOL_ERROR, str(error)) from None


def parse_trailers(fields: list[Field], *, stream_id: int = 0) -> list[Field]:
    """Check a trailer section and return its fields.

    Raises:
        StreamFault: It is malformed.
    """
    try:
        return parse_trailing_fields(fields)
    except MalformedRequest as error:
        raise StreamFault(stream_id, PROTOCOL_ERROR, str(error)) from None
