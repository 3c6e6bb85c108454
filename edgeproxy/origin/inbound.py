"""What of a response's field section we are ready to believe.

Pure: from what the parser read to `ResponseHead`, or an `UpstreamError`. The parser is lenient, so
everything that a cache could be poisoned by is checked here again: status (RFC 9110 section 15),
names and values (section 5.5), Content-Length (section 8.6), transfer coding (RFC 9112 section
6.1). Whatever is wrong is the origin's fault: 502, and the connection is not used again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeproxy.http.fields import OWS, is_field_value, is_token, parse_content_length
from edgeproxy.http.hop_by_hop import end_to_end
from edgeproxy.http.messages import Field
from edgeproxy.origin.faults import fault
from edgeproxy.origin.settings import OriginSettings


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A checked field section, end-to-end fields only.

    `content_length` is what the field says, also where no content follows (HEAD, 304).
    `is_delimited` tells that the framing proves where the content ends.
    """

    status: int
    fields: list[Field]
    content_length: int | None
    is_delimited: bool


def response_head(
    status: int,
    version: tuple[int, int],
    lines: Sequence[Field],
    *,
    is_head: bool,
    settings: OriginSettings,
) -> ResponseHead:
    """Check one final response's head.

    Raises:
        UpstreamError: `http_protocol_error`, `http_response_transfer_coding` or one of the
            `http_response_header_…_size` words.
    """
    if version not in {(1, 1), (1, 0)}:
        raise fault("http_protocol_error", "not HTTP/1.1 or HTTP/1.0")
    if not 200 <= status <= 599:
        raise fault("http_protocol_error", "status out of range, or an upgrade nobody asked for")
    _check_sizes(lines, settings)
    fields = _checked(lines)
    is_chunked = _is_chunked(fields, version)
    content_length = _content_length(fields)
    if is_chunked and content_length is not None:
        raise fault("http_protocol_error", "both Transfer-Encoding and Content-Length")
    kept = end_to_end(fields)
    if status == 204:
        kept = [line for line in kept if line[0] != b"content-length"]
        content_length = None
    has_content = not (is_head or status in {204, 304})
    return ResponseHead(
        status, kept, content_length, is_chunked or content_length is not None or not has_content
    )


def interim_fields(
    version: tuple[int, int], lines: Sequence[Field], *, settings: OriginSettings
) -> list[Field]:
    """Check one interim response's head and return what of it may be passed on.

    Raises:
        UpstreamError: as for a final one; also where it claims content (RFC 9110 section 8.6, RFC
            9112 section 6.1): parsers disagree about what follows then.
    """
    if version != (1, 1):
        raise fault("http_protocol_error", "an interim response in another version than HTTP/1.1")
    _check_sizes(lines, settings)
    fields = _checked(lines)
    if any(name == b"transfer-encoding" for name, _ in fields) or _content_length(fields):
        raise fault("http_protocol_error", "an interim response with content")
    return [line for line in end_to_end(fields) if line[0] != b"content-length"]


def _check_sizes(lines: Sequence[Field], settings: OriginSettings) -> None:
    if len(lines) > settings.response_fields_max:
        raise fault("http_response_header_section_size", "too many field lines")
    sizes = [len(name) + len(value) for name, value in lines]
    if sum(sizes) > settings.response_section_bytes_max:
        raise fault("http_response_header_section_size", "field section too large")
    if max(sizes, default=0) > settings.response_field_bytes_max:
        raise fault("http_response_header_size", "a field line is too long")


def _checked(lines: Sequence[Field]) -> list[Field]:
    fields = [(name.lower(), value.strip(OWS)) for name, value in lines]
    for name, value in fields:
        if not (is_token(name) and is_field_value(value)):
            raise fault("http_protocol_error", "a field line with forbidden octets")
    return fields


def _is_chunked(fields: list[Field], version: tuple[int, int]) -> bool:
    """Tell whether `chunked` is the one and only coding; any other is refused.

    HTTP/1.0 has no transfer codings: a message that claims one is framed in two ways.
    """
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if not codings:
        return False
    if len(codings) > 1 or codings[0].lower() != b"chunked" or version < (1, 1):
        raise fault("http_response_transfer_coding", "only chunked, once, in HTTP/1.1")
    return True


def _content_length(fields: list[Field]) -> int | None:
    values = [value for name, value in fields if name == b"content-length"]
    try:
        return parse_content_length(values)
    except ValueError as error:
        raise fault("http_protocol_error", str(error)) from None
