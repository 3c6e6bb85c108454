"""Tests for edgeproxy/siblings/asking.py: the owner is a script, the line a real one."""

import asyncio
import socket

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.upstream import is_kept_elsewhere
from edgeproxy.siblings import asking
from edgeproxy.siblings.asking import GoneError, RefusedError, open_line, response_on
from edgeproxy.siblings.frames import (
    Data,
    End,
    Failed,
    Forgotten,
    Head,
    Here,
    Hint,
    Refused,
    encode,
)
from tests.support.sibling import a_response

FIELDS = ((b"etag", b'"1"'),)


def head(**changes) -> Head:
    values = {
        "status": 200,
        "fields": FIELDS,
        "content_length": 6,
        "is_delimited": True,
        "request_time": 1.5,
        "response_time": 2.25,
    }
    return Head(**{**values, **changes})


async def nobody():
    raise AssertionError("the origin is asked")


class Owner:
    """The other end: says what it is told to, and ends."""

    def __init__(self):
        self.mine, self._theirs = socket.socketpair()

    def says(self, *frames, ends=True):
        self._theirs.sendall(b"".join(map(encode, frames)))
        if ends:
            self._theirs.close()
        return self

    async def response(self, again=nobody, interim=None):
        line = await open_line(self.mine)
        try:
            return await response_on(line, interim, again)
        except BaseException:
            line.close()
            raise


async def read(response) -> bytes:
    return b"".join([octets async for octets in response.body])


async def test_an_answer_is_a_response_like_an_origins() -> None:
    heard = []
    trailers = ((b"server-timing", b"x"),)
    owner = Owner().says(
        Here(),
        Hint(103, ((b"link", b"</a>"),)),
        head(),
        Data(b"abc"),
        Here(),
        Data(b"def"),
        End(trailers),
    )
    response = await owner.response(interim=lambda status, it: heard.append((status, it.fields)))
    assert (response.status, response.fields) == (200, list(FIELDS))
    assert (response.content_length, response.is_delimited) == (6, True)
    assert (response.request_time, response.response_time) == (1.5, 2.25)
    assert heard == [(103, ((b"link", b"</a>"),))]
    assert await read(response) == b"abcdef"
    assert (response.body.trailers, is_kept_elsewhere(response.body)) == (trailers, True)
    assert [octets async for octets in response.body] == []


async def test_hints_that_nobody_hears_are_let_go() -> None:
    response = await Owner().says(Hint(103, ()), head(), End(())).response()
    assert await read(response) == b""


@pytest.mark.parametrize("frames", [[], [Here()], [Forgotten()], [End(())]])
async def test_an_owner_that_ends_or_talks_nonsense_is_gone(frames) -> None:
    with pytest.raises(GoneError):
        await Owner().says(*frames).response()


async def test_an_owner_that_keeps_silent_is_gone(monkeypatch) -> None:
    monkeypatch.setattr(asking, "ACCEPTED_SECONDS", 0.01)
    owner = Owner()
    with pytest.raises(GoneError):
        await owner.response()
    owner._theirs.close()


async def test_a_refusal_and_a_failure_are_told_apart() -> None:
    with pytest.raises(RefusedError, match="busy"):
        await Owner().says(Here(), Refused("busy")).response()
    with pytest.raises(UpstreamError, match="connection_timeout: why"):
        await Owner().says(Failed("connection_timeout", 504, "why")).response()


async def test_content_that_breaks_off_at_the_origin_breaks_off_here() -> None:
    broken = Failed("http_response_incomplete", 502, "cut")
    response = await Owner().says(head(), Data(b"abc"), broken).response()
    with pytest.raises(UpstreamError, match="cut"):
        await read(response)


@pytest.mark.parametrize("came", [b"", b"a", b"abc", b"abcd", b"abcdef"])
@pytest.mark.parametrize("sent", [[b"abcdef"], [b"ab", b"cd", b"ef"], [b"abc", b"def"]])
async def test_the_origin_gives_the_rest_when_the_owner_ends(came, sent) -> None:
    async def again():
        return a_response(*sent)

    response = await Owner().says(head(), *([Data(came)] if came else [])).response(again)
    assert await read(response) == b"abcdef"
    assert not is_kept_elsewhere(response.body)


async def test_an_owner_that_talks_nonsense_in_the_middle_is_as_good_as_gone() -> None:
    async def again():
        return a_response(b"abcdef")

    response = await Owner().says(head(), Data(b"abc"), Refused("busy")).response(again)
    assert await read(response) == b"abcdef"


@pytest.mark.parametrize(
    ("changes", "sent", "why"),
    [
        ({"fields": [(b"etag", b'"2"')]}, [b"abcdef"], "has another one now"),
        ({"status": 404}, [b"abcdef"], "has another one now"),
        ({"content_length": None}, [b"abcdef"], "has another one now"),
        ({}, [b"abXdef"], "begins otherwise"),
        ({"content_length": 6}, [b"ab"], "is shorter"),
    ],
)
async def test_another_response_of_the_origin_is_not_gone_on_with(changes, sent, why) -> None:
    async def again():
        return a_response(*sent, **changes)

    response = await Owner().says(head(), Data(b"abc")).response(again)
    with pytest.raises(UpstreamError, match=why):
        await read(response)


@pytest.mark.parametrize(
    ("fields", "goes_on"),
    [
        (((b"etag", b'W/"1"'),), False),
        ((), False),
        (((b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),), True),
    ],
)
async def test_what_has_no_validator_is_not_gone_on_with(fields, goes_on) -> None:
    async def again():
        return a_response(b"abcdef", fields=list(fields))

    response = await Owner().says(head(fields=fields), Data(b"abc")).response(again)
    if goes_on:
        assert await read(response) == b"abcdef"
    else:
        with pytest.raises(UpstreamError, match="has another one now"):
            await read(response)


async def test_an_origin_that_fails_too_ends_it() -> None:
    async def again():
        raise UpstreamError("connection_refused", 502)

    response = await Owner().says(head(), Data(b"abc")).response(again)
    with pytest.raises(UpstreamError, match="connection_refused"):
        await read(response)


async def test_whoever_gives_up_is_not_heard_of_any_more() -> None:
    owner = Owner().says(head(), Data(b"abc"), ends=False)
    response = await owner.response()
    assert await anext(response.body) == b"abc"
    await response.body.aclose()
    await response.body.aclose()
    owner._theirs.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(owner._theirs, 1) == b""
    owner._theirs.close()
