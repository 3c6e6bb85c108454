"""A worker's siblings: who owns which key, how to ask them, how to tell them.

What the data path sees of the hop. Must not look into what is asked or answered.

Invariants: a key that this worker owns is never asked for elsewhere, so that no question goes
round; every failure of a sibling ends in a question to the origin, never in a failed request.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from edgeproxy.http.upstream import OriginResponse, OutboundRequest, Upstream
from edgeproxy.observe.counters import Counters
from edgeproxy.siblings.answering import Answering, Owner
from edgeproxy.siblings.asking import (
    GoneError,
    RefusedError,
    open_line,
    response_on,
)
from edgeproxy.siblings.frames import Forgotten, encode
from edgeproxy.siblings.lines import Lines, Outbox
from edgeproxy.siblings.packets import PACKET_BYTES_MAX, Ask, in_packets, pack
from edgeproxy.siblings.rendezvous import owner_of

log = logging.getLogger(__name__)

FORGOTTEN_SECONDS: Final = 1.0
"""Ours: how long a client waits for siblings to forget. One that is dead has nothing in memory, one
that is stuck finds the packet before any request."""
REST_SECONDS: Final = 2.0
"""Ours: how long somebody who did not answer is not asked, so that not every miss waits for
a worker that is stuck. Who died is back sooner than that."""


class Siblings:
    """All other workers; `serve` their questions, and `aclose` in every case."""

    def __init__(self, lines: Lines, counters: Counters) -> None:
        self._index = lines.index
        self._receiver = lines.receiver
        self._outboxes = [Outbox(sender) for sender in lines.senders]
        self._counters = counters
        self._resting: dict[int, float] = {}
        self._answering: Answering | None = None

    def serve(self, owner: Owner) -> None:
        """Have this one answer for the keys that are ours."""
        self._answering = Answering(self._receiver, owner)
        self._answering.start()

    async def idle(self) -> None:
        """Wait until no sibling waits for us: their clients wait behind them."""
        if self._answering is not None:
            await self._answering.idle()

    async def aclose(self) -> None:
        """Answer nothing any more, and send nothing."""
        if self._answering is not None:
            await self._answering.aclose()
        for outbox in self._outboxes:
            outbox.close()

    def owner_of(self, key: bytes) -> int | None:
        """Return whom to ask for a key, None where it is ours."""
        owner = owner_of(key, len(self._outboxes))
        return None if owner == self._index else owner

    # --- asking ---------------------------------------------------------------------------------

    async def fetch(
        self, owner: int, ask: Ask, request: OutboundRequest, origin: Upstream
    ) -> OriginResponse:
        """Return the owner's response, or the origin's to `request` where the owner has none.

        Raises:
            UpstreamError: neither has one.
        """
        try:
            return await self._asked(owner, ask, request, origin)
        except RefusedError as refusal:
            self._count(refusal.reason)
        except GoneError:
            self._resting[owner] = asyncio.get_running_loop().time() + REST_SECONDS
            self._count("gone")
        return await origin.fetch(request)

    async def _asked(
        self, owner: int, ask: Ask, request: OutboundRequest, origin: Upstream
    ) -> OriginResponse:
        if self._resting.get(owner, 0.0) > asyncio.get_running_loop().time():
            raise RefusedError("resting")
        packet = pack(ask)
        stream = self._outboxes[owner].post(packet) if len(packet) <= PACKET_BYTES_MAX else None
        if stream is None:
            raise RefusedError("no_line")

        async def again() -> OriginResponse:
            self._count("resumed")
            return await origin.fetch(replace(request, fields=list(ask.fields), interim=None))

        line = await open_line(stream)
        try:
            response = await response_on(line, request.interim, again)
        except BaseException:
            line.close()
            raise
        self._count("answered")
        return response

    def _count(self, result: str) -> None:
        self._counters.sibling_requests[result] += 1

    # --- telling --------------------------------------------------------------------------------

    async def forget(self, keys: Collection[bytes]) -> None:
        """Have all others forget what is stored under these keys; wait for them, but not for long.

        All are told before the first wait, and the owners of the keys first: whoever has forgotten
        and asks an owner asks behind this.
        """
        owners = {owner_of(key, len(self._outboxes)) for key in keys}
        others = [index for index in range(len(self._outboxes)) if index != self._index]
        others.sort(key=lambda index: index not in owners)
        packets = [pack(each) for each in in_packets(keys)]
        streams = [self._outboxes[index].post(packet) for index in others for packet in packets]
        if None in streams:
            log.error("%d keys are not forgotten by a worker that is stuck", len(keys))
        try:
            async with asyncio.timeout(FORGOTTEN_SECONDS):
                for stream in filter(None, streams):
                    await _forgotten(stream)
        except TimeoutError:
            log.warning("a worker has not forgotten within %g s", FORGOTTEN_SECONDS)
        finally:
            for stream in filter(None, streams):
                stream.close()


async def _forgotten(stream: socket.socket) -> None:
    """Wait until a sibling says that it is done, or ends, and everything in its memory with it."""
    stream.setblocking(False)  # noqa: FBT003 - the method takes no keyword
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_recv(stream, len(encode(Forgotten())))
