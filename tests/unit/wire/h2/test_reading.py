from typing import ClassVar

import pytest

from edgeproxy.errors import ConnectionFault, StreamFault
from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.reading import OTHER, FrameReader

SETTINGS = frames.settings_frame(())


class Reader(FrameReader):
    """Notes frames; DATA raises a stream fault, PING a connection fault."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, int, bytes]] = []
        self.was_reset: list[tuple[int, int]] = []

    def note(self, kind: int):
        return lambda flags, stream_id, payload: self.seen.append((kind, flags, stream_id, payload))

    def fail(self, fault: ConnectionFault) -> None:
        self.fault = fault

    def reset(self, stream_id: int, code: int) -> None:
        self.was_reset.append((stream_id, code))

    def settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.awaited = None
        self.note(frames.SETTINGS)(flags, stream_id, payload)

    def data(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise StreamFault(stream_id, codes.STREAM_CLOSED, "test")

    def headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.awaited = frames.CONTINUATION

    def continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.awaited = None

    def ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(codes.PROTOCOL_ERROR, "test")

    def other(self, flags: int, stream_id: int, payload: bytes) -> None:
        self.note(OTHER)(flags, stream_id, payload)

    def read(self, data: bytes, now: float = 1000.0) -> None:
        self._read(data, now)

    _handlers: ClassVar = {
        frames.SETTINGS: settings,
        frames.DATA: data,
        frames.HEADERS: headers,
        frames.CONTINUATION: continuation,
        frames.PING: ping,
        OTHER: other,
    }


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def settled(reader: Reader) -> Reader:
    reader.read(frames.PREFACE + SETTINGS)
    reader.seen.clear()
    return reader


def test_frames_are_cut_and_handed_over(settled: Reader):
    settled.read(frames.frame(0xAB, 0xCD, 2**31 - 1, b"abc") + frames.frame(0xAC, 0, 0))
    assert settled.seen == [(OTHER, 0xCD, 2**31 - 1, b"abc"), (OTHER, 0, 0, b"")]


def test_the_reserved_bit_is_ignored(settled: Reader):
    settled.read(b"\0\0\0\xab\0\x80\0\0\x05")
    assert settled.seen == [(OTHER, 0, 5, b"")]


def test_every_cut_of_the_stream_gives_the_same_frames():
    stream = frames.PREFACE + SETTINGS + frames.frame(0xAB, 0, 1, b"abc") + frames.frame(9, 0, 0)
    for size in (1, 2, 5, 9, 10, 24, 25, len(stream)):
        reader = Reader()
        for at in range(0, len(stream), size):
            reader.read(stream[at : at + size])
        assert [kind for kind, *_ in reader.seen] == [frames.SETTINGS, OTHER], size
        assert reader.fault is None


@pytest.mark.parametrize("at", [0, 1, 10, 23])
def test_a_wrong_preface_fails_at_its_first_wrong_byte(reader: Reader, at: int):
    wrong = bytearray(frames.PREFACE)
    wrong[at] ^= 1
    reader.read(bytes(wrong[:at]))
    assert reader.fault is None
    reader.read(bytes(wrong[at : at + 1]))
    assert reader.fault is not None
    assert reader.fault.code == codes.PROTOCOL_ERROR


def test_the_first_frame_must_be_settings(reader: Reader):
    assert not reader.is_settled
    reader.read(frames.PREFACE + frames.frame(0xAB, 0, 0))
    assert reader.fault is not None
    assert reader.fault.code == codes.PROTOCOL_ERROR
    assert not reader.seen


def test_a_field_block_must_not_be_interrupted(settled: Reader):
    assert settled.is_settled
    settled.read(frames.frame(frames.HEADERS, 0, 1))
    settled.read(frames.frame(frames.CONTINUATION, 0, 1))
    settled.read(frames.frame(0xAB, 0, 0))
    assert settled.fault is None
    settled.read(frames.frame(frames.HEADERS, 0, 1) + frames.frame(0xAB, 0, 0))
    assert settled.fault is not None
    assert settled.fault.code == codes.PROTOCOL_ERROR


def test_an_oversized_frame_is_refused_by_its_header(settled: Reader):
    settled.read(b"\0\x40\0\xab\0\0\0\0\x01" + bytes(16384))
    assert len(settled.seen) == 1
    settled.read(b"\0\x40\x01\xab\0\0\0\0\x01")
    assert settled.fault is not None
    assert settled.fault.code == codes.FRAME_SIZE_ERROR


def test_a_stream_fault_resets_and_reading_goes_on(settled: Reader):
    settled.read(frames.frame(frames.DATA, 0, 7) + frames.frame(0xAB, 0, 0))
    assert settled.was_reset == [(7, codes.STREAM_CLOSED)]
    assert len(settled.seen) == 1


def test_a_connection_fault_ends_reading(settled: Reader):
    settled.read(frames.frame(frames.PING, 0, 0) + frames.frame(0xAB, 0, 0))
    assert settled.fault is not None
    assert not settled.seen


def test_a_block_counts_from_its_beginning(reader: Reader):
    reader.read(frames.PREFACE, now=10.0)
    assert reader.mid_block_since == 10.0
    reader.read(SETTINGS, now=11.0)
    assert reader.mid_block_since == 0.0
    reader.read(frames.frame(frames.HEADERS, 0, 1), now=100.0)
    reader.read(frames.frame(frames.CONTINUATION, 0, 1)[:5], now=105.0)
    assert reader.mid_block_since == 100.0
    reader.read(frames.frame(frames.CONTINUATION, 0, 1)[5:], now=106.0)
    assert reader.mid_block_since == 0.0


def test_an_unfinished_headers_frame_is_a_block_and_unfinished_data_is_none(settled: Reader):
    settled.read(frames.frame(frames.DATA, 0, 1, b"abc")[:10], now=20.0)
    assert settled.mid_block_since == 0.0
    settled.read(b"bc" + frames.frame(frames.HEADERS, 0, 1, b"abc")[:4], now=21.0)
    assert settled.mid_block_since == 21.0


def test_a_long_read_is_taken_in_portions(settled: Reader):
    each = frames.frame(0xAB, 0, 0, b"abc")
    settled.read(each * 1000)
    first = len(settled.seen)
    assert 0 < first < 1000
    assert settled.is_behind
    settled.read(each)
    assert len(settled.seen) == first
    portions = 1
    while settled.is_behind:
        settled._go_on(1000.0)
        portions += 1
    assert len(settled.seen) == 1001
    assert portions == -(-1001 // first)


def test_a_field_block_that_waits_for_us_is_not_slow(settled: Reader):
    settled.read(frames.frame(0xAB, 0, 0, bytes(3000)) + frames.frame(frames.HEADERS, 0, 1)[:5])
    assert settled.is_behind
    assert settled.mid_block_since == 0.0
    settled._go_on(1000.0)
    assert not settled.is_behind
    assert settled.mid_block_since == 1000.0
