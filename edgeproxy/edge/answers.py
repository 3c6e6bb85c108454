"""Complete responses for one request: representation, content, live fields, CORS and labels joined.

Decides nothing about caching; says in Cache-Status what it is told happened (RFC 9211). Shared by
the synchronous hit and by everything that waits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edgeproxy.edge.collapse import Arriving
from edgeproxy.edge.deliver import Labels, Part, Stream, live_section, range_of, respond
from edgeproxy.edge.growing import Reader
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.edge.response_fields import CorsSections
from edgeproxy.edge.view import View
from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields, FieldSection, Request, Response, first
from edgeproxy.http.trailers import trailers_of
from edgeproxy.http.upstream import Content, OriginResponse

_EMPTY_STATUSES = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answers:
    """Builds responses for one PoP; `pop` is its name in Cache-Status."""

    pop: str
    cors: CorsSections

    def hit(self, request: Request, route: Route, view: View, now: float) -> Response:
        """Answer with a fresh stored response."""
        if not view.live_from <= now < view.live_until:
            view.refresh(route, now, self.pop)
        return self._from_view(request, route, view, view.body, view.live, "hit")

    def with_cors(self, request: Request, route: Route, plain: Response) -> Response:
        """Return a plain hit as the request's origin may read it."""
        cors = route.site.cors
        if cors is None:
            return plain
        section = self.cors.section(cors, first(request.fields, b"origin"))
        if section is None:
            return plain
        return Response(
            plain.status,
            (*plain.sections, section),
            plain.body,
            outcome=plain.outcome,
            site=plain.site,
            rule=plain.rule,
        )

    def stored(
        self,
        request: Request,
        route: Route,
        view: View,
        now: float,
        *,
        content: bytes | Stream,
        outcome: str,
        member: bytes,
        proxy_status: bytes | None = None,
    ) -> Response:
        """Answer with a stored response about which there is more to say than `hit`.

        `content` is its body, opened where it has to be (`large.content_of`).
        """
        live = live_section(view.representation, member, age=view.stored.current_age(now))
        if proxy_status is not None:
            live = FieldSection([*live.fields, (b"proxy-status", proxy_status)])
        return self._from_view(request, route, view, content, live, outcome)

    def arrived(
        self, request: Request, route: Route, view: View, *, outcome: str, member: bytes
    ) -> Response:
        """Answer with what has just been stored for this very request."""
        live = live_section(view.representation, member, age=view.representation.age)
        return self._from_view(request, route, view, view.body, live, outcome)

    def _from_view(
        self,
        request: Request,
        route: Route,
        view: View,
        content: bytes | Stream,
        live: FieldSection,
        outcome: str,
    ) -> Response:
        return respond(
            request,
            view.representation,
            content,
            length=view.representation.length,
            tail=self._tail(request, route, live),
            labels=_labels(route, outcome),
        )

    def part(
        self,
        request: Request,
        route: Route,
        representation: Representation,
        part: Part,
        content: bytes,
        *,
        age: float,
        member: bytes,
    ) -> Response:
        """Answer a range with its octets, where the whole is not there."""
        live = live_section(representation, member, age=age)
        return Response(
            206,
            (*representation.part(part.cut, part.length), *self._tail(request, route, live)),
            content,
            outcome="hit",
            site=route.site.name,
            rule=route.rule.id,
        )

    async def arriving(
        self,
        request: Request,
        route: Route,
        arriving: Arriving,
        reader: Reader,
        *,
        outcome: str,
        member: bytes,
    ) -> Response:
        """Answer from content that is still growing; a range may have to wait for the length."""
        representation = arriving.representation
        length = representation.length
        if length is None and range_of(request) is not None:
            try:
                length = await arriving.body.final_length()
            except BaseException:
                reader.close()
                raise
        return self.read(
            request, route, representation, reader, length=length, outcome=outcome, member=member
        )

    def read(
        self,
        request: Request,
        route: Route,
        representation: Representation,
        reader: Reader,
        *,
        length: int | None,
        outcome: str,
        member: bytes,
    ) -> Response:
        """Answer from a reader of growing content."""
        live = live_section(representation, member, age=representation.age)
        return respond(
            request,
            representation,
            reader,
            length=length,
            tail=self._tail(request, route, live),
            labels=_labels(route, outcome),
        )

    async def passed(
        self,
        request: Request,
        route: Route,
        representation: Representation,
        response: OriginResponse,
        *,
        outcome: str,
        member: bytes,
        failed: Callable[[UpstreamError], None],
    ) -> Response:
        """Answer one client with what the next hop answered to that client's own request.

        `failed` hears why its content broke off.
        """
        live = live_section(representation, member, age=representation.age)
        is_empty = request.method == b"HEAD" or response.status in _EMPTY_STATUSES
        if is_empty:
            await response.body.aclose()
        return Response(
            response.status,
            (representation.whole, *self._tail(request, route, live)),
            b"" if is_empty else Passing(response.body, failed),
            outcome=outcome,
            site=route.site.name,
            rule=route.rule.id,
        )

    def _tail(self, request: Request, route: Route, live: FieldSection) -> tuple[FieldSection, ...]:
        if route.site.cors is None:
            return (live,)
        section = self.cors.section(route.site.cors, first(request.fields, b"origin"))
        return (live,) if section is None else (live, section)


class Passing:
    """The next hop's content for one client: pulled as that client reads, never read ahead."""

    __slots__ = ("_chunks", "_content", "_failed")

    def __init__(self, content: Content, failed: Callable[[UpstreamError], None]) -> None:
        self._content = content
        self._failed = failed
        self._chunks = aiter(content)

    def __aiter__(self) -> "Passing":
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece."""
        try:
            return await anext(self._chunks)
        except UpstreamError as error:
            self._failed(error)
            raise

    @property
    def trailers(self) -> Fields:
        """What came behind the content, once it was read to its end."""
        return trailers_of(self._content)

    async def aclose(self) -> None:
        """Give up what is not read yet."""
        await self._content.aclose()


def _labels(route: Route, outcome: str) -> Labels:
    return Labels(outcome, route.site.name, route.rule.id)
