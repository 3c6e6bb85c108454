"""A channel between the steward and one worker: messages in frames, over a Unix socket.

Both ends are the same program, forked from one process: a frame is four octets of length, one of
version, and JSON. What the messages say is for `roster` and `correspondent`. Bounded: a frame, and
what waits to be sent; a peer that takes nothing for so long loses the channel.
"""

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, cast

log = logging.getLogger(__name__)

Message = dict[str, Any]

VERSION = 1
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""Ours: the largest frames are counters (100 octets for each series) and identities, whose files
may have a megabyte each."""
UNSENT_BYTES_MAX = 64 * 1024 * 1024
"""Ours: some thousand identities, all new at once."""

_HEAD = struct.Struct("!IB")


class FrameError(Exception):
    """What came is no frame of this version."""


def frame(message: Message) -> bytes:
    """Return a message as it is sent."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    if len(payload) > FRAME_BYTES_MAX:
        raise FrameError(f"a message of {len(payload)} octets")
    return _HEAD.pack(len(payload), VERSION) + payload


class Frames:
    """Makes messages of octets as they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are whole now.

        Raises:
            FrameError: nothing that comes from here on can be understood.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            size, version = _HEAD.unpack_from(self._buffer)
            if version != VERSION or size > FRAME_BYTES_MAX:
                raise FrameError(f"a frame of version {version} and {size} octets")
            end = _HEAD.size + size
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[_HEAD.size : end])
            del self._buffer[:end]
            message = json.loads(payload)
            if not isinstance(message, dict):
                raise FrameError("a frame that is no object")
            yield message


class MessageChannel(asyncio.Protocol):
    """One end of a channel; `on_lost` is called once, whoever ended it."""

    def __init__(
        self, on_message: Callable[[Message], object], on_lost: Callable[[], object]
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is sent may arrive."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: Message) -> None:
        """Send, unless the channel is lost."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(frame(message))
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            log.error("a process takes no messages any more; its channel is cut")
            transport.abort()

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what came; a message that fails is our fault and costs only itself."""
        try:
            for message in self._frames.feed(data):
                self._handle(message)
        except (FrameError, ValueError):
            log.exception("a channel between processes is broken")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._transport = None
        self._on_lost()

    def _handle(self, message: Message) -> None:
        try:
            self._on_message(message)
        except Exception:
            log.exception("a message between processes was not understood")


async def open_channel(
    descriptor: int, on_message: Callable[[Message], object], on_lost: Callable[[], object]
) -> MessageChannel:
    """Return the channel over a Unix socket, which is the channel's from now on."""
    sock = socket.socket(fileno=descriptor)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        _, channel = await asyncio.get_running_loop().create_unix_connection(
            lambda: MessageChannel(on_message, on_lost), sock=sock
        )
    except BaseException:
        sock.close()
        raise
    return channel


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return sockets for both ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
