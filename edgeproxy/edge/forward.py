"""How a request that memory cannot answer gets its answer: lead a fill, follow one, or go alone.

Neither fetches into the store (`fill.py`) nor passes on (`passthrough.py`) nor builds responses
(`answers.py`). RFC 9111 sections 4 and 4.2.4, RFC 5861, RFC 9211 section 2.

Every way out of here is a stored response, a reader of a growing body, the next hop's content for
one client, or `UpstreamError`, which the handler turns into 502, 503 or 504.
"""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from edgeproxy.cache.reuse import STALE_IF_ERROR_STATUSES, may_serve_stale_on_error
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.cache.storing import asks_for_itself
from edgeproxy.cache.vary import Vary, selecting_values
from edgeproxy.edge.answers import Answers, Passing
from edgeproxy.edge.collapse import (
    Arriving,
    Confirmed,
    Flight,
    Private,
    Unavailable,
)
from edgeproxy.edge.deliver import Part, range_of, select
from edgeproxy.edge.fill import Filler
from edgeproxy.edge.growing import Reader
from edgeproxy.edge.keeping import is_shareable
from edgeproxy.edge.large import content_of
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.passthrough import PassThrough
from edgeproxy.edge.question import Question
from edgeproxy.edge.recoding import Recoded
from edgeproxy.errors import DownstreamError, UpstreamError
from edgeproxy.http import cache_status, proxy_status
from edgeproxy.http.codings import IDENTITY, coding_of, negotiate
from edgeproxy.http.messages import Request, Response, combined

OUTCOME_OF = {
    "uri-miss": "miss",
    "vary-miss": "vary_miss",
    "partial": "miss",
    "stale": "expired",
    "request": "miss",
    "bypass": "bypass",
    "method": "bypass",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarder:
    """Gets answers from the next hop for one request after another."""

    filler: Filler
    answers: Answers
    passthrough: PassThrough

    async def answer(self, request: Request, question: Question) -> Response:
        """Answer through a fill, together with whoever asks the same."""
        flights, key = self.filler.flights, question.route.key
        if flights.is_uncacheable(key):
            self.filler.counters.hits_for_miss += 1
            return await self._alone(request, question, "hit-for-miss")
        if is_for_the_asker_alone(question):
            return await self._lead(request, question, is_solitary=True)
        return await self._join(request, question, None)

    def refresh(self, question: Question) -> None:
        """Validate in the background, unless that is being done already (RFC 5861 section 3)."""
        flights, key = self.filler.flights, question.route.key
        if flights.find(key) is None and not flights.is_full and not flights.is_uncacheable(key):
            flights.lead(key, partial(self.filler.fill, question), has_leader=False)

    async def _join(self, request: Request, question: Question, selection: Vary | None) -> Response:
        now, key = self.filler.clock.now(), question.route.key
        flight = self.filler.flights.to_follow(key, selection, now)
        if flight is None:
            return await self._lead(request, question, selection=selection)
        return await self._follow(request, question, flight, selection)

    # --- leading ---

    async def _lead(
        self,
        request: Request,
        question: Question,
        *,
        selection: Vary | None = None,
        is_solitary: bool = False,
    ) -> Response:
        flights = self.filler.flights
        client = request.connection.client
        if flights.is_full_for(client):
            return await self._overloaded(request, question)
        flight = flights.lead(
            question.route.key,
            partial(self.filler.fill, question),
            selection=selection,
            is_solitary=is_solitary,
            client=client,
        )
        flight.hints.question = question
        try:
            return await self._as_leader(request, question, flight)
        except BaseException:
            flight.leave()
            raise

    async def _as_leader(self, request: Request, question: Question, flight: Flight) -> Response:
        # As long as this takes is bounded by the upstream's own timeouts.
        announcement = await flight.told(request.interim)
        route, reason = question.route, question.reason
        match announcement:
            case Arriving():
                return await self._arriving(
                    request,
                    question,
                    _for_the_leader(announcement),
                    flight.take(),
                    outcome=OUTCOME_OF[reason],
                    member=self._member(fwd=reason, stored=announcement.will_be_stored),
                )
            case Private():
                if _asks_otherwise(request, route, announcement):
                    flight.leave()
                    return await self._alone(request, question, announcement.reason)
                representation = announcement.representation
                return self.answers.read(
                    request,
                    route,
                    representation,
                    flight.take(),
                    length=representation.length,
                    outcome="uncacheable",
                    member=self._member(fwd=reason, detail=announcement.reason),
                )
            case Confirmed(stored):
                return await self._revalidated(request, question, stored, is_collapsed=False)
            case Unavailable():
                return await self._unavailable(request, question, announcement, is_collapsed=False)
            case never:
                assert_never(never)

    # --- following ---

    async def _follow(
        self, request: Request, question: Question, flight: Flight, selection: Vary | None
    ) -> Response:
        filler = self.filler
        interim = request.interim if flight.hints.are_for(question) else None
        try:
            async with asyncio.timeout(filler.settings.coalesce_timeout_seconds):
                announcement = await flight.told(interim)
        except TimeoutError:
            return await self._alone(request, question, "coalesce-timeout")
        match announcement:
            case Arriving():
                return await self._follow_arriving(request, question, announcement, selection)
            case Private(reason=reason):
                return await self._alone(request, question, reason)
            case Confirmed(stored):
                if is_shareable(stored.freshness) and question.selects(stored.vary):
                    filler.counters.coalesced += 1
                    return await self._revalidated(request, question, stored, is_collapsed=True)
                return await self._lead(request, question, is_solitary=True)
            case Unavailable():
                return await self._unavailable(request, question, announcement, is_collapsed=True)
            case never:
                assert_never(never)

    async def _follow_arriving(
        self, request: Request, question: Question, arriving: Arriving, selection: Vary | None
    ) -> Response:
        if not arriving.may_be_shared:
            return await self._lead(request, question, is_solitary=True)
        if not question.selects(arriving.vary):
            if selection is not None:
                # Vary itself varies: two guesses are enough.
                return await self._alone(request, question, "vary")
            names = tuple(name for name, _ in arriving.vary)
            own = selecting_values(names, question.asked.fields)
            return await self._join(request, question, own)
        if not arriving.body.is_keeping:
            return await self._alone(request, question, "too-large")
        self.filler.counters.coalesced += 1
        return await self._arriving(
            request,
            question,
            arriving,
            arriving.body.read(),
            outcome="collapsed",
            member=self._member(fwd=question.reason, collapsed=True),
        )

    # --- what both can end in ---

    async def _arriving(
        self,
        request: Request,
        question: Question,
        arriving: Arriving,
        reader: Reader,
        *,
        outcome: str,
        member: bytes,
    ) -> Response:
        """Answer from growing content, in the coding that the request is to get."""
        route, recodings = question.route, arriving.recodings
        if _is_far_ahead(request, arriving, self.filler.store.object_bytes_max):
            reader.close()
            return await self._alone(request, question, "far-range")
        if recodings is not None:
            try:
                coding = recodings.choose(combined(request.fields, b"accept-encoding"))
            except DownstreamError:
                reader.close()
                raise
            if coding is None:
                reader.close()
                return await self._alone(request, question, "coding")
            if coding != recodings.own and recodings.stored is not None:
                reader.close()
                view = await self.filler.coder.view(request, route, recodings.stored)
                if view is None:
                    return await self._alone(request, question, "coding")
                return self.answers.arrived(request, route, view, outcome=outcome, member=member)
            if coding != recodings.own:
                recoded = recodings.read(coding, reader)
                if recoded is None:
                    return await self._alone(request, question, "too-large")
                arriving, reader = _recoded(arriving, *recoded)
        return await self.answers.arriving(
            request, route, arriving, reader, outcome=outcome, member=member
        )

    async def _revalidated(
        self, request: Request, question: Question, stored: StoredResponse, *, is_collapsed: bool
    ) -> Response:
        view = await self.filler.coder.view(request, question.route, stored)
        if view is None:
            return await self._alone(request, question, "coding")
        content = await content_of(self.filler.store, request, view)
        if content is None:
            return await self._alone(request, question, "body-gone")
        return self.answers.stored(
            request,
            question.route,
            view,
            self.filler.clock.now(),
            content=content,
            outcome="hit_revalidated",
            member=self._member(fwd=question.reason, fwd_status=304, collapsed=is_collapsed),
        )

    async def _unavailable(
        self, request: Request, question: Question, told: Unavailable, *, is_collapsed: bool
    ) -> Response:
        """Answer with what is stale if it may serve, else pass the failure on."""
        stale = await self._stale(request, question, told, is_collapsed=is_collapsed)
        if stale is not None:
            return stale
        if told.error is None:
            # The next hop did answer, with an error that only somebody else could replace.
            return await self._alone(request, question, None)
        raise _for(question, told.error)

    async def _stale(
        self, request: Request, question: Question, told: Unavailable, *, is_collapsed: bool
    ) -> Response | None:
        stale, now = question.selected, self.filler.clock.now()
        if stale is None or not may_serve_stale_on_error(stale, now):
            return None
        view = await self.filler.coder.view(request, question.route, stale)
        content = None if view is None else await content_of(self.filler.store, request, view)
        if view is None or content is None:
            return None
        self.filler.counters.stale_served["error"] += 1
        error = told.error
        return self.answers.stored(
            request,
            question.route,
            view,
            now,
            content=content,
            outcome="hit_stale",
            member=self._member(
                fwd=question.reason,
                fwd_status=told.received_status,
                ttl=stale.seconds_left(now),
                collapsed=is_collapsed,
                detail="stale-if-error",
            ),
            proxy_status=None if error is None else self._proxy_status(error),
        )

    def _proxy_status(self, error: UpstreamError) -> bytes:
        return proxy_status.member(self.answers.pop, error=error.word)

    async def _overloaded(self, request: Request, question: Question) -> Response:
        self.filler.counters.fills_refused += 1
        error = UpstreamError("connection_limit_reached", 503, "too many fills")
        stale = await self._stale(request, question, Unavailable(error), is_collapsed=False)
        if stale is None:
            raise error
        return stale

    # --- alone ---

    async def _alone(self, request: Request, question: Question, detail: str | None) -> Response:
        return await self.apart(request, question, outcome="uncacheable", detail=detail)

    async def apart(
        self, request: Request, question: Question, *, outcome: str, detail: str | None = None
    ) -> Response:
        """Pass the client's own request on; what may be stale stands in where the next hop fails.

        Raises:
            UpstreamError: it failed, and nothing may stand in.
        """
        try:
            response = await self.passthrough.answer(
                request,
                question.route,
                reason=question.reason,
                outcome=outcome,
                detail=detail,
                asked=question.asked,
            )
        except UpstreamError as error:
            stale = await self._stale(request, question, Unavailable(error), is_collapsed=False)
            if stale is None:
                raise _for(question, error) from error
            return stale
        if response.status not in STALE_IF_ERROR_STATUSES:
            return response
        told = Unavailable(None, response.status)
        stale = await self._stale(request, question, told, is_collapsed=False)
        if stale is None:
            return response
        if isinstance(response.body, Passing):
            await response.body.aclose()
        return stale

    def _member(
        self,
        *,
        fwd: str,
        fwd_status: int | None = None,
        ttl: int | None = None,
        stored: bool = False,
        collapsed: bool = False,
        detail: str | None = None,
    ) -> bytes:
        return cache_status.member(
            self.answers.pop,
            fwd=fwd,
            fwd_status=fwd_status,
            ttl=ttl,
            stored=stored,
            collapsed=collapsed,
            detail=detail,
        )


def is_for_the_asker_alone(question: Question) -> bool:
    """Tell whether one answer would not do for both (RFC 9111 sections 5.2.1.4, 5.2.2.4, 3.5)."""
    stored = question.selected
    return (
        question.reason == "request"
        or (stored is not None and not is_shareable(stored.freshness))
        or asks_for_itself(question.asked, policy=question.route.rule.cache)
    )


def _for_the_leader(arriving: Arriving) -> Arriving:
    own = arriving.for_the_leader
    return arriving if own is None else replace(arriving, representation=own)


def _is_far_ahead(request: Request, arriving: Arriving, bytes_max: int) -> bool:
    """Tell whether a range begins so far behind what has arrived that only large content can.

    Who seeks in a film must not wait until all that comes before has been fetched.
    """
    length = arriving.representation.length
    if length is None or range_of(request) is None:
        return False
    part = select(request, arriving.representation, length)
    return isinstance(part, Part) and part.cut.first - arriving.body.length > bytes_max


def _recoded(arriving: Arriving, recoded: Recoded, reader: Reader) -> tuple[Arriving, Reader]:
    representation, body = recoded.representation, recoded.body
    return replace(arriving, representation=representation, body=body), reader


def _asks_otherwise(request: Request, route: Route, private: Private) -> bool:
    """Tell whether the client's own request would be answered better than the cache's question.

    A part of what is too large to keep, and a coding that came unasked or because the cache asked
    for it, where this client may not know it.
    """
    if private.reason == "coded":
        return True
    if private.reason in {"too-large", "unproven-end"} and range_of(request) is not None:
        return True
    coding = coding_of(private.representation.fields)
    if coding == IDENTITY or not (route.is_managed or route.rule.codings):
        return False
    accepted = combined(request.fields, b"accept-encoding") or b""
    return negotiate(accepted, [coding]) is None


def _for(question: Question, error: UpstreamError) -> UpstreamError:
    """Return the failure for one waiting request, with the status that it must have.

    What must be revalidated and cannot be is 504 (RFC 9111 section 5.2.2.2).
    """
    stored = question.selected
    must_revalidate = stored is not None and stored.freshness.must_revalidate
    return UpstreamError(error.word, 504 if must_revalidate else error.status, error.detail)
