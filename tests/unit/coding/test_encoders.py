import heapq
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard

from edgeproxy.coding.decoders import decode, decoder
from edgeproxy.coding.encoders import CODINGS, encode, encoder

TEXT = Path(heapq.__file__).read_bytes()

DECODE = {
    b"br": brotli.decompress,
    b"zstd": lambda coded: zstandard.ZstdDecompressor().decompressobj().decompress(coded),
    b"gzip": lambda coded: zlib.decompress(coded, 31),
}


def test_the_densest_coding_is_preferred():
    assert CODINGS == (b"br", b"zstd", b"gzip")


@pytest.mark.parametrize("level", ["fast", "best"])
@pytest.mark.parametrize("coding", CODINGS)
def test_the_library_itself_reads_what_was_coded(coding, level):
    for body in (b"", b"x", TEXT, memoryview(TEXT)):
        assert DECODE[coding](encode(body, coding, level=level)) == body
        one = encoder(coding, level=level)
        assert DECODE[coding](one.feed(body) + one.finish()) == body


@pytest.mark.parametrize("coding", CODINGS)
def test_the_best_level_is_smaller_than_the_fast_one(coding):
    fast, best = (encode(TEXT, coding, level=level) for level in ("fast", "best"))
    assert len(best) < len(fast) < len(TEXT)


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_flushed_can_be_decoded_at_once(coding):
    one = encoder(coding, level="fast")
    reader = decoder(coding, bytes_max=1 << 20)
    for piece in (b"first", b"second", memoryview(TEXT)):
        assert b"".join(reader.feed(one.feed(piece) + one.flush())) == piece
    assert b"".join(reader.feed(one.flush())) == b""
    assert b"".join(reader.feed(one.finish())) == b""
    reader.finish()


@pytest.mark.parametrize("coding", CODINGS)
def test_the_same_body_is_always_coded_the_same(coding):
    assert encode(TEXT, coding, level="fast") == encode(TEXT, coding, level="fast")


def test_gzip_tells_no_time_and_no_name():
    header = encode(TEXT, b"gzip", level="fast")[:10]
    assert header[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_no_zstd_frame_asks_for_more_window_than_browsers_have():
    body = bytes(20 << 20)
    one = encoder(b"zstd", level="best")
    for coded in (one.feed(body) + one.finish(), encode(body, b"zstd", level="best")):
        assert zstandard.get_frame_parameters(coded).window_size <= 8 << 20
        assert decode(coded, b"zstd", bytes_max=len(body), ratio_max=1 << 30) == body


@pytest.mark.parametrize("coding", [b"identity", b"deflate", b"BR", b"x-gzip", b""])
def test_nothing_else_is_coded(coding):
    with pytest.raises(ValueError, match="no encoder"):
        encoder(coding, level="fast")
    with pytest.raises(ValueError, match="no encoder"):
        encode(b"", coding, level="fast")
