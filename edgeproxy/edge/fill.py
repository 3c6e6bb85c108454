"""One question to the next hop, and what becomes of the answer.

Runs in a task of `Flights`; clients only hear announcements and read the growing body. Must not
know any client's preconditions, range or method. RFC 9111 sections 3, 3.3, 4.3.3 and 4.3.4.

Invariants: nothing is stored but content whose end was proven by its framing; nothing is stored
that a purge or an unsafe request overtook; a stored good response is never replaced by an error;
content that broke off reaches every reader as an error.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edgeproxy.cache.reuse import STALE_IF_ERROR_STATUSES, may_serve_stale_on_error
from edgeproxy.cache.stored import LargeBody, StoredResponse, with_date
from edgeproxy.cache.storing import (
    REFUSED_FOR_THE_ASKER,
    DoNotStore,
    Store,
    may_replace,
    may_store,
    withdraws,
)
from edgeproxy.cache.validation import (
    carry_over,
    conditional_fields,
    confirmed_besides,
    freshen,
    select_for_304,
)
from edgeproxy.cache.vary import implied, selecting_values, speaks_for
from edgeproxy.clock import Clock
from edgeproxy.coding.decoders import DECODABLE
from edgeproxy.edge.coder import Coder
from edgeproxy.edge.collapse import Confirmed, Flight, Flights, Private, Unavailable
from edgeproxy.edge.deliver import represent
from edgeproxy.edge.fetch import never_asks, outbound
from edgeproxy.edge.generations import Generations
from edgeproxy.edge.growing import GrowingBody, Hold, Room
from edgeproxy.edge.keeping import Keeping
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.question import Question
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.errors import UpstreamError, without_frames
from edgeproxy.http.codings import IDENTITY, coding_of
from edgeproxy.http.messages import Field
from edgeproxy.http.trailers import trailers_of
from edgeproxy.http.upstream import (
    OriginResponse,
    OutboundRequest,
    Upstream,
    is_kept_elsewhere,
)
from edgeproxy.observe.counters import Counters
from edgeproxy.siblings.family import Siblings
from edgeproxy.siblings.frames import ToldError
from edgeproxy.siblings.packets import Ask
from edgeproxy.store.large import Spill
from edgeproxy.store.memory import MemoryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """Runs fills; everything it needs, handed in once."""

    store: MemoryStore
    flights: Flights
    generations: Generations
    counters: Counters
    clock: Clock
    settings: EdgeSettings
    coder: Coder
    room: Room
    siblings: Siblings | None = None

    async def fill(self, question: Question, flight: Flight) -> None:
        """Ask, tell the flight what came, and store it where that is allowed."""
        generation = self.generations.current(flight.key)
        try:
            response = await self._ask(question, flight, conditional_fields(question.confirmable))
            try:
                if response.status == 304 and not self._confirm(
                    question, flight, response, generation
                ):
                    await response.body.aclose()
                    response = await self._ask_anew(question, flight)
                if response.status != 304:
                    await self._receive(question, flight, response, generation)
            finally:
                await response.body.aclose()
        except UpstreamError as error:
            self.failed(error)
            self._announce(flight, Unavailable(without_frames(error)))

    def failed(self, error: UpstreamError) -> None:
        """Count a failure of the next hop, before its response or in the middle of it."""
        if not isinstance(error, ToldError):  # the sibling who met it has counted it
            self.counters.origin_errors[error.word] += 1

    async def _ask(
        self, question: Question, flight: Flight, validators: list[Field]
    ) -> OriginResponse:
        """Ask the worker that owns the key, or the origin where that is us or nobody may share."""
        origin = _Counted(question.route.site.origin, self.counters)
        request = outbound(question.asked, validators, interim=flight.hints.tell)
        owner = None
        if self.siblings is not None and not flight.is_solitary:
            owner = self.siblings.owner_of(flight.key)
        if self.siblings is None or owner is None:
            return await origin.fetch(request)
        ask = Ask(
            key=flight.key,
            authority=request.authority,
            scheme=request.scheme,
            target=request.target,
            fields=tuple(question.asked.fields),
            validators=tuple(validators),
            has_stale=question.selected is not None,
            client=request.client,
            protocol=request.protocol,
        )
        return await self.siblings.fetch(owner, ask, request, origin)

    async def _ask_anew(self, question: Question, flight: Flight) -> OriginResponse:
        """Ask without validators: the 304 spoke of nothing that we have (RFC 9111 4.3.4)."""
        response = await self._ask(question, flight, [])
        if response.status == 304:
            await response.body.aclose()
            raise UpstreamError("http_protocol_error", 502, "304 to an unconditional request")
        return response

    def _announce(self, flight: Flight, announcement: Unavailable | Confirmed | Private) -> None:
        """Tell those who wait; nobody else is to join a flight that has nothing to share."""
        self.flights.release(flight)
        flight.announce(announcement)

    def _may_commit(self, flight: Flight, generation: int) -> bool:
        if not flight.may_commit:
            self.counters.discarded_fills["invalidated"] += 1
            return False
        if self.generations.current(flight.key) != generation:
            self.counters.discarded_fills["purged"] += 1
            return False
        return True

    def _confirm(
        self, question: Question, flight: Flight, response: OriginResponse, generation: int
    ) -> bool:
        """Freshen what a 304 confirms; returns False where it confirms nothing that is stored."""
        old = select_for_304(question.confirmable, response.fields, selected=question.selected)
        if old is None:
            return False
        new = _freshened(old, question, response)
        asked = question.asked.fields
        is_another_variant = old is not question.selected or not speaks_for(new.fields, asked, old)
        if is_another_variant:
            names = dict.fromkeys((*(name for name, _ in new.vary), *implied(asked, new.fields)))
            new = replace(new, vary=selecting_values(tuple(names), asked))
        _mark_vary(new, question)
        if self._may_commit(flight, generation):
            if is_another_variant:
                self.store.put(new)
            else:
                self.store.replace(old, new)
            for other in confirmed_besides(old, question.confirmable, response.fields, asked):
                self.store.replace(other, _freshened(other, question, response))
        self._announce(flight, Confirmed(new))
        return True

    async def _receive(
        self, question: Question, flight: Flight, response: OriginResponse, generation: int
    ) -> None:
        stale = question.selected
        if (
            response.status in STALE_IF_ERROR_STATUSES
            and stale is not None
            and may_serve_stale_on_error(stale, self.clock.now())
        ):
            self._announce(flight, Unavailable(None, response.status))
            return
        verdict, held, spill = self._verdict(question, response), Hold(self.room), None
        length = response.content_length or 0
        if isinstance(verdict, Store) and length > self._keep_bytes_max(question):
            spill = await self._spill(question, length, held)
            verdict = DoNotStore("too-large") if spill is None else verdict
        if isinstance(verdict, Store):
            keeping = Keeping(
                question,
                flight,
                response,
                verdict.freshness,
                generation,
                self.coder,
                self.room,
                self.settings.stream_window_bytes,
                held,
                spill,
            )
            await self._keep(keeping)
        else:
            await self._hand_over(question, flight, response, verdict)

    def _verdict(self, question: Question, response: OriginResponse) -> Store | DoNotStore:
        verdict = may_store(
            question.asked,
            response.status,
            response.fields,
            policy=question.route.rule.cache,
            response_time=response.response_time,
        )
        if isinstance(verdict, DoNotStore):
            return verdict
        if not response.is_delimited:
            return DoNotStore("unproven-end")
        return DoNotStore("coded") if _is_coded_otherwise(question.route, response) else verdict

    def _keep_bytes_max(self, question: Question) -> int:
        return min(question.route.rule.cache.body_bytes_max, self.store.object_bytes_max)

    def _spill_bytes_max(self, question: Question) -> int:
        return min(question.route.rule.cache.body_bytes_max, self.store.large_bytes_max)

    async def _spill(self, question: Question, size: int, held: Hold) -> Spill | None:
        """Begin to write what memory does not keep; None where it is to pass through instead.

        What was kept in memory until now gives way to the window and as much that is not written.
        """
        if size > self._spill_bytes_max(question):
            return None
        held.release()
        if not held.take(2 * self.settings.stream_window_bytes):
            self.counters.discarded_fills["no-room"] += 1
            return None
        spill = await self.store.begin(size)
        if spill is None:
            self.counters.discarded_fills["no-disk"] += 1
            held.release()
        return spill

    async def _hand_over(
        self, question: Question, flight: Flight, response: OriginResponse, verdict: DoNotStore
    ) -> None:
        """Stream to the leader alone, as fast as it reads."""
        if response.status < 500 and verdict.reason not in REFUSED_FOR_THE_ASKER:
            # A server error says nothing of the resource, and one client's word nothing of what
            # others will get: the next request is to try again.
            self.flights.remember_uncacheable(flight.key)
        if question.selected is not None and withdraws(response.status, verdict.reason):
            self.store.drop(question.selected)
        representation = represent(
            question.route,
            response.status,
            with_date(response.fields, response.response_time),
            length=response.content_length,
            may_be_shared=may_be_public(verdict),
        )
        body = GrowingBody(
            keep_bytes_max=0,
            window_bytes=self.settings.stream_window_bytes,
            on_abandoned=flight.abort,
        )
        if flight.has_leader:
            flight.reader = body.read()
        self._announce(flight, Private(representation, verdict.reason, response))
        if flight.has_leader:
            await self._copy(response, body)

    async def _copy(self, response: OriginResponse, body: GrowingBody) -> None:
        try:
            async for chunk in response.body:
                if not await body.append(chunk):
                    return
            _check_length(response, body)
        except BaseException as failure:
            body.fail(_as_upstream_error(failure))
            if isinstance(failure, UpstreamError):
                self.failed(failure)
                return
            raise
        body.finish(trailers_of(response.body))

    async def _keep(self, keeping: Keeping) -> None:
        """Let everybody read while it grows, and store it once it is whole."""
        question, flight = keeping.question, keeping.flight
        body = GrowingBody(
            keep_bytes_max=self._keep_bytes_max(question),
            window_bytes=self.settings.stream_window_bytes,
            on_abandoned=flight.abort,
        )
        if keeping.spill is not None:
            body.spill(keeping.spill, self._spill_bytes_max(question))
        if flight.has_leader:
            flight.reader = body.read()
        try:
            with self._announcing(keeping, body):
                await self._grow(keeping, body)
        finally:
            keeping.held.release()
            body.let_go()

    @contextmanager
    def _announcing(self, keeping: Keeping, body: GrowingBody) -> Iterator[None]:
        """Announce what arrives: at once, or, where its ETag is to be made of it, a moment later.

        Small content mostly comes together with its fields: with its digest even the first client
        gets the ETag that all later ones get.
        """

        def announce() -> None:
            if not keeping.flight.is_announced:
                keeping.flight.fresh_until = keeping.fresh_until
                keeping.flight.announce(keeping.arriving(body))

        if not keeping.lacks_etag(self.settings.settle_bytes_max):
            announce()
            yield
            return
        timer = asyncio.get_running_loop().call_later(self.settings.settle_seconds, announce)
        try:
            yield
        finally:
            timer.cancel()
            announce()

    async def _grow(self, keeping: Keeping, body: GrowingBody) -> None:
        flight, response = keeping.flight, keeping.response
        digest = hashlib.sha256()
        try:
            async for chunk in response.body:
                digest.update(chunk)
                if body.is_keeping and not body.is_spilling:
                    await self._make_room(keeping, body, len(chunk))
                goes_on = await body.append(chunk)
                if not body.is_keeping:
                    keeping.held.release()
                    self._outgrown(flight)
                if not goes_on:
                    return
            _check_length(response, body)
        except BaseException as failure:
            self.flights.release(flight)
            body.fail(_as_upstream_error(failure))
            if isinstance(failure, UpstreamError):
                self.failed(failure)
                return
            raise
        body.finish(trailers_of(response.body))
        if body.is_spilling:
            await self._commit_large(keeping, body, digest.digest())
        elif body.is_keeping:
            keeping.settle(self._commit(keeping, body.content(), digest.digest()))
        self.flights.release(flight)

    async def _make_room(self, keeping: Keeping, body: GrowingBody, size: int) -> None:
        """Take memory for the next octets; where they are too many, let the body spill."""
        if body.length + size <= body.keep_bytes_max:
            if not keeping.held.take(size):
                self.counters.discarded_fills["no-room"] += 1
                body.stop_keeping()
            return
        spill = await self._spill(keeping.question, body.length + size, keeping.held)
        if spill is not None:  # else it outgrows its bound by these octets
            body.spill(spill, self._spill_bytes_max(keeping.question))
            if keeping.recodings is not None:
                keeping.recodings.stop()

    def _outgrown(self, flight: Flight) -> None:
        self.flights.release(flight)
        self.flights.remember_uncacheable(flight.key)

    def _commit(self, keeping: Keeping, content: bytes, digest: bytes) -> StoredResponse:
        """Store what is whole, unless something overtook it; returns what was made of it."""
        new, is_due = self._made(keeping, content, digest)
        if is_due and is_kept_elsewhere(keeping.response.body):
            self.store.put_above(new)
        elif is_due:
            self.store.put(new)
        return new

    async def _commit_large(self, keeping: Keeping, body: GrowingBody, digest: bytes) -> None:
        """Store what is whole on disk; what overtakes it meanwhile is the store's to see."""
        spill = await body.written()
        if spill is None:
            return
        new, is_due = self._made(keeping, LargeBody(body.length), digest)
        if is_due and not await self.store.commit(spill, new):
            self.counters.discarded_fills["no-disk"] += 1

    def _made(
        self, keeping: Keeping, content: bytes | LargeBody, digest: bytes
    ) -> tuple[StoredResponse, bool]:
        """Return what is made of what is whole, and whether it is to be stored."""
        new = keeping.make(content, digest)
        if not self._may_commit(keeping.flight, keeping.generation):
            return new, False
        for old in self.store.candidates(new.key, new.response_time):
            if old.vary != new.vary:
                continue
            if not may_replace(old, new.status):
                self.counters.discarded_fills["error-for-good"] += 1
                return new, False
            new = carry_over(old, new)
        _mark_vary(new, keeping.question)
        return new, True


@dataclass(frozen=True, slots=True)
class _Counted:
    """An origin, with what is asked of it counted."""

    origin: Upstream
    counters: Counters

    async def fetch(self, request: OutboundRequest) -> OriginResponse:
        self.counters.origin_requests += 1
        return await self.origin.fetch(request)


def may_be_public(verdict: Store | DoNotStore) -> bool:
    """Tell whether the rule's Cache-Control may stand on a response that is not stored here.

    Only where the reason is ours (space, framing, the rule's own `pass`), not the origin's.
    """
    return isinstance(verdict, Store) or verdict.reason in {
        "pass",
        "too-large",
        "unproven-end",
        "coded",
    }


def _is_coded_otherwise(route: Route, response: OriginResponse) -> bool:
    """Tell whether the response came in a coding that was not asked for in the cache's name.

    Then nobody knows which clients take it. Where the client's own Accept-Encoding went to the
    origin, Vary says it.
    """
    rule, coding = route.rule, coding_of(response.fields)
    if coding == IDENTITY or not (route.is_managed or rule.codings):
        return False
    return not rule.codings or coding not in DECODABLE


def _freshened(
    stored: StoredResponse, question: Question, response: OriginResponse
) -> StoredResponse:
    return freshen(
        stored,
        response.fields,
        request_time=response.request_time,
        response_time=response.response_time,
        policy=question.route.rule.cache,
    )


def _mark_vary(stored: StoredResponse, question: Question) -> None:
    """Let a hit skip the selection where all nominated fields are ones that are never sent."""
    if never_asks(question.route, tuple(name for name, _ in stored.vary)):
        stored.is_vary_free = True


def _check_length(response: OriginResponse, body: GrowingBody) -> None:
    # The client of the origin has checked already; but this is where a lie would be remembered.
    if response.content_length is not None and body.length != response.content_length:
        raise UpstreamError("http_response_incomplete", 502, "not the announced length")


def _as_upstream_error(failure: BaseException) -> UpstreamError:
    if isinstance(failure, UpstreamError):
        return failure
    return UpstreamError("proxy_internal_error", 500, type(failure).__name__)
