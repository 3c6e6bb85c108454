"""The data path from top to bottom: what happens to a request, in order.

Two entrances. `hit` is synchronous and answers what memory holds fresh, inside the protocol's read
callback: no task, no await, no allocation that can be avoided. `handle` answers everything else.
Must not know protocols, sockets or configuration files. RFC 9110 and 9111; each step names its own
sections.

Invariants: no request field chooses where a request goes or which key is read; an exception here
becomes an answer and never a lost request; what `hit` returns is shared between requests.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import assert_never

from edgeproxy.cache.key import cache_key
from edgeproxy.cache.reuse import (
    Forward,
    Reuse,
    ReuseWhileValidating,
    decide,
    wants_only_stored,
)
from edgeproxy.cache.stored import StoredResponse
from edgeproxy.clock import Clock
from edgeproxy.edge import fetch
from edgeproxy.edge.admission import ALLOW, admit, admit_to, max_forwards
from edgeproxy.edge.answers import Answers
from edgeproxy.edge.coder import Coder
from edgeproxy.edge.collapse import Flights
from edgeproxy.edge.deliver import range_of
from edgeproxy.edge.fill import Filler
from edgeproxy.edge.forward import OUTCOME_OF, Forwarder
from edgeproxy.edge.generations import Generations
from edgeproxy.edge.growing import Room
from edgeproxy.edge.large import content_of
from edgeproxy.edge.lookup import Lookup, Route, SiteRoutes
from edgeproxy.edge.owned import Owned
from edgeproxy.edge.parts import Parts
from edgeproxy.edge.passthrough import PassThrough
from edgeproxy.edge.question import Question
from edgeproxy.edge.response_fields import CorsSections, preflight_fields
from edgeproxy.edge.settings import EdgeSettings
from edgeproxy.edge.sites import Sites
from edgeproxy.edge.synthetic import Refusal, no_content, synthetic, upstream_failed
from edgeproxy.edge.view import View, view_of
from edgeproxy.errors import DownstreamError, UpstreamError, without_frames
from edgeproxy.http import cache_status
from edgeproxy.http.messages import Request, Response, combined, first
from edgeproxy.observe.access_log import AccessLog, Line
from edgeproxy.observe.counters import Counters
from edgeproxy.siblings.family import Siblings
from edgeproxy.store.memory import MemoryStore

_log = logging.getLogger(__name__)

# Request fields that can make a hit anything but the plain stored response. A browser's dozen
# fields hold none of them; one look per field, on bytes whose hash is known, is all that they cost.
_PARTICULAR = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"expect",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"origin",
        b"pragma",
        b"range",
    }
)
# Beside them what chooses among the codings of a stored response.
_NOTED = _PARTICULAR | {b"accept-encoding"}
# Those of them that change more than CORS, and those that only some policies listen to.
_SHAPING = _PARTICULAR - {b"authorization", b"cache-control", b"origin", b"pragma"}
_DIRECTIVES = frozenset({b"cache-control", b"pragma"})
# What a browser sends to hear that nothing has changed, beside fields that shape nothing.
_REVALIDATING = _PARTICULAR - _SHAPING | {b"if-none-match", b"if-modified-since"}
# What only the origin may judge, by `Route.is_managed`. A cache must not evaluate If-Match and
# If-Unmodified-Since (RFC 9111 section 4.3.2); under a caching rule the edge does, in the origin's
# place, because it may have made the validators itself. Who is authorized is never for us to say,
# but without a rule the response's own directives decide (section 3.5).
_ORIGINS = {
    False: frozenset({b"if-match", b"if-unmodified-since"}),
    True: frozenset({b"authorization"}),
}
_FROM_STORE = frozenset({b"GET", b"HEAD"})


class Edge:
    """Answers requests from memory, and through the next hop what memory lacks.

    `siblings` are the workers beside this one, each the owner of some of the keys; `owned` answers
    them for those that are ours.
    """

    def __init__(
        self,
        sites: Sites,
        store: MemoryStore,
        *,
        pop: str,
        clock: Clock,
        counters: Counters,
        access_log: AccessLog | None,
        settings: EdgeSettings,
        siblings: Siblings | None = None,
    ) -> None:
        self._siblings = siblings
        self._pop = pop
        self._cdn_id = pop.lower().encode("ascii")
        self._clock = clock
        self._counters = counters
        self._access_log = access_log
        self._store = store
        self._candidates = store.candidates
        self._sites = sites
        self._lookup = Lookup(sites, settings)
        self._answers = Answers(pop, CorsSections(settings.cors_origins_max))
        self.generations = Generations()
        self._flights = Flights(
            fills_max=settings.fills_max,
            uncacheable_seconds=settings.uncacheable_seconds,
            uncacheable_keys_max=settings.uncacheable_keys_max,
            monotonic=clock.monotonic,
        )
        self._coder = Coder(store, counters)
        filler = self._filler(settings)
        self._parts = Parts(
            store,
            bytes_max=settings.parts_bytes_max,
            generations=self.generations,
            counters=counters,
            clock=clock,
            answers=self._answers,
        )
        self._passthrough = PassThrough(
            filler=filler,
            answers=self._answers,
            lookup=self._lookup,
            parts=self._parts,
            forget=self._invalidate,
        )
        self._forwarder = Forwarder(
            filler=filler, answers=self._answers, passthrough=self._passthrough
        )
        self.owned = Owned(
            filler=filler,
            lookup=self._lookup,
            refresh=self._forwarder.refresh,
            forget=self.forget,
        )

    def _filler(self, settings: EdgeSettings) -> Filler:
        return Filler(
            store=self._store,
            flights=self._flights,
            generations=self.generations,
            counters=self._counters,
            clock=self._clock,
            settings=settings,
            coder=self._coder,
            room=Room(settings.growing_bytes_max),
            siblings=self._siblings,
        )

    def adopt(self, sites: Sites, access_log: AccessLog | None) -> None:
        """Decide by these sites from the next request on; whoever was let in goes on as before.

        What is stored stays. What is on its way to a site that has changed can be followed by
        nobody new, but may still be stored.
        """
        kept = {id(site) for site in sites.all}
        changed = [site.name.encode("ascii") for site in self._sites.all if id(site) not in kept]
        self._sites, self._access_log = sites, access_log
        self._lookup.adopt(sites)
        self._answers.cors.clear()
        if changed:
            self._flights.part(
                tuple(cache_key(n, scheme, b"/") for n in changed for scheme in (b"https", b"http"))
            )

    # --- the synchronous entrance ---

    def hit(self, request: Request, now: float) -> Response | None:
        """Answer from memory what is stored and fresh; None sends the request to `handle`."""
        site_routes = request.connection.sites.get(request.authority)
        if not isinstance(site_routes, SiteRoutes):
            site_routes = self._lookup.site_routes(request)
            if not isinstance(site_routes, SiteRoutes):
                return None
        route = site_routes.routes.get(request.target) or site_routes.route(request.target)
        if route is None:
            return None
        candidates = self._candidates(route.key, now)
        if not candidates or request.body is not None:
            return None
        accepted = None
        for name, value in request.fields:
            if name in _NOTED:
                if name != b"accept-encoding" or accepted is not None:
                    return self._particular_hit(request, route, candidates, now)
                accepted = value
        stored = candidates[0]
        if len(candidates) > 1 or not stored.is_vary_free:
            return self._particular_hit(request, route, candidates, now)
        view = self._live_view(route, stored, accepted, now)
        if view is None:
            return None
        if request.method == b"GET":
            return view.response
        return view.head_response if request.method == b"HEAD" else None

    def _live_view(
        self, route: Route, stored: StoredResponse, accepted: bytes | None, now: float
    ) -> View | None:
        """Return how it looks now to who sends that Accept-Encoding, None if it takes a wait."""
        view = stored.memo
        if not isinstance(view, View) or view.rule is not route.rule:
            view = view_of(stored, route, self._store)
        if accepted is not None and view.codings is not None:
            found = view.codings.accepting(accepted)
            if found is None:
                return None
            view = found
        # One comparison for both: the same second as the last hit, and still fresh.
        if not view.live_from <= now < view.live_until and not view.refresh(route, now, self._pop):
            return None
        return view

    def _particular_hit(
        self, request: Request, route: Route, candidates: Sequence[StoredResponse], now: float
    ) -> Response | None:
        """Answer a hit that has preconditions, a range, an origin or variants to choose from."""
        particular = [line for line in request.fields if line[0] in _PARTICULAR]
        names = {name for name, _ in particular}
        if request.method not in _FROM_STORE or b"expect" in names:
            return None
        if not names.isdisjoint(_ORIGINS[route.is_managed]):
            return None
        stored = candidates[0]
        honours = route.rule.cache.honours_request_directives and not names.isdisjoint(_DIRECTIVES)
        if len(candidates) > 1 or not stored.is_vary_free or honours:
            asked = fetch.question(request, route)
            decision = decide(asked, candidates, now, policy=route.rule.cache)
            if not isinstance(decision, Reuse):
                return None
            stored = decision.stored
        accepted = combined(request.fields, b"accept-encoding")
        view = self._live_view(route, stored, accepted, now)
        if view is None:
            return None
        plain = view.head_response if request.method == b"HEAD" else view.response
        if names.isdisjoint(_SHAPING):
            return self._answers.with_cors(request, route, plain)
        if names <= _REVALIDATING:
            unchanged = view.unchanged(request.method, particular)
            return self._answers.with_cors(request, route, unchanged or plain)
        return self._answers.hit(request, route, view, now)

    # --- the asynchronous entrance ---

    async def handle(self, request: Request) -> Response:
        """Answer anything, with an error if need be."""
        found = self._admitted(request)
        if isinstance(found, Response):
            return found
        try:
            response = await self._answer(request, found)
        except UpstreamError as error:
            response = upstream_failed(
                without_frames(error), self._clock.now(), method=request.method, pop=self._pop
            )
        except DownstreamError as error:
            response = self._refused(request, Refusal(error.status, error.reason))
        except Exception:  # noqa: BLE001 - never raises: a request must not take others with it
            _log.exception("a request failed")
            response = self._refused(request, Refusal(500, "internal"), outcome="error")
        if response.site != found.site.name:
            response.site, response.rule = found.site.name, found.rule.id
        return response

    def _admitted(self, request: Request) -> Route | Response:
        """Return where the request leads, or the answer that it gets without going anywhere."""
        refusal = admit(request, cdn_id=self._cdn_id)
        if refusal is not None:
            return self._refused(request, refusal)
        site_routes = self._lookup.site_routes(request)
        if isinstance(site_routes, Refusal):
            return self._refused(request, site_routes)
        if request.method == b"OPTIONS":
            answer = self._options(request, site_routes)
            if answer is not None:
                return answer
        route = site_routes.route(request.target)
        if route is None:
            return self._refused(request, Refusal(400, "target"))
        refusal = admit_to(route, request)
        return route if refusal is None else self._refused(request, refusal)

    def _options(self, request: Request, site_routes: SiteRoutes) -> Response | None:
        """Answer what is asked of us and not of the origin: preflights, `*`, the last hop."""
        now, cors = self._clock.now(), site_routes.site.cors
        origin = first(request.fields, b"origin")
        asks = first(request.fields, b"access-control-request-method")
        response = None
        if cors is not None and origin is not None and asks is not None:
            response = no_content(now, preflight_fields(cors, origin))
        elif request.target == b"*" or max_forwards(request) == 0:
            response = no_content(now, [ALLOW])
        if response is not None:
            response.site = site_routes.site.name
        return response

    async def _answer(self, request: Request, route: Route) -> Response:
        if request.method in _FROM_STORE and route.rule.cache.may_store:
            reading = self._store.reading(route.key)
            if reading is not None:
                await reading
        bypass = _bypasses(request, route)
        if bypass is not None:
            return await self._passthrough.answer(request, route, reason=bypass)
        asked, now = fetch.question(request, route, cdn_id=self._cdn_id), self._clock.now()
        candidates = self._candidates(route.key, now)
        policy = route.rule.cache
        decision = decide(asked, candidates, now, policy=policy)
        question = Question(route, asked, "uri-miss", candidates)
        match decision:
            case Reuse(stored):
                view = await self._coder.view(request, route, stored)
                if view is None:
                    return await self._in_no_coding_here(request, route, asked)
                if view.large_length is None:
                    return self._answers.hit(request, route, view, now)
                response = await self._large_hit(request, route, view, now)
                return response or await self._forward(request, _without(stored, question))
            case ReuseWhileValidating(stored):
                self._forwarder.refresh(Question(route, asked, "stale", candidates, stored))
                view = await self._coder.view(request, route, stored)
                if view is None:
                    return await self._in_no_coding_here(request, route, asked)
                response = await self._stale_meanwhile(request, route, view, now)
                return response or await self._forward(request, _without(stored, question))
            case Forward(reason, stored):
                return await self._forward(
                    request, replace(question, reason=reason, selected=stored)
                )
            case never:
                assert_never(never)

    async def _forward(self, request: Request, question: Question) -> Response:
        """Answer from the parts, if they are enough, else through the next hop."""
        route, asked = question.route, question.asked
        if question.selected is None and (partial := self._parts.find(route, asked)) is not None:
            response = self._parts.answer(request, route, partial)
            if response is not None:
                return response
            question = replace(question, reason="partial")
        if route.rule.cache.honours_request_directives and wants_only_stored(request):
            return self._refused(request, Refusal(504, "only-if-cached"))
        if _is_asked_whole(request, route, question.selected):
            return await self._forwarder.answer(request, question)
        return await self._forwarder.apart(request, question, outcome=OUTCOME_OF[question.reason])

    async def _in_no_coding_here(self, request: Request, route: Route, asked: Request) -> Response:
        """Let the origin answer a client that takes no coding that the stored response has."""
        question = Question(route, asked, "vary-miss")
        return await self._forwarder.apart(
            request, question, outcome=OUTCOME_OF["vary-miss"], detail="coding"
        )

    async def _large_hit(
        self, request: Request, route: Route, view: View, now: float
    ) -> Response | None:
        """Answer with a fresh response that only the disk holds; None: it is gone."""
        content = await content_of(self._store, request, view)
        if content is None:
            return None
        member = cache_status.member(self._pop, hit=True, ttl=view.stored.seconds_left(now))
        return self._answers.stored(
            request, route, view, now, content=content, outcome="hit", member=member
        )

    async def _stale_meanwhile(
        self, request: Request, route: Route, view: View, now: float
    ) -> Response | None:
        content = await content_of(self._store, request, view)
        if content is None:
            return None
        self._counters.stale_served["while-revalidate"] += 1
        member = cache_status.member(
            self._pop,
            hit=True,
            ttl=view.stored.seconds_left(now),
            detail="stale-while-revalidate",
        )
        return self._answers.stored(
            request, route, view, now, content=content, outcome="hit_stale", member=member
        )

    def _refused(self, request: Request, refusal: Refusal, *, outcome: str = "denied") -> Response:
        self._counters.refusals[refusal.reason] += 1
        return synthetic(
            refusal.status,
            self._clock.now(),
            method=request.method,
            fields=refusal.fields,
            outcome=outcome,
        )

    # --- afterwards ---

    def completed(
        self, request: Request, response: Response, body_bytes: int, *, is_whole: bool
    ) -> None:
        """Count the exchange and write its line."""
        outcome, status = response.outcome, response.status
        self._counters.exchange(
            (response.site, response.rule, outcome, request.protocol, status), body_bytes
        )
        if not is_whole:
            self._counters.broken_exchanges += 1
        if self._access_log is None:
            return
        milliseconds = (self._clock.monotonic() - request.started) * 1000
        self._access_log.record(
            Line(
                self._clock.now(),
                request.connection.client,
                request.method,
                request.authority,
                request.target,
                request.protocol,
                status,
                body_bytes,
                is_whole,
                milliseconds,
                outcome,
                response.site,
                response.rule,
            )
        )

    def forget(self, keys: Iterable[bytes]) -> None:
        """Let go of all that is stored or on its way under these keys, without telling others."""
        for key in keys:
            self._store.forget(key)
            self._flights.invalidate(key)
            self._parts.invalidate(key)

    async def _invalidate(self, keys: Collection[bytes]) -> None:
        """Forget what an unsafe request made invalid, and see to it that the others do."""
        self.forget(keys)
        if self._siblings is not None:
            await self._siblings.forget(keys)

    async def aclose(self) -> None:
        """Stop the fills; whoever reads from one gets an error."""
        await self._flights.aclose()
        await self._coder.aclose()


def _without(gone: StoredResponse, question: Question) -> Question:
    """Return the question for a request whose answer turned out to be lost."""
    others = [each for each in question.candidates if each is not gone]
    return replace(question, reason="uri-miss", candidates=others, selected=None)


def _bypasses(request: Request, route: Route) -> str | None:
    """Return why the cache has no part in this request, in the words of RFC 9211 section 2.2."""
    if request.method not in _FROM_STORE:
        return "method"
    if not route.rule.cache.may_store:
        return "bypass"
    if any(name in _ORIGINS[route.is_managed] for name, _ in request.fields):
        return "bypass"
    return None


def _is_asked_whole(request: Request, route: Route, stored: StoredResponse | None) -> bool:
    """Tell whether the cache asks a question of its own for this request.

    A transparent cache passes on a HEAD, and a range of what it has nothing of, as they are; under
    a caching rule the whole is fetched once and everything else is cut from it. Several ranges are
    never passed on: what is asked for is the whole, and then once for all.
    """
    if route.is_managed:
        return True
    if request.method != b"GET":
        return False
    if stored is not None or fetch.has_several_ranges(request.fields):
        return True
    return range_of(request) is None
