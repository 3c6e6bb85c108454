"""What is charged bounds what is spent, and a small object costs little beside its octets."""

import tracemalloc
from hashlib import sha256

import pytest

from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.stored import make_stored
from edgeproxy.http.messages import Fields
from edgeproxy.store.memory import MemoryStore
from tests.support.stored import NOW

OBJECTS = 5_000
# tables of the store grow by doubling, and what the pools of shared lines hold is not the store's
CONSTANT = 2 << 20


def typical(number: int) -> Fields:
    """Ten lines, of which most responses have six."""
    return (
        (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
        (b"server", b"nginx/1.24.0"),
        (b"content-type", b"text/javascript; charset=utf-8"),
        (b"content-length", b"%d" % (number % 800)),
        (b"cache-control", b"public, max-age=31536000"),
        (b"etag", b'"%08x"' % number),
        (b"last-modified", b"Tue, 14 Nov 2023 22:%05d GMT" % number),
        (b"access-control-allow-origin", b"*"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", b"%032x" % number),
    )


def all_different(number: int) -> Fields:
    """Ten lines that no other response has."""
    return tuple((b"x-line-%d" % at, b"%d, %d" % (number, at)) for at in range(10))


def grown(fields_of: object) -> tuple[int, MemoryStore]:
    """Fill a store; return what that allocated and the store."""
    store = MemoryStore(1 << 30, 1 << 20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(OBJECTS):
            # as they come from a connection: no octets are anybody else's
            lines = [(bytes(bytearray(n)), bytes(bytearray(v))) for n, v in fields_of(number)]
            body = b"%d" % number * 100
            store.put(
                make_stored(
                    b"https|a.example|/v1.0.0/%d.js" % number,
                    200,
                    lines,
                    body,
                    digest=sha256(body).digest(),
                    request_fields=(),
                    request_time=NOW + number * 0.9,
                    response_time=NOW + number,
                    freshness=Freshness(31_536_000, "rule", counts_from_arrival=True),
                )
            )
        return tracemalloc.get_traced_memory()[0] - before, store
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fields_of", [typical, all_different])
def test_what_is_charged_bounds_what_is_spent(fields_of: object) -> None:
    spent, store = grown(fields_of)
    assert store.objects == OBJECTS
    assert spent <= store.bytes * 1.1 + CONSTANT


def test_a_small_object_costs_no_more_than_promised() -> None:
    spent, store = grown(typical)
    bodies = sum(len(stored.body) for key in store._index for stored in store.candidates(key, NOW))
    assert (spent - bodies) / OBJECTS <= 1536
