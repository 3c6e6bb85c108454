"""The seam between the data path and whatever is one hop nearer to the content.

The edge asks an `Upstream`; today that is an origin, later also a shield or another worker. What
crosses the seam is HTTP semantics only (RFC 9110 section 7.6): no connections, no framing, and no
decisions. It performs no I/O itself.

Invariants: fields here are end-to-end in both directions, names in lower case; Host, Via, CDN-Loop
and Forwarded are the upstream's to write, so `OutboundRequest.fields` carries none of its own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from edgeproxy.http.messages import Field, Interim


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutboundRequest:
    """One request for the next hop.

    `target` is exactly what the cache key was made of. `body` is None without content and is
    iterated at most once; `content_length` is None for content of unknown length, behind which its
    trailers are sent where `sends_trailers`. `takes_trailers`: the client looks at those of the
    response. `client`,
    `scheme`, `protocol` and `authority` describe the downstream request, for Forwarded and Via:
    they never choose where the request goes. `interim` hears every interim response that may be
    passed on, end-to-end fields only, before `fetch` returns.
    """

    method: bytes
    target: bytes
    fields: list[Field]
    body: AsyncIterator[bytes] | None = None
    content_length: int | None = None
    client: str
    scheme: bytes
    protocol: str
    authority: bytes
    interim: Interim | None = None
    sends_trailers: bool = False
    takes_trailers: bool = False


class Content(Protocol):
    """A response's content while it arrives; async generators are this.

    Where it can have trailers they are its `trailers`, to be found by `http.trailers.trailers_of`.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None:
        """Give up what is not read yet; safe to call twice."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OriginResponse:
    """One response of the next hop, its content still arriving.

    `body` raises `UpstreamError` when the content cannot be completed; whoever holds the response
    calls `body.aclose()`, also when nothing was read. `is_delimited` tells that the end of the
    content is proven by the framing (a length or a last chunk): without it a cut connection looks
    like a complete one. The times are `Clock.now()` when the request left and when the fields
    were complete (RFC 9111 section 4.2.3).
    """

    status: int
    fields: list[Field]
    body: Content
    content_length: int | None
    is_delimited: bool
    request_time: float
    response_time: float


def is_kept_elsewhere(content: object) -> bool:
    """Tell of content that was iterated to its end whether somebody else has told the disk of it.

    Most content says nothing of it: it is ours to keep.
    """
    return bool(getattr(content, "is_kept_elsewhere", False))


class Upstream(Protocol):
    """Something that turns a request into a response."""

    async def fetch(self, request: OutboundRequest) -> OriginResponse:
        """Send the request and return once the response's fields are complete.

        Raises:
            UpstreamError: nothing usable came back.
        """
