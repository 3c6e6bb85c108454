"""HTTP/3 of a whole edge by libcurl on ngtcp2 and nghttp3, in front of an origin with a script.

What a client that shares no code with us makes of content both ways, of what comes before an answer
and behind it, and of many streams at once. The demo over the same client is in
`test_http3_clients.py`.
"""

import asyncio
import hashlib

import pytest
import pytest_asyncio
from curl_cffi import CurlError

from tests.support.ngtcp2_client import Ngtcp2Client, together
from tests.support.pop import running_pop

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = [hashlib.sha256(b"%d" % number).digest() * 2048 for number in range(128)]  # 8 MiB
LINK = "</a.css>; rel=preload; as=style"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pop(tmp_path_factory):
    async with running_pop(tmp_path_factory.mktemp("pop"), listen="http3 = true") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client():
    with Ngtcp2Client() as known:
        yield known
        assert known.connects == 1


async def test_many_requests_at_once_share_one_connection(pop):
    paths = [f"/many/{number}" for number in range(60)]
    for path in paths:
        pop.origin.on("GET", path).reply(200, path.encode() * 999, cache_control="max-age=60")
    for outcome in ("fwd=uri-miss", "hit"):
        answers, connects = await together([pop.url(path) for path in paths])
        assert connects == 1
        assert [answer.body for answer in answers] == [path.encode() * 999 for path in paths]
        assert {answer.protocol for answer in answers} == {"HTTP/3"}
        assert all(outcome in answer.fields["cache-status"] for answer in answers)


@pytest.mark.parametrize("size", [0, 1, 70_000, 2_000_000])
async def test_content_goes_to_the_origin_and_comes_back(pop, client, size):
    sent = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    pop.origin.on("POST", f"/post/{size}").reply(201, b"thanks", cache_control="no-store")
    url = pop.url(f"/post/{size}")
    answer = await asyncio.to_thread(client.post, url, sent, "content-type: a/b", "expect:")
    assert (answer.status, answer.body) == (201, b"thanks")
    received = pop.origin.received[-1]
    assert hashlib.sha256(received.body).digest() == hashlib.sha256(sent).digest()
    assert received.values(b"content-type") == [b"a/b"]


async def test_who_waits_for_100_is_told_to_go_on(pop, client):
    pop.origin.on("POST", "/wait").reply(200, b"ok")
    answer = await asyncio.to_thread(
        client.post, pop.url("/wait"), b"x" * 5000, "expect: 100-continue"
    )
    assert (answer.status, answer.body) == (200, b"ok")
    assert pop.origin.received[-1].body == b"x" * 5000
    assert [status for status, _ in answer.interims] == [100]


async def test_hints_come_before_the_answer(pop, client):
    hint = f"HTTP/1.1 103 Early Hints\r\nlink: {LINK}\r\n\r\n".encode()
    pop.origin.on("GET", "/hints").raw(
        hint, hint, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    )
    answer = await asyncio.to_thread(client.get, pop.url("/hints"))
    assert answer.interims == ((103, {"link": LINK}), (103, {"link": LINK}))
    assert (answer.status, answer.body, "link" in answer.fields) == (200, b"hi", False)


async def test_trailers_come_behind_the_content(pop, client):
    reply = pop.origin.on("GET", "/trailers").reply(200, [b"he", b"llo"], cache_control="no-store")
    reply.trailed((b"X-Sum", b"abc"))
    answer = await asyncio.to_thread(client.get, pop.url("/trailers"))
    assert (answer.status, answer.body, answer.trailers) == (200, b"hello", {"x-sum": "abc"})
    assert "x-sum" not in answer.fields


async def test_a_large_body_its_parts_its_fields_and_its_validator(pop, client):
    whole = b"".join(LARGE)
    pop.origin.on("GET", "/large").reply(200, LARGE, etag='"v1"', cache_control="max-age=60")
    for _ in ("while it arrives", "from memory"):
        answer = await asyncio.to_thread(client.get, pop.url("/large"))
        assert answer.status == 200
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(whole).digest()
    part = await asyncio.to_thread(client.get, pop.url("/large"), "range: bytes=1000000-3000000")
    assert (part.status, part.body == whole[1_000_000:3_000_001]) == (206, True)
    assert part.fields["content-range"] == f"bytes 1000000-3000000/{len(whole)}"
    head = await asyncio.to_thread(client.head, pop.url("/large"))
    assert (head.status, head.body) == (200, b"")
    assert head.fields["content-length"] == str(len(whole))
    same = await asyncio.to_thread(client.get, pop.url("/large"), 'if-none-match: "v1"')
    assert (same.status, same.body, same.fields["etag"]) == (304, b"", '"v1"')
    beyond = await asyncio.to_thread(client.get, pop.url("/large"), f"range: bytes={len(whole)}-")
    assert beyond.status == 416


async def test_a_body_that_breaks_off_is_no_answer(pop):
    pop.origin.on("GET", "/cut").reply(200, [b"a" * 1000, b"b" * 1000]).cut(1)
    with Ngtcp2Client() as client, pytest.raises(CurlError, match="stream 0 reset by server"):
        await asyncio.to_thread(client.get, pop.url("/cut"))
