"""What a worker answers a sibling that asks for a key of its own.

The same steps as for a client (`handler.py`, `forward.py`), but what comes out is a response of the
next hop, as it was received: whether it may be stored, its fields for the client and its coding are
the asker's to decide, once more and in the same way. Asks the origin and no sibling.

Invariants: what belongs to the one who asked first reaches no other; what nobody may share is
refused, and the asker goes to the origin itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from edgeproxy.cache.reuse import (
    Forward,
    Reuse,
    ReuseWhileValidating,
    decide,
    may_serve_stale_on_error,
)
from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.cache.storing import fields_to_store
from edgeproxy.cache.vary import Vary, selecting_values
from edgeproxy.edge.collapse import Announcement, Arriving, Confirmed, Flight, Private, Unavailable
from edgeproxy.edge.fill import Filler
from edgeproxy.edge.forward import is_for_the_asker_alone
from edgeproxy.edge.keeping import is_shareable
from edgeproxy.edge.large import LargeContent
from edgeproxy.edge.lookup import Lookup, Route, SiteRoutes
from edgeproxy.edge.question import Question
from edgeproxy.errors import UpstreamError
from edgeproxy.http.conditionals import Precondition, evaluate
from edgeproxy.http.messages import ConnectionInfo, Interim, Request
from edgeproxy.http.upstream import Content, OriginResponse
from edgeproxy.siblings.answering import NotSharedError
from edgeproxy.siblings.packets import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """Answers for the keys of this worker; an `Owner`."""

    filler: Filler
    lookup: Lookup
    refresh: Callable[[Question], None]
    forget: Callable[[Iterable[bytes]], None]

    async def fetch(self, ask: Ask, interim: Interim) -> OriginResponse:
        """Return what is stored, or what one fill for all who ask brings.

        Raises:
            NotSharedError: the asker is to ask the origin itself.
            UpstreamError: nothing usable came back.
        """
        filler, asked = self.filler, _asked(ask)
        route = self._route(ask, asked)
        reading = filler.store.reading(route.key)
        if reading is not None:
            await reading
        if filler.flights.is_uncacheable(route.key):
            raise NotSharedError("not_shared")
        now = filler.clock.now()
        candidates = filler.store.candidates(route.key, now)
        decision = decide(asked, candidates, now, policy=route.rule.cache)
        match decision:
            case Reuse(stored):
                return await self._from_store(stored, ask)
            case ReuseWhileValidating(stored):
                question = Question(route, asked, "stale", candidates, stored)
                if not ask.has_stale:
                    filler.counters.stale_served["while-revalidate"] += 1
                    self.refresh(question)
                    return await self._from_store(stored, ask)
            case Forward(reason, stored):
                question = Question(route, asked, reason, candidates, stored)
            case never:
                assert_never(never)
        if is_for_the_asker_alone(question):
            raise NotSharedError("not_shared")
        return await self._join(ask, question, interim, None)

    def _route(self, ask: Ask, asked: Request) -> Route:
        """Return where the question leads, which is where it led the asker, or it is not ours.

        For a moment of a reload two configurations serve, and a key means what its rule says.
        """
        site_routes = self.lookup.site_routes(asked)
        route = site_routes.route(ask.target) if isinstance(site_routes, SiteRoutes) else None
        if route is None or route.key != ask.key or not route.rule.cache.may_store:
            raise NotSharedError("not_mine")
        return route

    async def _join(
        self, ask: Ask, question: Question, interim: Interim, selection: Vary | None
    ) -> OriginResponse:
        now, key = self.filler.clock.now(), question.route.key
        flight = self.filler.flights.to_follow(key, selection, now)
        if flight is None:
            return await self._lead(ask, question, interim, selection)
        return await self._follow(ask, question, interim, flight, selection)

    async def _lead(
        self, ask: Ask, question: Question, interim: Interim, selection: Vary | None
    ) -> OriginResponse:
        flights = self.filler.flights
        if flights.is_full_for(ask.client):
            raise NotSharedError("busy")
        flight = flights.lead(
            question.route.key,
            partial(self.filler.fill, question),
            selection=selection,
            client=ask.client,
        )
        flight.hints.question = question
        try:
            announcement = await flight.told(interim)
            match announcement:
                case Arriving() | Private():
                    return replace(announcement.source, body=flight.take())
                case Confirmed(stored):
                    return await self._from_store(stored, ask)
                case Unavailable():
                    return await self._unavailable(ask, question, announcement)
                case never:
                    assert_never(never)
        except BaseException:
            flight.leave()
            raise

    async def _follow(
        self,
        ask: Ask,
        question: Question,
        interim: Interim,
        flight: Flight,
        selection: Vary | None,
    ) -> OriginResponse:
        filler = self.filler
        hears = interim if flight.hints.are_for(question) else None
        try:
            async with asyncio.timeout(filler.settings.coalesce_timeout_seconds):
                announcement: Announcement = await flight.told(hears)
        except TimeoutError:
            raise NotSharedError("not_shared") from None
        match announcement:
            case Arriving():
                return await self._follow_arriving(ask, question, interim, announcement, selection)
            case Confirmed(stored) if is_shareable(stored.freshness) and question.selects(
                stored.vary
            ):
                filler.counters.coalesced += 1
                return await self._from_store(stored, ask)
            case Unavailable():
                return await self._unavailable(ask, question, announcement)
            case Private() | Confirmed():
                raise NotSharedError("not_shared")
            case never:
                assert_never(never)

    async def _follow_arriving(
        self,
        ask: Ask,
        question: Question,
        interim: Interim,
        arriving: Arriving,
        selection: Vary | None,
    ) -> OriginResponse:
        if not arriving.may_be_shared or not arriving.body.is_keeping:
            raise NotSharedError("not_shared")
        if not question.selects(arriving.vary):
            if selection is not None:  # Vary itself varies: two guesses are enough
                raise NotSharedError("not_shared")
            names = tuple(name for name, _ in arriving.vary)
            own = selecting_values(names, question.asked.fields)
            return await self._join(ask, question, interim, own)
        self.filler.counters.coalesced += 1
        source = arriving.source
        fields = list(fields_to_store(source.fields))
        return replace(source, fields=fields, body=arriving.body.read())

    async def _unavailable(self, ask: Ask, question: Question, told: Unavailable) -> OriginResponse:
        """Answer with what is stale, to an asker who has nothing, else pass the failure on."""
        stale = question.selected
        if (
            not ask.has_stale
            and stale is not None
            and may_serve_stale_on_error(stale, self.filler.clock.now())
        ):
            self.filler.counters.stale_served["error"] += 1
            return await self._from_store(stale, ask)
        error = told.error
        if error is not None:  # each asker's own: the frames that raise it refer to the flight
            raise UpstreamError(error.word, error.status, error.detail)
        raise NotSharedError("unavailable")

    async def _from_store(self, stored: StoredResponse, ask: Ask) -> OriginResponse:
        """Return a stored response as it was received, or the 304 that the asker's validators get.

        Both workers have one clock, so with its own times it is exactly as old there as here.
        """
        is_known = _is_known(stored, ask)
        return OriginResponse(
            status=304 if is_known else stored.status,
            fields=list(stored.fields),
            body=_whole(b"") if is_known else await self._content(stored),
            content_length=None if is_known else len(stored.body),
            is_delimited=True,
            request_time=stored.request_time,
            response_time=stored.response_time,
        )

    async def _content(self, stored: StoredResponse) -> Content:
        body = stored.body
        if not isinstance(body, LargeBody):
            return _whole(body)
        opened = await self.filler.store.open(stored)
        if opened is None:
            raise NotSharedError("not_shared")
        return LargeContent(opened, len(body))


def _asked(ask: Ask) -> Request:
    """Return the asker's question as if a client of ours had led to it."""
    return Request(
        b"GET",
        ask.target,
        list(ask.fields),
        authority=ask.authority,
        connection=ConnectionInfo(ask.client, ask.scheme),
        scheme=ask.scheme,
        protocol=ask.protocol,
    )


def _is_known(stored: StoredResponse, ask: Ask) -> bool:
    """Tell whether the asker has these very octets."""
    return stored.status == 200 and (
        evaluate(
            b"GET",
            ask.validators,
            etag=None if stored.is_etag_generated else stored.etag,
            last_modified=None if stored.is_last_modified_generated else stored.last_modified,
            date=stored.date,
        )
        is Precondition.NOT_MODIFIED
    )


async def _whole(content: bytes) -> AsyncGenerator[bytes, None]:
    if content:
        yield content
