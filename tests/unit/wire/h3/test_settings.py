import pytest
from aioquic.h3.connection import encode_settings

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes
from edgeproxy.wire.h3.settings import parse_settings


def test_settings_are_identifiers_and_values():
    pairs = {0x1: 4096, 0x6: 2**40, 0x7: 16, 0x33: 1, 2**61: 0}
    assert parse_settings(encode_settings(pairs), 32) == pairs
    assert parse_settings(b"", 32) == {}


@pytest.mark.parametrize("identifier", [0x0, 0x2, 0x3, 0x4, 0x5])
def test_those_of_http2_are_an_error(identifier: int):
    with pytest.raises(ConnectionFault) as caught:
        parse_settings(encode_settings({0x6: 1, identifier: 1}), 32)
    assert caught.value.code == codes.SETTINGS_ERROR


@pytest.mark.parametrize("identifier", [0x6, 0x21, 0x1234])
def test_nothing_is_said_twice(identifier: int):
    with pytest.raises(ConnectionFault) as caught:
        parse_settings(encode_settings({identifier: 1}) * 2, 32)
    assert caught.value.code == codes.SETTINGS_ERROR


@pytest.mark.parametrize("payload", [b"\x06", b"\x06\x40", b"\x40", b"\x06\x01\x21", b"\xff" * 9])
def test_partial_settings(payload: bytes):
    with pytest.raises(ConnectionFault) as caught:
        parse_settings(payload, 32)
    assert caught.value.code == codes.FRAME_ERROR


def test_their_number_is_limited():
    pairs = {0x40 + n: n for n in range(32)}
    assert parse_settings(encode_settings(pairs), 32) == pairs
    with pytest.raises(ConnectionFault) as caught:
        parse_settings(encode_settings({**pairs, 0x6: 1}), 32)
    assert caught.value.code == codes.EXCESSIVE_LOAD
