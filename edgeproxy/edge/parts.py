"""Range requests on a site without rules: kept parts answer them, passing parts are kept.

A transparent cache passes on a range of what it has nothing of, as it is; what comes back is kept
here, beside the store, and served to whoever asks for no more than that (RFC 9111 sections 3.3 and
3.4). Under a caching rule the whole is fetched instead, and nothing here is used.

Invariants: what is incomplete is never served as the whole, and goes into the store only when
nothing is missing; a part that was asked for before an invalidation or a purge is not kept behind
it; all parts on their way share one bound, the kept ones another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakSet

from edgeproxy.cache.partial import Offer, Partial, begin, combine, complete, offered
from edgeproxy.cache.reuse import Reuse, decide
from edgeproxy.cache.stored import StoredResponse, with_date
from edgeproxy.clock import Clock
from edgeproxy.edge.answers import Answers
from edgeproxy.edge.deliver import Part, range_of, represent, select
from edgeproxy.edge.generations import Generations
from edgeproxy.edge.growing import Hold, Room
from edgeproxy.edge.lookup import Route
from edgeproxy.http import cache_status
from edgeproxy.http.messages import Field, Fields, Request, Response, first
from edgeproxy.http.trailers import trailers_of
from edgeproxy.http.upstream import OriginResponse
from edgeproxy.observe.counters import Counters
from edgeproxy.store.memory import MemoryStore
from edgeproxy.store.parts import PartStore

# Answers to a range that say nothing of the parts that are kept: the request was at fault.
_SAYING_NOTHING = frozenset({304, 412, 416, 429})
# One part may take this share of the room: a few readers of large ones must not fill it.
_SHARE = 4


@dataclass(slots=True, eq=False, weakref_slot=True)
class Asking:
    """A range that is being asked of the next hop.

    `asked` is the question for the whole, `sent` the fields that the next hop hears, `generation`
    the purge generation of the moment. `may_keep` turns False when the target is invalidated.
    """

    route: Route
    asked: Request
    sent: list[Field]
    generation: int
    may_keep: bool = True


class Parts:
    """What is known of representations in parts."""

    def __init__(
        self,
        whole: MemoryStore,
        *,
        bytes_max: int,
        generations: Generations,
        counters: Counters,
        clock: Clock,
        answers: Answers,
    ) -> None:
        self._whole = whole
        self._kept = PartStore(bytes_max)
        self._room = Room(bytes_max)
        self._part_bytes_max = bytes_max // _SHARE
        self._generations = generations
        self._counters = counters
        self._clock = clock
        self._answers = answers
        self._asking: WeakSet[Asking] = WeakSet()

    # --- answering ---

    def find(self, route: Route, asked: Request) -> Partial | None:
        """Return the incomplete response that this question selects, if it is fresh."""
        kept = self._valid(route.key)
        if not kept:
            return None
        candidates = [partial.response for partial in kept]
        decision = decide(asked, candidates, self._clock.now(), policy=route.rule.cache)
        if not isinstance(decision, Reuse):
            return None
        return next(partial for partial in kept if partial.response is decision.stored)

    def answer(self, request: Request, route: Route, partial: Partial) -> Response | None:
        """Answer a range that lies within what is there; None for anything else."""
        stored, now = partial.response, self._clock.now()
        representation = represent(
            route, stored.status, stored.fields, length=partial.length, may_be_shared=True
        )
        part = select(request, representation, partial.length)
        if not isinstance(part, Part) or (content := partial.cut(part.cut)) is None:
            return None
        return self._answers.part(
            request,
            route,
            representation,
            part,
            content,
            age=stored.current_age(now),
            member=cache_status.member(self._answers.pop, hit=True, ttl=stored.seconds_left(now)),
        )

    # --- keeping ---

    def asking(
        self, request: Request, route: Route, asked: Request | None, sent: list[Field]
    ) -> Asking | None:
        """Note that a range is asked for; None if its answer is not for the parts."""
        if asked is None or not _is_in_parts(route) or range_of(request) is None:
            return None
        asking = Asking(route, asked, sent, self._generations.current(route.key))
        self._asking.add(asking)
        return asking

    def collect(self, asking: Asking, response: OriginResponse) -> OriginResponse:
        """Return the answer, its content kept as it passes if it is a part."""
        route = asking.route
        offer = offered(
            asking.asked,
            response.status,
            response.fields,
            content_length=response.content_length,
            response_time=response.response_time,
            policy=route.rule.cache,
        )
        if offer is None:
            self.heed(route.key, response)
            return response
        hold = Hold(self._room)
        if len(offer.span) > self._part_bytes_max or not hold.take(len(offer.span)):
            return response
        return replace(response, body=_Arriving(self, asking, offer, response, hold))

    def keep(self, asking: Asking, offer: Offer, response: OriginResponse, content: bytes) -> None:
        """Keep a part of which everything has arrived, with those of the same whole."""
        key, policy = asking.route.key, asking.route.rule.cache
        if not self._may_keep(asking):
            return
        partial = begin(
            key,
            offer,
            with_date(response.fields, response.response_time),
            content,
            request_fields=asking.sent,
            request_time=response.request_time,
            response_time=response.response_time,
            fill_generation=asking.generation,
        )
        for old in self._valid(key):
            partial = combine(old, partial, policy=policy) or partial
        is_small = partial.length <= min(policy.body_bytes_max, self._whole.object_bytes_max)
        whole = complete(partial) if is_small else None
        if whole is None:
            self._kept.put(partial)
        else:
            self._kept.drop(partial)
            self._promote(whole)

    def invalidate(self, key: bytes) -> None:
        """Forget what is there, and keep nothing of what is on its way."""
        self._kept.forget(key)
        for asking in self._asking:
            if asking.route.key == key:
                asking.may_keep = False

    def _valid(self, key: bytes) -> Sequence[Partial]:
        """Return what is kept and was not purged."""
        kept = self._kept.candidates(key)
        generation = self._generations.current(key)
        if any(partial.response.fill_generation != generation for partial in kept):
            self._kept.forget(key)
            return ()
        return kept

    def _may_keep(self, asking: Asking) -> bool:
        if not asking.may_keep:
            self._counters.discarded_fills["invalidated"] += 1
            return False
        if self._generations.current(asking.route.key) != asking.generation:
            self._counters.discarded_fills["purged"] += 1
            return False
        return True

    def heed(self, key: bytes, response: OriginResponse) -> None:
        """Forget what the origin's latest word, to GET or HEAD, is not about any more."""
        if response.status >= 500 or response.status in _SAYING_NOTHING:
            return
        etag = first(response.fields, b"etag")
        if response.status not in {200, 206} or any(
            partial.response.etag != etag for partial in self._kept.candidates(key)
        ):
            self._kept.forget(key)

    def _promote(self, whole: StoredResponse) -> None:
        """Store what is complete now, unless something more recent is stored."""
        stored = self._whole.candidates(whole.key, whole.response_time)
        if not any(
            other.vary == whole.vary and other.date_value > whole.date_value for other in stored
        ):
            self._whole.put(whole)


class _Arriving:
    """The content of a part: passed on as it is read, and kept once all of it has been."""

    __slots__ = ("_asking", "_chunks", "_collected", "_hold", "_offer", "_parts", "_response")

    def __init__(
        self, parts: Parts, asking: Asking, offer: Offer, response: OriginResponse, hold: Hold
    ) -> None:
        self._parts = parts
        self._asking = asking
        self._offer = offer
        self._response = response
        self._hold = hold
        self._chunks = aiter(response.body)
        self._collected = bytearray()

    def __aiter__(self) -> "_Arriving":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._finish()
            raise
        except BaseException:
            self._give_up()
            raise
        if len(self._collected) + len(chunk) <= len(self._offer.span):
            self._collected += chunk
        else:
            self._give_up()  # more than was announced: nobody knows what it is
        return chunk

    @property
    def trailers(self) -> Fields:
        """What came behind the content: passed on, but no part of the whole."""
        return trailers_of(self._response.body)

    async def aclose(self) -> None:
        self._give_up()
        await self._response.body.aclose()

    def _finish(self) -> None:
        content = bytes(self._collected)
        self._give_up()
        if len(content) == len(self._offer.span):
            self._parts.keep(self._asking, self._offer, self._response, content)

    def _give_up(self) -> None:
        self._collected.clear()
        self._hold.release()


def _is_in_parts(route: Route) -> bool:
    """Tell whether ranges are passed on as they are, and asked for as the client asks."""
    return not (route.is_managed or route.rule.codings) and route.rule.cache.may_store
