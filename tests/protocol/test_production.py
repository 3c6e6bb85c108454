"""`config/production.toml` through curl: what it promises, over both protocols.

Only what belongs to a machine is replaced: addresses, the origin's URL, places of files.
"""

from pathlib import Path

import pytest

from tests.support.pop import ORIGIN_NAME, make_place, scripted_origin, serving

HOST = "widgets.example.com"
ENTRY = "public, max-age=86400, must-revalidate"
VERSIONED = "public, max-age=31536000, immutable"
MANIFEST = "no-cache"
PROTOCOLS = [("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1")]
PLACES = {
    "/bootstrap.js": ENTRY,
    "/v2.1.0/app.css": VERSIONED,
    "/static/widget-v2.1.0.js": VERSIONED,
    "/assets/chunk.0f3a9b2c7d.js": VERSIONED,
    "/manifest.json": MANIFEST,
}
BODY = bytes(range(256)) * 80


def production(place, port: int) -> str:
    changes = {
        'https = ["0.0.0.0:443", "[::]:443"]': 'https = "127.0.0.1:0"',
        'http_redirect = ["0.0.0.0:80", "[::]:80"]': 'http_redirect = "127.0.0.1:0"',
        '"/etc/edgeproxy/certs"': f'"{place.folder}/certs"',
        "https://assets-origin.example.com": f"https://127.0.0.1:{port}",
        'tls = { ca_file = "/etc/edgeproxy/origin-ca.pem" }': (
            f'tls = {{ ca_file = "{place.ca.path}" }}\nhost = "{ORIGIN_NAME}"'
        ),
        "[pop]\n": f'[pop]\nstate_dir = "{place.folder}/state"\n',
        "access = { enabled = true": "access = { enabled = false",
    }
    text = Path("config/production.toml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
async def pop(tmp_path):
    place = make_place(tmp_path)
    place.ca.issue(HOST, "w.example.com", directory=tmp_path / "certs" / HOST)
    async with scripted_origin(place.ca) as origin:
        for path in PLACES:
            origin.on("GET", path).reply(
                200,
                BODY,
                content_type="text/javascript",
                cache_control="max-age=5",
                server="secret/1.0",
                x_powered_by="secret",
            )
        text = production(place, origin.port)
        async with serving(text, tmp_path, origin, place.ca.path) as running:
            yield running


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
@pytest.mark.parametrize("path", PLACES)
async def test_a_miss_then_a_hit(pop, path, flag, protocol):
    first, second = await pop.curl(path, flag), await pop.curl(path, flag)
    for answer in (first, second):
        assert (answer.protocol, answer.status, answer.body) == (protocol, 200, BODY)
        assert answer.fields["cache-control"] == PLACES[path]
        assert answer.fields["content-length"] == str(len(BODY))
        assert answer.fields["x-content-type-options"] == "nosniff"
        assert not {"server", "x-powered-by"} & answer.fields.keys()
    assert first.fields["cache-status"] == "fra1; fwd=uri-miss; stored"
    assert "age" not in first.fields
    assert second.fields["cache-status"].startswith("fra1; hit; ttl=")
    assert int(second.fields["age"]) <= 5
    assert pop.origin.requests == 1


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_hsts_is_sent_on_everything_that_the_site_answers(pop, flag, protocol):
    for path in ("/bootstrap.js", "/bootstrap.js"):
        answer = await pop.curl(path, flag)
        assert answer.protocol == protocol
        assert answer.fields["strict-transport-security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_conditions(pop, flag, protocol):
    await pop.curl("/bootstrap.js", flag)
    whole = (await pop.curl("/bootstrap.js", flag)).fields
    for line in (f"If-None-Match: {whole['etag']}", f"If-Modified-Since: {whole['last-modified']}"):
        answer = await pop.curl("/bootstrap.js", flag, "-H", line)
        assert (answer.protocol, answer.status, answer.body) == (protocol, 304, b"")
        assert answer.fields["etag"] == whole["etag"]
        assert answer.fields["cache-control"] == ENTRY
        assert answer.fields["vary"] == "Accept-Encoding, Origin"
        assert "age" in answer.fields
    for line in ('If-None-Match: "other"', "If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT"):
        answer = await pop.curl("/bootstrap.js", flag, "-H", line)
        assert (answer.status, answer.body) == (200, BODY)
    failed = await pop.curl("/bootstrap.js", flag, "-H", 'If-Match: "other"')
    assert failed.status == 412
    assert failed.body != BODY
    assert pop.origin.requests == 1


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_part(pop, flag, protocol, is_stored):
    if is_stored:
        await pop.curl("/bootstrap.js", flag)
    size = len(BODY)
    for asked, first, last in (
        ("0-99", 0, 99),
        ("-100", size - 100, size - 1),
        ("20000-", 20000, size - 1),
        ("0-999999", 0, size - 1),
    ):
        part = await pop.curl("/bootstrap.js", flag, "-r", asked)
        assert (part.protocol, part.status) == (protocol, 206)
        assert part.fields["content-range"] == f"bytes {first}-{last}/{size}"
        assert part.body == BODY[first : last + 1]
        assert part.fields["content-length"] == str(len(part.body))
        assert part.fields["cache-control"] == ENTRY
    assert pop.origin.requests == 1
    assert pop.origin.received[0].values(b"range") == []


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_a_part_on_condition(pop, flag, protocol):
    await pop.curl("/bootstrap.js", flag)
    whole = (await pop.curl("/bootstrap.js", flag)).fields
    for validator, status in ((whole["etag"], 206), ('"older"', 200)):
        answer = await pop.curl("/bootstrap.js", flag, "-r", "0-9", "-H", f"If-Range: {validator}")
        assert (answer.protocol, answer.status) == (protocol, status)
        assert answer.body == (BODY[:10] if status == 206 else BODY)


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_a_part_that_is_not_there(pop, flag, protocol):
    await pop.curl("/bootstrap.js", flag)
    answer = await pop.curl("/bootstrap.js", flag, "-r", "20480-")
    assert (answer.protocol, answer.status) == (protocol, 416)
    assert answer.fields["content-range"] == f"bytes */{len(BODY)}"
    several = await pop.curl("/bootstrap.js", flag, "-r", "0-1,4-5")
    assert (several.status, several.body) == (200, BODY)


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_head_says_what_get_says(pop, flag, protocol):
    live = {"cache-status", "age", "date"}
    await pop.curl("/v2.1.0/app.css", flag)
    head = await pop.curl("/v2.1.0/app.css", "-I", flag)
    get = await pop.curl("/v2.1.0/app.css", flag)
    assert (head.protocol, head.status, head.body) == (protocol, 200, b"")
    assert {name: value for name, value in head.fields.items() if name not in live} == {
        name: value for name, value in get.fields.items() if name not in live
    }
    assert head.fields["cache-status"].startswith("fra1; hit")
    assert pop.origin.requests == 1


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_a_head_that_misses_fills(pop, flag, protocol):
    head = await pop.curl("/bootstrap.js", "-I", flag)
    assert (head.protocol, head.status) == (protocol, 200)
    assert head.fields["content-length"] == str(len(BODY))
    assert (await pop.curl("/bootstrap.js", flag)).fields["cache-status"].startswith("fra1; hit")
    assert [request.method for request in pop.origin.received] == ["GET"]


@pytest.mark.parametrize(("flag", "protocol"), PROTOCOLS)
async def test_listed_pages_may_read_one_stored_response(pop, flag, protocol):
    for origin in ("https://shop.example", "https://de.brand.example", "https://evil.example", ""):
        lines = ("-H", f"Origin: {origin}") if origin else ()
        answer = await pop.curl("/v2.1.0/app.css", flag, *lines)
        assert (answer.protocol, answer.body) == (protocol, BODY)
        allowed = None if origin in {"https://evil.example", ""} else origin
        assert answer.fields.get("access-control-allow-origin") == allowed
        assert answer.fields.get("access-control-expose-headers") == (allowed and "etag")
        assert answer.fields["vary"] == "Accept-Encoding, Origin"
    assert pop.origin.requests == 1
    assert pop.store.objects == 1


async def test_the_query_is_in_the_key_where_the_rule_says(pop):
    """`versioned` ignores it, `entry` keeps `locale` here."""
    for path in ("/v2.1.0/app.css?a", "/v2.1.0/app.css?b", "/bootstrap.js?utm=1", "/bootstrap.js"):
        assert (await pop.curl(path)).status == 200
    assert [request.target for request in pop.origin.received] == [
        "/v2.1.0/app.css",
        "/bootstrap.js",
    ]
    pop.origin.on("GET", "/bootstrap.js?locale=de").reply(200, b"de")
    assert (await pop.curl("/bootstrap.js?utm=2&locale=de")).body == b"de"


async def test_everything_else_is_passed_and_never_stored(pop):
    pop.origin.on("GET", "/api/me").reply(200, b"me", cache_control="public, max-age=60")
    for _ in range(2):
        answer = await pop.curl("/api/me")
        assert answer.fields["cache-status"] == "fra1; fwd=bypass"
        assert answer.fields["cache-control"] == "public, max-age=60"
    assert pop.origin.requests == 2
    assert pop.store.objects == 0


async def test_a_name_that_is_not_served_gets_nothing(pop):
    answer = await pop.curl("/bootstrap.js", "-H", "Host: other.example")
    assert answer.status == 421
    assert (await pop.curl("/bootstrap.js", "-H", "Host: W.example.com:8443")).status == 200
    assert pop.origin.requests == 1


async def test_plain_http_is_sent_to_https(pop):
    answer = await pop.plain_curl("/bootstrap.js?a=1")
    assert answer.status == 301
    assert answer.fields["location"] == pop.url("/bootstrap.js?a=1")
    assert "strict-transport-security" not in answer.fields
    assert pop.origin.requests == 0


async def test_a_client_of_http_1_0_finds_a_common_protocol(pop):
    answer = await pop.curl("/bootstrap.js", "--http1.0")
    assert (answer.status, answer.body) == (200, BODY)
