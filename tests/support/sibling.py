"""Workers beside each other in one process, and what goes between them, held in a test's hands.

    async with make_family(2) as family:
        family[0].origin.on("GET", target_owned_by(1)).reply(200, b"x")

They have one origin, one clock and one loop; each has a store and counters of its own. An async
context manager.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Self

from edgeproxy.cache.key import cache_key
from edgeproxy.http.messages import Field
from edgeproxy.http.upstream import OriginResponse, OutboundRequest
from edgeproxy.siblings.lines import Lines, close_lines, make_lines
from edgeproxy.siblings.packets import Ask
from edgeproxy.siblings.rendezvous import owner_of
from tests.support.edge import HOST, Beside, Pop, make_pop


class Family(list[Pop]):
    """The workers, in their order."""

    def __init__(self, pops: Iterable[Pop], lines: list[Lines]) -> None:
        super().__init__(pops)
        self._lines = lines

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for pop in self:
            await pop.beside.siblings.aclose()
            await pop.edge.aclose()
        close_lines(self._lines)


def make_family(count: int, *rules: object, stores=None, **options: object) -> Family:
    """So many workers, all of which answer each other; `stores` are theirs, in turn."""
    lines = make_lines(count)
    first = None
    pops = []
    for each in lines:
        beside = Beside(first, each)
        first = first or beside
        store = None if stores is None else next(stores)
        pop = make_pop(*rules, beside=beside, store=store, **options)
        beside.siblings.serve(pop.edge.owned)
        pops.append(pop)
    return Family(pops, lines)


def target_owned_by(index: int, workers: int = 2, *, prefix: str = "/o", scheme: bytes = b"https"):
    """A target whose key that worker owns."""
    name = HOST.encode()
    return next(
        target
        for target in (f"{prefix}{number}" for number in range(1000))
        if owner_of(cache_key(name, scheme, target.encode()), workers) == index
    )


def an_ask(**changes: object) -> Ask:
    values: dict[str, object] = {
        "key": b"https\0h\0/\xe9",
        "authority": b"h",
        "scheme": b"https",
        "target": b"/\xe9",
        "fields": ((b"accept", b'\xe9"\\'),),
        "validators": ((b"if-none-match", b'"1"'),),
        "has_stale": True,
        "client": "192.0.2.1",
        "protocol": "HTTP/2",
    }
    return Ask(**{**values, **changes})  # type: ignore[arg-type]


def an_outbound(fields: list[Field] | None = None, interim=None) -> OutboundRequest:
    return OutboundRequest(
        method=b"GET",
        target=b"/",
        fields=fields or [],
        client="192.0.2.1",
        scheme=b"https",
        protocol="HTTP/2",
        authority=b"h",
        interim=interim,
    )


async def pieces(*octets: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for each in octets:
        yield each
    if error is not None:
        raise error


def a_response(*octets: bytes, error: Exception | None = None, **changes: object):
    values: dict[str, object] = {
        "status": 200,
        "fields": [(b"etag", b'"1"')],
        "body": pieces(*octets, error=error),
        "content_length": sum(map(len, octets)),
        "is_delimited": True,
        "request_time": 1.5,
        "response_time": 2.25,
    }
    return OriginResponse(**{**values, **changes})  # type: ignore[arg-type]
