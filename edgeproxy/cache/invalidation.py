"""What an unsafe request makes invalid (RFC 9111 section 4.4)."""

from collections.abc import Iterable

from edgeproxy.http.messages import Field, Request


def targets_to_invalidate(request: Request, status: int, fields: Iterable[Field]) -> list[bytes]:
    """Return the targets, on the request's own site, whose stored responses must be forgotten."""
    raise NotImplementedError
