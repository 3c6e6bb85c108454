"""From a decoded field list to the parts of a request (RFC 9113 section 8)."""

from typing import NamedTuple

Field = tuple[bytes, bytes]


class RequestHead(NamedTuple):
    """The parts of a well-formed request."""

    method: bytes
    scheme: bytes
    authority: bytes
    target: bytes
    fields: list[Field]
    content_length: int | None
    priority_value: bytes | None


def parse_request(fields: list[Field], *, scheme: bytes, stream_id: int = 0) -> RequestHead:
    """Check a field section and take it apart; StreamFault PROTOCOL_ERROR when malformed."""
    raise NotImplementedError


def parse_trailers(fields: list[Field], *, stream_id: int = 0) -> list[Field]:
    """Check a trailer section; StreamFault PROTOCOL_ERROR when malformed."""
    raise NotImplementedError
