"""The request over HTTP/3 (RFC 9114), by aioquic, with the certificate and staple that came.

aioquic's client asks for no staple and keeps none: the two overrides that do are here, and
`tests/unit/probe/get/test_http3.py` is the contract. Trust is judged after the handshake and
written down, never enforced, as over TCP.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3 import events as h3
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicErrorCode
from cryptography import x509

from edgeproxy.probe.addresses import Address
from edgeproxy.probe.get.answer import Answer, Asked, BrokenError
from edgeproxy.probe.handshake import Observation, Stage
from edgeproxy.probe.offers import Distrust

# status_request of one OCSP response without further wishes (RFC 6066 section 8)
_WANTS_STAPLE: Final = (tls.ExtensionType.STATUS_REQUEST, b"\x01\x00\x00\x00\x00")
_SYSTEM_AUTHORITIES: Final = ssl.get_default_verify_paths()
_CONNECTION_WINDOW: Final = 16 * 1024 * 1024


class QuicClient:
    """Connects to addresses; `ca_file` and `is_trusting` are as for `offers.Contexts`."""

    def __init__(self, ca_file: Path | None = None, *, is_trusting: bool = False) -> None:
        self._ca_file = ca_file
        self._is_trusting = is_trusting

    @asynccontextmanager
    async def connected(
        self, address: Address, asked: Asked, *, ticket: tls.SessionTicket | None = None
    ) -> AsyncIterator["Exchange"]:
        """Shake hands and yield the connection; ends it in order afterwards.

        Raises:
            BrokenError: no handshake came about.
            OSError: nothing can be sent there.
        """
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN,
            server_name=asked.url.address.host,
            verify_mode=ssl.CERT_NONE,
            session_ticket=ticket,
            max_data=_CONNECTION_WINDOW,
            max_stream_data=_CONNECTION_WINDOW,
        )
        tickets: list[tls.SessionTicket] = []
        connection = _Connection(configuration=configuration, session_ticket_handler=tickets.append)
        loop = asyncio.get_running_loop()
        # connected, so that the kernel tells when nobody is there
        transport, exchange = await loop.create_datagram_endpoint(
            lambda: Exchange(connection, tickets, self._judge),
            remote_addr=(address.host, address.port),
        )
        try:
            exchange.connect(transport.get_extra_info("peername"))
            await exchange.secured()
            yield exchange
        finally:
            exchange.close(ErrorCode.H3_NO_ERROR)
            exchange.leave()

    def _judge(self, context: "_Context", name: str) -> tuple[Distrust, ...]:
        if self._is_trusting or context.leaf is None:
            return ()
        ca_file = str(self._ca_file) if self._ca_file else _SYSTEM_AUTHORITIES.cafile
        try:
            tls.verify_certificate(
                certificate=context.leaf,
                chain=context.others,
                server_name=name,
                cafile=ca_file,
                capath=None if self._ca_file else _SYSTEM_AUTHORITIES.capath,
            )
        except tls.AlertCertificateExpired as alert:
            return (Distrust(0, is_of_dates=True, text=str(alert)),)
        except tls.Alert as alert:
            return (Distrust(0, is_of_dates=False, text=str(alert)),)
        return ()


class _Context(tls.Context):
    """A client's TLS that keeps the staple beside the leaf."""

    staple = b""

    @property
    def leaf(self) -> x509.Certificate | None:
        return self._peer_certificate

    @property
    def others(self) -> list[x509.Certificate]:
        return self._peer_certificate_chain

    def _client_handle_certificate(self, input_buf: Buffer) -> None:
        start = input_buf.tell()
        message = tls.pull_certificate(input_buf)
        input_buf.seek(start)
        if message.certificates:
            self.staple = _staple_in(message.certificates[0][1])
        super()._client_handle_certificate(input_buf)


class _Connection(QuicConnection):
    """A client's connection that asks for a staple."""

    tls: _Context

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls.__class__ = _Context
        self.tls.handshake_extensions.append(_WANTS_STAPLE)


def _staple_in(extensions: bytes) -> bytes:
    """Return the OCSP response among a certificate's extensions (RFC 8446 section 4.4.2.1)."""
    at = 0
    while at + 4 <= len(extensions):
        kind, size = (int.from_bytes(extensions[at + n : at + n + 2], "big") for n in (0, 2))
        if kind == tls.ExtensionType.STATUS_REQUEST and extensions[at + 4 : at + 5] == b"\x01":
            return extensions[at + 8 : at + 4 + size]
        at += 4 + size
    return b""


class Exchange(QuicConnectionProtocol):
    """One connection and the request on it."""

    def __init__(
        self,
        connection: _Connection,
        tickets: list[tls.SessionTicket],
        judge: Callable[[_Context, str], tuple[Distrust, ...]],
    ) -> None:
        super().__init__(connection)
        self.tickets = tickets
        self._judge = judge
        self._http: H3Connection | None = None
        self._answer: Answer | None = None
        self._trailers: list[tuple[bytes, bytes]] = []
        self._secured = asyncio.get_running_loop().create_future()
        self._over = asyncio.get_running_loop().create_future()
        self._ticket_came = asyncio.Event()

    async def secured(self) -> None:
        """Wait for the end of the handshake."""
        await self._secured

    def seen(self, name: str, seconds: float) -> Observation:
        """Return what the handshake showed; `name` is whom the certificate must be for."""
        context: Any = self._quic.tls
        schedule = context.key_schedule
        return Observation(
            Stage.DONE,
            duration_seconds=seconds,
            chain=(context.leaf, *context.others) if context.leaf is not None else (),
            distrust=self._judge(context, name),
            version="TLSv1.3",
            cipher=f"TLS_{schedule.cipher_suite.name}" if schedule else "",
            staple=context.staple,
            is_resumed=bool(context.session_resumed),
        )

    async def ask(self, asked: Asked, answer: Answer) -> None:
        """Send the request and take the response.

        Raises:
            BrokenError: the server broke the protocol, refused the stream or cut it.
        """
        self._answer = answer
        self._http = H3Connection(self._quic)
        stream = self._quic.get_next_available_stream_id()
        fields = [
            (":method", asked.method),
            (":scheme", "https"),
            (":authority", asked.url.authority),
            (":path", asked.url.target),
            *((name.lower(), value) for name, value in asked.fields),
        ]
        section = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        self._http.send_headers(stream, section, end_stream=True)
        self.transmit()
        await self._over

    async def ticket(self, seconds: float) -> tls.SessionTicket | None:
        """Return a session ticket, waiting that long for one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ticket_came.wait()
        return self.tickets[-1] if self.tickets else None

    def leave(self) -> None:
        """Send nothing more and hear nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
        for each in (self._secured, self._over):
            if not each.cancel() and not each.cancelled():
                each.exception()  # was told, or nobody waits any more

    # --- what aioquic calls ---------------------------------------------------------------------

    def error_received(self, exc: Exception) -> None:
        """The kernel says that nobody is there: a QUIC client would wait for its whole patience."""
        if not self._secured.done():
            self._secured.set_exception(exc)

    def quic_event_received(self, event: events.QuicEvent) -> None:
        """Go on with the handshake, or with the response."""
        if self.tickets:
            self._ticket_came.set()
        match event:
            case events.HandshakeCompleted():
                _settle(self._secured)
            case events.ConnectionTerminated():
                self._fail(_farewell(event))
            case events.StreamReset():
                self._fail(f"the server reset the stream: {_word(event.error_code)}")
        if self._http is not None:
            try:
                for each in self._http.handle_event(event):
                    self._take(each)
            except BrokenError as error:
                self._fail(str(error))

    def _take(self, event: h3.H3Event) -> None:
        answer = self._answer
        if answer is None or answer.is_whole:
            return
        match event:
            case h3.HeadersReceived(headers=headers):
                status = next((value for name, value in headers if name == b":status"), None)
                if status is None:
                    self._trailers = headers
                else:
                    answer.head(int(status), [line for line in headers if line[0][:1] != b":"])
            case h3.DataReceived(data=data):
                answer.content(data)
        if getattr(event, "stream_ended", False):
            answer.end(self._trailers)
            _settle(self._over)

    def _fail(self, reason: str) -> None:
        for each in (self._secured, self._over):
            if not each.done():
                each.set_exception(BrokenError(reason))


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _farewell(event: events.ConnectionTerminated) -> str:
    code, reason = event.error_code, event.reason_phrase
    is_of_application = event.frame_type is None  # whose codes are numbers of their own
    if not is_of_application and 0 <= code - QuicErrorCode.CRYPTO_ERROR < 256:
        alert = code - QuicErrorCode.CRYPTO_ERROR
        try:
            return f"alert: {tls.AlertDescription(alert).name.replace('_', ' ')}"
        except ValueError:
            return f"alert: {alert}"
    said = f" ({reason})" if reason else ""
    return f"the connection ended: {_word(code)}{said}"


def _word(code: int) -> str:
    for names in (ErrorCode, QuicErrorCode):
        try:
            return names(code).name
        except ValueError:
            continue
    return f"error {code:#x}"
