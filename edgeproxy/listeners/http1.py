"""HTTP/1.1 on one connection (RFC 9112): keep-alive, pipelining, back-pressure, deadlines.

Requests are read one at a time, so answers are in order by construction; what a client sends
ahead waits as bytes, bounded, in the reader. What memory can answer is answered in the read
callback and leaves in one write; everything else runs in one task, owned here and cancelled when
the client goes away. Knows nothing of TLS, sockets, hosts or caches.

Invariants: at most one exchange is in progress; nothing is produced while the channel is paused;
every response that was begun is reported once; a response that cannot be completed ends with the
connection cut, never with a clean end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial

from edgeproxy.clock import Clock
from edgeproxy.errors import DownstreamError, EdgeError, without_frames
from edgeproxy.http.application import Application
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.http1_body import RequestBody
from edgeproxy.listeners.http1_exchange import Exchange
from edgeproxy.listeners.http1_sender import SLICE_BYTES, Sender
from edgeproxy.listeners.session import INTERIM_MAX, Channel
from edgeproxy.wire.h1.encode import CONTINUE, encode_interim, encode_refusal
from edgeproxy.wire.h1.head import RequestHead
from edgeproxy.wire.h1.reader import RequestReader
from edgeproxy.wire.limits import Limits

# What a request that memory cannot answer costs beyond its own call, as a rule.
START_SECONDS = 0.0005

FIRST_REQUEST_SECONDS = 1.0
"""How long a drain leaves a new connection for its first request, as HTTP/2 has its grace."""


def _ignore(_reason: str) -> None:
    return None


Work = Callable[[], Coroutine[None, None, None]]


class Http1Session:
    """Serves one HTTP/1.1 (or 1.0) connection; `refused` hears why one was refused."""

    def __init__(
        self,
        channel: Channel,
        application: Application,
        clock: Clock,
        limits: Limits,
        *,
        refused: Callable[[str], None] = _ignore,
    ) -> None:
        self._channel = channel
        self._application = application
        self._clock = clock
        self._limits = limits
        self._refused = refused
        self._reader = RequestReader(channel.info.scheme, limits)
        self._exchange: Exchange | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sender = Sender(channel)
        self._is_later = False  # this session's turn is to come
        self._requests = 0
        self._opened = self._since = clock.monotonic()
        self._is_reading = True
        self._is_draining = False
        self._draining_since = 0.0
        self._is_closed = False
        self._has_peer_ended = False

    # What the connection tells us

    def receive(self, data: bytes) -> None:
        """Take plaintext from the peer, and answer what can be answered at once."""
        if self._is_closed:
            return
        exchange = self._exchange
        if exchange is None and not self._reader.buffered:
            self._since = self._clock.monotonic()
        self._reader.feed(data)
        if exchange is None:
            if self._is_later:
                self._adjust_reading()
            else:
                self._serve()
            return
        if exchange.body is not None:
            exchange.body.wake()
        self._adjust_reading()

    def writable(self) -> None:
        """Produce again."""
        self._since = self._clock.monotonic()
        self._sender.writable()
        self._resume()

    def peer_closed(self) -> None:
        """Answer what has arrived, then close: the peer may have closed one direction only."""
        self._has_peer_ended = True
        if self._exchange is not None and self._exchange.body is not None:
            self._exchange.body.peer_ended()
        self._resume()

    def lost(self) -> None:
        """Cancel what runs for the connection and release everything."""
        self._is_closed = True
        self._sender.discard()
        self._abandon()

    def drain(self) -> None:
        """Announce the end in the next response; close at once where none is due.

        A client that has never asked anything was let in for that: its request may be on the way.
        """
        if not self._is_draining:
            self._is_draining = True
            self._draining_since = self._clock.monotonic()
        is_owed = self._reader.buffered and not self._reader.is_in_content
        if self._requests and self._exchange is None and not is_owed and not self._is_closed:
            self._close()

    def tick(self, now: float) -> None:
        """Check the deadline of whatever we wait for."""
        if self._is_closed:
            return
        if self._sender.is_reader_slow(now, self._limits):
            self._refused("slow-reader")
            self._abort()
            return
        if self._channel.is_paused:
            return  # we wait for the channel, not for a request
        if self._exchange is None:
            self._check_waiting(now)
        elif self._exchange.body is not None and self._exchange.body.is_too_slow(
            now,
            after=self._limits.minimum_rate_after_seconds,
            rate=self._limits.minimum_rate_bytes_per_second,
        ):
            self._exchange.body.fail(DownstreamError(408, "slow-content", close=True))

    def _check_waiting(self, now: float) -> None:
        waited = now - self._since
        if self._reader.is_in_content:  # of a request that has had its answer
            if waited >= self._limits.minimum_rate_after_seconds:
                self._close()
        elif self._reader.buffered:
            if waited >= self._limits.headers_seconds:
                self._refuse(DownstreamError(408, "slow-head", close=True))
        elif waited >= self._limits.idle_seconds or (
            self._is_draining and now - self._draining_since >= FIRST_REQUEST_SECONDS
        ):
            self._close()

    # Requests

    def _serve(self) -> None:
        """Answer the requests that have arrived, in order, until one has to wait."""
        left = self._limits.pipelined_requests_max
        while self._exchange is None and not self._is_closed and not self._channel.is_paused:
            if not left:  # let other connections have a turn
                self._continue_soon()
                break
            left -= 1
            head = self._next_head()
            if head is None:
                break
            self._begin(head)
        self._sender.flush()
        self._adjust_reading()

    def _next_head(self) -> RequestHead | None:
        try:
            while self._reader.is_in_content and self._reader.next_content():
                pass  # what nobody wanted of the request before
            head = None if self._reader.is_in_content else self._reader.next_head()
        except DownstreamError as fault:
            self._refuse(fault)
            return None
        if head is None and self._has_peer_ended:
            self._close()
        return head

    def _begin(self, head: RequestHead) -> None:
        self._requests += 1
        now = self._clock.now()
        request = Request(
            head.method,
            head.target,
            head.fields,
            authority=head.authority,
            connection=self._channel.info,
            scheme=self._channel.info.scheme,
            protocol="HTTP/1.1" if head.version == b"1.1" else "HTTP/1.0",
            content_length=head.framing.content_length,
            received_at=now,
            started=self._clock.monotonic(),
        )
        exchange = self._exchange = Exchange(request, head)
        if head.has_content:
            request.body = exchange.body = RequestBody(
                self._reader, self._clock, ask=self._ask, taken=self._adjust_reading
            )
        else:
            response = self._application.hit(request, now)
            if response is not None:
                self._respond(exchange, response)
                if exchange.stream is not None:
                    self._run(exchange, partial(self._stream, exchange, exchange.stream))
                return
        self._channel.later(lambda: self._start(exchange), START_SECONDS)

    def _start(self, exchange: Exchange) -> None:
        if self._exchange is exchange:
            self._run(exchange, partial(self._handle, exchange))

    def _ask(self) -> None:
        """Send 100 Continue, if the client waits for it and a response has not begun."""
        exchange = self._exchange
        if exchange is None or exchange.response is not None or self._reader.buffered:
            return
        if exchange.head.expects_continue:
            self._sender.put(CONTINUE)
            self._sender.flush()

    def _adjust_reading(self) -> None:
        """Read from the socket only while what was read ahead is within its bound."""
        if self._is_closed:
            return
        is_busy = self._exchange is not None or self._is_later or self._channel.is_paused
        is_full = is_busy and (
            self._reader.buffered >= self._limits.request_body_buffer_bytes
            or (
                not self._reader.is_in_content
                and self._reader.count_heads() >= self._limits.pipelined_requests_max
            )
        )
        if is_full is not self._is_reading:
            return
        self._is_reading = not is_full
        if is_full:
            self._channel.pause_reading()
        else:
            self._channel.resume_reading()

    # Responses

    async def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.protocol != "HTTP/1.0":  # whose clients know of none (RFC 9110 section 15.2)
            request.interim = partial(self._on_interim, exchange)
        try:
            response = await self._application.handle(request)
        finally:
            request.interim = None  # it refers to the exchange, which refers to the request
        self._respond(exchange, response)
        if exchange.stream is not None:
            await self._stream(exchange, exchange.stream)
            return
        exchange.task = None  # what is left to send needs none
        self._serve()

    def _on_interim(self, exchange: Exchange, status: int, section: FieldSection) -> None:
        """Send an interim response, unless the client is behind."""
        is_due = exchange is self._exchange and exchange.response is None
        exchange.interims += 1
        if is_due and exchange.interims <= INTERIM_MAX and not self._channel.is_paused:
            self._sender.put(encode_interim(status, section))
            self._sender.flush()

    async def _stream(self, exchange: Exchange, body: AsyncIterator[bytes]) -> None:
        await self._sender.stream(exchange, body)
        self._finish(exchange)
        self._serve()

    def _respond(self, exchange: Exchange, response: Response) -> None:
        """Begin the response, and end it if it is in memory and small."""
        keeps_alive = self._may_keep_alive(exchange, response)
        try:
            self._sender.put(exchange.start(response, keeps_alive=keeps_alive))
        except ValueError as error:
            self._blame(error)
            self._abort()
            return
        if exchange.stream is not None:
            return
        if len(exchange.rest) <= SLICE_BYTES:
            self._sender.put(exchange.take(SLICE_BYTES))
            self._finish(exchange)
        else:
            self._pump(exchange)

    def _pump(self, exchange: Exchange) -> None:
        self._sender.pump(exchange)
        if not exchange.rest:
            self._finish(exchange)
        elif not self._channel.is_paused:
            self._continue_soon()

    def _may_keep_alive(self, exchange: Exchange, response: Response) -> bool:
        limits, body = self._limits, exchange.body
        age = exchange.request.started - self._opened
        if exchange.head.is_last or self._is_draining or age >= limits.connection_age_seconds:
            return False
        if self._requests >= limits.requests_per_connection_max:
            return False
        if body is None:
            return True
        if not isinstance(response.body, bytes | memoryview):
            # The application may still read what is left.
            return body.fault is None and not self._reader.is_in_content
        return body.may_skip(
            limits.request_body_buffer_bytes,
            is_client_waiting=exchange.head.expects_continue,
        )

    def _finish(self, exchange: Exchange) -> None:
        """Note that a response is complete, and close if it was the last."""
        if exchange.body is not None:
            exchange.body.end()
        self._exchange = None
        self._since = self._clock.monotonic()
        self._report(exchange, is_whole=True)
        if self._is_draining or not exchange.keeps_alive:
            self._close()

    # Ends

    def _run(self, exchange: Exchange, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(_to_its_end(work))
        exchange.task = task
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Cut the connection if a task ended without finishing its exchange."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._blame(error)
        if self._exchange is not None and self._exchange.task is task:
            self._abort()

    def _blame(self, error: BaseException) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "an HTTP/1.1 response failed by a fault of ours", "exception": error}
        )

    def _report(self, exchange: Exchange, *, is_whole: bool) -> None:
        if exchange.response is not None:
            self._application.completed(
                exchange.request, exchange.response, exchange.sent, is_whole=is_whole
            )

    def _abandon(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if exchange.body is not None:
            exchange.body.fail(DownstreamError(400, "client-disconnected", close=True))
        if exchange.task is not None:
            exchange.task.cancel()
        self._report(exchange, is_whole=False)

    def _refuse(self, fault: DownstreamError) -> None:
        """Answer something that is no request, and close (RFC 9112 section 2.2)."""
        self._refused(fault.reason)
        self._sender.put(encode_refusal(fault.status, format_date(int(self._clock.now()))))
        self._close()

    def _close(self) -> None:
        self._sender.flush()
        if not self._is_reading:  # the channel lingers: it must see the peer's end
            self._is_reading = True
            self._channel.resume_reading()
        self._is_closed = True
        self._channel.close()

    def _abort(self) -> None:
        self.lost()
        self._channel.abort()

    def _continue_soon(self) -> None:
        if not self._is_later:
            self._is_later = True
            self._channel.later(self._continue)

    def _continue(self) -> None:
        self._is_later = False
        if not self._is_closed:
            self._resume()

    def _resume(self) -> None:
        if self._exchange is not None and self._exchange.rest:
            self._pump(self._exchange)
        self._serve()


async def _to_its_end(work: Work) -> None:
    """Do what may break off for somebody's fault, which says nothing to whoever looks at the task.

    It must not end with that error: a task keeps the frames, and one with a timeout is kept by it.
    """
    try:
        await work()
    except EdgeError as error:
        without_frames(error)
