"""How stored responses look on the wire: made once, then shared by everybody who gets them.

A stored response remembers its look under its rule in `StoredResponse.memo`: the `View` for who
says nothing of codings, which knows the views of all other codings. Live fields are made once a
second; all plain hits of that second get the very same `Response`, so nothing may change a
response once it is made. Codes nothing: what is not there in a coding has no view in it.
"""

from collections.abc import Iterable
from math import inf

from edgeproxy.cache.codings import Offer, body_in, refused_codings
from edgeproxy.cache.stored import LargeBody, StoredResponse
from edgeproxy.edge.deliver import (
    Coded,
    all_but_own,
    generated_fields,
    live_section,
    offer,
    represent,
)
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.edge.sites import Rule
from edgeproxy.http import cache_status
from edgeproxy.http.codings import IDENTITY, negotiate
from edgeproxy.http.conditionals import Precondition, evaluate
from edgeproxy.http.messages import Field, FieldSection, Response
from edgeproxy.store.memory import MemoryStore

# Remembered values of Accept-Encoding, per stored response: a handful are in use, of up to some 40
# octets. The store does not count them, so that nobody may fill memory with inventions.
_ACCEPTED_MAX = 16
_ACCEPTED_BYTES_MAX = 128


class View:
    """How one stored response looks on the wire in one coding, under one rule.

    `response` and `head_response` are the plain hits between `live_from` and `live_until`, a span
    that ends when Age ticks or the response turns stale, whatever comes first: one comparison
    tells a caller both. `unchanged` answers revalidations in that span. `codings` leads to the
    views of other codings, None where Accept-Encoding decides nothing. Without a body, because
    nobody has made it in that coding yet, a view is never live; nor is one whose body, of
    `large_length` octets, only the disk has (`edge/large`).
    """

    __slots__ = (
        "_unchanged",
        "body",
        "codings",
        "head_response",
        "large_length",
        "live",
        "live_from",
        "live_until",
        "representation",
        "response",
        "rule",
        "stored",
    )

    def __init__(
        self,
        stored: StoredResponse,
        route: Route,
        body: bytes | LargeBody | None,
        *,
        codings: "Codings | None" = None,
        coded: Coded | None = None,
    ) -> None:
        self.stored = stored
        self.rule: Rule = route.rule
        self.body = body if isinstance(body, bytes) else b""
        self.large_length = len(body) if isinstance(body, LargeBody) else None
        self.codings = codings
        self.representation = represent(
            route,
            stored.status,
            stored.fields,
            length=len(self.body if body is None else body),
            may_be_shared=True,
            generated=generated_fields(stored),
            coded=coded,
        )
        self.live = FieldSection(())
        # A rule that stores nothing may have replaced one that did: what is stored is no hit then.
        is_never_live = not isinstance(body, bytes) or not self.rule.cache.may_store
        self.live_from = self.live_until = inf if is_never_live else 0.0
        self.response = Response(stored.status, ())
        self.head_response = self.response
        self._unchanged: Response | None = None

    def refresh(self, route: Route, now: float, pop: str) -> bool:
        """Make the live fields for `now`; returns False if the response is not fresh then."""
        stored = self.stored
        if now >= stored.fresh_until or self.live_from == inf:
            return False
        age = stored.current_age(now)
        seconds = int(age)
        member = cache_status.member(pop, hit=True, ttl=stored.seconds_left(now))
        self.live = live_section(self.representation, member, age=seconds)
        self.live_from = now
        self.live_until = min(now + (seconds + 1 - age), stored.fresh_until)
        sections = (self.representation.whole, self.live)
        labels = {"outcome": "hit", "site": route.site.name, "rule": route.rule.id}
        self.response = Response(stored.status, sections, self.body, **labels)
        self.head_response = Response(stored.status, sections, b"", **labels)
        self._unchanged = None
        return True

    def release(self) -> None:
        """Let go of the views in other codings, which refer to each other and to the body."""
        if self.codings is not None:
            self.codings.release()

    def unchanged(self, method: bytes, conditions: list[Field]) -> Response | None:
        """Return the 304 for a read with these If-None-Match and If-Modified-Since, None if not.

        Exactly our own validator is known without any parsing.
        """
        made = self.representation
        if made.status != 200 or not (
            _names_exactly(conditions, made) or _is_unmodified(method, conditions, made)
        ):
            return None
        response = self._unchanged
        if response is None:
            response = self._unchanged = Response(
                304,
                (made.bare, self.live),
                outcome=self.response.outcome,
                site=self.response.site,
                rule=self.response.rule,
            )
        return response


def _is_unmodified(method: bytes, conditions: list[Field], made: Representation) -> bool:
    verdict = evaluate(
        method, conditions, etag=made.etag, last_modified=made.last_modified, date=made.date
    )
    return verdict is Precondition.NOT_MODIFIED


def _names_exactly(conditions: Iterable[Field], made: Representation) -> bool:
    tag = since = None
    for name, value in conditions:
        if name == b"if-none-match":
            if tag is not None:
                return False
            tag = value
        elif name == b"if-modified-since":
            if since is not None:
                return False
            since = value
    if tag is not None:
        return tag == made.etag
    return since is not None and since == made.last_modified


class Codings:
    """The views of one stored response in every coding that its body is there in.

    What an Accept-Encoding value leads to is remembered, for few different ones are ever sent.
    """

    __slots__ = ("_by_accepted", "_by_coding", "_route", "offer", "stored")

    def __init__(self, stored: StoredResponse, route: Route, offered: Offer) -> None:
        self.stored = stored
        self.offer = offered
        self._route = route
        self._by_coding: dict[bytes, View] = {}
        self._by_accepted: dict[bytes, View] = {}

    def accepting(self, accepted: bytes) -> View | None:
        """Return the view for an Accept-Encoding value; None: its body is to be made first."""
        view = self._by_accepted.get(accepted)
        if view is not None:
            return view
        coding = self.offer.choose(accepted)
        view = None if coding is None else self.view_in(coding)
        if view is not None and len(accepted) <= _ACCEPTED_BYTES_MAX:
            if len(self._by_accepted) >= _ACCEPTED_MAX:
                self._by_accepted.clear()
            self._by_accepted[accepted] = view
        return view

    def view_in(self, coding: bytes) -> View | None:
        """Return the view of one coding, None where the body is not there in it."""
        view = self._by_coding.get(coding)
        if view is not None:
            return view
        body, is_final = self._body_in(coding)
        if body is None:
            return None
        view = self._by_coding[coding] = View(
            self.stored,
            self._route,
            body,
            codings=self,
            coded=Coded(self.offer, coding, is_final),
        )
        return view

    def _body_in(self, coding: bytes) -> tuple[bytes | LargeBody | None, bool]:
        stored = self.stored
        if coding == stored.coding:
            return stored.body, True
        made = body_in(coding, stored)
        return (None, False) if made is None else (made.body, made.is_final)

    def release(self) -> None:
        """Forget the views; who asks all the same gets new ones."""
        self._by_coding.clear()
        self._by_accepted.clear()

    def at_hand(self, accepted: bytes | None) -> View | None:
        """Return the best view that needs nothing to be made; None: none that is acceptable."""
        there = [coding for coding in self.offer.codings if body_in(coding, self.stored)]
        coding = negotiate(accepted or b"", there)
        return None if coding is None else self.view_in(coding)


def view_of(stored: StoredResponse, route: Route, store: MemoryStore) -> View:
    """Return the view for a request without Accept-Encoding: the remembered one, or a new one.

    The store bounds how many are remembered.
    """
    memo = stored.memo
    if isinstance(memo, View) and memo.rule is route.rule:
        return memo
    refused = refused_codings(stored.derived)
    if isinstance(stored.body, LargeBody):
        refused = frozenset(all_but_own(route))
    offered = offer(route, stored.status, stored.fields, length=len(stored.body), refused=refused)
    if offered.is_negotiable:
        codings = Codings(stored, route, offered)
        view = codings.view_in(IDENTITY) or View(
            stored, route, None, codings=codings, coded=Coded(offered, IDENTITY)
        )
    else:
        view = View(stored, route, stored.body)
    store.remember(stored, view)
    return view
