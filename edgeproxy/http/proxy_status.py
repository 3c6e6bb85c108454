"""The edge's own Proxy-Status member, for responses that it had to make up (RFC 9209)."""

STATUS_OF: dict[str, int] = {}
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
    raise NotImplementedError
