"""The demo over HTTP/3 to clients that nobody here wrote: ngtcp2 with nghttp3, and Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path

import brotli
import pytest

from edgeproxy.emulator.assets import FOLDER, load_assets
from tests.support.clients import chromium
from tests.support.demo import Demo
from tests.support.ngtcp2_client import Ngtcp2Client
from tests.support.png import Picture

ARTEFACTS = Path("var/test-artifacts")
LAUNCHER = (0x0B, 0x6B, 0x4F)
LARGE = "/v2.1.0/chime.wav"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.stop()


@pytest.fixture
def client() -> Iterator[Ngtcp2Client]:
    with Ngtcp2Client() as known:
        yield known


def test_every_asset_comes_over_one_connection(demo, client):
    for path in set(load_assets()) - {"/"}:
        for _ in ("perhaps a miss", "a hit"):
            answer = client.get(demo.url(path))
            assert (answer.protocol, answer.status) == ("HTTP/3", 200)
            assert answer.body == (FOLDER / path[1:]).read_bytes()
        assert answer.fields["cache-status"].startswith("demo; hit")
    assert client.connects == 1


def test_head_describes_what_get_would_send(demo, client):
    answer = client.head(demo.url(LARGE))
    size = (FOLDER / LARGE[1:]).stat().st_size
    assert (answer.status, answer.body) == (200, b"")
    assert answer.fields["content-length"] == str(size)


def test_a_part_is_a_part_of_the_whole(demo, client):
    body = (FOLDER / LARGE[1:]).read_bytes()
    part = client.get(demo.url(LARGE), "range: bytes=1000-99999")
    assert (part.status, part.body) == (206, body[1000:100_000])
    assert part.fields["content-range"] == f"bytes 1000-99999/{len(body)}"


def test_a_validator_gets_a_304(demo, client):
    etag = client.get(demo.url(LARGE)).fields["etag"]
    again = client.get(demo.url(LARGE), f"if-none-match: {etag}")
    assert (again.status, again.body) == (304, b"")


def test_content_is_coded_for_who_says_so(demo, client):
    answer = client.get(demo.url("/bootstrap.js"), "accept-encoding: br")
    assert answer.fields["content-encoding"] == "br"
    assert brotli.decompress(answer.body) == (FOLDER / "bootstrap.js").read_bytes()


def test_what_is_not_there_is_said_and_the_connection_goes_on(demo, client):
    assert client.get(demo.url("/nothing")).status == 404
    assert client.get(demo.url("/bootstrap.js")).status == 200
    assert client.connects == 1


def test_a_browser_loads_the_page_over_http_3_and_the_widget_is_there(demo):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    screenshot = (ARTEFACTS / "demo-h3.png").absolute()
    screenshot.unlink(missing_ok=True)
    leaf = demo.folder / "edge" / "fullchain.pem"
    here = f"localhost:{demo.port}"
    document = chromium(demo.url("/"), leaf, "--dump-dom", quic=here).decode()
    rows = re.findall(r'<tr data-protocol="([^"]*)" data-path="([^"]*)"', document)

    assert 'data-widget="ready"' in document
    assert {path for _, path in rows} == set(load_assets()) - {"/index.html"}
    assert {protocol for protocol, _ in rows} == {"h3"}

    chromium(demo.url("/#chat"), leaf, f"--screenshot={screenshot}", quic=here)
    picture = Picture(screenshot)
    assert picture.pixel(720, picture.height - 28) == LAUNCHER
