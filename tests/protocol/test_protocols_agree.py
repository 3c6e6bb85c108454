"""One request means the same over HTTP/1.1, HTTP/2 and HTTP/3: status, fields and content.

All three are asked by one client, libcurl; what differs is only how they frame.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.demo import Demo
from tests.support.ngtcp2_client import VERSIONS, Ngtcp2Client

FRAMING = {"connection", "keep-alive", "transfer-encoding", "alt-svc"}
MOVING = {"date", "age", "cache-status"}
LISTED = "origin: https://de.brand.example"
WAV, JS = "/v2.1.0/chime.wav", "/bootstrap.js"

# method, path, lines
KINDS = [
    ("GET", JS, ()),
    ("HEAD", JS, ()),
    ("GET", "/", ()),
    ("GET", f"{JS}?a=b&c", ()),
    ("GET", JS, ("accept-encoding: br",)),
    ("GET", JS, ("accept-encoding: gzip, zstd;q=0.5",)),
    ("GET", JS, ("accept-encoding: identity;q=0, *;q=0",)),
    ("GET", WAV, ("range: bytes=0-0",)),
    ("GET", WAV, ("range: bytes=-5",)),
    ("GET", WAV, ("range: bytes=100000-",)),
    ("GET", WAV, ("range: bytes=999999-",)),
    ("GET", WAV, ("range: bytes=0-1,5-9",)),
    ("GET", WAV, ("range: lines=1-2",)),
    ("GET", WAV, ("range: bytes=5-2",)),
    ("HEAD", WAV, ("range: bytes=0-9",)),
    ("GET", WAV, ("range: bytes=0-9", 'if-range: "other"')),
    ("GET", JS, ("if-none-match: *",)),
    ("GET", JS, ('if-none-match: "other"',)),
    ("GET", JS, ('if-match: "other"',)),
    ("GET", JS, ("if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT",)),
    ("GET", JS, ("if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT",)),
    ("GET", JS, (LISTED,)),
    ("GET", JS, ("origin: https://elsewhere.example",)),
    ("OPTIONS", JS, (LISTED, "access-control-request-method: GET")),
    ("OPTIONS", JS, ()),
    ("POST", JS, ()),
    ("PUT", JS, ()),
    ("DELETE", JS, ()),
    ("PATCH", JS, ()),
    ("TRACE", JS, ()),
    ("BREW", JS, ()),
    ("GET", "/nothing", ()),
    ("HEAD", "/nothing", ()),
    ("GET", "/../bootstrap.js", ()),
    ("GET", "/%2e%2e/bootstrap.js", ()),
    ("GET", "/%zz", ()),
    ("GET", "/a%00b", ()),
    ("GET", "//bootstrap.js", ()),
    ("GET", JS, (f"x-long: {'a' * 8000}",)),
    ("GET", JS, (f"cookie: {'a=b; ' * 50}c=d",)),
    ("GET", JS, ("cache-control: no-cache",)),
    ("GET", JS, ("cache-control: only-if-cached",)),
    ("GET", JS, ("te: trailers",)),
    ("GET", JS, ("max-forwards: 0",)),
    ("GET", JS, ("priority: u=1, i",)),
    ("GET", JS, ("host: unknown.example",)),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def clients(demo) -> Iterator[dict[str, Ngtcp2Client]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(Ngtcp2Client(name)) for name in VERSIONS}


@pytest.mark.parametrize(
    ("method", "path", "lines"), KINDS, ids=[f"{n}-{kind[0]}" for n, kind in enumerate(KINDS)]
)
def test_all_protocols_say_the_same(demo, clients, method, path, lines):
    clients["h2"].send("GET", demo.url(path), *lines)  # whatever can be stored is, from here on
    said = {}
    for name, client in clients.items():
        answer = client.send(method, demo.url(path), *lines)
        fields = {k: v for k, v in answer.fields.items() if k not in FRAMING | MOVING}
        said[name] = answer.status, fields, answer.body
    assert said["h1"] == said["h2"] == said["h3"]


def test_a_target_that_is_too_long_is_said_to_be(demo, clients):
    url = demo.url(f"/{'a' * 9000}")
    statuses = {name: client.send("GET", url).status for name, client in clients.items()}
    assert statuses == dict.fromkeys(VERSIONS, 414)
