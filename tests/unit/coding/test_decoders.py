import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard

from edgeproxy.coding import CodingError
from edgeproxy.coding.decoders import DECODABLE, PIECE_BYTES_MAX, decode, decoder
from edgeproxy.coding.encoders import CODINGS, encode, encoder

MIB = 1 << 20
TEXT = b"".join(b"line %d of a text, which is much like the one before\n" % n for n in range(9000))
ANY_RATIO = 1 << 40


def coded_zeros(coding, length, *, level="fast"):
    one = encoder(coding, level=level)
    chunk = bytes(MIB)
    return b"".join(one.feed(chunk) for _ in range(length // MIB)) + one.finish()


def test_what_can_be_coded_can_be_decoded():
    assert frozenset(CODINGS) == DECODABLE


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_any_division_of_the_coded_octets_decodes_the_same(coding, step):
    coded = encode(TEXT, coding, level="fast")
    one = decoder(coding, bytes_max=len(TEXT))
    pieces = [
        piece for at in range(0, len(coded), step) for piece in one.feed(coded[at : at + step])
    ]
    one.finish()
    assert b"".join(pieces) == TEXT
    assert all(pieces)
    assert max(map(len, pieces)) <= PIECE_BYTES_MAX


@pytest.mark.parametrize("coding", CODINGS)
def test_the_empty_body(coding):
    assert decode(encode(b"", coding, level="fast"), coding, bytes_max=0) == b""


@pytest.mark.parametrize("coding", CODINGS)
def test_one_octet_too_many(coding):
    coded = memoryview(encode(TEXT, coding, level="fast"))
    assert decode(coded, coding, bytes_max=len(TEXT)) == TEXT
    with pytest.raises(CodingError, match=f"more than {len(TEXT) - 1} octets"):
        decode(coded, coding, bytes_max=len(TEXT) - 1)


@pytest.mark.parametrize("coding", CODINGS)
def test_the_ratio_does_not_count_for_the_first_mebibyte(coding):
    assert decode(coded_zeros(coding, MIB), coding, bytes_max=MIB) == bytes(MIB)


@pytest.mark.parametrize("coding", CODINGS)
def test_the_ratio_is_the_callers(coding):
    coded = coded_zeros(coding, 2 * MIB)
    with pytest.raises(CodingError, match="more than 100 times"):
        decode(coded, coding, bytes_max=2 * MIB)
    assert decode(coded, coding, bytes_max=2 * MIB, ratio_max=ANY_RATIO) == bytes(2 * MIB)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused_before_it_fills_memory(coding):
    bomb = coded_zeros(coding, 256 * MIB)
    lengths = []
    tracemalloc.start()
    try:
        with pytest.raises(CodingError, match="more than 100 times"):
            lengths.extend(map(len, decoder(coding, bytes_max=1 << 30).feed(bomb)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(lengths) <= max(MIB, 100 * len(bomb))
    assert peak < MIB


@pytest.mark.parametrize("coding", CODINGS)
def test_every_truncation_is_noticed(coding):
    coded = encode(TEXT[:3000], coding, level="fast")
    for length in range(len(coded)):
        one = decoder(coding, bytes_max=3000)
        b"".join(one.feed(coded[:length]))
        with pytest.raises(CodingError, match="too early"):
            one.finish()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("garbage", [b"\0", b"x", b"\x1f", b"\x28\xb5\x2f", b"garbage" * 100])
@pytest.mark.parametrize("is_one_feed", [True, False])
def test_what_follows_the_end_is_refused(coding, garbage, is_one_feed):
    coded = encode(TEXT, coding, level="fast")
    one = decoder(coding, bytes_max=len(TEXT) + 9999)
    feeds = [coded + garbage] if is_one_feed else [coded, garbage]
    with pytest.raises(CodingError):
        read_all(one, feeds)


def read_all(one, feeds):
    for data in feeds:
        for _piece in one.feed(data):
            pass
    one.finish()


@pytest.mark.parametrize("coding", CODINGS)
def test_noise_is_malformed(coding):
    with pytest.raises(CodingError, match="malformed"):
        decode(b"no coding at all, but enough of it", coding, bytes_max=99)


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_several_members_or_frames_are_one_content(coding, step):
    bodies = [b"one", b"", TEXT, b"", b"", b"two"]
    coded = b"".join(encode(body, coding, level="fast") for body in bodies)
    one = decoder(coding, bytes_max=MIB)
    pieces = [p for at in range(0, len(coded), step) for p in one.feed(coded[at : at + step])]
    one.finish()
    assert b"".join(pieces) == b"".join(bodies)


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_the_limit_counts_all_members_and_frames(coding):
    coded = encode(TEXT, coding, level="fast") * 3
    with pytest.raises(CodingError, match="octets"):
        decode(coded, coding, bytes_max=3 * len(TEXT) - 1)


def test_two_brotli_streams_are_not_one_content():
    with pytest.raises(CodingError, match="malformed"):
        decode(encode(b"a", b"br", level="fast") * 2, b"br", bytes_max=99)


def test_gzip_with_a_name_a_comment_and_a_check_of_the_header():
    plain = gzip.compress(TEXT, mtime=0)
    head = bytearray(plain[:10])
    head[3] = 0x1E
    head += b"\x03\0abc" + b"name\0" + b"comment\0"
    check = zlib.crc32(head) & 0xFFFF
    coded = bytes(head) + check.to_bytes(2, "little") + plain[10:]
    assert decode(coded, b"gzip", bytes_max=MIB) == TEXT


@pytest.mark.parametrize("trailer", [-1, -5])
def test_a_wrong_checksum_or_length_of_gzip_is_malformed(trailer):
    coded = bytearray(encode(TEXT, b"gzip", level="fast"))
    coded[trailer] ^= 1
    with pytest.raises(CodingError, match="malformed"):
        decode(bytes(coded), b"gzip", bytes_max=MIB)


@pytest.mark.parametrize("wrapper", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_is_not_gzip(wrapper):
    one = zlib.compressobj(6, zlib.DEFLATED, wrapper)
    with pytest.raises(CodingError, match="malformed"):
        decode(one.compress(TEXT) + one.flush(), b"gzip", bytes_max=MIB)


def zstd_frame(body, *, window_log, **parameters):
    chosen = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log, **parameters)
    one = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    flushed = one.compress(body) + one.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return flushed + one.flush()


def test_zstd_windows_beyond_8_mib_are_refused():
    assert decode(zstd_frame(TEXT, window_log=23), b"zstd", bytes_max=MIB) == TEXT
    with pytest.raises(CodingError, match="too much memory"):
        decode(zstd_frame(TEXT, window_log=24), b"zstd", bytes_max=MIB)


def test_a_zstd_checksum_is_looked_at():
    coded = zstd_frame(TEXT, window_log=20, write_checksum=True)
    assert decode(coded, b"zstd", bytes_max=MIB) == TEXT
    with pytest.raises(CodingError, match="malformed"):
        decode(coded[:-1] + bytes([coded[-1] ^ 1]), b"zstd", bytes_max=MIB)


def test_brotli_windows_beyond_rfc_7932_are_refused():
    large_window = b"\x11\x1a" + bytes(20)
    with pytest.raises(CodingError, match="malformed"):
        decode(large_window, b"br", bytes_max=MIB)


@pytest.mark.parametrize("length", [1, 65535, 65536, 65537, 131072, 98272, 3 * 65536, 500_000])
@pytest.mark.parametrize("coding", CODINGS)
def test_no_octet_stays_behind_at_the_edge_of_a_step(coding, length):
    body = (b"ab" * length)[:length]
    assert decode(encode(body, coding, level="fast"), coding, bytes_max=length) == body
    flushing = encoder(coding, level="fast")
    coded = flushing.feed(body) + flushing.flush()
    assert b"".join(decoder(coding, bytes_max=length).feed(coded)) == body


def test_the_decoded_pieces_are_made_as_they_are_asked_for():
    one = decoder(b"br", bytes_max=1 << 30, ratio_max=ANY_RATIO)
    pieces = one.feed(brotli.compress(bytes(64 * MIB), quality=1))
    tracemalloc.start()
    try:
        assert next(pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@pytest.mark.parametrize("coding", [b"identity", b"deflate", b"BR", b"gzip, br", b""])
def test_nothing_else_is_decoded(coding):
    with pytest.raises(ValueError, match="no decoder"):
        decoder(coding, bytes_max=1)
