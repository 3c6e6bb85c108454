"""The edge's own Proxy-Status member, for responses that it had to make up (RFC 9209).

Serialises; what went wrong is for `origin` to say.
"""

from edgeproxy.http.structured import (
    serialise_integer,
    serialise_string,
    serialise_token,
    serialise_token_or_string,
)

STATUS_OF: dict[str, int] = {
    "dns_timeout": 504,
    "dns_error": 502,
    "destination_not_found": 500,
    "destination_unavailable": 503,
    "destination_ip_prohibited": 502,
    "destination_ip_unroutable": 502,
    "connection_refused": 502,
    "connection_terminated": 502,
    "connection_timeout": 504,
    "connection_read_timeout": 504,
    "connection_write_timeout": 504,
    "connection_limit_reached": 503,
    "tls_protocol_error": 502,
    "tls_certificate_error": 502,
    "tls_alert_received": 502,
    "http_request_error": 400,  # "the applicable 4xx status code"
    "http_request_denied": 403,
    "http_response_incomplete": 502,
    "http_response_header_section_size": 502,
    "http_response_header_size": 502,
    "http_response_body_size": 502,
    "http_response_trailer_section_size": 502,
    "http_response_trailer_size": 502,
    "http_response_transfer_coding": 502,
    "http_response_content_coding": 502,
    "http_response_timeout": 504,
    "http_upgrade_failed": 502,
    "http_protocol_error": 502,
    "proxy_internal_response": 500,  # "the most appropriate status code"
    "proxy_internal_error": 500,
    "proxy_configuration_error": 500,
    "proxy_loop_detected": 502,
}
"""Proxy error type (RFC 9209 section 2.3) to its recommended response status."""


def member(
    identifier: str,
    *,
    error: str,
    next_hop: str | None = None,
    received_status: int | None = None,
    details: str | None = None,
) -> bytes:
    """Return one member; `error` is a word of `STATUS_OF`."""
    parts = [serialise_token_or_string(identifier), b"error=" + serialise_token(error)]
    if next_hop is not None:
        parts.append(b"next-hop=" + serialise_token_or_string(next_hop))
    if received_status is not None:
        parts.append(b"received-status=" + serialise_integer(received_status))
    if details is not None:
        parts.append(b"details=" + serialise_string(_visible(details)))
    return b"; ".join(parts)


def _visible(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
