import asyncio
import dataclasses

import pytest

from edgeproxy.cache.stored import LargeBody
from edgeproxy.edge import large as large_module
from edgeproxy.edge.large import LargeContent, content_of
from edgeproxy.edge.view import view_of
from edgeproxy.errors import StoreError, UpstreamError
from edgeproxy.store.tiered import TieredStore
from tests.support.edge import make_pop
from tests.support.lower import DictLower, Octets
from tests.support.stored import stored

BODY = bytes(range(100))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(large_module, "PIECE_BYTES", 30)


async def whole(content):
    return b"".join([piece async for piece in content])


async def test_it_is_read_piece_by_piece_and_closed_at_its_end():
    body = Octets(BODY)
    content = LargeContent(body, len(BODY))
    assert await anext(content) == BODY[:30]
    assert body.reads == [(0, 30)]
    assert await whole(content) == BODY[30:]
    assert body.is_closed
    assert body.reads == [(0, 30), (30, 30), (60, 30), (90, 10)]


async def test_a_range_reads_nothing_else():
    body = Octets(BODY)
    assert await whole(LargeContent(body, len(BODY)).only(10, 45)) == BODY[10:46]
    assert body.reads == [(10, 30), (40, 6)]


async def test_a_disk_that_fails_breaks_it_off():
    body = Octets(BODY)
    content = LargeContent(body, len(BODY))
    await anext(content)
    body.fault = StoreError("gone")
    with pytest.raises(UpstreamError) as caught:
        await anext(content)
    assert (caught.value.word, caught.value.status) == ("proxy_internal_error", 500)
    await content.aclose()
    assert body.is_closed


class Shelf:
    """A stored response that only the tier below has the body of."""

    def __init__(self, **more):
        self.lower = DictLower()
        store = TieredStore(1 << 20, 1 << 20, self.lower)
        self.pop = make_pop(store=store)
        self.stored = dataclasses.replace(stored(body=BODY, **more), body=LargeBody(len(BODY)))
        self.lower.large[self.stored.digest] = Octets(BODY)
        store.put(self.stored)
        route = self.pop.edge._lookup.site_routes(self.pop.request()).route(b"/a")
        self.view = view_of(self.stored, route, store)

    async def content(self, **asked):
        return await content_of(self.pop.store, self.pop.request(**asked), self.view)


async def test_what_is_in_memory_is_at_hand():
    shelf = Shelf()
    store = shelf.pop.store
    route = shelf.pop.edge._lookup.site_routes(shelf.pop.request()).route(b"/a")
    shelf.view = view_of(stored(), route, store)
    assert await shelf.content() == b"body"


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "HEAD"},
        {"if_none_match": '"1"'},
        {"if_match": '"2"'},
        {"range": "bytes=100-"},
    ],
)
async def test_nothing_is_opened_that_is_not_sent(asked):
    shelf = Shelf(fields=[(b"etag", b'"1"')])
    assert await shelf.content(**asked) == b""


async def test_what_is_sent_is_opened_and_what_is_gone_is_let_go_of():
    shelf = Shelf()
    content = await shelf.content(range="bytes=5-6")
    assert isinstance(content, LargeContent)
    assert await whole(content.only(5, 6)) == BODY[5:7]
    shelf.lower.large.clear()
    assert await shelf.content() is None
    assert shelf.pop.store.objects == 0


async def test_a_view_of_it_is_never_live_and_has_its_length():
    shelf = Shelf()
    assert (shelf.view.body, shelf.view.large_length) == (b"", len(BODY))
    assert shelf.view.representation.length == len(BODY)
    route = shelf.pop.edge._lookup.site_routes(shelf.pop.request()).route(b"/a")
    assert not shelf.view.refresh(route, shelf.stored.response_time, "fra1")
    await asyncio.sleep(0)
