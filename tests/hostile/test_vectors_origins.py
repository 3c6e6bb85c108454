"""Origins that say what no response may say, over real sockets: vectors 13 and 14.

The octets of each vector come from a scripted origin behind a running PoP. Whatever they are: the
client gets 502 or a response that ends visibly unfinished, and no octet of a second message; the
connection to the origin is given up; nothing is stored; the next client gets a clean answer.
"""

import pytest

from tests.hostile.test_origin_framing import VECTORS
from tests.support.raw import PLAIN, RULED, Answer, Attacked, clean, target
from tests.support.rows import PROTOCOLS

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n"
SPLIT = [
    "a bare LF",
    "a bare CR",
    "NUL",
    "a bell",
    "a folded line",
    "a first line that is folded",
    "a space before the colon",
    "a space in a name",
    "an empty name",
    "a line without colon",
    "octets of another script in a name",
]
FRAMED = [name for name in VECTORS if name not in SPLIT]
CONTROLS = bytes(range(9)) + bytes(range(10, 32)) + b"\x7f"


def cacheable(vector: bytes) -> bytes:
    """Let the response say that it may be stored, where it says anything."""
    line, end, rest = vector.partition(b"\r\n")
    is_final = line.startswith(b"HTTP/1.") and not line.startswith(b"HTTP/1.1 1")
    return line + end + (b"cache-control: max-age=60\r\n" if is_final else b"") + rest


def is_blamed(answer: Answer) -> bool:
    """Whether the origin is blamed at the fields, or the content ends unfinished."""
    return answer.status == 502 if answer.is_whole else answer.status in {0, 200}


async def met(site: Attacked, protocol: str, host: bytes, vector: bytes) -> Answer:
    """Let a client meet that answer, and see what the next ones get."""
    path, before = target(), site.asked
    site.on(path).raw(vector).cut(1)
    answer = await site.get(protocol, path, host=host)
    await site.pop.fills_ended()
    assert (await stored_under(site, path)) == 0
    connections = site.pop.origin.connections
    site.on(path).replies.clear()
    site.reply(path)
    assert await clean(site, path, host=host) == 1
    assert site.asked - before == 2
    assert site.pop.origin.connections == connections + 1
    return answer


async def stored_under(site: Attacked, path: bytes) -> int:
    return sum(path in key for key in site.pop.store._index)


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("name", SPLIT)
async def test_13_a_response_that_splits_is_none(site, protocol, name, host):
    answer = await met(site, protocol, host, cacheable(VECTORS[name]))
    assert (answer.status, answer.is_whole) == (502, True)
    assert b"evil" not in repr(answer.fields).encode() + answer.body


@pytest.mark.parametrize("octet", CONTROLS, ids=hex)
async def test_13_no_control_octet_of_an_origin_reaches_anybody(site, protocol, octet):
    vector = OK + b"x: a" + bytes((octet,)) + b"b\r\ncontent-length: 2\r\n\r\nhi"
    answer = await met(site, protocol, PLAIN, vector)
    assert (answer.status, answer[b"x"], answer.is_whole) == (502, b"", True)


@pytest.mark.parametrize("value", [b"\xe4\xff", b"\xc3\xa9", b"a\tb", b"a  b"])
async def test_13_what_is_allowed_comes_as_it_is(site, protocol, value):
    path = target()
    site.on(path).raw(OK + b"x: " + value + b"\r\ncontent-length: 2\r\n\r\nhi")
    for _ in range(2):
        answer = await site.get(protocol, path)
        assert (answer.status, answer[b"x"], answer.body) == (200, value, b"hi")


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: close, x-secret\r\nx-secret: evil",
        b"keep-alive: timeout=evil",
        b"proxy-connection: evil",
        b"upgrade: evil",
        b"Transfer-Encoding: chunked\r\ntrailer: evil",
    ],
)
async def test_13_fields_of_one_connection_are_not_those_of_another(site, protocol, line):
    path = target()
    is_chunked = b"chunked" in line
    content = b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n" if is_chunked else b"\r\ncontent-length: 2\r\n\r\nhi"
    site.on(path).raw(OK + line + content).cut(1)
    answer = await site.get(protocol, path)
    assert (answer.status, answer.body) == (200, b"hi")
    if protocol == "h2":
        names = {name for name, _ in answer.fields}
        assert not names & {b"connection", b"keep-alive", b"proxy-connection", b"upgrade"}
        assert all(name == name.lower() for name in names)
        assert b"transfer-encoding" not in names
    assert not answer[b"x-secret"]
    assert b"evil" not in repr([each for each in answer.fields if each[0] != b"trailer"]).encode()


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("name", FRAMED)
async def test_14_what_is_framed_in_two_ways_or_none_ends_visibly(site, protocol, name, host):
    answer = await met(site, protocol, host, cacheable(VECTORS[name]))
    assert is_blamed(answer)


@pytest.mark.parametrize("host", [PLAIN, RULED])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("is_reset", [False, True])
async def test_14_an_early_end_is_never_stored_as_a_whole(
    site, protocol, is_chunked, is_reset, host
):
    path = target()
    reply = site.reply(path, [bytes(30_000)] * 4).cut(3, reset=is_reset)
    if is_chunked:
        reply.chunked()
    site.reply(path)
    answer = await site.get(protocol, path, host=host)
    assert is_blamed(answer)
    await site.pop.fills_ended()
    assert await stored_under(site, path) == 0
    assert await clean(site, path, host=host) == 1


EXTRA = [
    b"x",
    b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 4\r\n\r\nEVIL",
    b"HTTP/1.1 200 OK\r\n",
    b"0\r\n\r\n",
]


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("extra", EXTRA)
async def test_14_octets_behind_a_response_are_nobodys(site, protocol, extra, is_chunked):
    """They cost the connection and answer no other request (response-queue poisoning)."""
    path, other = target(), target()
    reply = site.reply(path, [b"he", b"llo"]).followed_by(extra)
    if is_chunked:
        reply.chunked()
    site.reply(other)
    first = await site.get(protocol, path)
    assert (first.status, first.body) in {(200, b"hello"), (502, first.body)}
    assert b"EVIL" not in first.body
    assert await clean(site, other) == 1
    await site.pop.fills_ended()
    for each in PROTOCOLS:
        assert b"EVIL" not in (await site.get(each, path)).body


async def test_14_a_storm_of_interim_responses_is_cut_short(site, protocol):
    path = target()
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    site.on(path).raw(early * 500 + OK + b"content-length: 4\r\n\r\nlate").cut(1)
    answer = await site.get(protocol, path)
    assert answer.interims <= 16
    assert (answer.status, answer.body) in {(200, b"late"), (502, answer.body)}
    await site.pop.fills_ended()
    site.on(path).replies.clear()
    site.reply(path, answer.body if answer.status == 200 else b"clean")
    await clean(site, path, body=answer.body if answer.status == 200 else b"clean")


async def test_14_content_of_a_head_is_no_second_response(site, protocol):
    path = target()
    site.on(path, "HEAD").raw(OK + b"content-length: 4\r\n\r\n", b"EVIL")
    answer = await site.ask(protocol, b"HEAD", path)
    assert (answer.status, answer.body) in {(200, b""), (502, b"")}
    site.reply(path)
    assert await clean(site, path) == 1
