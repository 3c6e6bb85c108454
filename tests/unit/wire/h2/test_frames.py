import hyperframe.frame as oracle
import pytest

from edgeproxy.wire.h2 import frames
from tests.support.h2_peer import parse


def one(data: bytes) -> oracle.Frame:
    (frame,) = parse(data)
    return frame


def test_types_are_those_of_the_rfc():
    assert oracle.DataFrame.type == frames.DATA
    assert oracle.HeadersFrame.type == frames.HEADERS
    assert oracle.PriorityFrame.type == frames.PRIORITY
    assert oracle.RstStreamFrame.type == frames.RST_STREAM
    assert oracle.SettingsFrame.type == frames.SETTINGS
    assert oracle.PushPromiseFrame.type == frames.PUSH_PROMISE
    assert oracle.PingFrame.type == frames.PING
    assert oracle.GoAwayFrame.type == frames.GOAWAY
    assert oracle.WindowUpdateFrame.type == frames.WINDOW_UPDATE
    assert oracle.ContinuationFrame.type == frames.CONTINUATION


def test_a_frame_is_a_header_and_its_payload():
    ping = one(frames.frame(frames.PING, frames.ACK, 0, b"12345678"))
    assert isinstance(ping, oracle.PingFrame)
    assert ping.opaque_data == b"12345678"
    assert "ACK" in ping.flags


def test_settings():
    pairs = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 2**31 - 1), (0x9, 1)]
    settings = one(frames.settings_frame(pairs))
    assert isinstance(settings, oracle.SettingsFrame)
    assert settings.settings == dict(pairs)


def test_settings_acknowledgement():
    settings = one(frames.SETTINGS_ACK_FRAME)
    assert isinstance(settings, oracle.SettingsFrame)
    assert "ACK" in settings.flags


def test_window_update():
    update = one(frames.window_update_frame(7, 2**31 - 1))
    assert isinstance(update, oracle.WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (7, 2**31 - 1)


def test_rst_stream():
    reset = one(frames.rst_stream_frame(2**31 - 1, 0xDEADBEEF))
    assert isinstance(reset, oracle.RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (2**31 - 1, 0xDEADBEEF)


def test_goaway():
    goaway = one(frames.goaway_frame(5, 11, "too much"))
    assert isinstance(goaway, oracle.GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code) == (5, 11)
    assert goaway.additional_data == b"too much"


@pytest.mark.parametrize("size", [0, 1, 16384])
def test_a_small_field_block_is_one_frame(size: int):
    headers = one(frames.field_block_frames(3, bytes(size), frames.END_STREAM))
    assert isinstance(headers, oracle.HeadersFrame)
    assert headers.flags == {"END_HEADERS", "END_STREAM"}
    assert headers.data == bytes(size)


@pytest.mark.parametrize("size", [16385, 32768, 32769, 50000])
def test_a_large_field_block_goes_on_in_continuations(size: int):
    block = bytes(range(256)) * 200
    first, *rest = parse(frames.field_block_frames(3, block[:size], frames.END_STREAM))
    assert isinstance(first, oracle.HeadersFrame)
    assert first.flags == {"END_STREAM"}
    assert all(isinstance(each, oracle.ContinuationFrame) for each in rest)
    assert [set(each.flags) for each in rest] == [set()] * (len(rest) - 1) + [{"END_HEADERS"}]
    assert first.data + b"".join(each.data for each in rest) == block[:size]
    assert all(len(each.data) <= 16384 for each in (first, *rest))
