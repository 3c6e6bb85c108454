import hashlib

import pytest

from edgeproxy.cache.freshness import Freshness
from edgeproxy.edge.collapse import Flight
from edgeproxy.edge.fetch import question
from edgeproxy.edge.growing import GrowingBody, Hold
from edgeproxy.edge.keeping import Keeping, is_shareable
from edgeproxy.edge.question import Question
from edgeproxy.http.messages import Field, first
from edgeproxy.http.upstream import OriginResponse
from tests.support.edge import make_pop, rule

TEXT = b"text" * 500
DATE = (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT")
CSS = (b"content-type", b"text/css")


def keeping(*fields: Field, length: int | None = len(TEXT), **rule_options: object) -> Keeping:
    pop = make_pop(rule(generates_validators=True, **rule_options))
    request, filler = pop.request(), pop.edge._forwarder.filler
    route = pop.edge._lookup.site_routes(request).route(request.target)
    response = OriginResponse(
        status=200,
        fields=[DATE, *fields],
        body=None,
        content_length=length,
        is_delimited=True,
        request_time=0.0,
        response_time=0.0,
    )
    flight = Flight(route.key, None, has_leader=False)
    asked = Question(route, question(request, route), "uri-miss")
    freshness = Freshness(60, "max-age")
    held = Hold(filler.room)
    return Keeping(asked, flight, response, freshness, 0, filler.coder, filler.room, 99, held)


def arriving(kept: Keeping):
    return kept.arriving(GrowingBody(keep_bytes_max=9, window_bytes=9, on_abandoned=lambda: None))


@pytest.mark.parametrize(
    ("fields", "length", "expected"),
    [([], 10, True), ([], 11, False), ([], None, False), ([(b"etag", b'"1"')], 10, False)],
)
async def test_small_content_may_be_waited_for_to_make_its_tag(fields, length, expected) -> None:
    assert keeping(*fields, length=length).lacks_etag(10) is expected


async def test_what_is_generated_is_said_as_soon_as_it_is_known() -> None:
    kept = keeping()
    early = arriving(kept)
    assert (early.representation.etag, early.representation.last_modified) == (None, DATE[1])
    stored = kept.make(TEXT, hashlib.sha256(TEXT).digest())
    kept.settle(stored)
    assert arriving(kept).representation.etag == stored.etag is not None


async def test_what_the_question_never_says_selects_nothing() -> None:
    assert arriving(keeping((b"vary", b"Cookie"))).vary == ()
    assert arriving(keeping((b"vary", b"Accept"))).vary == ((b"accept", None),)


async def test_codings_are_offered_of_what_they_are_worth_and_settled_with_it() -> None:
    assert arriving(keeping(CSS)).recodings is None
    assert arriving(keeping(CSS, length=10, codings=(b"br",))).recodings is None
    kept = keeping(CSS, codings=(b"br",))
    early = arriving(kept)
    assert first(early.representation.fields, b"vary") == b"Accept-Encoding"
    stored = kept.make(TEXT, b"digest")
    kept.settle(stored)
    assert early.recodings.stored is stored is arriving(kept).recodings.stored


@pytest.mark.parametrize(
    ("freshness", "expected"),
    [
        (Freshness(60, "max-age"), True),
        (Freshness(0, "max-age"), False),
        (Freshness(60, "max-age", always_validate=True), False),
    ],
)
def test_what_one_answer_may_serve(freshness: Freshness, expected: bool) -> None:
    assert is_shareable(freshness) is expected
