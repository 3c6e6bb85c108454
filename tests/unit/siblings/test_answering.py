"""Tests for edgeproxy/siblings/answering.py: the owner is a script, the asker real."""

import asyncio

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import FieldSection
from edgeproxy.siblings import answering, asking
from edgeproxy.siblings.answering import Answering, NotSharedError
from edgeproxy.siblings.asking import RefusedError, open_line, response_on
from edgeproxy.siblings.frames import DATA_BYTES_MAX, Forgotten, Here, encode
from edgeproxy.siblings.lines import Outbox, close_lines, make_lines
from edgeproxy.siblings.packets import Forget, pack
from tests.support.barrier import Barrier, settle
from tests.support.sibling import a_response, an_ask, pieces


class Owner:
    """Does what `fetch` is given to do."""

    def __init__(self):
        self.asked, self.forgotten = [], []
        self.answer = None
        self.cancelled = 0

    async def fetch(self, ask, interim):
        self.asked.append(ask)
        try:
            return await self.answer(interim)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def forget(self, keys):
        self.forgotten += keys


class Pair:
    def __init__(self):
        self.lines = make_lines(2)
        self.owner = Owner()
        self.answering = Answering(self.lines[1].receiver, self.owner)
        self.outbox = Outbox(self.lines[0].senders[1])

    async def ask(self, interim=None):
        line = await open_line(self.outbox.post(pack(an_ask())))
        try:
            return await response_on(line, interim, None)
        except BaseException:
            line.close()
            raise

    async def close(self):
        await self.answering.aclose()
        close_lines(self.lines)


@pytest.fixture
async def pair():
    pair = Pair()
    pair.answering.start()
    yield pair
    await pair.close()


async def test_an_answer_arrives_as_it_was_given(pair) -> None:
    large = bytes(range(256)) * 1024
    heard = []

    async def answer(interim):
        interim(103, FieldSection([(b"link", b"</a>")]))
        return a_response(large, b"", b"end")

    pair.owner.answer = answer
    response = await pair.ask(lambda status, section: heard.append((status, section.fields)))
    assert (response.status, response.content_length) == (200, len(large) + 3)
    pieces = [octets async for octets in response.body]
    assert b"".join(pieces) == large + b"end"
    assert max(map(len, pieces)) == DATA_BYTES_MAX
    assert pair.owner.asked == [an_ask()]
    assert heard == [(103, ((b"link", b"</a>"),))]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (NotSharedError("not_mine"), RefusedError),
        (UpstreamError("connection_refused", 502, "no"), UpstreamError),
        (RuntimeError("ours"), RefusedError),
    ],
)
async def test_what_fails_is_told(pair, failure, told, caplog) -> None:
    async def answer(_):
        raise failure

    pair.owner.answer = answer
    with pytest.raises(told):
        await pair.ask()
    assert ("a sibling's question failed" in caplog.text) is isinstance(failure, RuntimeError)


async def test_content_that_breaks_off_is_told(pair) -> None:
    async def answer(_):
        return a_response(b"abc", error=UpstreamError("http_response_incomplete", 502, "cut"))

    pair.owner.answer = answer
    response = await pair.ask()
    assert await anext(response.body) == b"abc"
    with pytest.raises(UpstreamError, match="cut"):
        await anext(response.body)


async def test_trailers_cross_behind_the_content(pair) -> None:
    class Content:
        trailers = ((b"server-timing", b"x"),)

        def __init__(self):
            self._pieces = pieces(b"abc")

        def __aiter__(self):
            return self._pieces

        async def aclose(self):
            await self._pieces.aclose()

    async def answer(_):
        return a_response(body=Content(), content_length=None)

    pair.owner.answer = answer
    response = await pair.ask()
    assert response.content_length is None
    assert [octets async for octets in response.body] == [b"abc"]
    assert response.body.trailers == Content.trailers


async def test_a_fault_of_ours_in_the_middle_ends_the_exchange_and_is_said(pair, caplog) -> None:
    async def answer(_):
        return a_response(b"abc", error=RuntimeError("ours"))

    async def again():
        raise UpstreamError("connection_refused", 502, "asked again")

    pair.owner.answer = answer
    line = await open_line(pair.outbox.post(pack(an_ask())))
    response = await response_on(line, None, again)
    assert await anext(response.body) == b"abc"
    with pytest.raises(UpstreamError, match="asked again"):
        await anext(response.body)
    assert "an exchange with a sibling failed" in caplog.text


async def test_whoever_works_says_so_now_and_then(pair, monkeypatch) -> None:
    """The asker waits for a fraction of what the owner needs."""
    monkeypatch.setattr(answering, "HERE_SECONDS", 0.001)
    beats = []
    heard = asyncio.Event()
    encoded = answering.encode

    def counting(frame):
        if isinstance(frame, Here):
            beats.append(frame)
            if len(beats) > 5:
                heard.set()
        return encoded(frame)

    monkeypatch.setattr(answering, "encode", counting)

    async def answer(_):
        await heard.wait()
        return a_response(b"abc")

    pair.owner.answer = answer
    response = await pair.ask()
    assert [octets async for octets in response.body] == [b"abc"]


async def test_an_exchange_ends_with_its_asker(pair) -> None:
    held = Barrier()

    async def answer(_):
        await held.passed()

    pair.owner.answer = answer
    stream = pair.outbox.post(pack(an_ask()))
    await held.reached()
    stream.close()
    while not pair.owner.cancelled:
        await settle()
    while pair.answering._exchanges:
        await settle()


async def test_an_asker_that_takes_nothing_is_given_up(pair, monkeypatch) -> None:
    monkeypatch.setattr(answering, "STALL_SECONDS", 0.01)
    response = a_response(*[bytes(DATA_BYTES_MAX)] * 64)

    async def answer(_):
        return response

    pair.owner.answer = answer
    stream = pair.outbox.post(pack(an_ask()))
    while not pair.owner.asked or pair.answering._exchanges:
        await settle()
    stream.close()


async def test_nothing_is_begun_for_who_has_gone(pair) -> None:
    pair.outbox.post(pack(an_ask())).close()
    pair.outbox.post(pack(Forget((b"a",)))).close()
    while not pair.owner.forgotten:
        await settle()
    assert pair.owner.asked == []


async def test_what_is_to_be_forgotten_is_forgotten_in_its_turn(pair) -> None:
    """What was asked before is begun, but whatever it finds is found behind the forgetting."""

    async def answer(_):
        return a_response(b"%d" % len(pair.owner.forgotten))

    pair.owner.answer = answer
    stream = pair.outbox.post(pack(Forget((b"a", b"b"))))
    response = await pair.ask()
    assert [octets async for octets in response.body] == [b"2"]
    assert stream.recv(99) == encode(Forgotten())
    stream.close()


async def test_keys_are_forgotten_without_a_stream_too(pair) -> None:
    pair.lines[0].senders[1].send(pack(Forget((b"a",))))
    while not pair.owner.forgotten:
        await settle()


async def test_it_is_idle_when_nobody_waits_for_it(pair) -> None:
    middle = Barrier()

    async def content():
        yield b"one"
        await middle.passed()
        yield b"two"

    async def answer(_interim):
        return a_response(b"onetwo", body=content())

    pair.owner.answer = answer
    await pair.answering.idle()
    response = await pair.ask()
    received = aiter(response.body)
    assert await anext(received) == b"one"
    async with asyncio.TaskGroup() as group:
        idle = group.create_task(pair.answering.idle())
        await settle()
        assert not idle.done()
        middle.open()
        assert [octets async for octets in received] == [b"two"]


async def test_too_many_at_once_are_refused(pair, monkeypatch) -> None:
    monkeypatch.setattr(answering, "EXCHANGES_MAX", 0)
    with pytest.raises(RefusedError, match="busy"):
        await pair.ask()


async def test_the_end_of_an_owner_is_seen_by_those_who_wait(pair) -> None:
    held = Barrier()

    async def answer(_):
        await held.passed()

    pair.owner.answer = answer
    waiting = asyncio.get_running_loop().create_task(pair.ask())
    await held.reached()
    await pair.answering.aclose()
    with pytest.raises(asking.GoneError):
        await waiting
