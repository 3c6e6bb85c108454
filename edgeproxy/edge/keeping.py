"""A response on its way into the store: what it is announced as, and what it becomes.

Fetches, stores and waits for nothing: `fill.py` runs it. RFC 9111 sections 3 and 3.1.
"""

from dataclasses import dataclass
from math import inf

from edgeproxy.cache.freshness import Freshness, corrected_initial_age, fresh_until
from edgeproxy.cache.stored import LargeBody, StoredResponse, make_stored, with_date
from edgeproxy.cache.storing import fields_for_the_asker, fields_to_store, may_replace
from edgeproxy.cache.vary import implied, nominated, selecting_values
from edgeproxy.edge.coder import Coder
from edgeproxy.edge.collapse import Arriving, Flight
from edgeproxy.edge.deliver import all_but_own, generated_fields, offer, represent
from edgeproxy.edge.fetch import never_asks
from edgeproxy.edge.growing import GrowingBody, Hold, Room
from edgeproxy.edge.question import Question
from edgeproxy.edge.recoding import Arrival, Recodings
from edgeproxy.edge.representation import Representation
from edgeproxy.http.messages import Fields, first
from edgeproxy.http.upstream import OriginResponse
from edgeproxy.store.large import Spill


@dataclass(slots=True, eq=False)
class Keeping:
    """A response on its way into the store; `stored` once it is whole, if memory keeps it.

    `held` is what its content takes in memory meanwhile, `spill` where the content of one goes that
    is known to be large.
    """

    question: Question
    flight: Flight
    response: OriginResponse
    freshness: Freshness
    generation: int
    coder: Coder
    room: Room
    window_bytes: int
    held: Hold
    spill: Spill | None = None
    stored: StoredResponse | None = None
    recodings: Recodings | None = None

    def lacks_etag(self, bytes_max: int) -> bool:
        """Whether an ETag is to be made, of content so small that it is worth to wait for it."""
        length = self.response.content_length
        return (
            self.question.route.rule.generates_validators
            and first(self.response.fields, b"etag") is None
            and length is not None
            and length <= bytes_max
        )

    @property
    def fields(self) -> Fields:
        """What of the response may be kept, dated."""
        return with_date(fields_to_store(self.response.fields), self.response.response_time)

    def settle(self, stored: StoredResponse) -> None:
        """The content is whole."""
        self.stored = stored
        if self.recodings is not None:
            self.recodings.settle(stored)

    def _begin_recodings(
        self, fields: Fields, generated: Fields, keep_bytes_max: int
    ) -> Recodings | None:
        route, response = self.question.route, self.response
        length = response.content_length
        refused = () if self.spill is None else all_but_own(route)
        offered = offer(route, response.status, fields, length=length, refused=refused)
        if not offered.is_negotiable:
            return None
        arrival = Arrival(
            route=route,
            status=response.status,
            fields=fields,
            generated=generated,
            offer=offered,
            keep_bytes_max=keep_bytes_max,
            window_bytes=self.window_bytes,
            room=self.room,
        )
        self.recodings = Recodings(self.coder, arrival)
        if self.stored is not None:
            self.recodings.settle(self.stored)
        return self.recodings

    @property
    def fresh_until(self) -> float:
        """When it turns stale; of what was stale as it came, never: all who wait get that."""
        came, sent = self.response.response_time, self.response.request_time
        age = corrected_initial_age(self.response.fields, request_time=sent, response_time=came)
        until = fresh_until(self.freshness, response_time=came, initial_age=age)
        return until if until > came else inf

    def arriving(self, body: GrowingBody) -> Arriving:
        """Return the announcement: what is known now."""
        question, response, fields = self.question, self.response, self.fields
        stale = question.selected
        nominating = (*(nominated(fields) or ()), *implied(question.asked.fields, fields))
        names = tuple(dict.fromkeys(nominating))
        if never_asks(question.route, names):
            names = ()
        generated: Fields = ()
        if self.stored is not None:
            generated = generated_fields(self.stored)
        elif question.route.rule.generates_validators:
            generated = ((b"last-modified", first(fields, b"date") or b""),)
        representation = represent(
            question.route,
            response.status,
            fields,
            length=response.content_length,
            may_be_shared=True,
            generated=generated,
        )
        return Arriving(
            representation,
            body,
            selecting_values(names, question.asked.fields),
            may_be_shared=is_shareable(self.freshness),
            source=response,
            will_be_stored=stale is None or may_replace(stale, response.status),
            recodings=self._begin_recodings(fields, generated, body.keep_bytes_max),
            for_the_leader=self._for_the_leader(fields, generated),
        )

    def _for_the_leader(self, fields: Fields, generated: Fields) -> Representation | None:
        """Return the response with what the origin withholds from all others, None if nothing.

        Under a caching rule nobody asks for himself, so nothing is meant for the leader either.
        """
        route, response = self.question.route, self.response
        withheld = fields_for_the_asker(response.fields)
        if not withheld or route.is_managed:
            return None
        return represent(
            route,
            response.status,
            (*fields, *withheld),
            length=response.content_length,
            may_be_shared=True,
            generated=generated,
        )

    def make(self, content: bytes | LargeBody, digest: bytes) -> StoredResponse:
        """Return what is to be stored."""
        question, response = self.question, self.response
        return make_stored(
            self.flight.key,
            response.status,
            self.fields,
            content,
            digest=digest,
            request_fields=question.asked.fields,
            request_time=response.request_time,
            response_time=response.response_time,
            freshness=self.freshness,
            fill_generation=self.generation,
            generates_validators=question.route.rule.generates_validators,
        )


def is_shareable(freshness: Freshness) -> bool:
    """Tell whether one answer may serve those who asked at the same time.

    What must be validated for every reuse, or is stale on arrival, is for the asker alone (RFC
    9111 section 5.2.2.4), even though it is stored.
    """
    return freshness.lifetime > 0 and not freshness.always_validate
