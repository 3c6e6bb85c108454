"""One attempt at one exchange: which phase it is in, and until when it may stay there.

aiohttp tells through its tracing hooks how far an attempt has come; each phase has a deadline and
a word of RFC 9209 for missing it. One timer serves them all. Reads no clock but the event loop's,
and touches neither connections nor messages.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.faults import fault
from edgeproxy.origin.settings import OriginSettings


class Phase(Enum):
    """How far an attempt has come; the value is the word for running out of time in it."""

    QUEUED = "connection_limit_reached"
    RESOLVING = "dns_timeout"
    CONNECTING = "connection_timeout"
    SENDING = "connection_write_timeout"
    WAITING = "http_response_timeout"


class Exchange:
    """Deadlines of one attempt; use it as an async context manager around the attempt.

    `total_deadline` bounds everything, on the event loop's clock; `asides` is what comes beside the
    response. `is_reused` tells that an idle
    connection was taken from the pool, which the origin may have closed in the same moment.
    """

    def __init__(self, settings: OriginSettings, total_deadline: float, asides: Asides) -> None:
        self._settings = settings
        self.total_deadline = total_deadline
        self.asides = asides
        self._timer = asyncio.timeout(None)
        self.phase = Phase.QUEUED
        self.is_reused = False

    async def __aenter__(self) -> Self:
        await self._timer.__aenter__()
        self._allow(self._settings.connect_timeout_seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._timed_out() from None

    @property
    def is_connecting(self) -> bool:
        """Whether no octet of the request can have been sent yet."""
        return self.phase in {Phase.QUEUED, Phase.RESOLVING, Phase.CONNECTING}

    def enter(self, phase: Phase) -> None:
        """Go on to a phase; connecting shares one allowance with what comes before it."""
        self.phase = phase
        if phase is Phase.SENDING:  # content comes at the client's pace, each write has a limit
            self._allow(self._settings.total_timeout_seconds)
        elif phase is Phase.WAITING:
            self._allow(self._settings.first_byte_timeout_seconds)

    def sent(self) -> None:
        """Note that the request is complete: now the origin is to speak."""
        if not self._timer.expired():
            self.enter(Phase.WAITING)

    def _allow(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._timer.reschedule(min(now + seconds, self.total_deadline))

    def _timed_out(self) -> UpstreamError:
        return fault(self.phase.value, "after the configured time")


def tracing() -> aiohttp.TraceConfig:
    """Return hooks that move the `Exchange` given as `trace_request_ctx` through its phases."""
    config = aiohttp.TraceConfig()
    config.on_dns_resolvehost_start.append(_entering(Phase.RESOLVING))
    config.on_dns_resolvehost_end.append(_entering(Phase.CONNECTING))
    config.on_connection_create_start.append(_entering(Phase.CONNECTING))
    config.on_connection_create_end.append(_entering(Phase.SENDING))
    config.on_connection_reuseconn.append(_reusing)
    config.freeze()
    return config


def _entering(
    phase: Phase,
) -> Callable[[aiohttp.ClientSession, SimpleNamespace, object], Awaitable[None]]:
    async def enter(_session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
        exchange: Exchange = context.trace_request_ctx
        if exchange.is_connecting:  # resolving outlives the attempt that began it
            exchange.enter(phase)

    return enter


async def _reusing(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: object
) -> None:
    exchange: Exchange = context.trace_request_ctx
    exchange.is_reused = True
    exchange.enter(Phase.SENDING)
