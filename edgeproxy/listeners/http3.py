"""HTTP/3 on one connection: the codec's events to requests, responses to its streams (RFC 9114).

A hit is answered inside `received`, before the datagrams that brought it are acknowledged.
Everything else runs in a task of its own, owned by this session and cancelled with its stream. No
byte of a body is copied here, and a slow reader holds references only: what QUIC takes is bounded
by what the peer acknowledges.

Early data (RFC 8470) may be a recording. While only that has come, nothing but a hit is answered:
whatever would go beyond memory gets 425 instead, and the client asks again when it has shown that
it is there.
"""

import logging
from functools import partial
from typing import cast

from edgeproxy.clock import Clock
from edgeproxy.errors import ConnectionFault
from edgeproxy.http.application import Application
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import Fields, FieldSection, Request, Response
from edgeproxy.listeners.answering import Answering
from edgeproxy.listeners.http3_progress import Progress
from edgeproxy.listeners.quic_streams import QuicStreams
from edgeproxy.listeners.session import INTERIM_MAX
from edgeproxy.listeners.stream_exchange import Exchange
from edgeproxy.wire.h3 import codes
from edgeproxy.wire.h3.connection import Connection
from edgeproxy.wire.h3.prepared import PreparedResponse
from edgeproxy.wire.h3.qpack import PREFIX, encode_fields, encode_status
from edgeproxy.wire.h3.streams import Stream
from edgeproxy.wire.h3.transport import HEAD_BYTES_MAX
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import RequestHead

log = logging.getLogger(__name__)

# Between the announcement of a shutdown and the last accepted request: one round trip (5.2).
SHUTDOWN_GRACE_SECONDS = 1.0

_CONTINUE = encode_status(100)


class Http3Session(Answering[Stream]):
    """One connection's `Http3Side`; see the module's docstring."""

    def __init__(
        self, streams: QuicStreams, application: Application, *, clock: Clock, limits: Limits
    ) -> None:
        super().__init__(application, streams.later)
        self._streams = streams
        self._clock = clock
        self._limits = limits
        self._h3 = Connection(self, streams, limits, scheme=streams.info.scheme)
        self._sender = self._h3.sender
        self._now = clock.now()
        self._monotonic = self._ticked_at = clock.monotonic()
        self._progress = Progress(self._h3, limits, self._monotonic)
        self._draining_since = 0.0
        self._is_shut = False
        self._is_closed = False

    # --- Http3Side ------------------------------------------------------------------------------

    def received(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """Take a stream's next data; see `Http3Side`."""
        if not self._is_closed:
            self._look_at_clock()
            self._h3.received(stream_id, data, self._monotonic, end=end)
            self._after_reading()

    def was_reset(self, stream_id: int, code: int) -> None:
        """Take the peer's RESET_STREAM; see `Http3Side`."""
        if not self._is_closed:
            self._look_at_clock()
            self._h3.was_reset(stream_id, self._monotonic)
            self._after_reading()

    def was_stopped(self, stream_id: int, code: int) -> None:
        """Take the peer's STOP_SENDING; see `Http3Side`."""
        if not self._is_closed:
            self._look_at_clock()
            self._h3.was_stopped(stream_id, self._monotonic)
            self._after_reading()

    def writable(self, stream_id: int) -> None:
        """Go on with a stream; see `Http3Side`."""
        if not self._is_closed:
            self._h3.writable(stream_id)
            self._pump()

    def lost(self) -> None:
        """Release everything; see `Http3Side`."""
        self._is_closed = True
        self._unstarted.clear()
        self._h3.release()  # cancels the tasks; one whose stream has ended is only cleaning up

    def drain(self) -> None:
        """Announce the end; see `Http3Side`."""
        if not self._draining_since and not self._is_closed:
            self._draining_since = self._clock.monotonic()
            self._h3.announce_shutdown()

    def tick(self, now: float) -> None:
        """Check deadlines; see `Http3Side`."""
        if self._is_closed:
            return
        h3 = self._h3
        h3.expire(now)
        if reason := self._progress.overdue(now):
            h3.fail(ConnectionFault(codes.EXCESSIVE_LOAD, reason))
        elif not self._draining_since:
            if self._progress.is_used_up(now):
                self.drain()
        elif not self._is_shut:
            if now - self._draining_since >= SHUTDOWN_GRACE_SECONDS:
                self._is_shut = True
                h3.shut_down()
                self._end_if_idle()
        else:
            quiet = self._progress.quiet_seconds(now)
            self._end_if_idle(is_late_enough=quiet > self._limits.lingering_close_seconds)
        for stream, exchange in self._exchanges():
            if exchange.content is not None:
                exchange.content.tick(now - self._ticked_at, stream.received_bytes, self._limits)
        self._ticked_at = now
        self._check_fault()

    def _look_at_clock(self) -> None:
        self._now = self._clock.now()
        self._monotonic = self._clock.monotonic()

    def _after_reading(self) -> None:
        self._pump()
        self._check_fault()

    def _exchanges(self) -> list[tuple[Stream, Exchange]]:
        streams = self._h3.streams.values()
        return [(each, cast("Exchange", each.exchange)) for each in streams if each.exchange]

    # --- wire.h3.connection.Sink ----------------------------------------------------------------

    def _request(self, head: RequestHead) -> Request:
        method, scheme, authority, target, fields, length, _ = head
        return Request(
            method,
            target,
            fields,
            authority,
            self._streams.info,
            scheme,
            "HTTP/3",
            None,
            length,
            self._now,
            self._monotonic,
        )

    def on_whole_request(self, stream_id: int, head: RequestHead) -> Exchange | None:
        """Answer a request without content at once, or return the exchange to go on with."""
        application = self._application
        request = self._request(head)
        response = application.hit(request, self._now)
        if response is None:
            return Exchange(request)
        prepared = response.h3
        if not isinstance(prepared, PreparedResponse):
            prepared = response.h3 = _prepared(response)
        if prepared is None or not self._sender.send_prepared(stream_id, prepared):
            exchange = Exchange(request)
            exchange.response = response
            return exchange
        application.completed(request, response, prepared.size, is_whole=True)
        return None

    def on_too_large(self, stream: Stream, status: int) -> None:
        """Refuse a field section or a target over the limits."""
        fields = (
            (b"date", format_date(int(self._now))),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
        )
        self._sender.respond(stream, encode_status(status) + encode_fields(fields), b"")
        self._h3.finished(stream)

    def on_behind(self, stream: Stream) -> None:
        """Read on in this client's turn."""
        self._streams.later(partial(self._read_on, stream))

    def _read_on(self, stream: Stream) -> None:
        if not self._is_closed:
            self._look_at_clock()
            self._h3.go_on(stream, self._monotonic)
            self._after_reading()

    # --- answering ------------------------------------------------------------------------------

    async def _handle(self, stream: Stream, exchange: Exchange) -> Response:
        """Let the application answer, but for what may be a recording (RFC 8470 section 5.2)."""
        if self._streams.is_early:
            return _too_early(self._clock.now())
        return await super()._handle(stream, exchange)

    def _on_interim(
        self, stream: Stream, exchange: Exchange, status: int, section: FieldSection
    ) -> None:
        """Send an interim response (RFC 9114 section 4.1), unless the client is behind."""
        is_due = exchange.response is None and not stream.is_gone
        exchange.interims += 1
        if is_due and exchange.interims <= INTERIM_MAX:
            self._sender.interim(stream, encode_status(status) + _encode(section))

    def _is_gone(self, stream: Stream) -> bool:
        return stream.is_gone

    def _begin(self, stream: Stream, response: Response) -> None:
        """Send fields; see `Answering`."""
        self._sender.start(stream, _section(response))
        self._pump()

    def _feed(self, stream: Stream, chunk: bytes) -> None:
        """Send content; see `Answering`."""
        self._sender.feed(stream, chunk)
        self._pump()

    def _finish(self, stream: Stream, trailers: Fields) -> None:
        """Send the end; see `Answering`."""
        self._sender.finish(stream, PREFIX + encode_fields(trailers) if trailers else b"")
        self._pump()

    def _break_off(self, stream: Stream, exchange: Exchange) -> None:
        """End a stream whose response cannot be completed; never cleanly."""
        self._h3.abandon(stream, codes.INTERNAL_ERROR)
        self._complete(stream, exchange, is_whole=False)

    def _respond(self, stream: Stream, exchange: Exchange, response: Response) -> None:
        """Send a whole response, or queue what there is no room for yet."""
        exchange.response = response
        body = cast("bytes | memoryview", response.body)
        if self._sender.respond(stream, _section(response), body):
            self._h3.finished(stream)
            self._complete(stream, exchange, is_whole=True)

    def _complete(self, stream: Stream, exchange: Exchange, *, is_whole: bool) -> None:
        """Report the end of an exchange, once; it may have been the last one."""
        super()._complete(stream, exchange, is_whole=is_whole)
        self._end_if_idle()

    def _pump(self) -> None:
        """Send what there is room for, then attend to streams that ended or want more content."""
        sender = self._sender
        if not sender.has_queued:
            return
        sender.pump()
        for stream in sender.relieved:
            exchange = cast("Exchange | None", stream.exchange)
            if exchange is not None:
                exchange.relieve()
        sender.relieved.clear()
        ended, sender.ended = sender.ended, []
        for stream in ended:
            self._h3.finished(stream)
            exchange = cast("Exchange | None", stream.exchange)
            if exchange is not None:
                self._complete(stream, exchange, is_whole=True)

    def _on_consumed(self, stream: Stream, size: int) -> None:
        """Give credit back for request content that was used."""
        if not self._is_closed:
            self._h3.credit(stream, size)

    def _on_wanted(self, stream: Stream) -> None:
        """Tell a client that waits for it to send its content (RFC 9110 section 10.1.1)."""
        exchange = cast("Exchange | None", stream.exchange)
        if exchange is not None and exchange.response is None:
            self._sender.start(stream, _CONTINUE)

    # --- the end --------------------------------------------------------------------------------

    def _check_fault(self) -> None:
        fault = self._h3.fault
        if fault is not None and not self._is_closed:
            log.debug("connection with %s ended: %s", self._streams.info.client, fault)
            self._is_closed = True

    def _end_if_idle(self, *, is_late_enough: bool = False) -> None:
        """Close in order once all that was accepted is answered, what is still under way too."""
        h3 = self._h3
        is_idle = not h3.streams and (is_late_enough or not h3.has_gaps)
        if self._is_shut and is_idle and h3.fault is None and not self._is_closed:
            self._is_closed = True
            self._streams.close(codes.NO_ERROR)  # behind what the peer has not acknowledged yet


def _too_early(now: float) -> Response:
    section = FieldSection(
        [
            (b"date", format_date(int(now))),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
        ]
    )
    return Response(425, (section,), b"", outcome="denied")


def _encode(section: FieldSection) -> bytes:
    """Return a section's encoding, made once."""
    if section.h3 is None:
        section.h3 = encode_fields(section.fields)
    return section.h3


def _section(response: Response) -> bytes:
    return encode_status(response.status) + b"".join(map(_encode, response.sections))


def _prepared(response: Response) -> PreparedResponse | None:
    """Return a response made into frames, None if its fields are too large for that."""
    section = _section(response)
    if len(section) > HEAD_BYTES_MAX - 16:  # the heads of two frames
        return None
    return PreparedResponse(section, cast("bytes | memoryview", response.body))
