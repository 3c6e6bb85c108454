"""Content codings as a stranger meets them, at a site with a caching rule.

Over HTTP/1.1 and HTTP/2. RFC 9110 sections 8.4, 8.8.1 and 12.5.3, RFC 9111 section 5.2.2.6, RFC
9530. What happens inside is in `tests/unit/edge/test_handler_codings.py`.
"""

import pytest
import pytest_asyncio

from tests.support.coded import CODE, DECODE
from tests.support.pop import ENTRY, clock_of_today, running_pop
from tests.support.rows import Line, Stage, target

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = b"".join(b"function f%d() { return %d; }\n" % (n, n * n) for n in range(400))
DIGESTS: list[Line] = [("content-digest", "sha-256=:AAAA:"), ("repr-digest", "sha-256=:BBBB:")]
SCRIPT: list[Line] = [("content-type", "text/javascript"), ("etag", '"v1"'), *DIGESTS]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory):
    clock = clock_of_today()
    async with running_pop(tmp_path_factory.mktemp("pop"), rules=ENTRY, clock=clock) as pop:
        yield Stage(pop, clock)


def accepting(value: str | None) -> list[Line]:
    return [] if value is None else [("accept-encoding", value)]


def decoded(reply) -> bytes:
    return DECODE[reply["content-encoding"] or "identity"](bytes(reply.body))


OURS = "ours to choose: the origin's coding, else the smallest"
ACCEPTED = [
    ("br", "br"),
    ("zstd", "zstd"),
    ("gzip", "gzip"),
    ("gzip, deflate, br, zstd", OURS),
    ("gzip;q=1, br;q=0.1", "gzip"),
    ("br;q=0, gzip", "gzip"),
    ("GZIP", "gzip"),
    ("x-gzip", "gzip"),
    ("*", OURS),
    ("*;q=0, gzip", "gzip"),
    ("identity;q=0, zstd", "zstd"),
    ("identity", ""),
    ("br;q=0", ""),
    ("", ""),
    (None, ""),
]


@pytest.mark.parametrize("sent", ["identity", "br", "gzip"])
async def test_everybody_gets_what_it_can_read_and_the_origin_is_asked_once(
    stage: Stage, sent: str
) -> None:
    path, before = target(), stage.asked
    coding: list[Line] = [] if sent == "identity" else [("content-encoding", sent)]
    stage.reply(path, CODE[sent](TEXT), [*SCRIPT, *coding])
    tags: dict[str, str] = {}
    for accepted, wanted in ACCEPTED:
        expected = ("gzip" if sent == "gzip" else "br") if wanted is OURS else wanted
        for _ in range(2):
            reply = await stage.ask(path, accepting(accepted))
            assert (reply.status, reply["content-encoding"]) == (200, expected), accepted
            assert decoded(reply) == TEXT
            assert "accept-encoding" in reply["vary"].lower()
        tag = reply["etag"].removeprefix("W/")
        assert tags.setdefault(expected, tag) == tag
    assert len(set(tags.values())) == len(tags) == 4
    assert stage.asked - before == 1


async def test_a_tag_is_known_in_its_own_coding_only(stage: Stage) -> None:
    path = target()
    stage.reply(path, TEXT, SCRIPT)
    tags = {coding: (await stage.ask(path, accepting(coding)))["etag"] for coding in CODE}
    for asked in CODE:
        for known, tag in tags.items():
            reply = await stage.ask(path, [*accepting(asked), ("if-none-match", tag)])
            assert reply.status == (304 if asked == known else 200)


async def test_no_transform_leaves_the_octets_alone(stage: Stage) -> None:
    path = target()
    stage.reply(path, TEXT, [*SCRIPT, ("cache-control", "max-age=60, no-transform")])
    for accepted in ("br", "gzip", None, "identity"):
        reply = await stage.ask(path, accepting(accepted))
        assert (bytes(reply.body), reply["content-encoding"]) == (TEXT, "")
        assert reply["etag"] == '"v1"'
        assert [(name, reply[name]) for name, _ in DIGESTS] == DIGESTS


async def test_digests_stay_with_the_octets_that_they_are_of(stage: Stage) -> None:
    path = target()
    stage.reply(path, TEXT, SCRIPT)
    for accepted, expected in [("gzip", ["", ""]), (None, [value for _, value in DIGESTS])]:
        for _ in range(2):
            reply = await stage.ask(path, accepting(accepted))
            assert [reply[name] for name, _ in DIGESTS] == expected
    part = await stage.ask(path, [("range", "bytes=2-4")])
    assert (part.status, part["content-digest"], part["repr-digest"]) == (206, "", DIGESTS[1][1])


@pytest.mark.parametrize("accepted", ["br", "gzip", None])
async def test_head_says_what_get_would(stage: Stage, accepted: str | None) -> None:
    path = target()
    stage.reply(path, TEXT, SCRIPT)
    await stage.ask(path, accepting(accepted))
    await stage.pop.edge._coder._to_improve.join()  # which changes the length between the two
    get = await stage.ask(path, accepting(accepted))
    head = await stage.ask(path, accepting(accepted), method="HEAD")
    assert dict(head.fields) == dict(get.fields)
    assert (head.status, bytes(head.body)) == (200, b"")
