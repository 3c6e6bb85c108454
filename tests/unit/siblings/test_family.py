"""Tests for edgeproxy/siblings/family.py: several workers' siblings on one loop."""

import asyncio

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.observe.counters import Counters
from edgeproxy.siblings import asking, family
from edgeproxy.siblings.answering import NotSharedError
from edgeproxy.siblings.family import Siblings
from edgeproxy.siblings.lines import close_lines, make_lines
from edgeproxy.siblings.packets import PACKET_BYTES_MAX
from tests.support.sibling import a_response, an_ask, an_outbound

KEYS = [b"key %d" % number for number in range(20)]


class Origin:
    def __init__(self):
        self.asked = []

    async def fetch(self, request):
        self.asked.append(request)
        return a_response(b"origin")


class Owner:
    def __init__(self):
        self.forgotten = []
        self.answer = a_response(b"owner")

    async def fetch(self, _ask, _interim):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def forget(self, keys):
        self.forgotten += keys


class Household:
    def __init__(self, count=2):
        self.lines = make_lines(count)
        self.counters = Counters()
        self.siblings = [Siblings(each, self.counters) for each in self.lines]
        self.owners = [Owner() for _ in self.lines]
        self.origin = Origin()

    def serve(self, *indexes):
        for index in indexes:
            self.siblings[index].serve(self.owners[index])
        return self

    async def fetch(self, **changes):
        request = an_outbound([(b"accept", b"*/*"), (b"if-none-match", b'"1"')])
        response = await self.siblings[0].fetch(1, an_ask(**changes), request, self.origin)
        return b"".join([octets async for octets in response.body])

    @property
    def counted(self):
        return dict(self.counters.sibling_requests)

    async def close(self):
        for each in self.siblings:
            await each.aclose()
        close_lines(self.lines)


@pytest.fixture
async def house():
    made = Household()
    yield made
    await made.close()


def test_all_agree_on_who_owns_a_key() -> None:
    lines = make_lines(3)
    siblings = [Siblings(each, Counters()) for each in lines]
    for key in KEYS:
        owners = {each.owner_of(key) for each in siblings}
        assert None in owners
        [owner] = owners - {None}
        assert siblings[owner].owner_of(key) is None
    close_lines(lines)


async def test_the_owner_answers(house) -> None:
    assert await house.serve(1).fetch() == b"owner"
    assert (house.counted, house.origin.asked) == ({"answered": 1}, [])


async def test_what_is_refused_is_asked_of_the_origin_in_the_same_words(house) -> None:
    house.serve(1).owners[1].answer = NotSharedError("not_mine")
    assert await house.fetch() == b"origin"
    assert house.counted == {"not_mine": 1}
    assert (b"if-none-match", b'"1"') in house.origin.asked[0].fields


async def test_a_failure_of_the_next_hop_is_not_tried_again(house) -> None:
    house.serve(1).owners[1].answer = UpstreamError("connection_timeout", 504)
    with pytest.raises(UpstreamError, match="connection_timeout"):
        await house.fetch()
    assert house.origin.asked == []


async def test_who_keeps_silent_is_not_asked_for_a_while(house, monkeypatch) -> None:
    monkeypatch.setattr(asking, "ACCEPTED_SECONDS", 0.01)
    assert await house.fetch() == b"origin"
    assert await house.fetch() == b"origin"
    assert house.counted == {"gone": 1, "resting": 1}
    monkeypatch.setattr(asking, "ACCEPTED_SECONDS", 30)
    house.siblings[0]._resting.clear()
    assert await house.serve(1).fetch() == b"owner"


async def test_an_owner_that_ends_in_the_middle_is_replaced_by_the_origin(house) -> None:
    never = asyncio.Event()

    async def content():
        yield b"ori"
        await never.wait()

    house.serve(1).owners[1].answer = a_response(body=content(), content_length=6)
    request = an_outbound([(b"if-none-match", b'"1"')])
    response = await house.siblings[0].fetch(1, an_ask(), request, house.origin)
    assert await anext(response.body) == b"ori"
    await house.siblings[1].aclose()
    assert await anext(response.body) == b"gin"
    assert await anext(response.body, None) is None
    assert house.counted == {"answered": 1, "resumed": 1}
    [asked] = house.origin.asked
    assert asked.fields == list(an_ask().fields)  # unconditional


async def test_what_is_too_large_for_a_line_is_asked_of_the_origin(house) -> None:
    house.serve(1)
    assert await house.fetch(fields=((b"a", b"x" * PACKET_BYTES_MAX),)) == b"origin"
    assert house.counted == {"no_line": 1}


async def test_all_others_forget_before_it_is_said() -> None:
    house = Household(3).serve(0, 1, 2)
    await house.siblings[1].forget(KEYS)
    assert [each.forgotten for each in house.owners] == [KEYS, [], KEYS]
    await house.close()


async def test_who_does_not_answer_is_not_waited_for(house, monkeypatch, caplog) -> None:
    monkeypatch.setattr(family, "FORGOTTEN_SECONDS", 0.01)
    await house.siblings[0].forget(KEYS)
    assert "a worker has not forgotten within" in caplog.text
    house.serve(1)  # who was stuck, or was born meanwhile
    monkeypatch.setattr(family, "FORGOTTEN_SECONDS", 30)
    await house.siblings[0].forget([b"last"])
    assert house.owners[1].forgotten == [*KEYS, b"last"]


async def test_it_is_said_aloud_when_somebody_cannot_be_told(house, monkeypatch, caplog) -> None:
    monkeypatch.setattr(house.siblings[0]._outboxes[1], "post", lambda _: None, raising=False)
    await house.siblings[0].forget(KEYS)
    assert "20 keys are not forgotten by a worker that is stuck" in caplog.text
