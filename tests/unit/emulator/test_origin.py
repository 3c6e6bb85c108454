import contextlib
import socket

import aiohttp
import pytest

from edgeproxy.emulator.assets import load_assets
from edgeproxy.emulator.origin import DemoOrigin, is_unchanged
from edgeproxy.errors import UnavailableError
from tests.support.ca import LocalCa

ASSETS = load_assets()


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path)


@pytest.fixture
async def origin(ca):
    server = DemoOrigin(ASSETS, ca.issue("127.0.0.1").server_context())
    await server.start()
    yield server
    await server.aclose()


@pytest.fixture
async def client(ca, origin):
    connector = aiohttp.TCPConnector(ssl=ca.client_context())
    base = f"https://127.0.0.1:{origin.port}"
    async with aiohttp.ClientSession(base, connector=connector) as session:
        yield session


async def test_a_file_comes_with_its_fields(client, origin):
    async with client.get("/index.html") as response:
        assert response.status == 200
        assert response.headers["ETag"] == ASSETS["/"].etag
        assert await response.read() == ASSETS["/"].body
    assert origin.requests == 1


async def test_head_has_the_fields_of_get_and_no_body(client):
    async with client.head("/v2.1.0/chime.wav") as response:
        assert response.headers["Content-Length"] == str(len(ASSETS["/v2.1.0/chime.wav"].body))
        assert await response.read() == b""


async def test_what_is_not_there_is_not_found(client):
    async with client.get("/v2.1.0/nothing.js") as response:
        assert response.status == 404


async def test_only_reading_is_allowed(client):
    async with client.post("/bootstrap.js", data=b"x") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"


async def test_an_unchanged_file_is_not_sent_again(client):
    fields = {"If-None-Match": ASSETS["/"].etag}
    async with client.get("/", headers=fields) as response:
        assert response.status == 304
        assert response.headers["ETag"] == ASSETS["/"].etag


async def test_a_pause_comes_before_every_answer(ca):
    events = []

    async def pause():
        events.append("pause")

    server = DemoOrigin(ASSETS, ca.issue("127.0.0.1").server_context(), pause=pause)
    await server.start()
    connector = aiohttp.TCPConnector(ssl=ca.client_context())
    async with aiohttp.ClientSession(f"https://127.0.0.1:{server.port}", connector=connector) as s:
        for path in ("/", "/nothing"):
            async with s.get(path) as response:
                events.append(response.status)
    await server.aclose()
    assert events == ["pause", 200, "pause", 404]


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(ca):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        context = ca.issue("127.0.0.1").server_context()
        server = DemoOrigin(ASSETS, context, port=taken.getsockname()[1])
        with pytest.raises(UnavailableError, match="is taken"):
            await server.start()
        await server.aclose()


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/", {}, False),
        ("/", {"If-None-Match": '"other", W/{etag}'}, True),
        ("/", {"If-None-Match": '"other"'}, False),
        # the entity tag decides, whatever the date says
        ("/", {"If-None-Match": '"other"', "If-Modified-Since": "{last_modified}"}, False),
        ("/", {"If-Modified-Since": "{last_modified}"}, True),
        ("/", {"If-Modified-Since": "Mon, 01 Jun 2026 08:00:01 GMT"}, False),
        ("/widget-v2.1.0.js", {"If-None-Match": '"any"'}, False),
        ("/widget-v2.1.0.js", {"If-Modified-Since": "Mon, 01 Jun 2026 08:00:00 GMT"}, False),
    ],
)
def test_validators_decide_whether_a_file_is_unchanged(path, fields, expected):
    asset = ASSETS[path]
    sent = {
        name: value.format(etag=asset.etag, last_modified=asset.last_modified)
        for name, value in fields.items()
    }
    assert is_unchanged(asset, sent) is expected
