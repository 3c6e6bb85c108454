"""Content codings of the demo through curl: the right coding, its own tag, the same content."""

from collections.abc import Iterator

import pytest

from edgeproxy.emulator.assets import FOLDER
from tests.support.clients import curl
from tests.support.coded import DECODE
from tests.support.demo import Demo

SCRIPT = "/widget-v2.1.0.js"
CONTENT = (FOLDER / SCRIPT[1:]).read_bytes()
FLAGS = ["--http2", "--http1.1"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.stop()


def accepting(value: str) -> tuple[str, str]:
    # A semicolon is how curl sends a field without a value.
    return ("-H", f"Accept-Encoding: {value}" if value else "Accept-Encoding;")


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=0.9, br;q=0.2", "gzip"),
        ("identity;q=0", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
def test_the_right_coding_with_its_own_tag_and_the_same_content(demo, flag, accepted, coding):
    for _ in range(2):
        got = curl(demo.url(SCRIPT), flag, *accepting(accepted), ca=demo.ca)
        assert (got.status, got.fields.get("content-encoding")) == (200, coding)
        assert DECODE[coding or "identity"](got.body) == CONTENT
        assert "accept-encoding" in got.fields["vary"].lower()
    suffix = f'-{coding}"'
    assert got.fields["etag"].endswith(suffix) is (coding is not None)
    same = curl(
        demo.url(SCRIPT),
        *(flag, *accepting(accepted), "-H", f"If-None-Match: {got.fields['etag']}"),
        ca=demo.ca,
    )
    assert (same.status, same.body, same.fields["etag"]) == (304, b"", got.fields["etag"])
    other = "gzip" if coding != "gzip" else "br"
    changed = curl(
        demo.url(SCRIPT),
        *(flag, *accepting(other), "-H", f"If-None-Match: {got.fields['etag']}"),
        ca=demo.ca,
    )
    assert (changed.status, changed.fields["content-encoding"]) == (200, other)


@pytest.mark.parametrize("flag", FLAGS)
def test_curl_itself_decodes_what_it_asked_for(demo, flag):
    got = curl(demo.url(SCRIPT), flag, "--compressed", ca=demo.ca)
    assert got.fields["content-encoding"] in DECODE
    assert int(got.fields["content-length"]) < len(CONTENT)
    assert got.body == CONTENT


@pytest.mark.parametrize("flag", FLAGS)
def test_who_refuses_everything_is_told_so(demo, flag):
    got = curl(demo.url(SCRIPT), flag, *accepting("*;q=0"), ca=demo.ca)
    assert (got.status, got.fields["cache-control"]) == (406, "no-store")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
def test_head_and_parts_are_of_the_coding(demo, coding):
    whole = curl(demo.url(SCRIPT), *accepting(coding), ca=demo.ca)
    whole = curl(demo.url(SCRIPT), *accepting(coding), ca=demo.ca)
    head = curl(demo.url(SCRIPT), "-I", *accepting(coding), ca=demo.ca)
    part = curl(demo.url(SCRIPT), "-r", "10-59", *accepting(coding), ca=demo.ca)
    for name in ("content-encoding", "etag", "vary", "content-type"):
        assert head.fields[name] == part.fields[name] == whole.fields[name]
    assert head.fields["content-length"] == str(len(whole.body))
    assert part.body == whole.body[10:60]
    assert part.fields["content-range"] == f"bytes 10-59/{len(whole.body)}"


def test_sound_is_not_coded(demo):
    got = curl(demo.url("/v2.1.0/chime.wav"), *accepting("br, zstd, gzip"), ca=demo.ca)
    assert "content-encoding" not in got.fields
    assert got.body == (FOLDER / "v2.1.0" / "chime.wav").read_bytes()
