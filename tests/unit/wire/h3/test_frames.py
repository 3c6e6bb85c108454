import pytest
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import encode_frame, parse_settings
from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.wire.h3 import frames

EDGES = [0, 63, 64, 16383, 16384, 2**30 - 1, 2**30, 2**62 - 1]
integers = st.one_of(st.sampled_from(EDGES), st.integers(0, 2**62 - 1))


@given(integers)
def test_integers_are_those_of_another_implementation(value: int):
    coded = frames.integer(value)
    assert coded == encode_uint_var(value)
    assert Buffer(data=coded).pull_uint_var() == value
    assert frames.read_integer(b"x" + coded + b"y", 1) == (value, 1 + len(coded))


@pytest.mark.parametrize("coded", [b"\x40\x07", b"\x80\0\0\x07", b"\xc0\0\0\0\0\0\0\x07"])
def test_integers_may_be_longer_than_they_need(coded: bytes):
    assert frames.read_integer(coded, 0) == (7, len(coded))


@given(integers)
def test_an_integer_that_is_not_all_there(value: int):
    coded = frames.integer(value)
    for size in range(len(coded)):
        assert frames.read_integer(coded[:size], 0)[1] == -1


@given(integers, st.binary(max_size=100))
def test_frames_are_those_of_another_implementation(kind: int, payload: bytes):
    assert frames.frame(kind, payload) == encode_frame(kind, payload)
    assert frames.headers_frame(payload) == encode_frame(1, payload)
    assert frames.data_head(len(payload)) + payload == encode_frame(0, payload)
    assert frames.goaway_frame(kind) == encode_frame(7, encode_uint_var(kind))


def test_settings_are_what_another_implementation_reads():
    pairs = [(frames.SETTINGS_MAX_FIELD_SECTION_SIZE, 16384), (frames.SETTINGS_GREASE, 0)]
    coded = frames.settings_frame(pairs)
    assert coded[:2] == bytes((4, len(coded) - 2))
    assert parse_settings(coded[2:]) == dict(pairs)
