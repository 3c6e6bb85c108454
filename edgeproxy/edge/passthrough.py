"""A client's own request to the next hop, its answer back, and what the cache learns from it.

What is passed is not stored here; but an unsafe request invalidates (RFC 9111 section 4.4), the
answer to HEAD updates or outdates what is stored (section 4.3.5), and that to Range may be a part
to keep (`parts.py`). RFC 9110 section 7.6.

Invariants: nothing of an answer reaches anybody but its asker, unless a rule of RFC 9111 says so;
what was learned before an invalidation or a purge changes nothing behind it.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from edgeproxy.cache.head import learned_from_head
from edgeproxy.cache.invalidation import targets_to_invalidate
from edgeproxy.cache.stored import StoredResponse, with_date
from edgeproxy.cache.storing import may_store
from edgeproxy.edge import fetch
from edgeproxy.edge.answers import Answers
from edgeproxy.edge.deliver import represent
from edgeproxy.edge.fill import Filler, may_be_public
from edgeproxy.edge.lookup import Lookup, Route, SiteRoutes
from edgeproxy.edge.parts import Parts
from edgeproxy.errors import UpstreamError
from edgeproxy.http import cache_status
from edgeproxy.http.messages import Request, Response
from edgeproxy.http.upstream import OriginResponse, OutboundRequest

_CREDENTIALS = frozenset({b"authorization", b"cookie"})
# 304 has a length of what is not sent, and 204 has none.
_WITHOUT_LENGTH = frozenset({204, 304})


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThrough:
    """Passes on one request after another; `forget` is told the keys that are invalid now."""

    filler: Filler
    answers: Answers
    lookup: Lookup
    parts: Parts
    forget: Callable[[Collection[bytes]], Awaitable[None]]

    async def answer(
        self,
        request: Request,
        route: Route,
        *,
        reason: str,
        outcome: str = "bypass",
        detail: str | None = None,
        asked: Request | None = None,
    ) -> Response:
        """Pass the client's own request on and its answer back.

        `asked` is the question that the cache would have asked, where there is one: its answer
        might get the rule's Cache-Control.

        Raises:
            UpstreamError: nothing usable came back.
        """
        filler = self.filler
        filler.counters.origin_requests += 1
        known = self._known(request, route)
        outbound = fetch.passed(request, route)
        asking = self.parts.asking(request, route, asked, outbound.fields)
        try:
            response = await route.site.origin.fetch(outbound)
        except UpstreamError as error:
            filler.failed(error)
            raise
        try:
            await self._invalidate(request, route, response)
        except BaseException:
            await response.body.aclose()
            raise
        self._learn(request, route, known, outbound, response)
        if asking is not None:
            response = self.parts.collect(asking, response)
        representation = represent(
            route,
            response.status,
            with_date(response.fields, response.response_time),
            length=None if response.status in _WITHOUT_LENGTH else response.content_length,
            may_be_shared=asked is not None and _may_be_public(request, asked, route, response),
        )
        return await self.answers.passed(
            request,
            route,
            representation,
            response,
            outcome=outcome,
            member=cache_status.member(self.answers.pop, fwd=reason, detail=detail),
            failed=filler.failed,
        )

    async def _invalidate(self, request: Request, route: Route, response: OriginResponse) -> None:
        """Have forgotten, by all workers, what the answer makes invalid, before it is told."""
        targets = targets_to_invalidate(request, response.status, response.fields)
        if not targets:
            return
        site_routes = self.lookup.site_routes(request)
        if not isinstance(site_routes, SiteRoutes):
            return
        await self.forget({route.key, *site_routes.keys(targets)})

    def _known(self, request: Request, route: Route) -> Sequence[StoredResponse]:
        """Return what the answer may speak of: what is stored before it is asked for.

        Under a caching rule a HEAD is passed on only where it might be answered in a way of its
        own, so it speaks of nothing that is shared.
        """
        if request.method != b"HEAD" or route.is_managed:
            return ()
        return self.filler.store.candidates(route.key, self.filler.clock.now())

    def _learn(
        self,
        request: Request,
        route: Route,
        known: Sequence[StoredResponse],
        outbound: OutboundRequest,
        response: OriginResponse,
    ) -> None:
        """Update or outdate what a HEAD speaks of; what was replaced meanwhile stays as it is."""
        if response.status != 200 or request.method != b"HEAD" or route.is_managed:
            return
        self.parts.heed(route.key, response)
        learned = learned_from_head(
            known,
            request,
            response.fields,
            sent_fields=outbound.fields,
            content_length=response.content_length,
            request_time=response.request_time,
            response_time=response.response_time,
            policy=route.rule.cache,
        )
        for old, new in learned:
            self.filler.store.replace(old, new)


def _may_be_public(
    request: Request, asked: Request, route: Route, response: OriginResponse
) -> bool:
    """Tell whether the rule's Cache-Control may stand on the answer to the client's own request.

    Not where that sent along who the client is: the answer may be made for it.
    """
    if any(name in _CREDENTIALS for name, _ in request.fields):
        return False
    verdict = may_store(
        asked,
        response.status,
        response.fields,
        policy=route.rule.cache,
        response_time=response.response_time,
    )
    return may_be_public(verdict)
