import dataclasses
from collections.abc import AsyncGenerator

import pytest

from edgeproxy.http.upstream import OriginResponse, OutboundRequest, Upstream, is_kept_elsewhere


def outbound(**changes):
    values = {
        "method": b"GET",
        "target": b"/a",
        "fields": [],
        "client": "192.0.2.1",
        "scheme": b"https",
        "protocol": "HTTP/2",
        "authority": b"www.example",
    }
    return OutboundRequest(**(values | changes))


class Echo:
    async def fetch(self, request: OutboundRequest) -> OriginResponse:
        async def body() -> AsyncGenerator[bytes, None]:
            yield request.target

        return OriginResponse(
            status=200,
            fields=[],
            body=body(),
            content_length=len(request.target),
            is_delimited=True,
            request_time=1.0,
            response_time=2.0,
        )


async def test_anything_that_fetches_is_an_upstream():
    upstream: Upstream = Echo()
    response = await upstream.fetch(outbound())
    assert [chunk async for chunk in response.body] == [b"/a"]
    await response.body.aclose()


def test_a_request_without_content_says_so_by_default():
    request = outbound()
    assert request.body is None
    assert request.content_length is None


def test_a_request_cannot_be_changed_on_its_way():
    with pytest.raises(dataclasses.FrozenInstanceError):
        outbound().target = b"/b"


def test_content_is_ours_to_keep_unless_it_says_otherwise():
    class Kept:
        is_kept_elsewhere = True

    assert not is_kept_elsewhere(b"content")
    assert is_kept_elsewhere(Kept())
