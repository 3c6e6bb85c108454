import pytest

from edgeproxy.http.codings import IDENTITY, canonical, coding_of, is_compressible, negotiate

ALL = (b"br", b"zstd", b"gzip", IDENTITY)
CODED = (b"br", b"zstd", b"gzip")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (None, IDENTITY),
        (b"", IDENTITY),
        (b" , ,", IDENTITY),
        (b"br", b"br"),
        (b"gzip, deflate, br, zstd", b"br"),
        (b"gzip, deflate", b"gzip"),
        (b"deflate", IDENTITY),
        (b"GZip", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"X-GZIP;Q=0.5", b"gzip"),
        (b"*", b"br"),
        (b"*;q=0.001", b"br"),
        (b"br;q=0, *", b"zstd"),
        (b"gzip;q=0.5, br;q=0.4", b"gzip"),
        (b"gzip ; q=1.000 , br\t;\tq=0.999", b"gzip"),
        (b"gzip;q=1., br;q=0.", b"gzip"),
        (b"gzip;q=0.3, *;q=0.5", b"br"),
        (b"identity", IDENTITY),
        (b"identity, gzip", b"gzip"),
        (b"identity, *", b"br"),
        (b"identity;q=0.5, gzip;q=0.4", IDENTITY),
        (b"identity;q=0.001, gzip;q=0.001", b"gzip"),
        (b"gzip;q=0", IDENTITY),
        (b"gzip;q=0, br;q=0.000, zstd;q=0.0", IDENTITY),
        (b"*;q=0, identity;q=0.1", IDENTITY),
        (b"*;q=0, identity", IDENTITY),
        (b"*;q=0, zstd", b"zstd"),
        (b"*;q=0", None),
        (b"*;q=0, deflate", None),
        (b"identity;q=0", b"gzip"),
        (b"identity;q=0, deflate", b"gzip"),
        (b"identity;q=0, gzip;q=0", b"br"),
        (b"identity;q=0, gzip;q=0, br;q=0", b"zstd"),
        (b"identity;q=0, gzip;q=0, br;q=0, zstd;q=0", None),
        (b"identity;q=0, *;q=0", None),
        (b"identity;q=0, *;q=0.2", b"br"),
        (b"identity;q=0, br", b"br"),
    ],
)
def test_what_is_sent_when_everything_can_be_had(accepted, expected):
    assert negotiate(accepted, ALL) == expected
    assert negotiate(accepted, (IDENTITY, *CODED)) == expected
    assert negotiate(accepted, (b"br", IDENTITY, b"zstd", b"gzip")) == expected


@pytest.mark.parametrize(
    ("accepted", "offered", "expected"),
    [
        (None, CODED, b"br"),
        (None, (), None),
        (b"", CODED, None),
        (b"br", (), None),
        (b"gzip", CODED, b"gzip"),
        (b"deflate", CODED, None),
        (b"identity", CODED, None),
        (b"*", (IDENTITY,), IDENTITY),
        (b"identity;q=0", (IDENTITY,), None),
        (b"identity;q=0", (b"compress", b"dcb", IDENTITY), b"compress"),
        (b"identity;q=0, compress;q=0", (b"compress", b"dcb"), b"dcb"),
        (b"identity;q=0, compress;q=0", (b"compress",), None),
        (b"gzip, br", (b"gzip", b"br"), b"gzip"),
        (b"*;q=0.5", (b"gzip",), b"gzip"),
    ],
)
def test_what_is_sent_when_little_can_be_had(accepted, offered, expected):
    assert negotiate(accepted, offered) == expected


@pytest.mark.parametrize(
    "member",
    [
        b"br;q=1.001",
        b"br;q=0.0001",
        b"br;q=2",
        b"br;q=00",
        b"br;q=.5",
        b"br;q=-0",
        b"br;q=+1",
        b"br;q=0_1",
        b"br;q=1e0",
        b"br;q=\xb2",
        b"br;q=",
        b"br;q",
        b"br;",
        b"br; q = 1",
        b"br;level=1",
        b"br;q=1;q=1",
        b"br q=1",
        b'"br"',
        b'"a, br, b"',
        b"br\x0b",
        b"br\x00",
        b"\xe2\x84\xaa",
        b"br/1",
        b";q=1",
    ],
)
def test_what_is_no_coding_with_a_weight_is_ignored(member):
    assert negotiate(member, ALL) == IDENTITY
    assert negotiate(member + b", gzip;q=0.1", ALL) == b"gzip"


def test_an_invalid_refusal_refuses_nothing():
    assert negotiate(b"identity;q=0.0000", (IDENTITY,)) == IDENTITY


def test_the_first_mention_of_a_coding_counts():
    assert negotiate(b"gzip;q=0, gzip", ALL) == IDENTITY
    assert negotiate(b"gzip;q=0, x-gzip", ALL) == IDENTITY
    assert negotiate(b"x-gzip, gzip;q=0", ALL) == b"gzip"
    assert negotiate(b"*;q=0, *", ALL) is None
    assert negotiate(b"br;q=7, br;q=0, *", ALL) == b"zstd"


def test_members_after_the_64th_are_ignored():
    assert negotiate(b"x," * 63 + b"gzip", ALL) == b"gzip"
    assert negotiate(b"x," * 64 + b"gzip", ALL) == IDENTITY
    assert negotiate(b"," * 200 + b"gzip", ALL) == b"gzip"


def test_an_excessive_value_counts_as_an_empty_one():
    longest = b"gzip".rjust(1024)
    assert negotiate(longest, ALL) == b"gzip"
    assert negotiate(b" " + longest, ALL) == IDENTITY
    assert negotiate(b"*;q=0," + b" " * 1024, ALL) == IDENTITY


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], IDENTITY),
        ([b""], IDENTITY),
        ([b" ,\t,"], IDENTITY),
        ([b"identity"], IDENTITY),
        ([b"Identity", b"identity"], IDENTITY),
        ([b"gzip"], b"gzip"),
        ([b"x-gzip"], b"gzip"),
        ([b"X-GZIP"], b"gzip"),
        ([b"BR"], b"br"),
        ([b"identity, br"], b"br"),
        ([b"gzip, br"], b"gzip, br"),
        ([b"x-gzip ,identity,, BR"], b"gzip, br"),
        ([b"gzip", b"br"], b"gzip, br"),
        ([b"gzip", b"gzip"], b"gzip, gzip"),
        ([b"aes128gcm"], b"aes128gcm"),
        ([b'"GZIP, br"'], b'"gzip, br"'),
        ([b"gzip;q=1"], b"gzip;q=1"),
    ],
)
def test_the_coding_of_a_response(lines, expected):
    fields = [(b"content-type", b"text/html"), *((b"content-encoding", line) for line in lines)]
    assert coding_of(fields) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/html",
        b"text/html; charset=utf-8",
        b"TEXT/CSS ;charset=utf-8",
        b"text/plain",
        b"text/javascript",
        b"application/javascript",
        b"application/json",
        b"application/wasm",
        b"application/xml",
        b"application/manifest+json",
        b"application/ld+json",
        b"application/rss+xml",
        b"model/gltf+json",
        b"image/svg+xml",
        b"image/bmp",
        b"image/x-icon",
        b"image/vnd.microsoft.icon",
        b"font/ttf",
        b"font/otf",
        b"font/collection",
        b"application/vnd.ms-fontobject",
    ],
)
def test_what_shrinks(content_type):
    assert is_compressible(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b";text/html",
        b"text",
        b"text/",
        b"text/html, text/css",
        b"text/html\x0b",
        b"/+json",
        b"text/event-stream",
        b"Text/Event-Stream; charset=utf-8",
        b"application/x-ndjson",
        b"application/octet-stream",
        b"application/zip",
        b"application/gzip",
        b"application/pdf",
        b"image/png",
        b"image/jpeg",
        b"image/avif",
        b"audio/mpeg",
        b"video/mp4",
        b"font/woff",
        b"font/woff2",
        b"application/font-woff",
        b"multipart/x-mixed-replace; boundary=text/html",
    ],
)
def test_what_does_not_shrink_or_must_not_wait(content_type):
    assert not is_compressible(content_type)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"", b""),
        (b"br, GZIP;q=0.5", b"br;1000,gzip;500"),
        (b"x-gzip;q=1.000,br;q=0", b"br;0,gzip;1000"),
        (b"*;q=0.25", b"*;250"),
        (b"br, br;q=0", None),
        (b"gzip, x-gzip", None),
        (b"br;level=5", None),
        (b"br" * 600, None),
        (b",".join(b"x%d" % n for n in range(65)), None),
    ],
)
def test_values_of_one_meaning_have_one_form(accepted: bytes, expected: bytes | None) -> None:
    assert canonical(accepted) == expected
