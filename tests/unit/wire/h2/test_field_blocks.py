import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import codes
from edgeproxy.wire.h2.field_blocks import FieldBlock, unpadded
from edgeproxy.wire.limits import Limits


def code_of(call, *args) -> int:
    with pytest.raises(ConnectionFault) as caught:
        call(*args)
    return caught.value.code


def test_parts_become_one_block():
    block = FieldBlock(Limits())
    block.begin(5, 1, b"a")
    assert (block.stream_id, block.flags) == (5, 1)
    block.extend(5, b"b")
    block.extend(5, b"")
    assert block.end() == b"ab"
    assert block.stream_id == 0


def test_a_part_without_its_beginning():
    block = FieldBlock(Limits())
    assert code_of(block.extend, 0, b"") == codes.PROTOCOL_ERROR
    assert code_of(block.extend, 1, b"") == codes.PROTOCOL_ERROR
    block.begin(5, 0, b"")
    assert code_of(block.extend, 7, b"") == codes.PROTOCOL_ERROR


def test_parts_are_counted():
    block = FieldBlock(Limits(continuations_max=2))
    block.begin(1, 0, b"")
    block.extend(1, b"x")
    block.extend(1, b"x")
    assert code_of(block.extend, 1, b"x") == codes.ENHANCE_YOUR_CALM


def test_a_new_block_counts_anew():
    block = FieldBlock(Limits(continuations_max=1))
    for stream_id in (1, 3):
        block.begin(stream_id, 0, b"a")
        block.extend(stream_id, b"b")
        assert block.end() == b"ab"


def test_bytes_are_counted():
    block = FieldBlock(Limits(field_block_bytes_max=10))
    block.begin(1, 0, b"x" * 5)
    block.extend(1, b"x" * 5)
    assert code_of(block.extend, 1, b"x") == codes.ENHANCE_YOUR_CALM


def test_padding_is_taken_off():
    assert unpadded(b"\0abc") == b"abc"
    assert unpadded(b"\x02abc\0\0") == b"abc"
    assert unpadded(b"\x03\0\0\0") == b""
    assert unpadded(b"\0") == b""


def test_padding_that_does_not_fit():
    assert code_of(unpadded, b"") == codes.FRAME_SIZE_ERROR
    assert code_of(unpadded, b"\x01") == codes.PROTOCOL_ERROR
    assert code_of(unpadded, b"\x04abc") == codes.PROTOCOL_ERROR
