"""How a session with many streams answers what memory cannot: tasks, content, reports (RFC 9110).

What HTTP/2 and HTTP/3 have in common above their frames. A task belongs to the session that began
it and is cancelled with its stream; one begins in each turn, and none for who has gone. Content is
taken from its source no faster than the peer takes it.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

from edgeproxy.errors import EdgeError, without_frames
from edgeproxy.http.application import Application
from edgeproxy.http.messages import Body, Field, Fields, FieldSection, Request, Response
from edgeproxy.http.trailers import trailers_of
from edgeproxy.listeners.stream_exchange import Exchange, RequestContent
from edgeproxy.wire.requests import RequestHead

log = logging.getLogger(__name__)

# What one turn of the loop may send on one connection before the others get theirs.
TURN_BYTES = 256 * 1024
# What a request that memory cannot answer costs beyond its own call, as a rule.
START_SECONDS = 0.0005
# Content of a response that streams through is taken from its source up to here per stream.
STREAM_QUEUE_BYTES = 64 * 1024


class AnyStream(Protocol):
    """What both protocols' streams have; the listener knows what its `exchange` is."""

    exchange: object | None
    is_remote_ended: bool
    queued_bytes: int
    sent_bytes: int


S = TypeVar("S", bound=AnyStream)


class Answering(ABC, Generic[S]):
    """A session's half above the frames; it is the codec's `Sink` for what is alike in both."""

    def __init__(self, application: Application, later: Callable[..., None]) -> None:
        self._application = application
        self._later = later
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unstarted: deque[tuple[S, Exchange]] = deque()
        self._is_starting_later = False

    # --- what differs ---------------------------------------------------------------------------

    @abstractmethod
    def _request(self, head: RequestHead) -> Request:
        """Make a request of what the codec read."""

    @abstractmethod
    def _is_gone(self, stream: S) -> bool:
        """Whether nobody waits for an answer on that stream any more."""

    @abstractmethod
    def _respond(self, stream: S, exchange: Exchange, response: Response) -> None:
        """Send a whole response, or queue what cannot go yet."""

    @abstractmethod
    def _begin(self, stream: S, response: Response) -> None:
        """Send the fields of a response at once; its content may be long in coming."""

    @abstractmethod
    def _feed(self, stream: S, chunk: bytes) -> None:
        """Queue content of a stream, and send what can go."""

    @abstractmethod
    def _finish(self, stream: S, trailers: Fields) -> None:
        """End a stream behind what was fed."""

    @abstractmethod
    def _pump(self) -> None:
        """Send what can go."""

    @abstractmethod
    def _break_off(self, stream: S, exchange: Exchange) -> None:
        """End a stream whose response cannot be completed; never cleanly."""

    @abstractmethod
    def _on_interim(
        self, stream: S, exchange: Exchange, status: int, section: FieldSection
    ) -> None:
        """Send an interim response, unless the client is behind."""

    @abstractmethod
    def _on_consumed(self, stream: S, size: int) -> None:
        """Let the client send more: request content was used."""

    @abstractmethod
    def _on_wanted(self, stream: S) -> None:
        """Tell a client that waits for it to send its content (RFC 9110 section 10.1.1)."""

    # --- the codec's sink -----------------------------------------------------------------------

    def on_request(self, stream: S, head: RequestHead) -> None:
        """Begin to answer a request; a hit that could not be sent at once is queued."""
        exchange = cast("Exchange | None", stream.exchange)
        if exchange is None:
            request = self._request(head)
            exchange = stream.exchange = Exchange(request)
            exchange.content = request.body = RequestContent(
                lambda size: self._on_consumed(stream, size),
                wanted=(lambda: self._on_wanted(stream)) if _expects(head) else None,
            )
        elif exchange.response is not None:
            self._respond(stream, exchange, exchange.response)
            return
        self._unstarted.append((stream, exchange))
        if not self._is_starting_later:
            self._is_starting_later = True
            self._later(self._start_next, START_SECONDS)

    def on_content(self, stream: S, data: bytes) -> None:
        """Hand request content on."""
        content = cast("RequestContent", cast("Exchange", stream.exchange).content)
        content.feed(data, is_end=stream.is_remote_ended)

    def on_trailers(self, stream: S, fields: list[Field]) -> None:
        """Keep what comes behind request content until that is read."""
        content = cast("RequestContent", cast("Exchange", stream.exchange).content)
        content.trailers = tuple(fields)

    def on_reset(self, stream: S) -> None:
        """Stop working for a stream."""
        exchange = cast("Exchange | None", stream.exchange)
        if exchange is None:
            return
        exchange.stop_content("stream_reset")
        if exchange.task is not None:
            exchange.task.cancel()
            exchange.task = None  # the traceback of its end refers to the exchange
        self._complete(stream, exchange, is_whole=False)

    # --- answering ------------------------------------------------------------------------------

    def _start_next(self) -> None:
        """Begin to work for the oldest request that still wants it."""
        self._is_starting_later = False
        while self._unstarted:
            stream, exchange = self._unstarted.popleft()
            if stream.exchange is exchange:
                task = exchange.task = self._loop.create_task(self._answer(stream, exchange))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                break
        if self._unstarted:
            self._is_starting_later = True
            self._later(self._start_next, START_SECONDS)

    async def _answer(self, stream: S, exchange: Exchange) -> None:
        """Produce one response, the slow way."""
        body: Body = b""
        try:
            response = exchange.response = await self._handle(stream, exchange)
            body = response.body
            if self._is_gone(stream):
                self._complete(stream, exchange, is_whole=False)
            elif isinstance(body, bytes | memoryview):
                self._respond(stream, exchange, response)
                self._pump()
            else:
                self._begin(stream, response)
                await self._stream(stream, exchange, body)
        except EdgeError as error:
            target = exchange.request.target
            log.debug("response to %r broken off: %s", target, without_frames(error))
            self._break_off(stream, exchange)
        except Exception:
            log.exception("response to %r broken off", exchange.request.target)
            self._break_off(stream, exchange)
        finally:
            await _aclose(body)

    async def _handle(self, stream: S, exchange: Exchange) -> Response:
        request = exchange.request
        request.interim = partial(self._on_interim, stream, exchange)
        try:
            return await self._application.handle(request)
        finally:
            request.interim = None  # it refers to the exchange, which refers to the request

    async def _stream(self, stream: S, exchange: Exchange, body: Body) -> None:
        """Send content as it comes, no faster than the peer takes it."""
        turn_ends = TURN_BYTES
        async for chunk in cast("asyncio.StreamReader", body):
            if self._is_gone(stream):
                return
            self._feed(stream, chunk)
            if stream.queued_bytes >= STREAM_QUEUE_BYTES:
                exchange.relief = self._loop.create_future()
                await exchange.relief
            elif stream.sent_bytes >= turn_ends:  # neither source nor peer ever made us wait
                turn_ends = stream.sent_bytes + TURN_BYTES
                await asyncio.sleep(0)
        if not self._is_gone(stream):
            self._finish(stream, trailers_of(body))

    def _complete(self, stream: S, exchange: Exchange, *, is_whole: bool) -> None:
        """Report the end of an exchange, once."""
        stream.exchange = None
        exchange.relieve()
        exchange.stop_content("response_complete")
        if exchange.response is not None:
            self._application.completed(
                exchange.request, exchange.response, stream.sent_bytes, is_whole=is_whole
            )
            exchange.response = None


def _expects(head: RequestHead) -> bool:
    # Whatever else than 100-continue is expected, the application refuses without reading.
    return any(name == b"expect" for name, _ in head.fields)


async def _aclose(body: Body) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        try:
            await close()
        except Exception:
            log.exception("the end of a response's content failed")
