import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.settings import parse_settings


def payload(*pairs: tuple[int, int]) -> bytes:
    return frames.settings_frame(pairs)[frames.HEADER_BYTES :]


def code_of(data: bytes, count_max: int = 32) -> int:
    with pytest.raises(ConnectionFault) as caught:
        parse_settings(data, count_max)
    return caught.value.code


def test_pairs_keep_their_order_and_unknown_ones_stay():
    pairs = [(4, 10), (0xABCD, 2**32 - 1), (4, 20)]
    assert parse_settings(payload(*pairs), 32) == pairs
    assert parse_settings(b"", 32) == []


@pytest.mark.parametrize("size", [1, 5, 7, 13])
def test_a_partial_setting(size: int):
    assert code_of(bytes(size)) == codes.FRAME_SIZE_ERROR


def test_too_many_settings():
    assert len(parse_settings(payload(*[(7, 1)] * 32), 32)) == 32
    assert code_of(payload(*[(7, 1)] * 33)) == codes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("identifier", [0x2, 0x9])
def test_booleans(identifier: int):
    assert parse_settings(payload((identifier, 0), (identifier, 1)), 32)
    assert code_of(payload((identifier, 2))) == codes.PROTOCOL_ERROR


def test_initial_window_size():
    assert parse_settings(payload((4, 0), (4, 2**31 - 1)), 32)
    assert code_of(payload((4, 2**31))) == codes.FLOW_CONTROL_ERROR


def test_max_frame_size():
    assert parse_settings(payload((5, 16384), (5, 2**24 - 1)), 32)
    assert code_of(payload((5, 16383))) == codes.PROTOCOL_ERROR
    assert code_of(payload((5, 2**24))) == codes.PROTOCOL_ERROR
