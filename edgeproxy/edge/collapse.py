"""Many requests, one fill: who leads, who follows, and what the followers are told.

Must not fetch or store: a fill is a coroutine handed in (`fill.py`), run in a task that belongs to
`Flights` and not to any client, so that a client that leaves costs the others nothing. RFC 9111
section 4 allows to collapse requests onto a response that may be stored; who asked with other
selecting values, or got no answer that may be shared, goes for itself.

Followers wait by event, and at most as long as their caller allows. Nobody leads more than half of
the fills at once: what one address asks for must not refuse everybody else (`http/households.py`).

Invariants: a flight is announced exactly once, at the latest when its task has ended; it can be
found from `lead` until `release`; between storing a response and releasing its flight there is no
await, so no request can fall into a gap between flight and store.
"""

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from math import inf

from cachetools import TTLCache

from edgeproxy.cache.stored import StoredResponse, Vary
from edgeproxy.edge.growing import GrowingBody, Reader
from edgeproxy.edge.hints import Hints
from edgeproxy.edge.recoding import Recodings
from edgeproxy.edge.representation import Representation
from edgeproxy.errors import UpstreamError
from edgeproxy.http.households import household
from edgeproxy.http.messages import Interim
from edgeproxy.http.upstream import OriginResponse

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Arriving:
    """A response that may be shared by requests with the same selecting values, and stored.

    `will_be_stored` is False for an error that must not take the place of something good;
    `recodings` is None where Accept-Encoding decides nothing; `for_the_leader` is there where the
    response has fields that nobody else may have. `source` is the response as it came, its content
    being read by `body`.
    """

    representation: Representation
    body: GrowingBody
    vary: Vary
    may_be_shared: bool
    source: OriginResponse
    will_be_stored: bool = True
    recodings: Recodings | None = None
    for_the_leader: Representation | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Private:
    """A response for the leader alone; `reason` is why it is not stored, `source` as it came."""

    representation: Representation
    reason: str
    source: OriginResponse


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """The next hop answered 304: the stored response is good again."""

    stored: StoredResponse


@dataclass(frozen=True, slots=True, eq=False)
class Unavailable:
    """No usable response: a failure, or a server error where something stale may serve instead."""

    error: UpstreamError | None
    received_status: int | None = None


Announcement = Arriving | Private | Confirmed | Unavailable


class Flight:
    """One fill on its way.

    `selection` is what it is found by beside its key: None for the first of a key, the selecting
    values where a first one's Vary turned out to differ, the flight itself where nobody may follow.
    `reader` is the leader's, made by the fill when content begins; it is closed again if there is
    no leader to take it. `may_commit` turns False when the target is invalidated meanwhile.
    `hints` passes on what the next hop says before it answers. `household` is whose request began
    it, "" for what nobody waits for. `fresh_until` is when what arrives turns stale.
    """

    __slots__ = (
        "_announced",
        "fresh_until",
        "has_leader",
        "hints",
        "household",
        "key",
        "may_commit",
        "reader",
        "selection",
        "task",
    )

    def __init__(self, key: bytes, selection: "Vary | None", *, has_leader: bool) -> None:
        self.key = key
        self.selection: Vary | Flight | None = selection
        self.has_leader = has_leader
        self.household = ""
        self.may_commit = True
        self.fresh_until = inf
        self.hints = Hints()
        self.reader: Reader | None = None
        self.task: asyncio.Task[None] | None = None
        self._announced: asyncio.Future[Announcement] = asyncio.get_running_loop().create_future()

    @property
    def is_solitary(self) -> bool:
        """Nobody may follow."""
        return self.selection is self

    @property
    def is_announced(self) -> bool:
        """Everybody has been told."""
        return self._announced.done()

    def announce(self, announcement: Announcement) -> None:
        """Tell everybody who waits, and everybody who will."""
        self._announced.set_result(announcement)

    async def told(self, interim: Interim | None = None) -> Announcement:
        """Wait for the announcement, and hear meanwhile what comes before it."""
        with self.hints.heard_by(interim):
            # Shielded: one client that is cancelled must not cancel what all wait for.
            return await asyncio.shield(self._announced)

    def take(self) -> Reader:
        """Return the leader's reader, once content was announced."""
        if self.reader is None:
            raise RuntimeError("no content was announced to a leader")
        return self.reader

    def leave(self) -> None:
        """The leader goes: before the announcement, or without having taken its reader."""
        self.has_leader = False
        if self.reader is not None:
            self.reader.close()

    def abort(self) -> None:
        """Stop the fill: nobody is interested any more."""
        if self.task is not None:
            self.task.cancel()


Fill = Callable[[Flight], Coroutine[None, None, None]]


class Flights:
    """Every fill of this worker, and the keys that were found not worth waiting for."""

    def __init__(
        self,
        *,
        fills_max: int,
        uncacheable_seconds: float,
        uncacheable_keys_max: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._fills_max = fills_max
        self._share = fills_max - fills_max // 2
        self._led: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_key: dict[bytes, dict[Vary | Flight | None, Flight]] = {}
        self._uncacheable: TTLCache[bytes, bool] = TTLCache(
            uncacheable_keys_max, uncacheable_seconds, timer=monotonic
        )

    @property
    def is_full(self) -> bool:
        """As many fills are running as may."""
        return len(self._tasks) >= self._fills_max

    def is_full_for(self, client: str) -> bool:
        """As many fills are running as may for a client of this address."""
        return self.is_full or self._led[household(client)] >= self._share

    @property
    def count(self) -> int:
        """How many fills are running."""
        return len(self._tasks)

    def find(self, key: bytes, selection: Vary | None = None) -> Flight | None:
        """Return the flight to follow, None if there is none."""
        flights = self._by_key.get(key)
        return None if flights is None else flights.get(selection)

    def to_follow(self, key: bytes, selection: Vary | None, now: float) -> Flight | None:
        """Return the flight to follow; one whose response has turned stale meanwhile is none.

        Content may take longer than it is fresh. Whoever has joined stays; the next one asks anew,
        and what comes of that is what will be stored.
        """
        flight = self.find(key, selection)
        if flight is None or now < flight.fresh_until:
            return flight
        flight.may_commit = False
        self.release(flight)
        return None

    def lead(
        self,
        key: bytes,
        fill: Fill,
        *,
        selection: Vary | None = None,
        is_solitary: bool = False,
        has_leader: bool = True,
        client: str = "",
    ) -> Flight:
        """Start a fill; nobody can follow a solitary one. It counts for that client to its end."""
        flight = Flight(key, selection, has_leader=has_leader)
        if client:
            flight.household = household(client)
            self._led[flight.household] += 1
        if is_solitary:
            flight.selection = flight
        self._by_key.setdefault(key, {})[flight.selection] = flight
        task = asyncio.get_running_loop().create_task(fill(flight))
        flight.task = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, flight))
        return flight

    def release(self, flight: Flight) -> None:
        """Let nobody join any more; whoever has joined stays."""
        flights = self._by_key.get(flight.key)
        if flights is not None and flights.get(flight.selection) is flight:
            del flights[flight.selection]
            if not flights:
                del self._by_key[flight.key]

    def part(self, prefixes: tuple[bytes, ...]) -> None:
        """Let nobody join what is under way for keys that begin so, nor believe what it taught."""
        for key in [key for key in self._by_key if key.startswith(prefixes)]:
            for flight in list(self._by_key.get(key, {}).values()):
                self.release(flight)
        for key in [key for key in self._uncacheable if key.startswith(prefixes)]:
            del self._uncacheable[key]

    def remember_uncacheable(self, key: bytes) -> None:
        """Let nobody queue for this key for a while: hit-for-miss."""
        self._uncacheable[key] = True

    def is_uncacheable(self, key: bytes) -> bool:
        """Tell whether the last answer under this key was one that nobody may share."""
        return key in self._uncacheable

    def invalidate(self, key: bytes) -> None:
        """What is on its way was asked for before an unsafe request: store none of it."""
        for flight in list(self._by_key.get(key, {}).values()):
            flight.may_commit = False
            self.release(flight)

    def _ended(self, flight: Flight, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self.release(flight)
        self._led[flight.household] -= 1
        if self._led[flight.household] <= 0:
            del self._led[flight.household]
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            # Ours, not the origin's: said aloud, and an error for whoever waits, never a hang.
            _log.error("a fill failed", exc_info=failure)
        if not flight.is_announced:
            error = UpstreamError("proxy_internal_error", 500, "the fill ended early")
            flight.announce(Unavailable(error))

    async def aclose(self) -> None:
        """Cancel what is running and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
