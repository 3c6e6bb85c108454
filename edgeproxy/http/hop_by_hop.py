"""What must not travel past one connection (RFC 9110 section 7.6.1)."""

from collections.abc import Iterable

from edgeproxy.http.messages import Field


def end_to_end(fields: Iterable[Field]) -> list[Field]:
    """Return the fields that may be forwarded or stored, in order; for both directions."""
    raise NotImplementedError
