import heapq
import random
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


@pytest.mark.parametrize("level", ["fast", "best"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("step", [500, 4096, 100_000])
def test_the_same_body_is_always_coded_the_same(coding, level, step):
    one = encoder(coding, level=level, size=len(TEXT))
    pieces = [one.feed(TEXT[at : at + step]) for at in range(0, len(TEXT), step)]
    assert b"".join(pieces) + one.finish() == encode(TEXT, coding, level=level)


@pytest.mark.parametrize("coding", CODINGS)
def test_megabytes_are_coded_the_same_in_one_piece_and_in_many(coding):
    numbers = random.Random(1)
    body = b" ".join(b"%x" % numbers.getrandbits(14) for _ in range(700_000))
    one = encoder(coding, level="fast", size=len(body))
    pieces = [one.feed(body[at : at + 9999]) for at in range(0, len(body), 9999)]
    assert b"".join(pieces) + one.finish() == encode(body, coding, level="fast")


def test_zstd_states_a_known_size():
    assert zstandard.frame_content_size(encode(TEXT, b"zstd", level="fast")) == len(TEXT)
    one = encoder(b"zstd", level="fast")
    assert zstandard.frame_content_size(one.feed(TEXT) + one.finish()) == -1


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
