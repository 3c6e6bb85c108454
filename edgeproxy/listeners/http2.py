"""HTTP/2 on one connection: the codec's events to requests, responses to its frames (RFC 9113).

A hit is answered inside `receive`, and all answers to one read leave in one write. Everything else
runs in a task of its own, owned by this session and cancelled with its stream. No byte of a body is
copied before the write that sends it, and a slow reader holds references only.
"""

import logging
from typing import cast

from edgeproxy.clock import Clock
from edgeproxy.errors import ConnectionFault
from edgeproxy.http.application import Application
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import Fields, FieldSection, Request, Response
from edgeproxy.listeners.answering import TURN_BYTES, Answering
from edgeproxy.listeners.progress import Progress
from edgeproxy.listeners.session import INTERIM_MAX, Channel
from edgeproxy.listeners.stream_exchange import Exchange
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.connection import Connection
from edgeproxy.wire.h2.frames import FRAME_BYTES_MAX
from edgeproxy.wire.h2.hpack import encode_fields, encode_status
from edgeproxy.wire.h2.prepared import PreparedResponse
from edgeproxy.wire.h2.streams import Stream
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import RequestHead

log = logging.getLogger(__name__)

# Output is joined, encrypted and handed on in pieces of this size: larger ones fall out of the
# processor's cache, smaller ones cost calls.
WRITE_BYTES = 128 * 1024
# Between the announcement of a shutdown and the last accepted stream: one round trip (6.8).
SHUTDOWN_GRACE_SECONDS = 1.0

_CONTINUE = encode_status(100)


class Http2Session(Answering[Stream]):
    """One connection's `Session`; see the module's docstring."""

    def __init__(
        self, channel: Channel, application: Application, *, clock: Clock, limits: Limits
    ) -> None:
        super().__init__(application, channel.later)
        self._channel = channel
        self._clock = clock
        self._limits = limits
        self._h2 = Connection(self, limits, scheme=channel.info.scheme)
        self._sender = self._h2.sender
        self._now = clock.now()
        self._monotonic = self._ticked_at = clock.monotonic()
        self._progress = Progress(self._h2, limits, self._monotonic)
        self._is_reading = True
        self._is_pumping_later = self._is_reading_later = False
        self._draining_since = 0.0
        self._is_shut = False
        self._is_closed = False
        self._flush()

    # --- Session --------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take plaintext; see `Session`."""
        if self._is_closed:
            return
        self._now = self._clock.now()
        self._monotonic = self._clock.monotonic()
        self._h2.receive(data, self._monotonic)
        self._after_reading()

    def _after_reading(self) -> None:
        self._pump()
        if self._h2.fault is not None:
            self._on_fault(self._h2.fault)
        elif self._h2.is_behind and not self._is_reading_later:
            if self._is_reading:
                self._is_reading = False
                self._channel.pause_reading()
            self._is_reading_later = True
            self._channel.later(self._read_on)

    def _read_on(self) -> None:
        """Take the next portion of what was read; hear more only when there is none left."""
        self._is_reading_later = False
        if self._is_closed:
            return
        self._now = self._clock.now()
        self._monotonic = self._clock.monotonic()
        self._h2.go_on(self._monotonic)
        self._after_reading()
        if not (self._is_reading_later or self._is_closed):
            self._is_reading = True
            self._channel.resume_reading()

    def writable(self) -> None:
        """Go on producing; see `Session`."""
        self._sender.is_held = False
        self._pump()

    def peer_closed(self) -> None:
        """Send what is ready, and stop working; see `Session`.

        A peer that cannot send can neither open windows nor cancel: nobody speaks HTTP/2 through a
        half-closed connection, so this one has most likely gone.
        """
        self._draining_since = self._draining_since or self._monotonic
        self._is_shut = True
        for stream, _ in self._exchanges():
            if not stream.is_final:
                self._h2.abandon(stream, codes.CANCEL)
                self.on_reset(stream)
        self._flush()
        self._close_if_done()

    def lost(self) -> None:
        """Release everything; see `Session`."""
        self._is_closed = True
        self._unstarted.clear()
        self._h2.release()  # cancels the tasks; one whose stream has ended is only cleaning up

    def drain(self) -> None:
        """Announce the end; see `Session`."""
        if not self._draining_since and not self._is_closed:
            self._draining_since = self._clock.monotonic()
            self._h2.announce_shutdown()
            self._flush()

    def tick(self, now: float) -> None:
        """Check deadlines; see `Session`."""
        if self._is_closed:
            return
        h2 = self._h2
        if reason := self._progress.overdue(now, self._channel.unsent_bytes):
            h2.fail(ConnectionFault(codes.ENHANCE_YOUR_CALM, reason))
        elif not self._draining_since:
            if self._progress.is_used_up(now):
                self.drain()
        elif not self._is_shut and now - self._draining_since >= SHUTDOWN_GRACE_SECONDS:
            self._is_shut = True
            h2.shut_down()
        for stream, exchange in self._exchanges():
            if exchange.content is not None:
                exchange.content.tick(now - self._ticked_at, stream.received_bytes, self._limits)
        self._ticked_at = now
        self._flush()
        if h2.fault is not None:
            self._on_fault(h2.fault)
        else:
            self._close_if_done()

    def _exchanges(self) -> list[tuple[Stream, Exchange]]:
        streams = self._h2.streams.values()
        return [(each, cast("Exchange", each.exchange)) for each in streams if each.exchange]

    # --- wire.h2.connection.Sink ----------------------------------------------------------------

    def _request(self, head: RequestHead) -> Request:
        method, scheme, authority, target, fields, length, _ = head
        return Request(
            method,
            target,
            fields,
            authority,
            self._channel.info,
            scheme,
            "HTTP/2",
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
        prepared = response.h2
        if not isinstance(prepared, PreparedResponse):
            prepared = response.h2 = _prepared(response)
        sender = self._sender
        if prepared is None or not sender.send_prepared(stream_id, prepared):
            exchange = Exchange(request)
            exchange.response = response
            return exchange
        if sender.out_bytes >= WRITE_BYTES:
            self._flush()
        application.completed(request, response, prepared.size, is_whole=True)
        return None

    def on_too_large(self, stream: Stream, status: int) -> None:
        """Refuse a field section or a target over the limits."""
        fields = (
            (b"date", format_date(int(self._now))),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
        )
        block = encode_status(status) + encode_fields(fields)
        self._sender.respond(stream, block, b"")
        self._h2.finished(stream)

    # --- answering ------------------------------------------------------------------------------

    def _on_interim(
        self, stream: Stream, exchange: Exchange, status: int, section: FieldSection
    ) -> None:
        """Send an interim response (RFC 9113 section 8.1), unless the client is behind."""
        is_due = exchange.response is None and not self._is_gone(stream)
        exchange.interims += 1
        if is_due and exchange.interims <= INTERIM_MAX and not self._channel.is_paused:
            self._sender.start(stream, encode_status(status) + _encode(section))
            self._flush()

    def _begin(self, stream: Stream, response: Response) -> None:
        """Send fields; see `Answering`."""
        self._sender.start(stream, _block(response))
        self._flush()

    def _feed(self, stream: Stream, chunk: bytes) -> None:
        """Send content; see `Answering`."""
        self._sender.feed(stream, chunk)
        self._pump()

    def _finish(self, stream: Stream, trailers: Fields) -> None:
        """Send the end; see `Answering`."""
        self._sender.finish(stream, encode_fields(trailers))
        self._pump()

    def _break_off(self, stream: Stream, exchange: Exchange) -> None:
        """End a stream whose response cannot be completed; never cleanly."""
        self._h2.abandon(stream, codes.INTERNAL_ERROR)
        self._complete(stream, exchange, is_whole=False)
        self._flush()
        self._close_if_done()

    def _is_gone(self, stream: Stream) -> bool:
        return self._is_closed or stream.id not in self._h2.streams

    def _respond(self, stream: Stream, exchange: Exchange, response: Response) -> None:
        """Send a whole response, or queue what windows do not allow yet."""
        exchange.response = response
        sender = self._sender
        if sender.respond(stream, _block(response), cast("bytes | memoryview", response.body)):
            self._h2.finished(stream)
            self._complete(stream, exchange, is_whole=True)
        if sender.out_bytes >= WRITE_BYTES:
            self._flush()

    # --- output ---------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what windows, priorities and the channel allow, then give way."""
        sender, spent = self._sender, 0
        while sender.has_queued and not self._channel.is_paused:
            if spent >= TURN_BYTES:
                if not self._is_pumping_later:
                    self._is_pumping_later = True
                    self._channel.later(self._next_turn)
                break
            before = sender.sent_bytes
            ended = len(sender.ended)
            sender.pump(WRITE_BYTES)
            spent += sender.sent_bytes - before
            self._flush()
            if sender.sent_bytes == before and len(sender.ended) == ended:
                break  # the connection's window is used up
        self._flush()
        self._settle()

    def _next_turn(self) -> None:
        self._is_pumping_later = False
        if not self._is_closed:
            self._pump()

    def _settle(self) -> None:
        """Attend to streams that ended or that want more content."""
        sender = self._sender
        if sender.relieved:
            for stream in sender.relieved:
                exchange = cast("Exchange | None", stream.exchange)
                if exchange is not None:
                    exchange.relieve()
            sender.relieved.clear()
        if sender.ended:
            ended, sender.ended = sender.ended, []
            for stream in ended:
                self._h2.finished(stream)
                exchange = cast("Exchange | None", stream.exchange)
                if exchange is not None:
                    self._complete(stream, exchange, is_whole=True)
            self._flush()
        if self._draining_since:
            self._close_if_done()

    def _flush(self) -> None:
        sender = self._sender
        if sender.out:
            self._channel.write(sender.out)
            sender.out.clear()
            sender.out_bytes = 0
        sender.is_held = self._channel.is_paused

    def _on_consumed(self, stream: Stream, size: int) -> None:
        """Open the window again for request content that was used."""
        if not self._is_closed:
            self._h2.credit(stream, size)
            self._flush()

    def _on_wanted(self, stream: Stream) -> None:
        """Tell a client that waits for it to send its content (RFC 9110 section 10.1.1)."""
        exchange = cast("Exchange | None", stream.exchange)
        if exchange is not None and exchange.response is None:
            self._sender.start(stream, _CONTINUE)
            self._flush()

    # --- the end --------------------------------------------------------------------------------

    def _on_fault(self, fault: ConnectionFault) -> None:
        log.debug("connection with %s ended: %s", self._channel.info.client, fault)
        self._flush()
        self._end()

    def _close_if_done(self) -> None:
        if self._is_shut and not self._h2.streams:
            self._end()

    def _end(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._channel.close()


def _encode(section: FieldSection) -> bytes:
    """Return a section's encoding, made once."""
    if section.h2 is None:
        section.h2 = encode_fields(section.fields)
    return section.h2


def _prepared(response: Response) -> PreparedResponse | None:
    """Return a response cut into frames, None if its fields need more than one."""
    block = _block(response)
    if len(block) > FRAME_BYTES_MAX:
        return None
    return PreparedResponse(block, cast("bytes | memoryview", response.body))


def _block(response: Response) -> bytes:
    return encode_status(response.status) + b"".join(map(_encode, response.sections))
