"""One real handshake with one address, and what was seen of it.

Over TCP and memory BIOs, under a deadline for everything from connecting on. Sends no request:
after the handshake it says close_notify and reads until the server does, so that a ticket is seen
(RFC 8446 sections 4.6.1 and 6.1). Whatever goes wrong becomes part of the
observation; nothing is judged here.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography import x509
from OpenSSL import SSL

from edgeproxy.clock import Clock
from edgeproxy.probe.addresses import Address
from edgeproxy.probe.offers import Contexts, Distrust, Notes, Offer, is_resumed, session_mark
from edgeproxy.probe.stream import READ_BYTES, TlsStream, drained, reason_of, words_of

# A chain is some 5 KB; a peer that sends more than this before it is done is none of TLS.
_HANDSHAKE_BYTES_MAX: Final = 1024 * 1024
# Servers send tickets at once or never; one that keeps the connection open is not waited for.
_TICKET_SECONDS: Final = 1.5


class Stage(StrEnum):
    """How far it came."""

    CONNECT = "connect"
    """No connection."""
    TIMEOUT = "timeout"
    """The deadline passed."""
    UNTESTABLE = "untestable"
    """Our OpenSSL cannot offer this."""
    HANDSHAKE = "handshake"
    """Refused, or broken off, by either side."""
    DONE = "done"
    """Complete."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one handshake showed.

    `chain` is as sent, leaf first; `verified` as our side completed it, up to an authority, if it
    could. `session` resumes it, None where no ticket came. `distrust` is empty also where nobody
    was to be judged. `failure` is a short reason in the peer's or OpenSSL's words.
    """

    stage: Stage
    failure: str = ""
    duration_seconds: float = 0.0
    chain: tuple[x509.Certificate, ...] = ()
    verified: tuple[x509.Certificate, ...] = ()
    distrust: tuple[Distrust, ...] = ()
    version: str = ""
    cipher: str = ""
    group: str = ""
    staple: bytes = b""
    is_resumed: bool = False
    session: SSL.Session | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the handshake was completed."""
        return self.stage is Stage.DONE


class Handshakes:
    """Shakes hands with addresses; `timeout_seconds` is the deadline of each."""

    def __init__(self, contexts: Contexts, clock: Clock, *, timeout_seconds: float) -> None:
        self._contexts = contexts
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    async def observe(
        self,
        address: Address,
        sni: str | None,
        offer: Offer,
        *,
        session: SSL.Session | None = None,
        wants_session: bool = False,
    ) -> Observation:
        """Return what the address (an IP address and a port) did with the offer."""
        connection, notes = self._contexts.connection(offer, sni)
        if session is not None:
            connection.set_session(session)
        begun = self._clock.monotonic()

        def took() -> float:
            return self._clock.monotonic() - begun

        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await _observe(address, connection, notes, took, wants_session)
        except TimeoutError:
            reason = f"no answer within {self._timeout_seconds:g} s"
            return Observation(Stage.TIMEOUT, reason, took())


async def _observe(
    address: Address,
    connection: SSL.Connection,
    notes: Notes,
    took: Callable[[], float],
    wants_session: bool,
) -> Observation:
    try:
        hello = _first_flight(connection)
    except SSL.Error as error:
        return Observation(Stage.UNTESTABLE, reason_of(error), took())
    try:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError:
        raise
    except OSError as error:
        return Observation(Stage.CONNECT, words_of(error), took())
    stream = TlsStream(reader, writer, connection, bytes_max=_HANDSHAKE_BYTES_MAX)
    try:
        writer.write(hello)
        await stream.shake_hands()
        duration = took()
        session = await _session(stream) if wants_session else None
    except SSL.Error as error:
        return Observation(Stage.HANDSHAKE, reason_of(error), took(), staple=notes.staple)
    except (OSError, EOFError) as error:
        if isinstance(error, TimeoutError):
            raise
        return Observation(Stage.HANDSHAKE, words_of(error), took())
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return seen_of(connection, notes, duration, session)


def seen_of(
    connection: SSL.Connection, notes: Notes, duration: float, session: SSL.Session | None
) -> Observation:
    """Return what a completed handshake showed."""
    return Observation(
        Stage.DONE,
        duration_seconds=duration,
        chain=tuple(connection.get_peer_cert_chain(as_cryptography=True) or ()),
        verified=tuple(connection.get_verified_chain(as_cryptography=True) or ()),
        distrust=tuple(notes.distrust),
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        group=connection.get_group_name() or "",
        staple=notes.staple,
        is_resumed=is_resumed(connection),
        session=session,
    )


async def _session(stream: TlsStream) -> SSL.Session | None:
    """Wait for a ticket; None when the server goes without sending one.

    Raises:
        SSL.Error: the server refused after all, which in TLS 1.3 may come after our Finished.
    """
    before, mark = stream.connection.get_session(), session_mark(stream.connection)
    is_early = stream.connection.get_protocol_version() < SSL.TLS1_3_VERSION
    stream.say_goodbye()
    try:
        async with asyncio.timeout(_TICKET_SECONDS):
            while await _reads_on(stream):
                pass
    except (TimeoutError, OSError, EOFError):
        pass
    has_ticket = is_early or session_mark(stream.connection) != mark
    return stream.connection.get_session() if has_ticket and before is not None else None


async def _reads_on(stream: TlsStream) -> bool:
    """Read once; False when the server has said goodbye."""
    try:
        stream.connection.recv(READ_BYTES)
    except SSL.WantReadError:
        await stream.exchange()
    except (SSL.ZeroReturnError, SSL.SysCallError):
        return False
    return True


def _first_flight(connection: SSL.Connection) -> bytes:
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    return drained(connection)
