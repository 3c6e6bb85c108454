"""One request from beginning to end: connect, shake hands, ask, see whether the session resumes.

Over TCP the protocol is what ALPN chose of those that were offered; HTTP/3 is asked for by itself.
Everything is under one deadline, and whatever goes wrong is part of the report.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from OpenSSL import SSL

from edgeproxy.clock import Clock
from edgeproxy.probe.addresses import Address, resolve
from edgeproxy.probe.certificates import covers
from edgeproxy.probe.get import http1, http2
from edgeproxy.probe.get.answer import Answer, Asked, BrokenError, Protocol
from edgeproxy.probe.handshake import Handshakes, Observation, seen_of
from edgeproxy.probe.offers import Contexts, Distrust, Offer, session_mark
from edgeproxy.probe.stream import TlsStream, reason_of, words_of

if TYPE_CHECKING:
    from edgeproxy.probe.get.http3 import QuicClient

_OVERHEAD_BYTES: Final = 64 * 1024 * 1024
# Tickets come with or right behind the handshake; by the end of a response they are there.
_TICKET_SECONDS: Final = 1.0


@dataclass(slots=True)
class Report:
    """What was seen, as far as it came; times are in seconds, None for what never was.

    `connect_seconds` is None over QUIC, which has no handshake below the one of TLS. `resumes` is
    None where it was not tried. `failure` is empty for a response that came whole.
    """

    asked: Asked
    answer: Answer
    address: Address | None = None
    protocol: Protocol | None = None
    handshake: Observation | None = None
    connect_seconds: float | None = None
    first_seconds: float | None = None
    content_seconds: float | None = None
    resumes: bool | None = None
    failure: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether a whole response came, from whom it should."""
        is_trusted = self.handshake is not None and not self.handshake.distrust
        return self.answer.is_whole and is_trusted and not self.failure


@dataclass(frozen=True, slots=True)
class Asking:
    """How requests are made; `timeout_seconds` is for all of one, `sink` takes content."""

    contexts: Contexts
    quic: "QuicClient"
    clock: Clock
    timeout_seconds: float
    octets_max: int
    sink: Callable[[bytes], object]

    async def ask(self, asked: Asked, place: Address) -> Report:
        """Make one request to `place`, the URL's own address or another one."""
        report = Report(asked, Answer(self.clock, self.sink, self.octets_max))
        try:
            async with asyncio.timeout(self.timeout_seconds):
                report.address = (await resolve(place))[0]
                if asked.protocols == ("h3",):
                    await self._over_quic(report, report.address)
                else:
                    await self._over_tcp(report, report.address)
        except TimeoutError:
            report.failure = f"no answer within {self.timeout_seconds:g} s"
        except BrokenError as error:
            report.failure = str(error)
        except SSL.Error as error:
            report.failure = reason_of(error)
        except (OSError, EOFError) as error:
            report.failure = words_of(error)
        return report

    @contextlib.contextmanager
    def _timing(self, report: Report) -> Iterator[None]:
        begun, answer = self.clock.monotonic(), report.answer
        try:
            yield
        finally:
            if answer.first_seconds is not None:
                report.first_seconds = answer.first_seconds - begun
                if answer.last_seconds is not None:
                    report.content_seconds = answer.last_seconds - answer.first_seconds

    async def _over_tcp(self, report: Report, address: Address) -> None:
        asked, offer = report.asked, Offer(protocols=report.asked.protocols)
        connection, notes = self.contexts.connection(offer, asked.url.sni)
        begun = self.clock.monotonic()
        async with _stream(address, connection, self.octets_max) as stream:
            connected = self.clock.monotonic()
            report.connect_seconds = connected - begun
            await stream.shake_hands()
            took = self.clock.monotonic() - connected
            # without a reference to it, the next session might lie where this one did
            first, mark = connection.get_session(), session_mark(connection)
            report.handshake = self._judged(asked, seen_of(connection, notes, took, None))
            report.protocol = _spoken(connection, asked)
            with self._timing(report):
                ask = http2.ask if report.protocol == "h2" else http1.ask
                await ask(stream, asked, report.answer)
            session = await _session(stream, mark)
        del first
        report.resumes = session is not None and await self._resumes(address, asked, offer, session)

    def _judged(self, asked: Asked, seen: Observation) -> Observation:
        """Add what OpenSSL was not asked to judge: whether the leaf is for this host."""
        host = asked.url.address.host
        if self.contexts.is_trusting or not seen.chain or covers(seen.chain[0], host):
            return seen
        return replace(
            seen,
            distrust=(*seen.distrust, Distrust(0, is_of_dates=False, text=f"it is not for {host}")),
        )

    async def _resumes(
        self, address: Address, asked: Asked, offer: Offer, session: SSL.Session
    ) -> bool:
        handshakes = Handshakes(self.contexts, self.clock, timeout_seconds=self.timeout_seconds)
        again = await handshakes.observe(address, asked.url.sni, offer, session=session)
        return again.is_resumed

    async def _over_quic(self, report: Report, address: Address) -> None:
        asked, begun = report.asked, self.clock.monotonic()
        async with self.quic.connected(address, asked) as exchange:
            took = self.clock.monotonic() - begun
            report.protocol = "h3"
            report.handshake = exchange.seen(asked.url.address.host, took)
            with self._timing(report):
                await exchange.ask(asked, report.answer)
            ticket = await exchange.ticket(_TICKET_SECONDS)
        report.resumes = False
        if ticket is not None:
            async with self.quic.connected(address, asked, ticket=ticket) as again:
                report.resumes = again.seen(asked.url.address.host, 0.0).is_resumed


@asynccontextmanager
async def _stream(
    address: Address, connection: SSL.Connection, octets_max: int
) -> AsyncIterator[TlsStream]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield TlsStream(reader, writer, connection, bytes_max=octets_max + _OVERHEAD_BYTES)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _spoken(connection: SSL.Connection, asked: Asked) -> Protocol:
    """Return what ALPN chose; a server without ALPN speaks HTTP/1.1 (RFC 9112 section 9.7)."""
    spoken = connection.get_alpn_proto_negotiated().decode("latin-1") or "http/1.1"
    for protocol in asked.protocols:
        if protocol == spoken:
            return protocol
    raise BrokenError(f"the server does not speak {' or '.join(asked.protocols)}")


async def _session(stream: TlsStream, mark: object) -> SSL.Session | None:
    """Return the session that a ticket made resumable, waiting for one a little."""
    connection = stream.connection
    with contextlib.suppress(TimeoutError, OSError, EOFError, SSL.Error):
        async with asyncio.timeout(_TICKET_SECONDS):
            while session_mark(connection) == mark and await stream.receive():
                pass
    return connection.get_session() if session_mark(connection) != mark else None
