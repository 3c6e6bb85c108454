"""The owner's end of all exchanges: hears packets, has them answered, says what came of it.

Knows nothing of caching: `Owner` does. What is to be forgotten is forgotten the moment its packet
is read, so it holds for everything that was sent behind it.

Invariants: whoever asks hears at once that somebody is here, and then every second; an exchange
ends, and its work with it, when the asker is gone; there is no exchange that `aclose` leaves.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from typing import Final, Protocol

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import FieldSection, Interim
from edgeproxy.http.trailers import trailers_of
from edgeproxy.http.upstream import OriginResponse
from edgeproxy.siblings.frames import (
    DATA_BYTES_MAX,
    Data,
    End,
    Failed,
    Forgotten,
    Frame,
    Head,
    Here,
    Hint,
    Refused,
    encode,
)
from edgeproxy.siblings.lines import Inbox
from edgeproxy.siblings.packets import Ask, Forget, unpack

log = logging.getLogger(__name__)

HERE_SECONDS: Final = 1.0
"""A fifth of what an asker waits for."""
STALL_SECONDS: Final = 90.0
"""Above what a listener waits for a client that takes nothing, since an asker may wait for one."""
EXCHANGES_MAX: Final = 1024
"""Ours: twice the fills that a worker may run."""


class NotSharedError(Exception):
    """The asker is to ask the origin itself; `reason` is a word for counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Owner(Protocol):
    """Whoever answers for the keys of this worker."""

    async def fetch(self, ask: Ask, interim: Interim) -> OriginResponse:
        """Answer from what there is, or with one fill for all who ask.

        Raises:
            NotSharedError: this is not to be shared.
            UpstreamError: nothing usable came back.
        """

    def forget(self, keys: Iterable[bytes]) -> None:
        """Let go of all that is stored or on its way under these keys."""


class Answering:
    """Answers on one line, from `start` to `aclose`."""

    def __init__(self, receiver: socket.socket, owner: Owner) -> None:
        self._owner = owner
        self._inbox = Inbox(receiver, self._heard)
        self._exchanges: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Hear from now on."""
        self._inbox.start()

    async def idle(self) -> None:
        """Wait until nobody is being answered."""
        while self._exchanges:
            await asyncio.wait(set(self._exchanges))

    async def aclose(self) -> None:
        """End all exchanges; those who asked go on with the origin."""
        self._inbox.close()
        tasks = list(self._exchanges)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _heard(self, packet: bytes, stream: socket.socket | None) -> None:
        message = unpack(packet)
        if isinstance(message, Forget):
            self._owner.forget(message.keys)
        if stream is None:
            return
        stream.setblocking(False)  # noqa: FBT003 - the method takes no keyword
        if isinstance(message, Forget):
            _say_at_once(stream, Forgotten())
            stream.close()
        elif len(self._exchanges) >= EXCHANGES_MAX:
            _say_at_once(stream, Refused("busy"))
            stream.close()
        elif not _say_at_once(stream, Here()):
            stream.close()  # asked by somebody who has gone meanwhile
        else:
            task = asyncio.get_running_loop().create_task(self._exchange(message, stream))
            self._exchanges.add(task)
            task.add_done_callback(self._exchanges.discard)

    async def _exchange(self, ask: Ask, stream: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=stream)
        except BaseException:
            stream.close()
            raise
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop(_: object) -> None:
            if task is not None:
                task.cancel()

        left = loop.create_task(_end_of(reader))
        left.add_done_callback(stop)
        speaking = Speaking(writer)
        try:
            await self._answer(ask, speaking)
        except OSError as error:  # the asker is gone, or takes nothing any more
            log.debug("an exchange with a sibling ends: %s", error)
            writer.transport.abort()
        except Exception:
            log.exception("an exchange with a sibling failed")
        finally:
            speaking.close()
            left.remove_done_callback(stop)
            left.cancel()

    async def _answer(self, ask: Ask, speaking: "Speaking") -> None:
        try:
            response = await self._owner.fetch(ask, speaking.hint)
        except NotSharedError as refusal:
            await speaking.say(Refused(refusal.reason))
        except UpstreamError as error:
            await speaking.say(Failed(error.word, error.status, error.detail))
        except Exception:
            log.exception("a sibling's question failed")
            await speaking.say(Refused("failed"))
        else:
            await self._relay(response, speaking)

    async def _relay(self, response: OriginResponse, speaking: "Speaking") -> None:
        body = response.body
        try:
            await speaking.say(
                Head(
                    status=response.status,
                    fields=tuple(response.fields),
                    content_length=response.content_length,
                    is_delimited=response.is_delimited,
                    request_time=response.request_time,
                    response_time=response.response_time,
                )
            )
            async for octets in body:
                for start in range(0, len(octets), DATA_BYTES_MAX):
                    await speaking.say(Data(octets[start : start + DATA_BYTES_MAX]))
        except UpstreamError as error:
            await speaking.say(Failed(error.word, error.status, error.detail))
        else:
            await speaking.say(End(trailers_of(body)))
        finally:
            await body.aclose()


class Speaking:
    """What is said on one stream, and now and then that somebody is here, until `close`."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._has_spoken = True
        self._timer = self._loop.call_later(HERE_SECONDS, self._beat)

    async def say(self, frame: Frame) -> None:
        """Send, and wait while the asker is too far behind."""
        self._has_spoken = True
        self._writer.write(encode(frame))
        async with asyncio.timeout(STALL_SECONDS):  # a TimeoutError is an OSError
            await self._writer.drain()

    def hint(self, status: int, section: FieldSection) -> None:
        """Pass an interim response on; an `Interim`."""
        self._writer.write(encode(Hint(status, section.fields)))

    def close(self) -> None:
        """Send what is left, and end."""
        self._timer.cancel()
        self._writer.close()

    def _beat(self) -> None:
        if not self._has_spoken and not self._writer.transport.get_write_buffer_size():
            self._writer.write(encode(Here()))
        self._has_spoken = False
        self._timer = self._loop.call_later(HERE_SECONDS, self._beat)


async def _end_of(reader: asyncio.StreamReader) -> None:
    """Wait until the asker is gone; it says nothing on the stream."""
    with contextlib.suppress(OSError):
        await reader.read(1)


def _say_at_once(stream: socket.socket, frame: Frame) -> bool:
    """Send the first octets on a stream, which has room; False: nobody is there to hear them."""
    try:
        stream.send(encode(frame), socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True
