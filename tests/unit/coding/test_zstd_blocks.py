import pytest
import zstandard

from edgeproxy.coding import CodingError
from edgeproxy.coding.decoders import decode
from edgeproxy.coding.zstd_blocks import BLOCK_BYTES_MAX, BlockEnds

MAGIC = b"\x28\xb5\x2f\xfd"


def block(kind, size, content=b"", *, last=False):
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + content


RAW = block(0, 4, b"abcd")
RUN = block(1, BLOCK_BYTES_MAX, b"z")
LAST = block(0, 0, last=True)


def steps(frame, slice_length):
    """Return how long the parts are in which a frame would be handed over."""
    ends, lengths = BlockEnds(), []
    for start in range(0, len(frame), slice_length):
        rest = frame[start : start + slice_length]
        while rest:
            lengths.append(ends.advance(rest))
            rest = rest[lengths[-1] :]
    return lengths


@pytest.mark.parametrize(
    ("descriptor", "rest"),
    [
        (0b0000_0000, 1),
        (0b0010_0000, 1),
        (0b0000_0001, 2),
        (0b0000_0010, 3),
        (0b0000_0011, 5),
        (0b0100_0000, 3),
        (0b0110_0000, 2),
        (0b1000_0000, 5),
        (0b1100_0011, 13),
        (0b1110_0100, 8),
    ],
)
def test_the_frame_header_is_as_long_as_its_descriptor_says(descriptor, rest):
    frame = MAGIC + bytes([descriptor]) + bytes(rest) + RAW + RUN + LAST
    assert zstandard.frame_header_size(frame) == 5 + rest
    assert steps(frame, 1 << 20) == [5 + rest, len(RAW), len(RUN), len(LAST)]
    assert steps(frame, 1) == [1] * len(frame)


def test_a_slice_may_end_anywhere():
    frame = MAGIC + b"\0\x58" + RAW + RUN + LAST
    for slice_length in range(1, len(frame)):
        ends = {sum(lengths) for lengths in accumulated(steps(frame, slice_length))}
        assert {6, 6 + len(RAW), 6 + len(RAW) + len(RUN)} <= ends


def accumulated(lengths):
    return [lengths[:count] for count in range(1, len(lengths) + 1)]


def test_a_compressed_block_is_as_long_as_it_says():
    frame = MAGIC + b"\0\x58" + block(2, 9, bytes(9)) + RAW
    assert steps(frame, 1 << 20) == [6, 12, len(RAW)]


def test_skippable_frames_and_noise_make_no_steps():
    for start in (b"\x50\x2a\x4d\x18", b"nois"):
        frame = start + (1 << 31).to_bytes(4, "little") + RUN * 100
        assert steps(frame, 1 << 20) == [len(frame)]


def test_what_follows_the_last_block_is_left_to_the_library():
    frame = MAGIC + b"\0\x58" + block(1, 5, b"x", last=True) + b"next"
    assert steps(frame, 1 << 20) == [6, len(frame) - 6]


def test_a_block_that_claims_more_than_a_block_may_hold_is_refused():
    frame = MAGIC + b"\0\x58" + block(1, (1 << 21) - 1, b"x") + LAST
    with pytest.raises(CodingError, match="malformed"):
        decode(frame, b"zstd", bytes_max=1 << 30)


def test_skippable_frames_are_skipped():
    skippable = b"\x50\x2a\x4d\x18" + b"\x05\0\0\0" + b"12345"
    frame = zstandard.ZstdCompressor().compress(b"content")
    for coded in (skippable + frame, frame + skippable, skippable + frame + skippable + frame):
        assert decode(coded, b"zstd", bytes_max=99) == b"content" * coded.count(frame)
    with pytest.raises(CodingError, match="too early"):
        decode(frame + skippable[:-1], b"zstd", bytes_max=99)
