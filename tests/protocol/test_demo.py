"""The demo through real clients: the main job, end to end, as somebody would try it by hand."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeproxy.emulator.assets import FOLDER, load_assets
from tests.support.clients import chromium, curl, run
from tests.support.demo import Demo, command
from tests.support.png import Picture

ENTRY = "public, max-age=86400, must-revalidate"
VERSIONED = "public, max-age=31536000, immutable"
ARTEFACTS = Path("var/test-artifacts")
LAUNCHER = (0x0B, 0x6B, 0x4F)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("flag", "protocol", "path", "cache_control"),
    [
        ("--http2", "HTTP/2", "/bootstrap.js", ENTRY),
        ("--http1.1", "HTTP/1.1", "/widget-v2.1.0.js", VERSIONED),
        ("--http2", "HTTP/2", "/v2.1.0/widget.css", VERSIONED),
        ("--http1.1", "HTTP/1.1", "/page/host.js", ENTRY),
    ],
)
def test_the_first_answer_is_fetched_and_the_second_is_not(
    demo, flag, protocol, path, cache_control
):
    first = curl(demo.url(path), flag, ca=demo.ca)
    second = curl(demo.url(path), flag, ca=demo.ca)

    assert (first.protocol, first.status) == (protocol, 200)
    assert first.fields["cache-status"] == "demo; fwd=uri-miss; stored"
    assert second.fields["cache-status"].startswith("demo; hit")
    assert int(second.fields["age"]) >= 0
    assert first.fields["cache-control"] == second.fields["cache-control"] == cache_control
    assert first.body == second.body == (FOLDER / path[1:]).read_bytes()


def test_a_hit_has_both_validators_and_each_gets_a_304(demo):
    curl(demo.url("/v2.1.0/chat.svg"), ca=demo.ca)
    whole = curl(demo.url("/v2.1.0/chat.svg"), ca=demo.ca)
    for line in (
        f"If-None-Match: {whole.fields['etag']}",
        f"If-Modified-Since: {whole.fields['last-modified']}",
    ):
        again = curl(demo.url("/v2.1.0/chat.svg"), "-H", line, ca=demo.ca)
        assert (again.status, again.body) == (304, b"")
        assert again.fields["etag"] == whole.fields["etag"]
        assert again.fields["cache-control"] == VERSIONED


@pytest.mark.parametrize("flag", ["--http2", "--http1.1"])
def test_a_part_is_a_part_of_the_whole(demo, flag):
    part = curl(demo.url("/v2.1.0/chime.wav"), flag, "-r", "0-99", ca=demo.ca)
    body = (FOLDER / "v2.1.0" / "chime.wav").read_bytes()
    assert part.status == 206
    assert part.fields["content-range"] == f"bytes 0-99/{len(body)}"
    assert part.body == body[:100]


@pytest.mark.parametrize("flag", ["--http2", "--http1.1"])
def test_head_describes_what_get_would_send(demo, flag):
    answer = curl(demo.url("/v2.1.0/chime.wav"), flag, "-I", ca=demo.ca)
    size = (FOLDER / "v2.1.0" / "chime.wav").stat().st_size
    assert (answer.status, answer.body) == (200, b"")
    assert answer.fields["content-length"] == str(size)


def test_the_origins_own_marks_do_not_reach_the_client_and_neither_does_hsts(demo):
    fields = curl(demo.url("/"), ca=demo.ca).fields
    assert not {"server", "x-powered-by", "strict-transport-security"} & fields.keys()
    assert fields["x-content-type-options"] == "nosniff"


def test_listed_pages_may_read_and_others_may_not(demo):
    listed, other = (
        curl(demo.url("/bootstrap.js"), "-H", f"Origin: {origin}", ca=demo.ca)
        for origin in ("https://de.brand.example", "https://elsewhere.example")
    )
    assert listed.fields["access-control-allow-origin"] == "https://de.brand.example"
    assert "access-control-allow-origin" not in other.fields
    assert listed.fields["vary"] == other.fields["vary"] == "Accept-Encoding, Origin"


def test_plain_http_is_sent_to_https(demo):
    answer = curl(f"http://localhost:{demo.http_port}/bootstrap.js?locale=de")
    assert answer.status == 301
    assert answer.fields["location"] == demo.url("/bootstrap.js?locale=de")


def test_the_origin_is_named_by_its_own_name_only(demo):
    assert run("curl", "-sS", "--cacert", str(demo.ca), demo.url("/"), ok=False).returncode == 0
    direct = f"https://localhost:{demo.origin_port}/"
    assert run("curl", "-sS", "--cacert", str(demo.ca), direct, ok=False).returncode == 60


def test_nothing_older_than_tls_1_3_is_spoken(demo):
    connect = ("openssl", "s_client", "-connect", f"localhost:{demo.port}")
    older = run(*connect, "-tls1_2", ok=False)
    assert older.returncode != 0
    assert b"alert protocol version" in older.stderr
    newer = run(*connect, "-tls1_3", "-CAfile", str(demo.ca), "-verify_return_error", ok=False)
    assert b"Verify return code: 0 (ok)" in newer.stdout


def test_without_a_common_protocol_the_handshake_fails(demo):
    connect = ("openssl", "s_client", "-connect", f"localhost:{demo.port}", "-alpn", "spdy/3")
    assert b"alert no application protocol" in run(*connect, ok=False).stderr


def test_the_whole_widget_comes_over_one_connection(demo):
    urls = [demo.url(path) for path in load_assets()]
    printed = run("nghttp", "-nasv", *urls).stdout.decode()
    assert len(re.findall(r"\] Connected$", printed, re.MULTILINE)) == 1
    answered = re.findall(r"\+\S+ +\S+ +\S+ +(\d{3}) +\S+ (/\S*)$", printed, re.MULTILINE)
    assert {path: status for status, path in answered} == dict.fromkeys(load_assets(), "200")


def test_many_streams_on_many_connections_are_all_answered(demo):
    curl(demo.url("/page/host.css"), ca=demo.ca)
    h2load = ("h2load", "-n", "4000", "-c", "50", "-m", "20", demo.url("/page/host.css"))
    printed = run(*h2load).stdout.decode()
    assert "4000 succeeded, 0 failed, 0 errored, 0 timeout" in printed
    assert "status codes: 4000 2xx" in printed


def test_a_browser_loads_the_page_over_http_2_and_the_widget_is_there(demo):
    leaf = demo.folder / "edge" / "fullchain.pem"
    document = chromium(demo.url("/"), leaf, "--dump-dom").decode()
    loaded = dict(_rows(document))

    assert 'data-widget="ready"' in document
    assert '<chat-widget data-state="ready">' in document
    assert "Widget release 2.1.0" in document
    assert set(loaded) == set(load_assets()) - {"/index.html"}
    assert set(loaded.values()) == {"h2"}


def _rows(document: str) -> list[tuple[str, str]]:
    rows = re.findall(r'<tr data-protocol="([^"]*)" data-path="([^"]*)"', document)
    return [(path, protocol) for protocol, path in rows]


def test_the_widget_renders(demo):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    screenshot = (ARTEFACTS / "demo.png").absolute()
    screenshot.unlink(missing_ok=True)
    leaf = demo.folder / "edge" / "fullchain.pem"
    chromium(demo.url("/#chat"), leaf, f"--screenshot={screenshot}")

    picture = Picture(screenshot)
    assert (picture.width, picture.height) == (800, 640)
    # the launcher's lower edge and the head of the open conversation above it
    assert picture.pixel(720, picture.height - 28) == LAUNCHER
    greens = [y for y in range(picture.height) if picture.pixel(700, y) == LAUNCHER]
    assert max(greens) - min(greens) > 300


def test_every_request_is_a_line_with_its_outcome(demo):
    curl(demo.url("/manifest.json?first"), ca=demo.ca)
    assert re.match(r"\d\d:\d\d:\d\d +miss +200 GET ", demo.line_about("/manifest.json?first"))
    curl(demo.url("/manifest.json?first"), "--http1.1", ca=demo.ca)
    line = demo.line_about("/manifest.json?first")
    assert re.match(r"\d\d:\d\d:\d\d +hit +200 GET .*HTTP/1\.1", line)


def test_ctrl_c_ends_it_in_order(tmp_path):
    demo = Demo(tmp_path)
    curl(demo.url("/"), ca=demo.ca)
    assert demo.stop() == 0


def test_certificates_are_kept_for_the_next_time(tmp_path):
    first = Demo(tmp_path)
    authority = first.ca.read_bytes()
    first.stop()
    second = Demo(tmp_path)
    answer = curl(second.url("/"), ca=second.ca)
    second.stop()
    assert answer.status == 200
    assert second.ca.read_bytes() == authority


@pytest.mark.parametrize("which", ["https", "http", "origin"])
def test_a_taken_port_is_said_and_nothing_runs(tmp_path, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(tmp_path, **{which: port}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 69
    assert f"cannot listen on 127.0.0.1:{port}: the port is taken by another program" in done.stderr
    assert "Traceback" not in done.stderr
