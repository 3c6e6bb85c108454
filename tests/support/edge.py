"""An `Edge` with a clock, a store and an origin that a test holds in its hands."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from edgeproxy.cache.key import QueryPolicy
from edgeproxy.cache.policy import CachePolicy
from edgeproxy.edge.handler import Edge
from edgeproxy.edge.patterns import compile_pattern
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import CorsPolicy, Rule, Site, Sites
from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import ConnectionInfo, Field, Request, Response, combined, first
from edgeproxy.observe.access_log import AccessLog
from edgeproxy.observe.counters import Counters
from edgeproxy.siblings.family import Siblings
from edgeproxy.siblings.lines import Lines
from edgeproxy.store.memory import MemoryStore
from tests.support.clock import ManualClock
from tests.support.upstream import ScriptedUpstream

HOST = "widgets.example.com"


def rule(kind: str = "entry", pattern: str = "/**", **changes: object) -> Rule:
    """A caching rule: the origin's lifetimes, nothing of the client forwarded but Accept."""
    values: dict[str, object] = {
        "id": kind,
        "kind": kind,
        "patterns": (compile_pattern(pattern),),
        "cache": CachePolicy(honours_request_directives=False, may_store=kind != "pass"),
        "query": QueryPolicy(),
        "forward_fields": "all" if kind == "pass" else frozenset({b"accept"}),
    }
    return Rule(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class Exchange:
    """One answered request, its content read."""

    response: Response
    body: bytes = b""
    failure: UpstreamError | None = None

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def outcome(self) -> str:
        return self.response.outcome

    def field(self, name: str) -> str | None:
        value = combined(self.response.fields, name.encode())
        return None if value is None else value.decode("latin-1")

    @property
    def cache_status(self) -> str | None:
        return self.field("cache-status")


@dataclass
class Pop:
    """The edge under test."""

    clock: ManualClock
    origin: ScriptedUpstream
    edge: Edge
    store: MemoryStore
    counters: Counters
    beside: "Beside"
    connection: ConnectionInfo = field(
        default_factory=lambda: ConnectionInfo(client="192.0.2.7", server_name=HOST)
    )

    def request(
        self,
        target: str = "/a",
        *,
        method: str = "GET",
        fields: Iterable[Field] = (),
        host: str = HOST,
        body: AsyncIterator[bytes] | None = None,
        content_length: int | None = None,
        **named: str,
    ) -> Request:
        lines = [
            (name.replace("_", "-").encode(), v.encode("latin-1")) for name, v in named.items()
        ]
        return Request(
            method.encode(),
            target.encode("latin-1"),
            [*lines, *fields],
            authority=host.encode("latin-1"),
            connection=self.connection,
            body=body,
            content_length=content_length,
            received_at=self.clock.now(),
            started=self.clock.monotonic(),
        )

    async def respond(self, request: Request) -> Response:
        """What a listener does: ask memory first."""
        hit = self.edge.hit(request, self.clock.now())
        return await self.edge.handle(request) if hit is None else hit

    async def get(self, target: str = "/a", **options: object) -> Exchange:
        return await self.exchange(self.request(target, **options))  # type: ignore[arg-type]

    async def exchange(self, request: Request) -> Exchange:
        """Ask, read everything, report the end."""
        response = await self.respond(request)
        exchange = Exchange(response)
        body = response.body
        if isinstance(body, (bytes, memoryview)):
            exchange.body = bytes(body)
        else:
            chunks: list[bytes] = []
            try:
                async for chunk in body:
                    chunks.append(chunk)  # noqa: PERF401 - what came before a failure counts
            except UpstreamError as failure:
                exchange.failure = failure
            finally:
                exchange.body = b"".join(chunks)
                await body.aclose()  # type: ignore[attr-defined]
        self.edge.completed(
            request, response, len(exchange.body), is_whole=exchange.failure is None
        )
        return exchange

    def crowd(
        self, count: int, target: str = "/a", **options: object
    ) -> "list[asyncio.Task[Exchange]]":
        """Ask many times at once."""
        loop = asyncio.get_running_loop()
        return [loop.create_task(self.get(target, **options)) for _ in range(count)]


class Beside:
    """What an edge has beside it: a clock, an origin, both of another one's, and its siblings."""

    def __init__(self, other: "Beside | None" = None, lines: Lines | None = None) -> None:
        self.clock = ManualClock() if other is None else other.clock
        self.origin = ScriptedUpstream(self.clock) if other is None else other.origin
        self.counters = Counters()
        self.siblings = None if lines is None else Siblings(lines, self.counters)


def make_pop(
    *rules: Rule,
    settings: EdgeSettings | None = None,
    bytes_max: int = 64 * 1024 * 1024,
    object_bytes_max: int = 16 * 1024 * 1024,
    access_log: AccessLog | None = None,
    cors: CorsPolicy | None = None,
    default: str | None = None,
    store: MemoryStore | None = None,
    beside: Beside | None = None,
    **site: object,
) -> Pop:
    """A PoP called `fra1` with one site of these rules; without rules it is transparent."""
    beside = beside or Beside()
    clock, origin, counters = beside.clock, beside.origin, beside.counters
    store = store or MemoryStore(bytes_max, object_bytes_max)
    the_site = Site(
        name=HOST,
        hosts=(HOST, "alias.example.com"),
        origin=origin,
        rules=rules,
        cors=cors,
        **site,  # type: ignore[arg-type]
    )
    edge = Edge(
        Sites([the_site], default),
        store,
        pop="fra1",
        clock=clock,
        counters=counters,
        access_log=access_log,
        settings=settings or EdgeSettings(),
        siblings=beside.siblings,
    )
    return Pop(clock, origin, edge, store, counters, beside)


def origin_field(pop: Pop, name: str, number: int = -1) -> bytes | None:
    """A field of a request that reached the origin."""
    return first(pop.origin.asked[number].fields, name.encode())
