"""A worker: one point of presence on sockets that it inherits, with identities from the steward.

Runs in a process of its own, from its first order to its last. Binds nothing, keeps no identity and
answers no operator. It accepts only once it is told to: until then it has cost nobody anything.
"""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgeproxy.config.schema import Config
from edgeproxy.runtime.correspondent import Correspondent
from edgeproxy.runtime.link import Link, Message
from edgeproxy.runtime.orders import Orders
from edgeproxy.runtime.worker import Given, PointOfPresence, QuicShare
from edgeproxy.siblings.lines import Lines
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.identity import Identity
from edgeproxy.tls.ocsp.certificate import must_staple

log = logging.getLogger(__name__)

# Longer than the steward waits for a first staple (`keeper.FIRST_STAPLE_SECONDS`).
IDENTITIES_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Post:
    """What a worker is given; `config` is its share of what the PoP is allowed.

    `generation` is the number of that configuration; `alive_seconds` is how often main wants
    to hear that the loop turns. `lines` lead to the other workers,
    `quic` is what it has in common with them for HTTP/3.
    """

    config: Config
    front: FrontContext
    https: Sequence[socket.socket]
    http: Sequence[socket.socket]
    access_log_sink: Callable[[str], object]
    generation: int
    alive_seconds: float
    lines: Lines | None = None
    quic: QuicShare | None = None


async def work(post: Post, link: Link) -> int:
    """Serve until told to end; return the exit code."""
    correspondent = Correspondent(post.front, post.generation)

    def hear(message: Message, descriptor: int | None) -> None:
        if descriptor is None or message["do"] not in ("channel", "udp"):
            raise ValueError(f"a worker is told {message['do']!r}")
        if message["do"] == "channel":
            correspondent.connect(descriptor)
        else:
            pop.hear_quic(socket.socket(fileno=descriptor))

    pop = PointOfPresence(
        post.config,
        access_log_sink=post.access_log_sink,
        given=Given(post.front, post.https, post.http, post.lines, post.quic),
    )
    orders = Orders(link, hear)
    correspondent.represent(pop)
    orders.report_alive(post.alive_seconds)
    try:
        if await _has_identities(correspondent, orders, post) and await orders.may_serve():
            await pop.start()
            orders.report("ready")
            gc.freeze()  # what start-up made lives as long as the process
            await orders.drain.wait()
            if not await pop.drain(orders.hurry):
                why = "told to hurry" if orders.hurry.is_set() else "drain_timeout passed"
                log.warning("%s with %d connections open", why, pop.connections)
    finally:
        await pop.aclose()
        await correspondent.aclose()
        orders.close()
    return 0


async def _has_identities(correspondent: Correspondent, orders: Orders, post: Post) -> bool:
    """Wait for identities; False when told to end before there are any.

    A steward that keeps silent does not keep a worker from serving: it then begins with what was
    loaded when the PoP started, but for what nobody may see unstapled.
    """
    async with asyncio.TaskGroup() as group:
        published = group.create_task(correspondent.published.wait())
        told = group.create_task(orders.drain.wait())
        await asyncio.wait(
            {published, told}, timeout=IDENTITIES_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        published.cancel()
        told.cancel()
    if not correspondent.published.is_set() and not orders.drain.is_set():
        log.error("no identities came within %g s; those of the start are used", IDENTITIES_SECONDS)
        if post.config.tls.ocsp_stapling == "auto":
            post.front.replace(post.front.identities, withheld=_unstapled(post.front.identities))
    return not orders.drain.is_set()


def _unstapled(identities: Sequence[Identity]) -> list[str]:
    """Return the names of certificates that must be stapled and are not (RFC 7633)."""
    return [
        name
        for identity in identities
        if any(must_staple(each.leaf) and each.staple is None for each in identity.credentials)
        for name in identity.names
    ]
