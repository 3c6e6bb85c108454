"""Stored responses in the coding that a client takes: made once, kept beside the body they are of.

Runs encoders and decoders in threads and attaches what they make to the store; which coding a
client gets is decided by `cache/codings`. A small body is coded as well as it gets at once, a
larger one fast, while its first client waits, and once more in a thread of low priority.

Invariants: one coding of one body is made at most once at a time, however many ask for it; what
cannot be made, or would not be smaller, is remembered with the body and not tried again; at most
`CODINGS_MAX` are being made at once, beyond that clients get what is there.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from edgeproxy.cache.codings import Offer, body_in, with_derived
from edgeproxy.cache.stored import BodyId, DerivedBody, LargeBody, StoredResponse
from edgeproxy.coding.decoders import decode
from edgeproxy.coding.encoders import Level, encoder
from edgeproxy.coding.recode import recode
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.view import View, view_of
from edgeproxy.errors import CodingError, DownstreamError
from edgeproxy.http.codings import IDENTITY
from edgeproxy.http.messages import Request, combined
from edgeproxy.observe.counters import Counters
from edgeproxy.store.memory import MemoryStore

T = TypeVar("T")

_log = logging.getLogger(__name__)

CODINGS_MAX = 32
"""An encoder holds some megabytes (Brotli about 6 at our fast level), and there are two threads."""

WAIT_SECONDS = 20.0
"""How long a client waits for its coding; 16 MiB take a second or two."""

BEST_AT_ONCE_BYTES_MAX = 8 * 1024
"""Up to this size the best level takes some 20 ms at most, once: not worth to do it twice."""

BEST_BYTES_MAX = 4 * 1024 * 1024
"""Brotli's best level takes some 2 seconds for a megabyte: larger bodies are coded fast again."""

_BEST_WAITING_MAX = 256
_PIECE_BYTES = 64 * 1024
_TURNS_MAX = 8
_NICENESS = 10

# The coding of a body: which body, in which coding.
Place = tuple[BodyId, bytes]


class Coder:
    """Makes codings of stored responses, for all requests of one worker."""

    def __init__(self, store: MemoryStore, counters: Counters) -> None:
        self._store = store
        self._counters = counters
        self._making: dict[Place, asyncio.Future[StoredResponse]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_improve: asyncio.Queue[tuple[Place, int]] = asyncio.Queue(_BEST_WAITING_MAX)
        self._improver: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(2, "coding")
        self._gentle_thread = ThreadPoolExecutor(1, "coding-best", initializer=_be_gentle)

    @property
    def is_busy(self) -> bool:
        """As many codings are being made as may."""
        return len(self._tasks) >= CODINGS_MAX

    async def view(self, request: Request, route: Route, stored: StoredResponse) -> View | None:
        """Return the stored response in the coding that the request is to get.

        Returns None where only another response of the origin would do.

        Raises:
            DownstreamError: 406, every coding that there can be is refused.
        """
        accepted = combined(request.fields, b"accept-encoding")
        plain = view_of(stored, route, self._store)
        for _ in range(_TURNS_MAX):
            if plain.codings is None:
                return plain
            codings = plain.codings
            coding = codings.offer.choose(accepted)
            if coding is None:
                check_acceptable(codings.offer)
                return None
            view = codings.view_in(coding)
            if view is not None:
                return view
            # A turn settles one coding: it is there then, or it is not offered any more.
            # What is coded is in memory, whatever the disk may hold.
            bytes_max = min(route.rule.cache.body_bytes_max, self._store.object_bytes_max)
            made = await self._settled(stored, coding, bytes_max)
            if made is None:
                return codings.at_hand(accepted)
            stored, plain = made, view_of(made, route, self._store)
        return None

    async def _settled(
        self, stored: StoredResponse, coding: bytes, bytes_max: int
    ) -> StoredResponse | None:
        """Return the response with that coding made, or tried; None: there is no time for it."""
        kept = self._store.latest(stored.body_id)
        if kept is not None and coding in kept.derived:
            return kept
        making = self._making.get((stored.body_id, coding))
        if making is None:
            if self.is_busy:
                self._counters.codings_refused += 1
                return None
            making = self.begin(stored, coding)
            self.own(self._make(stored, coding, bytes_max))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.shield(making)
        except (TimeoutError, CodingError):
            return None

    def begin(self, stored: StoredResponse, coding: bytes) -> "asyncio.Future[StoredResponse]":
        """Note that a coding is being made: whoever wants it waits until it is settled."""
        making = asyncio.get_running_loop().create_future()
        self._making[stored.body_id, coding] = making
        return making

    def settle(
        self, stored: StoredResponse, coding: bytes, made: DerivedBody | None, *, bytes_max: int
    ) -> None:
        """Keep what was made, or that there is nothing to be made, and tell those who wait."""
        if made is not None and not _is_smaller(coding, made, stored):
            made = None
        kept = self._store.attach(stored, coding, made)
        making = self._making.pop((stored.body_id, coding), None)
        if making is not None and not making.done():
            making.set_result(kept or with_derived(stored, coding, made))
        if kept is not None and made is not None and not made.is_final:
            self._improve_later((stored.body_id, coding), bytes_max)

    def own(self, work: Coroutine[None, None, None]) -> None:
        """Run something that ends by itself, or when the coder is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run what takes longer than an event loop may wait."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def count(self, source: bytes, target: bytes, level: str) -> None:
        """Count one body that was coded."""
        self._counters.codings[f"{source.decode()} {target.decode()} {level}"] += 1

    async def _make(self, stored: StoredResponse, coding: bytes, bytes_max: int) -> None:
        made = None
        source = body_to_code(stored)
        try:
            level = _level(source)
            self.count(source.coding, coding, level)
            body = await self.in_thread(partial(_coded, source, coding, level, bytes_max))
            made = DerivedBody(body, is_final=level == "best" or coding == IDENTITY)
        except CodingError as error:
            self.failed(stored.key, error)
        except Exception:  # noqa: BLE001 - a request must not wait for what will not come
            _log.exception("a body could not be coded")
        finally:
            self.settle(stored, coding, made, bytes_max=bytes_max)

    def failed(self, key: bytes, error: CodingError) -> None:
        """Count, and say, that a stored body is not what its Content-Encoding says."""
        self._counters.coding_failures += 1
        _log.warning("%s: %s", key.decode("latin-1"), error)

    # --- the best level, afterwards ---

    def _improve_later(self, place: Place, bytes_max: int) -> None:
        if self._improver is None:
            self._improver = asyncio.get_running_loop().create_task(self._improve_all())
        if not self._to_improve.full():
            self._to_improve.put_nowait((place, min(bytes_max, self._store.object_bytes_max)))

    async def _improve_all(self) -> None:
        while True:
            (body_id, coding), bytes_max = await self._to_improve.get()
            stored = self._store.latest(body_id)
            if stored is not None and not isinstance(stored.body, LargeBody):
                await self._improve(stored, coding, bytes_max)
            self._to_improve.task_done()

    async def _improve(self, stored: StoredResponse, coding: bytes, bytes_max: int) -> None:
        source = body_to_code(stored)
        work = partial(self._coded_again, source, coding, bytes_max)
        try:
            level, body = await asyncio.get_running_loop().run_in_executor(
                self._gentle_thread, work
            )
        except Exception:  # noqa: BLE001 - one body must not end the work for all others
            _log.exception("a body could not be coded better")
            return
        self.count(source.coding, coding, level)
        self._swap(stored.body_id, coding, body)

    def _swap(self, body_id: BodyId, coding: bytes, body: bytes) -> None:
        stored = self._store.latest(body_id)
        fast = None if stored is None else stored.derived.get(coding)
        # The fast one depends on how the content arrived: it never gets a strong tag.
        if stored is not None and fast is not None and len(body) <= len(fast.body):
            self._store.attach(stored, coding, DerivedBody(body, is_final=True))

    def _coded_again(self, source: "Source", coding: bytes, bytes_max: int) -> tuple[Level, bytes]:
        """Code in the one way that depends on nothing but the identity form.

        In pieces, so that closing need not wait for the whole.
        """
        body = source.body
        if source.coding != IDENTITY:
            body = decode(body, source.coding, bytes_max=bytes_max)
        level: Level = "best" if len(body) <= BEST_BYTES_MAX else "fast"
        one = encoder(coding, level=level, size=len(body))
        pieces: list[bytes] = []
        for start in range(0, len(body), _PIECE_BYTES):
            if self._stopping.is_set():
                raise CodingError("closed")
            pieces.append(one.feed(memoryview(body)[start : start + _PIECE_BYTES]))
        pieces.append(one.finish())
        return level, b"".join(pieces)

    async def aclose(self) -> None:
        """Stop everything at once; who waits for a coding gets none."""
        self._stopping.set()
        tasks = [*self._tasks, *([] if self._improver is None else [self._improver])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        # What was cancelled before its first step has settled nothing.
        for making in self._making.values():
            making.set_exception(CodingError("closed"))
            making.exception()  # there may be nobody who waits for it
        self._making.clear()
        for executor in (self._threads, self._gentle_thread):
            executor.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes, and the coding that they are in."""

    coding: bytes
    body: bytes


def body_to_code(stored: StoredResponse) -> Source:
    """Return what to start from: identity where it is at hand, so that it is decoded once.

    Raises:
        CodingError: no body is at hand.
    """
    for coding in (IDENTITY, stored.coding):
        there = body_in(coding, stored)
        if there is not None:
            return Source(coding, there.body)
    raise CodingError("its body is on disk only")


def check_acceptable(offer: Offer) -> None:
    """Turn a client away that takes nothing of what there can be.

    Where its own request might get something else of the origin, it is not turned away.

    Raises:
        DownstreamError: 406, there is nothing else.
    """
    if offer.may_derive:
        raise DownstreamError(406, "not-acceptable")


def _level(source: Source) -> Level:
    is_small = source.coding == IDENTITY and len(source.body) <= BEST_AT_ONCE_BYTES_MAX
    return "best" if is_small else "fast"


def _coded(source: Source, coding: bytes, level: Level, bytes_max: int) -> bytes:
    return recode(source.body, source.coding, coding, level=level, bytes_max=bytes_max)


def _is_smaller(coding: bytes, made: DerivedBody, stored: StoredResponse) -> bool:
    """Tell whether the coding is worth it, as far as the size without it is known."""
    identity = body_in(IDENTITY, stored)
    return coding == IDENTITY or identity is None or len(made.body) < len(identity.body)


def _be_gentle() -> None:
    if sys.platform == "linux":  # elsewhere this would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
