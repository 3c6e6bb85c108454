"""Requests for an upstream, with everything filled in that a test does not care about."""

from collections.abc import AsyncIterator

from edgeproxy.clock import SystemClock
from edgeproxy.http.messages import Field, Interim
from edgeproxy.http.upstream import OriginResponse, OutboundRequest
from edgeproxy.origin.client import Origin
from edgeproxy.origin.settings import OriginSettings


def outbound(
    method: str = "GET",
    target: str = "/",
    fields: list[Field] | None = None,
    *,
    body: AsyncIterator[bytes] | None = None,
    content_length: int | None = None,
    client: str = "192.0.2.7",
    scheme: bytes = b"https",
    protocol: str = "HTTP/2",
    authority: bytes = b"widgets.example",
    interim: Interim | None = None,
    takes_trailers: bool = False,
) -> OutboundRequest:
    return OutboundRequest(
        method=method.encode("latin-1"),
        target=target.encode("latin-1"),
        fields=fields or [],
        body=body,
        content_length=content_length,
        client=client,
        scheme=scheme,
        protocol=protocol,
        authority=authority,
        interim=interim,
        takes_trailers=takes_trailers,
    )


def origin_client(settings: OriginSettings) -> Origin:
    return Origin(settings, identifier="edgeproxy", clock=SystemClock())


async def content_of(response: OriginResponse) -> bytes:
    return b"".join([piece async for piece in response.body])


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
